"""The copy of the last configuration that worked: how it is kept, and how it is found again when the file does not work any more."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import msgspec

from edgegw import config
from edgegw.cli.children import fingerprint
from edgegw.cli.settings import load
from edgegw.config import Settings
from edgegw.config.kept import merged_text
from edgegw.config.places import default_path, defaults
from edgegw.errors import ConfigError, EdgegwError, Exit
from edgegw.paths import sync_names


def keep(file: Path, settings: Settings, _lifeline: int = -1) -> int:
    """Write the copy; the exit code. A body of a process of its own, for a card may take its time over it."""
    copy = settings.paths.last_good
    if file.absolute() == copy.absolute():  # it works: it was started with it
        return Exit.DONE
    new = copy.with_name(f"{copy.name}.new")
    try:
        _write(new, f"# The last configuration of this gateway that worked.\n{_origin(file)}\n\n{merged_text(file, settings)}")
        if _essence(load(new)) != _essence(settings):
            raise ConfigChanged("the files have changed since they were loaded")
        os.replace(new, copy)
        sync_names(copy.parent)  # the new name is safe only then
    except (EdgegwError, OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            new.unlink()
        sys.stderr.write(f"edgegw: cannot keep a copy of the configuration in {copy}: {error}\n")
        return error.exit_code if isinstance(error, EdgegwError) else Exit.IO
    return Exit.DONE


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as out:
        os.fchmod(fd, 0o600)  # also where it was left behind with another mode
        out.write(text)
        out.flush()
        os.fsync(fd)


def _origin(file: Path) -> str:
    return f"# of {str(file.absolute())!r}"  # a name may hold a line end


class ConfigChanged(EdgegwError):
    """What the files say by now is not what runs."""


def _essence(settings: Settings) -> str:
    return fingerprint(msgspec.structs.replace(settings, sources=()))


def advice(file: Path | None) -> str:
    """What to start with instead of a `file` that does not work; "" where there is no copy of it."""
    wanted = file or default_path(os.environ, os.geteuid())
    copy = _state_dir(wanted, file) / "last-good.toml"
    try:
        if _origin(wanted) not in copy.read_text(encoding="utf-8").splitlines():
            return ""
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.stat().st_mtime))
    except (OSError, UnicodeDecodeError):
        return ""
    return f"the last configuration that worked is {copy} (of {written}): edgegw start -c {copy}"


def _state_dir(wanted: Path, file: Path | None) -> Path:
    """Where the gateway of this file keeps its state: as the file says, or where it would be if nothing said so."""
    try:
        return config.locate(file).state
    except ConfigError:
        given = os.environ.get("EDGEGW_STATE_DIR") or defaults(wanted, os.environ, os.geteuid()).get("state_dir")
        return Path(given) if given else wanted.parent

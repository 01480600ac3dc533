"""The picture that `edgegw try --show` writes: which names it may have, how it gets there, and who asked for it unpixelated."""

from __future__ import annotations

import contextlib
import datetime
import os
import pwd
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Shown
from edgegw.errors import EdgegwError, Exit
from edgegw.log import JournalSink

MEDIA = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of a JPEG and of a PNG
_NOBODY = 0xFFFF_FFFF  # loginuid of what no login has started


class NotWritable(EdgegwError):
    """No picture can be put under that name."""

    exit_code = Exit.CANNOT_CREATE


def media_of(file: Path) -> str:
    """What the file will be, by its name. Raises NotWritable where it can be none, before a camera is opened for nothing."""
    media = MEDIA.get(file.suffix.lower())
    if media is None:
        raise NotWritable(f"{file} is not the name of a picture: end it with .jpg or .png")
    if not file.parent.is_dir():
        raise NotWritable(f"{file} cannot be written: there is no directory {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise NotWritable(f"{file} cannot be written: no permission to create files in {file.parent}")
    if os.path.lexists(file) and not _is_picture(file):
        raise NotWritable(f"{file} is there and is not a picture: nothing is overwritten but a JPEG or a PNG; choose another name")
    return media


def write(file: Path, shown: Shown) -> str:
    """Draw it into the file, whole or not at all, and for the owner's eyes only; what was written, in words. Raises OSError."""
    data, words = shown.drawn(media_of(file))
    descriptor, fresh = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # with mode 0600
    try:
        with open(descriptor, "wb") as out:
            out.write(data)
        os.replace(fresh, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
    return f"wrote {file} ({words})"


def audited(driver: str, options: Sequence[str], file: Path, journal: JournalSink | None = None) -> str:
    """A line that says who asked for faces as they are, of what and where to; it goes to journald, too, where there is one."""
    now = datetime.datetime.fromtimestamp(SystemClock.wall_ns() // NS_PER_S, datetime.UTC)
    command = shlex.join(["edgegw", "try", driver, *map(_named, options), "--show", str(file), "--clear"])
    event = "a picture with faces as they are is asked for"
    entry = {"time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "level": "warning", "process": "try", "event": event, "user": _who(), "command": command}
    with contextlib.closing(journal or JournalSink()) as sink:
        sink.write(entry)
    return f"{entry['time']} {event} by {entry['user']}: {command}"


def _is_picture(file: Path) -> bool:
    """Or a file with nothing in it, as mktemp makes one; a link is none, whatever it leads to."""
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as there:
        begins = there.read(8)
    return not begins or begins.startswith(_BEGINNINGS)


def _who() -> str:
    """The user, and who logged in, where that is somebody else: the kernel keeps that through sudo."""
    user = _name(os.getuid())
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return user
    return user if login in (_NOBODY, os.getuid()) else f"{user}, logged in as {_name(login)}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _named(option: str) -> str:
    """The option without a user, a password or a key that a URL may carry."""
    key, equals, value = option.partition("=")
    if "://" not in value:
        return option
    with contextlib.suppress(ValueError):
        address = urlsplit(value)
        return f"{key}{equals}{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return f"{key}{equals}…"

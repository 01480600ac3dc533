"""Makes a virtual environment ready to run or to test edgegw, on a machine that may have nothing but Python; quick when it is ready.

The order of things: the virtual environment, pip in it, every package in the versions and with the hashes of the lock, then edgegw
itself as it stands in this tree. What was done is noted in the environment, last of all: a set-up that was cut short is begun anew.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = os.path.realpath(sys.executable)  # not the one of an environment that is about to be replaced
LOCKS = {"run": ".ci/requirements.txt", "test": ".ci/requirements-test.txt"}
BUILD_LOCK = ".ci/requirements-build.txt"
PROJECT = ("setup.cfg", "pyproject.toml")
LOWEST_EXTRAS = ("camera", "face", "findface", "ble", "web", "fusion", "demo")
NOTE = "edgegw-setup.json"
WHEELS = "usr/share/python-wheels"  # where Debian's package keeps the wheel of pip


class SetupError(Exception):
    """The environment cannot be made; says what to do."""


def main(kind: str) -> None:
    """Make the environment for `kind` (run, test, lowest) ready."""
    os.chdir(ROOT)
    wait_for_turn()
    venv = ROOT / (".venv-lowest" if kind == "lowest" else ".venv")
    noted, wanted = read_note(venv), keys()
    if not is_ready(kind, noted, wanted):
        if is_stale(noted, wanted):
            create(venv)
            noted = {}
        install(kind, venv)
        noted = {**noted, kind: wanted[kind], "project": ""}
    if noted["project"] != wanted["project"]:
        say(f"Installing edgegw itself into {venv.name}, as it stands in this directory …")
        pip(venv, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        (venv / NOTE).write_text(json.dumps({**noted, "project": wanted["project"]}))
        say(f"{venv.name} is ready.")


def is_ready(kind: str, noted: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether the packages are there; what suffices to test suffices to run."""
    return any(noted.get(name) == wanted[name] for name in ({"run", "test"} if kind == "run" else {kind}))


def is_stale(noted: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether the environment was made for something else; then it is made anew, so that nothing unasked for stays in it."""
    return not noted or any(noted[name] != wanted[name] for name in noted if name != "project")


def keys() -> dict[str, str]:
    """What each part of an environment depends on, as one hash."""
    base = (sys.version.encode(), sys.base_prefix.encode(), (ROOT / BUILD_LOCK).read_bytes(), Path(__file__).read_bytes())
    packages = {kind: digest(*base, (ROOT / lock).read_bytes()) for kind, lock in LOCKS.items()}
    project = [(ROOT / name).read_bytes() for name in PROJECT]
    return {**packages, "lowest": digest(*base, *project), "project": digest(*project)}


def digest(*parts: bytes) -> str:
    """SHA-256 over the parts, each with its length, so that none can run into the next."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def read_note(venv: Path) -> dict[str, str]:
    """What the environment says of itself; nothing where it is absent, broken or unfinished."""
    try:
        return dict(json.loads((venv / NOTE).read_text())) if os.access(venv / "bin/python", os.X_OK) else {}
    except (OSError, ValueError):
        return {}


def wait_for_turn() -> None:
    """Two of us at once (make demo beside make test) would install into each other. The lock ends with the process."""
    directory = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another set-up of this directory to end …")
        fcntl.flock(directory, fcntl.LOCK_EX)


def create(venv: Path) -> None:
    """A fresh virtual environment with a pip in it."""
    say(f"Making the virtual environment {venv.name} with Python {sys.version.split()[0]} …")
    if has_pip(venv):
        return
    for way in (pip_of_this_python, pip_by_root, pip_of_debian):
        if way(venv):
            return
    raise SetupError(
        "This Python cannot make a virtual environment with pip in it. On Debian and Raspberry Pi OS one package is missing: "
        "sudo apt-get install python3-venv"
    )


def has_pip(venv: Path) -> bool:
    """The ordinary way. Debian keeps ensurepip in the package python3-venv, so there it may fail."""
    shutil.rmtree(venv, ignore_errors=True)
    return quiet(PYTHON, "-m", "venv", str(venv))


def bare(venv: Path) -> bool:
    """An environment without pip: that, even Debian's bare python3 can make."""
    shutil.rmtree(venv, ignore_errors=True)
    return quiet(PYTHON, "-m", "venv", "--without-pip", str(venv))


def pip_of_this_python(venv: Path) -> bool:
    """Let the pip outside the environment, if there is one, put a pip into it."""
    return bare(venv) and quiet(PYTHON, "-m", "pip", "--python", str(venv / "bin/python"), "install", "--require-hashes", "-r", BUILD_LOCK)


def pip_by_root(venv: Path) -> bool:
    """Root may install the missing package."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("Installing the Debian package python3-venv …")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ("apt-get", "install", "-y", "--no-install-recommends", "python3-venv")
    if not quiet(*install, environ=environ):  # on a fresh machine, apt has no lists yet
        quiet("apt-get", "update", environ=environ)
        quiet(*install, environ=environ)
    return has_pip(venv)


def pip_of_debian(venv: Path) -> bool:
    """Anybody may download a Debian package, checked against Debian's signature, and unpack the pip that is in it."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and bare(venv)):
        return False
    say("Fetching pip from Debian's package python3-pip-whl (nothing is installed outside this directory) …")
    with tempfile.TemporaryDirectory() as name:
        wheels = (Path(name) / WHEELS).glob("pip-*.whl") if fetch(Path(name)) else ()
        return any(quiet(str(venv / "bin/python"), f"{wheel}/pip", "install", "--no-index", str(wheel)) for wheel in wheels)


def fetch(folder: Path) -> bool:
    """Download python3-pip-whl and unpack it into `folder`; with package lists of our own where the machine has none."""
    lists = ("-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-o", "Debug::NoLocking=1")
    download = ("download", "python3-pip-whl")
    if not quiet("apt-get", *download, cwd=folder):
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        quiet("apt-get", *lists, "update", cwd=folder)
        quiet("apt-get", *lists, *download, cwd=folder)
    return any(quiet("dpkg-deb", "-x", str(package), str(folder)) for package in folder.glob("python3-pip-whl_*.deb"))


def install(kind: str, venv: Path) -> None:
    """All packages, in the versions of the lock, or for `lowest` in the oldest that setup.cfg allows."""
    if kind == "lowest":
        pip(venv, "install", "--require-hashes", "-r", BUILD_LOCK)
        wanted = lowest()
        say(f"Installing the oldest versions that setup.cfg allows: {' '.join(wanted)} …")
        pip(venv, "install", *wanted, *requirements("test"))
        return
    lock = (ROOT / LOCKS[kind]).read_text()
    say(f"Installing {len(pins(lock))} packages into {venv.name}; this needs the network and takes a minute or two …")
    if sys.maxsize < 2**32:
        install_unhashed(venv, (ROOT / BUILD_LOCK).read_text() + lock)
    else:
        pip(venv, "install", "--require-hashes", "-r", BUILD_LOCK, "-r", LOCKS[kind])


def install_unhashed(venv: Path, lock: str) -> None:
    """For 32-bit ARM nobody publishes wheels whose hashes the lock could know; Raspberry Pi OS has an index of its own builds."""
    say("This is a 32-bit system: the locked versions are taken as this system's package index has built them, without checking hashes.")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins(lock)))
        file.flush()
        pip(venv, "install", "--prefer-binary", "-r", file.name)


def pins(lock: str) -> list[str]:
    """The requirements of a lock without their hashes."""
    return [line.removesuffix("\\").strip() for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)]


def lowest() -> list[str]:
    """Every requirement of setup.cfg, extras included, at its lower bound: name>=1.2 becomes name==1.2."""
    return [line.replace(">=", "==") for line in [*requirements(""), *(line for extra in LOWEST_EXTRAS for line in requirements(extra))]]


def requirements(extra: str) -> list[str]:
    """The requirements in setup.cfg: of edgegw itself (""), or of one of its extras."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    text = config["options.extras_require"][extra] if extra else config["options"]["install_requires"]
    return [line for line in text.split("\n") if line]


def pip(venv: Path, *arguments: str) -> None:
    """Run the environment's pip; only its errors are shown."""
    command = [str(venv / "bin/python"), "-m", "pip", *arguments[:1], "-qq", *arguments[1:]]
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0", "PIP_NO_INPUT": "1"}
    if subprocess.run(command, env=environ, check=False).returncode != 0:
        raise SetupError(f"pip could not install what edgegw needs (its reasons are above); the command was: {' '.join(command)}")


def quiet(*command: str, cwd: Path | None = None, environ: dict[str, str] | None = None) -> bool:
    """Run a command that may fail, because another way follows; its output is not shown."""
    try:
        return subprocess.run(command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"• {text}", flush=True)


def run(arguments: Sequence[str]) -> int:
    """The command line: one of run, test, lowest."""
    if len(arguments) != 1 or arguments[0] not in ("run", "test", "lowest"):
        print("usage: .ci/setup run|test|lowest", file=sys.stderr)
        return 2
    try:
        main(arguments[0])
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

"""Finds the secret of a sink, a password or a token: a file, systemd's credentials, the environment, and last the URL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgegw.config.lines import KeyPath
from edgegw.config.report import Report
from edgegw.config.secret import Secret, SecretFile, Unfit
from edgegw.config.urls import password_in


def find(
    report: Report, path: KeyPath, environ: Mapping[str, str], file: Path | None, in_url: str = "", what: str = "password"
) -> Secret | None:
    """The password (or token) for the section at `path`; empty when none is given anywhere, None after noting a problem."""
    if in_url and not refuse_exposed(report, (*path, "url")):
        return None
    if report.faulty((*path, f"{what}_file")):
        return None
    if file:
        return _from_file(report, (*path, f"{what}_file"), file, what)
    name = f"{_name(path)}_{what}"
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", "")) / name
    if credential.is_absolute() and credential.exists():
        return _from_file(report, path, credential, what)
    return Secret(environ.get(_variable(name)) or in_url)


def refuse_exposed(report: Report, path: KeyPath) -> bool:
    """Whether the key at `path`, whose value carries a password, is out of other users' sight; notes it when not."""
    source = report.place(path).source
    if source.private:
        return True
    if source.file:
        report.add(path, "carries a password, and other users can read this file", f"chmod 600 {source.name}, or use password_file")
    else:
        report.add(path, "carries a password, and other users can read command lines", "use password_file")
    return False


def refuse_exposed_url(report: Report, path: KeyPath, value: object) -> None:
    """The same for any value: only a URL with a password in it matters."""
    if isinstance(value, str) and password_in(value):
        refuse_exposed(report, path)


def missing(report: Report, path: KeyPath, user: str) -> None:
    """Note that no password was found, and where one may be put."""
    report.add(path, f"there is no password for the user {user!r}", f"put it into {places(path, 'password')}")


def places(path: KeyPath, what: str) -> str:
    """Where find() looks for the password (or token) of the section at `path`."""
    name = f"{_name(path)}_{what}"
    return f"{what}_file, the systemd credential {name} or ${_variable(name)}"


def _name(path: KeyPath) -> str:
    return "_".join(str(part) for part in path if part not in ("sinks", "cameras"))


def _variable(name: str) -> str:
    return f"EDGEGW_{name.upper().replace('-', '_')}"  # no shell knows a variable with a dash


def _from_file(report: Report, path: KeyPath, file: Path, what: str) -> Secret | None:
    source = SecretFile(file.absolute(), what)  # it is read again later, wherever the process is then
    try:
        return Secret(source.read(), source)
    except Unfit as unfit:
        report.add(path, f"the {what} file {file} {unfit}", unfit.hint)
        return None

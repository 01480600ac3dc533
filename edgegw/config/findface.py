"""The section of FindFace: where it is, who we are there, and which of its cameras each sensor is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import structs

from edgegw.config import passwords
from edgegw.config.bind import bind, keys_of, refuse_unknown
from edgegw.config.lines import KeyPath
from edgegw.config.report import Report, meant
from edgegw.config.secret import Secret
from edgegw.config.servers import address_of, check_ca
from edgegw.config.settings import FindFaceCamera, FindFaceCameraKeys, FindFaceKeys, FindFaceSettings, SensorSettings
from edgegw.config.urls import Address

PATH = ("sinks", "findface")
_EXAMPLE = "https://findface.example"


def findface(report: Report, environ: Mapping[str, str], sensors: Sequence[SensorSettings], on: bool) -> FindFaceSettings | None:
    """[sinks.findface], where it is `on`; and that every sensor that sends pictures of faces has somebody to take them."""
    senders = [sensor.name for sensor in sensors if getattr(sensor.options, "send_faces", False)]
    if not on:
        for name in senders:
            what = "there is no sink that takes pictures of faces"
            report.add(("sensors", name, "send_faces"), what, "add [sinks.findface], or set send_faces = false")
        return None
    table = report.section(PATH)
    refuse_unknown(report, PATH, table, (*keys_of(FindFaceKeys), "cameras"))
    keys = bind(report, PATH, {key: value for key, value in table.items() if key != "cameras"}, FindFaceKeys)
    cameras = _cameras(report, environ, senders, {sensor.name for sensor in sensors})
    url = _without_slash(keys.url) if keys else ""
    address = address_of(report, PATH, url, {"https": 443, "http": 80}, _EXAMPLE) if keys else None
    if keys is None or address is None:
        return None
    _check_address(report, keys, address)
    token, password = _admission(report, environ, keys)
    rest = {key: value for key, value in structs.asdict(keys).items() if key in keys_of(FindFaceSettings) and key != "url"}
    tls = address.scheme == "https"
    return FindFaceSettings(url=url, tls=tls, token=token, password=password, cameras=cameras, **rest)


def _without_slash(url: str) -> str:
    return url.rstrip("/") if url.rstrip("/").count("/") > 1 else url


def _check_address(report: Report, keys: FindFaceKeys, address: Address) -> None:
    if address.user or address.password:
        report.add((*PATH, "url"), "the URL names a user", 'write user = "…" and password_file, or token_file')
    tls = address.scheme == "https"
    if not (tls or address.local or keys.allow_http):
        what = "without TLS everybody on the way sees the faces and the tokens"
        report.add((*PATH, "url"), what, "write https://, or set allow_http = true")
    check_ca(report, PATH, keys.ca_file, tls, "write https:// in url")


def _admission(report: Report, environ: Mapping[str, str], keys: FindFaceKeys) -> tuple[Secret, Secret]:
    """The API token and the password; one of them at most is needed, and given."""
    token = _token(report, PATH, environ, keys.token_file)
    password = passwords.find(report, PATH, environ, keys.password_file) if keys.user or keys.password_file else Secret("")
    if keys.user and token:
        report.add((*PATH, "user"), "there is an API token, too, and one of them is enough", "take away user, or the token")
    elif keys.user and password is not None and not password:
        passwords.missing(report, PATH, keys.user)
    elif keys.password_file and not keys.user:
        report.add((*PATH, "password_file"), "has no meaning without user", 'as in user = "edgegw"')
    if ":" in keys.user:  # RFC 7617: it ends the name
        report.add((*PATH, "user"), "a user's name with a colon cannot log in", "make a user with another name")
    if keys.look_up and token is not None and not (token or keys.user):
        what = "FindFace lists events only to those that it knows"
        report.add((*PATH, "look_up"), what, f"put an API token into {passwords.places(PATH, 'token')}, or set look_up = false")
    return token or Secret(""), password or Secret("")


def _cameras(report: Report, environ: Mapping[str, str], senders: Sequence[str], known: set[str]) -> dict[str, FindFaceCamera]:
    """[sinks.findface.cameras.*]; each sensor that sends has one, and no other has."""
    table = report.section((*PATH, "cameras"))
    for name in senders:
        if name not in table:
            what = f"sensors.{name} sends pictures of faces, and FindFace has to be told which of its cameras that is"
            report.add((*PATH, "cameras"), what, f"add [sinks.findface.cameras.{name}] with camera = and token_file =")
    asked = report.section(("sensors",))
    for name in table:
        path = (*PATH, "cameras", name)
        if name not in asked:
            near = meant(name, asked)
            report.add(path, "there is no sensor of that name", f"did you mean [sinks.findface.cameras.{near}]?" if near else "")
        elif name in known and name not in senders and not report.faulty(("sensors", name, "send_faces")):
            report.add(path, f"sensors.{name} does not send pictures of faces", "set send_faces = true there, or take this section away")
    bound = {name: _camera(report, environ, (*PATH, "cameras", name)) for name in table}
    return {name: camera for name, camera in bound.items() if camera}


def _camera(report: Report, environ: Mapping[str, str], path: KeyPath) -> FindFaceCamera | None:
    table = report.section(path)
    refuse_unknown(report, path, table, keys_of(FindFaceCameraKeys))
    keys = bind(report, path, table, FindFaceCameraKeys)
    token = _token(report, path, environ, keys.token_file if keys else None)
    if keys and token is not None and not token:
        what = "there is no token: FindFace shows that of an external detector under Video Sources"
        report.add(path, what, f"put it into {passwords.places(path, 'token')}")
    return FindFaceCamera(camera=keys.camera, token=token) if keys and token else None


def _token(report: Report, path: KeyPath, environ: Mapping[str, str], file: Path | None) -> Secret | None:
    found = passwords.find(report, path, environ, file, what="token")
    if found and not (found.reveal().isascii() and found.reveal().isprintable() and " " not in found.reveal()):
        report.add(path, "the token holds a character that no token has", "it is one word of letters and digits")
        return None
    return found

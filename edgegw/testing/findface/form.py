"""The form that a face comes in, taken apart strictly: what a server might forgive is refused here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Form = dict[str, list[bytes]]

REQUIRED = ("token", "camera", "mf_selector")
KNOWN = (*REQUIRED, "fullframe", "roi", "timestamp", "rotate")
_BOUNDARY = re.compile(r"multipart/form-data; boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})")
_DISPOSITION = re.compile(rb'content-disposition: form-data; name="([^"]*)"(?:; filename="([^"]+)")?', re.IGNORECASE)
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_SIDES = 4


class Refusal(Exception):
    """An answer that is an error: its status and its body."""

    def __init__(self, status: int, desc: str, param: str = "", code: str = "BAD_PARAM") -> None:
        super().__init__(desc)
        self.status = status
        self.body: dict[str, Any] = {"traceback": "", "code": code, "desc": desc, **({"param": param} if param else {})}


def parsed(content_type: str, body: bytes) -> Form:
    """The fields of a multipart/form-data body (RFC 7578), in order; the picture is the one with a file name. Raises Refusal."""
    found = _BOUNDARY.fullmatch(content_type)
    if not found:
        raise Refusal(400, f"Unsupported media type {content_type!r} in request.")
    parts = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    if len(parts) < 3 or parts[0] or parts[-1].strip() != b"--":
        raise Refusal(400, "Multipart form parse error")
    form: Form = {}
    for part in parts[1:-1]:
        name, content = _field(part)
        form.setdefault(name, []).append(content)
    return form


def check(form: Form, cameras: Mapping[int, str]) -> None:
    """Refuse what the server would refuse: a missing field, an unknown camera, a wrong token, a bad picture, box or time."""
    for name in REQUIRED:
        if name not in form:
            raise Refusal(400, "This field is required.", name)
    for name, values in form.items():
        if name not in KNOWN or len(values) != (_SIDES if name == "roi" else 1):
            raise Refusal(400, "Unexpected field, or not the right number of them.", name)
    if "fullframe" not in form:
        raise Refusal(400, "No file was submitted.", "fullframe")
    camera = form["camera"][0].decode()
    if not camera.isdecimal() or int(camera) not in cameras:
        raise Refusal(400, f"Invalid pk '{camera}' - object does not exist.", "camera")
    if form["token"] != [cameras[int(camera)].encode()]:
        raise Refusal(403, "Incorrect events creation API token", code="PERMISSION_DENIED")
    _check_values(form)


def digest(picture: bytes) -> str:
    """SHA-256 of a picture, in hex: how tests tell one from another."""
    return hashlib.sha256(picture).hexdigest()


def _check_values(form: Form) -> None:
    if form["mf_selector"][0] not in (b"biggest", b"all"):
        raise Refusal(400, "Not a valid choice.", "mf_selector")
    picture = form["fullframe"][0]
    if not (picture.startswith(_JPEG_START) and picture.endswith(_JPEG_END)):
        raise Refusal(400, "Upload a valid image.", "fullframe")
    if "roi" in form:
        sides = [int(side) if side.isdigit() else -1 for side in form["roi"]]
        if min(sides) < 0 or sides[0] >= sides[2] or sides[1] >= sides[3]:
            raise Refusal(400, "Invalid roi.", "roi")
    if "timestamp" in form:
        try:
            datetime.fromisoformat(form["timestamp"][0].decode())
        except ValueError:
            raise Refusal(400, "Datetime has wrong format.", "timestamp") from None


def _field(part: bytes) -> tuple[str, bytes]:
    head, blank, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    found = _DISPOSITION.fullmatch(lines[0])
    is_file = found is not None and found[2] is not None
    media = b"".join(lines[1:]).lower()
    if not (blank and found) or is_file != (found[1] == b"fullframe") or (is_file and media != b"content-type: image/jpeg"):
        raise Refusal(400, "Multipart form parse error")
    return found[1].decode(), content

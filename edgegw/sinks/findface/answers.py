"""What an answer of FindFace means for the face that was sent. Pure: status and bytes in, a verdict out.

As public clients and a public mock of the server have it: 200 or 201 with the ids of events; no face found is 200 with empty
`objects`, or 400 with a sentence; errors are {"code", "desc", "param"}. What has no such code comes from something in between,
such as a proxy, and says nothing about the face.
"""

from __future__ import annotations

import enum
import html
import http
import math
import re
from typing import Any

import msgspec

WAIT_MAX_s = 300.0  # for longer no server is obeyed
SAID_characters = 160
CODE_characters = 40
_OK, _CREATED = 200, 201
_BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_MANY, _ERROR, _BUSY = 400, 401, 403, 404, 408, 429, 500, 503
_CONTENT = (413, 415)  # a proxy may say these of a picture, too
_SETUP_PARAMS = ("camera", "token")


class Fate(enum.Enum):
    """What has become of a face that was sent."""

    TAKEN = enum.auto()
    REJECTED = enum.auto()  # this picture will never be taken
    SETUP = enum.auto()  # nothing of this camera is taken, as it looks: its token, its number, the URL
    REFUSED = enum.auto()  # nothing at all is taken until somebody acts
    AWAY = enum.auto()  # not there now, and it has not taken it
    UNSURE = enum.auto()  # not there now, and it may have taken it


class Answer(msgspec.Struct, frozen=True):
    """A verdict, with a code and a few words for the operator."""

    fate: Fate
    code: str = ""
    said: str = ""
    wait_s: float = 0.0  # before this the server does not want to be asked again


def judge(status: int, body: bytes, retry_after: str = "") -> Answer:
    """What an answer to POST /events/faces/add/ means; `body` may be cut."""
    told = _json(body)
    said = words(status, body)
    if status in (_OK, _CREATED):
        return _success(told, said)
    if status in (_TIMEOUT, _TOO_MANY, _BUSY):
        return Answer(Fate.AWAY, str(status), said, wait_s(retry_after))
    if status >= _ERROR:  # a proxy says 502 or 504 of a server that may have done its work
        return Answer(Fate.UNSURE, str(status), said)
    if status < _BAD:
        return Answer(Fate.AWAY, str(status), f"{said}; check url")
    code = told.get("code")
    if status == _UNAUTHORIZED or (not isinstance(code, str) and status not in _CONTENT):
        return Answer(Fate.REFUSED, str(status), f"{said}; check url, and token or user")
    if status in (_FORBIDDEN, _NOT_FOUND) or told.get("param") in _SETUP_PARAMS:
        return Answer(Fate.SETUP, str(code)[:CODE_characters], said)
    return Answer(Fate.REJECTED, str(code or status)[:CODE_characters], said)


def words(status: int, body: bytes) -> str:
    """A status and what came with it, as one short phrase; of HTML the text alone."""
    told = _json(body)
    text = str(told["desc"]) if isinstance(told.get("desc"), str) else body[:4096].decode(errors="replace")
    text = re.sub(r"(?s)<(script|style|head)\b.*?(</\1>|$)|<[^>]*>?", " ", text)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in html.unescape(text)).split())
    short = text if len(text) <= SAID_characters else f"{text[:SAID_characters]}…"
    return f"{_named(status)}: {short}" if short else _named(status)


def wait_s(retry_after: str) -> float:
    """Seconds that a Retry-After asks for, at most WAIT_MAX_s. One with a date counts as none: our clock may be wrong."""
    try:
        asked = float(retry_after)
    except ValueError:
        return 0.0
    return min(max(0.0, asked), WAIT_MAX_s) if math.isfinite(asked) else 0.0


def _success(told: dict[str, Any], said: str) -> Answer:
    events, errors = told.get("events"), told.get("errors")
    if isinstance(events, list) and events:
        return Answer(Fate.TAKEN)
    if isinstance(events, list) and errors:
        return Answer(Fate.REJECTED, "NO_EVENT", f"FindFace made no event of it ({said})")
    if isinstance(events, list) or isinstance(told.get("objects"), dict):
        return Answer(Fate.REJECTED, "NO_FACE", "FindFace found no face in the picture")
    return Answer(Fate.UNSURE, "", f"what answers is not FindFace ({said})")


def _named(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _json(body: bytes) -> dict[str, Any]:
    """The object in `body`; empty for anything else."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}

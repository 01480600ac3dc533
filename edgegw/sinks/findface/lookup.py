"""Asking FindFace whether a face is there already, where the answer to sending it was lost. Pure: questions out, answers in.

The list of events is filtered by camera and by the time of the event; public clients know the parameters `cameras`,
`created_date_gte`, `created_date_lte` and `limit`. Whether a server heeds them is not taken on trust: what it lists is compared,
and a list that does not show what had to be in it proves nothing.
"""

from __future__ import annotations

import datetime
import enum
from typing import Any

import msgspec

from edgegw.sinks.findface.event import Event, parsed_us
from edgegw.sinks.findface.server import Camera

LIMIT = 100
_AROUND = datetime.timedelta(seconds=1)
_US_PER_S = 1_000_000
_OK = 200


class Found(enum.Enum):
    """Whether a face is there."""

    THERE = enum.auto()
    ABSENT = enum.auto()
    UNKNOWN = enum.auto()  # we may not ask, the list has more pages, or its times are too coarse


def question(event: Event, camera: Camera) -> dict[str, str]:
    """The query: events of this camera within a second of the face's time."""
    moment = datetime.datetime.fromisoformat(event.timestamp)
    return {
        "cameras": str(camera.id),
        "created_date_gte": (moment - _AROUND).isoformat(timespec="microseconds"),
        "created_date_lte": (moment + _AROUND).isoformat(timespec="microseconds"),
        "limit": str(LIMIT),
    }


def found(status: int, body: bytes, event: Event, camera: Camera) -> Found:
    """What the answer shows."""
    listed = _object(body)
    results = listed.get("results")
    if status != _OK or not isinstance(results, list):
        return Found.UNKNOWN
    times = [parsed_us(each.get("created_date")) for each in results if isinstance(each, dict) and _of(camera, each)]
    if event.when_us in times:
        return Found.THERE
    if listed.get("next_page") or len(results) >= LIMIT or any(_coarse(time_us, event) for time_us in times):
        return Found.UNKNOWN
    return Found.ABSENT


def token(body: bytes) -> str:
    """The token in the answer to a login; "" where there is none."""
    given = _object(body).get("token")
    return given if isinstance(given, str) and given.isascii() and given.isprintable() else ""


def _of(camera: Camera, listed: dict[str, Any]) -> bool:
    """Whether a listed event can be of this camera: some servers name it by number, some by text, some not at all."""
    return "camera" not in listed or str(listed["camera"]) == str(camera.id)


def _coarse(time_us: int | None, event: Event) -> bool:
    """Whether this may be the face's time, unreadable or with fewer digits than it was sent with."""
    return time_us is None or (time_us % 1000 == 0 and abs(time_us - event.when_us) <= _US_PER_S)


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}

"""What answers, times and listings mean, without a server: each known answer has its verdict, and any bytes have one."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.sinks.findface.answers import Answer, Fate, SAID_characters, WAIT_MAX_s, judge, wait_s, words
from edgegw.sinks.findface.event import Event, events, moment_us, parsed_us
from edgegw.sinks.findface.lookup import LIMIT, Found, found, question, token
from edgegw.sinks.findface.server import Camera
from tests.findface_bench import leaves

CAMERA = Camera(3, lambda: "t0ken")
HTML = b"<html><head><style>a { b }</style><script>alert(1)</script></head><body><h1>502 Bad Gateway</h1>\n<p>nginx</body></html>"
(EVENT,) = events(leaves([1]))


def error(code: str, desc: str = "words", param: str = "") -> bytes:
    return json.dumps({"traceback": "", "code": code, "desc": desc, "param": param}).encode()


@pytest.mark.parametrize(
    ("status", "body", "fate"),
    [
        (200, b'{"events": ["4000"], "errors": []}', Fate.TAKEN),
        (201, b'{"events": [4000]}', Fate.TAKEN),
        (200, b'{"orientation": 1, "objects": {}}', Fate.REJECTED),
        (200, b'{"events": [], "errors": []}', Fate.REJECTED),
        (200, b'{"events": [], "errors": ["liveness"]}', Fate.REJECTED),
        (200, b'{"hello": 1}', Fate.UNSURE),
        (200, b"[]", Fate.UNSURE),
        (200, b"", Fate.UNSURE),
        (200, HTML, Fate.UNSURE),
        (204, b"", Fate.AWAY),
        (302, b"", Fate.AWAY),
        (400, error("BAD_PARAM", param="fullframe"), Fate.REJECTED),
        (400, error("BAD_PARAM", param="camera"), Fate.SETUP),
        (400, error("BAD_PARAM", param="token"), Fate.SETUP),
        (400, HTML, Fate.REFUSED),  # nginx says so of plain http to a port for https
        (401, error("UNAUTHORIZED"), Fate.REFUSED),
        (403, error("PERMISSION_DENIED"), Fate.SETUP),
        (403, HTML, Fate.REFUSED),
        (404, error("NOT_FOUND"), Fate.SETUP),
        (404, HTML, Fate.REFUSED),
        (405, b"", Fate.REFUSED),
        (408, b"", Fate.AWAY),
        (413, HTML, Fate.REJECTED),
        (415, error("UNSUPPORTED"), Fate.REJECTED),
        (429, error("THROTTLED"), Fate.AWAY),
        (500, HTML, Fate.UNSURE),
        (502, HTML, Fate.UNSURE),
        (503, HTML, Fate.AWAY),
        (504, b"", Fate.UNSURE),
        (799, b"", Fate.UNSURE),
    ],
    ids=itertools.count(),
)
def test_every_answer_has_its_verdict(status: int, body: bytes, fate: Fate) -> None:
    """What FindFace says of a face is final; what may pass is waited for; what may have been stored is told apart from what was not."""
    assert judge(status, body).fate is fate


@given(st.integers(100, 999), st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.text(max_size=20))
def test_any_answer_has_a_verdict(status: int, body: bytes, retry_after: str) -> None:
    """Whatever comes, it is judged in a bounded, printable phrase; and only FindFace's own form of success is success."""
    answer = judge(status, body, retry_after)
    assert isinstance(answer, Answer)
    assert (answer.said.isprintable(), 0 <= answer.wait_s <= WAIT_MAX_s, len(answer.code) <= 40) == (True, True, True)
    assert len(answer.said) < SAID_characters + 100
    assert answer.fate is not Fate.TAKEN or b"events" in body


@settings(max_examples=40)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_any_json_has_a_verdict(told: object) -> None:
    """JSON of any shape, at the places where FindFace's own fields stand, is no reason to fall over."""
    for shape in (told, {"events": told, "errors": told}, {"code": told, "desc": told, "param": told}, {"objects": told}):
        body = json.dumps(shape).encode()
        for status in (200, 400, 403, 404, 500):
            assert judge(status, body).said.isprintable()
    listed = json.dumps({"results": told, "next_page": told}).encode()
    each = json.dumps({"results": [told, {"camera": told, "created_date": told}]}).encode()
    assert all(found(200, body, EVENT, CAMERA) in Found for body in (listed, each))
    assert token(json.dumps({"token": told}).encode()).isprintable()


def test_html_is_shown_as_its_text() -> None:
    """Neither tags nor what stands in scripts and styles; and of a long text the beginning."""
    assert words(502, HTML) == "502 Bad Gateway: 502 Bad Gateway nginx"
    assert words(799, b"") == "799"
    long = words(500, b"x" * 1000)
    assert long == f"500 Internal Server Error: {'x' * SAID_characters}…"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 0), ("7", 7), ("0.5", 0.5), ("-3", 0), ("9999", 300), ("inf", 0), ("nan", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)],
)
def test_retry_after_is_bounded(header: str, seconds: float) -> None:
    """Seconds, five minutes of them at most; a date would be measured by a clock that may be wrong."""
    assert wait_s(header) == seconds


# --- times ---


@given(st.integers(0, 4 * 10**18), st.integers(0, 10**9))
def test_a_moment_is_the_pictures_to_a_millisecond_and_the_faces_own(taken_ns: int, seq: int) -> None:
    """It is never earlier than the picture's millisecond nor a millisecond later, ends in no whole millisecond, and can be read back."""
    when = moment_us(taken_ns, seq)
    assert 0 < when - taken_ns // 10**6 * 1000 < 1000
    event = msgspec.structs.replace(EVENT, when_us=when)
    assert parsed_us(event.timestamp) == when
    assert event.timestamp.endswith("+00:00")
    assert moment_us(taken_ns, seq + 1) != when


@given(st.text(max_size=40) | st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """What a server lists as a time cannot do harm."""
    parsed = parsed_us(text)
    assert parsed is None or isinstance(parsed, int)


def test_offsets_are_understood() -> None:
    """One moment in three spellings; without an offset it is UTC."""
    spellings = [
        "2026-11-21T10:00:00.123456+00:00",
        "2026-11-21T12:00:00.123456+02:00",
        "2026-11-21T10:00:00.123456Z",
        "2026-11-21T10:00:00.123456",
    ]
    assert len({parsed_us(each) for each in spellings}) == 1
    assert parsed_us(None) is parsed_us("0001-01-01T00:00:00+23:00x") is None


@pytest.mark.parametrize(
    ("about", "roi"),
    [
        ({"left_px": 1.9, "top_px": -3.0, "right_px": 7.1, "bottom_px": 9.0}, (1, 0, 8, 9)),
        ({"left_px": 1.0, "top_px": 2.0, "right_px": 3.0}, None),
        ({"left_px": 5.0, "top_px": 2.0, "right_px": 5.0, "bottom_px": 9.0}, None),
        ({"left_px": float("nan"), "top_px": 2.0, "right_px": 5.0, "bottom_px": 9.0}, None),
        ({"left_px": 1.0, "top_px": 2.0, "right_px": float("inf"), "bottom_px": 9.0}, None),
        ({}, None),
    ],
)
def test_a_box_is_whole_pixels_or_none(about: dict[str, float], roi: tuple[int, ...] | None) -> None:
    """It holds the face; one that is no box is left out, and FindFace takes the biggest face."""
    record = leaves([1])
    attached = msgspec.structs.replace(record.attachments[3], about=about)
    (event,) = events(msgspec.structs.replace(record, attachments={3: attached}))
    assert event.roi == roi


def test_an_event_does_not_show_its_picture() -> None:
    """Its repr says whose it is and how large."""
    assert repr(EVENT) == f"Event(gate, run={EVENT.key[0]}, seq=3, track=1, {len(EVENT.jpeg)} bytes)"


# --- look-ups ---


def listing(*created: str, camera: object = 3, **more: object) -> bytes:
    return json.dumps({"next_page": None, "results": [{"created_date": each, "camera": camera} for each in created], **more}).encode()


def shifted(**by: float) -> str:
    return (datetime.fromisoformat(EVENT.timestamp) + timedelta(**by)).isoformat(timespec="microseconds")


def coarse(event: Event, unit_us: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=event.when_us // unit_us * unit_us)).isoformat()


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (200, listing(EVENT.timestamp), Found.THERE),
        (200, listing(shifted(hours=0).replace("+00:00", "Z")), Found.THERE),
        (200, listing(EVENT.timestamp, camera="3"), Found.THERE),
        (200, listing(EVENT.timestamp, camera=4), Found.ABSENT),
        (200, listing(), Found.ABSENT),
        (200, listing(shifted(microseconds=1)), Found.ABSENT),
        (200, listing(shifted(hours=2)), Found.ABSENT),
        (200, listing(coarse(EVENT, 1000)), Found.UNKNOWN),
        (200, listing(coarse(EVENT, 1_000_000)), Found.UNKNOWN),
        (200, listing("yesterday"), Found.UNKNOWN),
        (200, listing(shifted(hours=2), next_page="2"), Found.UNKNOWN),
        (200, listing(*[shifted(hours=2)] * LIMIT), Found.UNKNOWN),
        (200, listing(EVENT.timestamp, next_page="2"), Found.THERE),
        (200, b"{}", Found.UNKNOWN),
        (200, HTML, Found.UNKNOWN),
        (403, listing(EVENT.timestamp), Found.UNKNOWN),
    ],
    ids=itertools.count(),
)
def test_a_listing_proves_what_it_shows(status: int, body: bytes, what: Found) -> None:
    """There: the very time. Absent: a whole list without it. A list that goes on, or has coarser times, proves nothing."""
    assert found(status, body, EVENT, CAMERA) is what


def test_the_question_names_camera_and_time() -> None:
    """A second to either side, and a page that is large enough."""
    asked = question(EVENT, CAMERA)
    assert (asked["cameras"], asked["limit"]) == ("3", str(LIMIT))
    assert (asked["created_date_gte"], asked["created_date_lte"]) == (shifted(seconds=-1), shifted(seconds=1))

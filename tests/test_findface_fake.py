"""The fake FindFace of edgegw.testing, by a client of the standard library: what it takes, what it refuses, what it lists."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from edgegw.testing.findface import FakeFindFace, Fault

JPEG = b"\xff\xd8picture\xff\xd9"
RIGHT: tuple[tuple[str, bytes], ...] = (
    ("token", b"t0ken"),
    ("camera", b"3"),
    ("mf_selector", b"biggest"),
    ("roi", b"1"),
    ("roi", b"2"),
    ("roi", b"30"),
    ("roi", b"40"),
    ("timestamp", b"2026-11-21T10:00:00.123001+00:00"),
)
HEADERS = {"Content-Type": "multipart/form-data; boundary=xyz", "Authorization": "Token api"}


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace({3: "t0ken"}, api_token="api") as server:
        yield server


def form(fields: tuple[tuple[str, bytes], ...] = RIGHT, picture: bytes | None = JPEG) -> bytes:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value for name, value in fields]
    if picture is not None:
        head = b'Content-Disposition: form-data; name="fullframe"; filename="f.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head + picture)
    return b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + b"--xyz--\r\n"


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(field for field in RIGHT if field[0] != name)


def ask(fake: FakeFindFace, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = HEADERS) -> tuple[int, Any]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", fake.port, timeout=30)) as connection:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    return answer.status, json.loads(content) if content[:1] == b"{" else content


def add(fake: FakeFindFace, body: bytes, headers: Mapping[str, str] = HEADERS) -> tuple[int, Any]:
    return ask(fake, "POST", "/events/faces/add/", body, headers)


def test_a_right_form_is_taken(fake: FakeFindFace) -> None:
    """It answers with the event's id, and lists the event with camera and time."""
    status, answer = add(fake, form())
    (event,) = fake.events
    assert (status, answer) == (200, {"events": [event.id], "errors": []})
    assert (event.camera, event.roi, event.picture_bytes) == (3, (1, 2, 30, 40), len(JPEG))
    status, listed = ask(fake, "GET", f"/events/faces/{event.id}/")
    assert (status, listed["camera"], listed["created_date"]) == (200, 3, "2026-11-21T10:00:00.123001+00:00")
    assert ask(fake, "GET", "/events/faces/1/")[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (form(without("token")), 400, "token"),
        (form(without("camera")), 400, "camera"),
        (form(without("mf_selector")), 400, "mf_selector"),
        (form(picture=None), 400, "fullframe"),
        (form(picture=b"PNG"), 400, "fullframe"),
        (form((*without("camera"), ("camera", b"4"))), 400, "camera"),
        (form((*without("camera"), ("camera", b"gate"))), 400, "camera"),
        (form((*without("token"), ("token", b"other"))), 403, None),
        (form((*without("roi"), ("roi", b"1,2,30,40"))), 400, "roi"),
        (form((*without("roi"), *[("roi", side) for side in (b"30", b"2", b"1", b"40")])), 400, "roi"),
        (form((*without("timestamp"), ("timestamp", b"yesterday"))), 400, "timestamp"),
        (form((*RIGHT, ("token", b"t0ken"))), 400, "token"),
        (form((*RIGHT, ("colour", b"red"))), 400, "colour"),
        (b"", 400, None),
        (form()[:-4], 400, None),
        (form().replace(b"image/jpeg", b"image/png"), 400, None),
    ],
    ids=range(16),
)
def test_a_wrong_form_is_refused(fake: FakeFindFace, body: bytes, status: int, param: str | None) -> None:
    """With FindFace's own kind of error, which names the parameter; nothing is stored."""
    told = add(fake, body)
    assert (told[0], told[1].get("param")) == (status, param)
    assert fake.events == []
    assert len(fake.refused) == 1


def test_who_is_nobody_is_told_so(fake: FakeFindFace) -> None:
    """Every path but the login wants a token that is valid."""
    for headers in ({**HEADERS, "Authorization": "Token other"}, {"Content-Type": HEADERS["Content-Type"]}):
        assert add(fake, form(), headers)[0] == 401
        assert ask(fake, "GET", "/events/faces/", headers=headers)[0] == 401


def test_the_list_is_filtered(fake: FakeFindFace) -> None:
    """By camera, time and id, newest first, so many at a time."""
    fake.cameras[4] = "t0ken"
    for camera, second in ((b"3", b"0"), (b"4", b"1"), (b"3", b"2")):
        moment = b"2026-11-21T10:00:0" + second + b"+00:00"
        assert add(fake, form((("token", b"t0ken"), ("camera", camera), ("mf_selector", b"all"), ("timestamp", moment))))[0] == 200

    def seconds(query: str) -> list[str]:
        return [each["created_date"][18] for each in ask(fake, "GET", f"/events/faces/?{query}")[1]["results"]]

    assert seconds("") == ["2", "1", "0"]
    assert seconds("cameras=3") == ["2", "0"]
    assert seconds("created_date_gte=2026-11-21T12:00:01%2B02:00") == ["2", "1"]
    assert seconds("created_date_lte=2026-11-21T10:00:01") == ["1", "0"]
    assert seconds(f"id_in={fake.events[1].id},{fake.events[0].id}") == ["1", "0"]
    assert seconds("limit=1") == ["2"]
    assert ask(fake, "GET", "/events/faces/?limit=1")[1]["next_page"]
    fake.may_read = False
    assert ask(fake, "GET", "/events/faces/")[0] == 403


def test_a_login_gives_a_token_that_a_logout_takes_back(fake: FakeFindFace) -> None:
    """HTTP Basic and a device's uuid, as its clients do it."""
    fake.users["gw"] = "pass:word"
    basic = {"Authorization": "Basic Z3c6cGFzczp3b3Jk"}
    assert ask(fake, "POST", "/auth/login/", b"{}", basic)[0] == 400
    assert ask(fake, "POST", "/auth/login/", b'{"uuid": "x"}', {"Authorization": "Basic Z3c6b3RoZXI="})[0] == 401
    status, told = ask(fake, "POST", "/auth/login/", b'{"uuid": "x"}', basic)
    mine = {"Authorization": f"Token {told['token']}"}
    assert (status, ask(fake, "GET", "/cameras/", headers=mine)[0]) == (200, 200)
    assert ask(fake, "POST", "/auth/logout/", headers=mine)[0] == 204
    assert ask(fake, "GET", "/cameras/", headers=mine)[0] == 401


def test_faults_are_played_in_order(fake: FakeFindFace) -> None:
    """One a face; then the one that is for always; then none."""
    fake.faults, fake.always = [Fault.BUSY, Fault.NO_FACE], Fault.TOO_MANY
    assert [add(fake, form())[0] for _ in range(3)] == [503, 200, 429]
    fake.always = None
    assert add(fake, form())[0] == 200
    assert len(fake.events) == 1


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if "STORING" in fault.name or fault is Fault.GATEWAY], ids=lambda fault: fault.name
)
def test_what_breaks_after_storing_has_stored(fake: FakeFindFace, fault: Fault) -> None:
    """The client cannot know it, but the event is there."""
    fake.faults = [fault]
    with contextlib.suppress(ConnectionError):
        assert add(fake, form())[1] != {"events": ["4000000000"], "errors": []}
    assert len(fake.events) == 1


def test_it_comes_back_on_its_port(fake: FakeFindFace) -> None:
    """stop() breaks connections and what waits in them; start() listens where it did, with what was taken."""
    assert add(fake, form())[0] == 200
    port = fake.port
    fake.stop()
    fake.stop()
    with pytest.raises(ConnectionRefusedError):
        add(fake, form())
    fake.start()
    assert (fake.port, add(fake, form())[0], len(fake.events)) == (port, 200, 2)

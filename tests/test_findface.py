"""The FindFace sink against a fake server, over real sockets: what is sent, how often, and what comes of each answer."""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgegw.bridge.bisect import isolate
from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.sinks import Outbox
from edgegw.testing.findface import FakeFindFace, Fault
from tests.findface_bench import API_TOKEN, GATE, TOKENS, YARD, BEFORE_ns, Bench, expected, leaves, picture, records, sent
from tests.records import START_ns
from tests.services.base import free_port, until

PATIENCE_s = 30.0
ADD = "POST /events/faces/add/"


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace(TOKENS, api_token=API_TOKEN) as server:
        yield server


@contextlib.contextmanager
def bench(fake: FakeFindFace, **changes: Any) -> Iterator[Bench]:
    made = Bench(fake, **changes)
    try:
        made.sink.open()
        yield made
    finally:
        made.sink.close()


def posts(fake: FakeFindFace) -> int:
    return fake.requests.count(ADD)


# --- what is sent ---


def test_a_face_goes_out_as_findface_wants_it(fake: FakeFindFace) -> None:
    """Picture, detector's token, camera, box in whole pixels, the picture's own time with an offset, and the API token in the header."""
    with bench(fake) as made:
        made.deliver(leaves([4]))
    (event,) = fake.events
    assert (event.camera, event.picture_bytes, event.authorization) == (GATE, len(picture(9)), f"Token {API_TOKEN}")
    assert event.roi == (40, 30, 120, 140)
    taken_ns = START_ns + 9 * 10**9 - BEFORE_ns
    when = datetime.fromisoformat(event.timestamp)
    assert when.utcoffset() == timedelta(0)
    assert abs(when - datetime.fromtimestamp(taken_ns / 1e9, UTC)) < timedelta(milliseconds=2)
    assert sent(fake) == expected([4])
    assert fake.refused == []


def test_what_has_no_picture_is_passed_by(fake: FakeFindFace) -> None:
    """Readings without an attachment cost no request, and a record of nothing else neither."""
    with bench(fake) as made:
        for record in records(2):
            made.deliver(record.__class__(record.position, record.run, record.batch))
        made.sink.deliver([])
    assert posts(fake) == 0


def test_two_faces_of_one_picture_have_times_of_their_own(fake: FakeFindFace) -> None:
    """Else one who looks the one up would find the other, and never send it."""
    first = leaves([0])
    moved = leaves([0]).batch.readings[1]
    other = moved.__class__(moved.seq + 2, moved.time_ns, moved.boot_ns, moved.clock, moved.quality, moved.values)
    pictures = {1: first.attachments[1], 3: first.attachments[1]}
    batch = first.batch.__class__(first.batch.run, "face", first.batch.counts, (*first.batch.readings, other))
    with bench(fake) as made:
        made.deliver(first.__class__(first.position, first.run, batch, attachments=pictures))
    assert len({event.timestamp for event in fake.events}) == len(fake.events) == 2


def test_it_is_an_outbox_for_faces(fake: FakeFindFace) -> None:
    """The bridge gives it faces only, and with their pictures."""
    sink = Bench(fake).sink
    assert isinstance(sink, Outbox)
    assert (sink.name, sink.kinds) == ("findface", {"face"})


def test_connections_are_few_and_are_kept(fake: FakeFindFace) -> None:
    """Sixty faces in three deliveries go over as many connections as are allowed, all of them at once, and over no others."""
    fake.always, fake.slow_s = Fault.SLOW, 0.05
    given = records(60)
    with bench(fake, connections=5) as made:
        for at in range(0, 60, 20):
            made.deliver(*given[at : at + 20])
        assert sorted(sent(fake)) == sorted(expected(range(60)))
        assert fake.connections <= 5
        assert fake.most_at_once == 5
        assert len({event.connection for event in fake.events}) == 5


# --- answers ---


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (Fault.NO_FACE, "NO_FACE", "no face"),
        (Fault.NO_FACE_400, "BAD_PARAM", "Zero objects"),
        (Fault.BAD_PICTURE, "BAD_PARAM", "valid image"),
        (Fault.TOO_LARGE, "413", "413 Request Entity Too Large|413 Content Too Large"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_what_will_never_be_taken_is_rejected_alone(fake: FakeFindFace, fault: Fault, code: str, says: str) -> None:
    """One bad face among eight is found without sending any face twice; the other seven are there."""
    fake.faults = [Fault.SLOW] * 3 + [fault]
    given = records(4, each=2)
    with bench(fake, connections=1) as made:
        poison = isolate(given, made.sink.deliver)
    ((record, rejected),) = poison
    assert [reading.seq for reading in record.batch.readings] == [7]
    assert rejected.code == code
    assert any(word in rejected.reason for word in says.split("|"))
    assert sent(fake) == expected([0, 1, 2, 4, 5, 6, 7])
    assert posts(fake) == 8


@pytest.mark.parametrize(
    ("fault", "says", "posts_after"),
    [
        (Fault.BUSY, "503 Service Unavailable: Bad", 1),
        (Fault.GATEWAY, "504 Gateway Timeout", 1),
        (Fault.REDIRECT, "302 Found; check url", 1),
        (Fault.NONSENSE_AFTER_STORING, "not FindFace (200 OK: ", 1),
        (Fault.STRANGE_AFTER_STORING, "not FindFace (200 OK: ", 1),
        (Fault.RESET, "reset|disconnected|broken", 1),
        (Fault.RESET_AFTER_STORING, "reset|disconnected|broken", 1),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_what_may_pass_is_unavailable_and_sent_again(fake: FakeFindFace, fault: Fault, says: str, posts_after: int) -> None:
    """The first trouble ends the delivery with a sentence; what was through is not sent again, the rest is."""
    fake.faults = [fault]
    given = records(3)
    with bench(fake, connections=1) as made:
        with pytest.raises(Unavailable) as caught:
            made.deliver(*given)
        assert any(word in str(caught.value).lower() for word in says.lower().split("|")), str(caught.value)
        assert str(caught.value).startswith(f"FindFace at 127.0.0.1:{fake.port}: ")
        assert posts(fake) == posts_after
        made.sink.open()
        made.deliver(*given)
        assert set(sent(fake)) == set(expected(range(3)))
        assert posts(fake) == 4


def test_a_lost_answer_is_told_with_the_face_and_the_attempt(fake: FakeFindFace) -> None:
    """Without a look-up the face is sent again, may be there twice, and that is counted and said."""
    fake.faults = [Fault.RESET_AFTER_STORING]
    record = leaves([5])
    with bench(fake) as made:
        with pytest.raises(Unavailable):
            made.deliver(record)
        made.deliver(record)
        assert sent(fake) == expected([5, 5])
        assert made.sink.repeated == 1
        assert made.journal.told == [
            (
                "face_sent_again_and_may_be_there_twice",
                {"sensor": "gate", "track": 5, "camera": GATE, "attempts": 2, "why": "after a lost answer"},
            )
        ]


def test_an_answer_that_says_no_leaves_no_doubt(fake: FakeFindFace) -> None:
    """A server that was too busy has not taken the face: sending it again is nothing to tell."""
    fake.faults = [Fault.BUSY]
    record = leaves([5])
    with bench(fake) as made:
        with pytest.raises(Unavailable):
            made.deliver(record)
        made.deliver(record)
        assert (sent(fake), made.sink.repeated, made.journal.told) == (expected([5]), 0, [])


def test_a_retry_sends_only_what_is_missing(fake: FakeFindFace) -> None:
    """Of ten faces the fourth meets trouble: the three before it are not sent again, whole or by halves."""
    given = records(10)
    with bench(fake, connections=1) as made:
        fake.faults = [Fault.SLOW] * 3 + [Fault.BUSY]
        with pytest.raises(Unavailable):
            made.deliver(*given)
        fake.faults = [Fault.NO_FACE]
        assert len(isolate(given, made.sink.deliver)) == 1
        assert sent(fake) == expected([0, 1, 2, 5, 6, 7, 8, 9, 3])  # what met trouble comes last
        isolate(given[:5], made.sink.deliver)  # a part of it, once more
        assert posts(fake) == 4 + 7


def test_the_memory_holds_no_more_than_a_delivery(fake: FakeFindFace) -> None:
    """A delivery that begins behind the last one says that the cursor has passed that."""
    with bench(fake) as made:
        first, second = records(2)
        made.deliver(first)
        made.deliver(second)
        made.deliver(first)  # as after a spool that was begun anew, whose positions are low again
        made.deliver(second)
        assert sorted(sent(fake)) == sorted(expected([0, 1, 0, 1]))


def test_a_picture_that_is_gone_is_rejected_with_the_reason(fake: FakeFindFace) -> None:
    """Expired or purged pictures become dead letters without a request; the pictures beside them are sent."""
    given = [leaves([0]), leaves([1], gone="expired"), leaves([2], gone="purged")]
    with bench(fake) as made:
        poison = isolate(given, made.sink.deliver)
    assert [(record.batch.readings[0].seq, rejected.code) for record, rejected in poison] == [(3, "expired"), (5, "purged")]
    assert "no picture to send" in poison[0][1].reason
    assert sent(fake) == expected([0])


def test_a_camera_that_is_no_more_configured_is_rejected(fake: FakeFindFace) -> None:
    """Pictures that wait in the spool while their section is taken away go nowhere."""
    with bench(fake) as made, pytest.raises(Rejected, match=r"no \[sinks.findface.cameras.cellar\]"):
        made.deliver(leaves([0], "cellar"))
    assert posts(fake) == 0


def test_a_server_that_asks_to_wait_is_not_asked(fake: FakeFindFace) -> None:
    """Retry-After holds for open() and deliver(), by the injected clock, and for five minutes at most."""
    record = leaves([0])
    fake.faults, fake.retry_after_s = [Fault.TOO_MANY], 10_000
    with bench(fake) as made:
        with pytest.raises(Unavailable, match="429 Too Many Requests: Request was throttled"):
            made.deliver(record)
        before = len(fake.requests)
        for attempt in (made.sink.open, lambda: made.deliver(record)):
            with pytest.raises(Unavailable, match="left alone for another 300 s"):
                attempt()
        assert len(fake.requests) == before
        made.clock.now_ns += 301 * 10**9
        made.sink.open()
        made.deliver(record)
    assert sent(fake) == expected([0])


# --- set-up ---


def test_a_wrong_token_is_held_while_nothing_is_accepted(fake: FakeFindFace) -> None:
    """With the one camera's token wrong nothing is lost: it is Refused, and all goes out once somebody has corrected it."""
    fake.cameras[GATE] = "another-token"
    given = records(3)
    with bench(fake) as made:
        for _ in range(2):
            with pytest.raises(Refused, match=r"refuses camera 3: 403 Forbidden: Incorrect events creation API token") as caught:
                made.deliver(*given)
            assert "[sinks.findface.cameras.gate]" in str(caught.value)
            assert TOKENS[GATE] not in str(caught.value)
        fake.cameras[GATE] = TOKENS[GATE]
        made.deliver(*given)
    assert sorted(sent(fake)) == sorted(expected(range(3)))


@pytest.mark.parametrize("spoil", ["token", "camera"])
def test_one_cameras_wrong_setup_does_not_hold_up_another(fake: FakeFindFace, spoil: str) -> None:
    """Where other cameras' faces are accepted, those of the wrong one are dead letters, as the operator is told."""
    if spoil == "token":
        fake.cameras[GATE] = "another-token"
    else:
        del fake.cameras[GATE]
    given = [leaves([0]), leaves([1], "yard"), leaves([2])]
    with bench(fake) as made:
        poison = isolate(given, made.sink.deliver)
        assert [record.batch.readings[0].seq for record, _ in poison] == [1, 5]
        assert "camera 3 (sensors.gate) was refused" in poison[0][1].reason
        assert [event.camera for event in fake.events] == [YARD]
        assert len(isolate([leaves([3])], made.sink.deliver)) == 1  # from now on at once


def test_a_token_that_is_revoked_is_held_again(fake: FakeFindFace) -> None:
    """What was accepted before does not count for the camera that is refused now, when it is the only one."""
    with bench(fake) as made:
        made.deliver(leaves([0]))
        fake.cameras[GATE] = "another-token"
        with pytest.raises(Refused):
            made.deliver(leaves([1]))


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.EXPIRED], ids=lambda fault: fault.name)
def test_what_concerns_every_camera_is_held_always(fake: FakeFindFace, fault: Fault) -> None:
    """An address that is no FindFace's, or an API token that is not taken: Refused, whatever was accepted before."""
    with bench(fake) as made:
        made.deliver(leaves([0], "yard"))
        fake.faults = [fault]
        with pytest.raises(Refused, match="check url"):
            made.deliver(leaves([1]))


def test_what_a_server_repeats_is_shown_without_secrets(fake: FakeFindFace) -> None:
    """A server that writes our token into its answer does not get it into our log."""
    echo = f"the token {TOKENS[GATE]} of {API_TOKEN} is wrong"
    with bench(fake) as made:
        said = made.sink._server.without_secrets(echo)
    assert said == "the token *** of *** is wrong"


# --- deadlines ---


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.DRIPPING], ids=lambda fault: fault.name)
def test_a_request_ends_in_its_time(fake: FakeFindFace, fault: Fault) -> None:
    """A server that never answers, or answers a byte at a time for ever, holds a delivery for the whole request's time and no longer."""
    fake.faults, fake.slow_s = [fault], 0.4  # each byte in good time, all of them together not
    record = leaves([0])
    with bench(fake, timeout_s=1.0) as made:
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            made.deliver(record)
        made.deliver(record)
        assert made.sink.repeated == 1
    assert sent(fake) == expected([0, 0])


def test_a_slow_server_does_not_hold_a_delivery_for_ever(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a delivery has lasted its time no new request is begun; those under way end well, and the next delivery goes on."""
    monkeypatch.setattr("edgegw.sinks.findface.sink.DELIVERY_s", 0.5)
    fake.always, fake.slow_s = Fault.SLOW, 0.3
    given = records(6)
    with bench(fake, connections=2) as made:
        with pytest.raises(Unavailable, match=r"is slow: \d of 6 pictures were not sent in 0.5 s"):
            made.deliver(*given)
        assert 2 <= len(fake.events) < 6
        fake.always = None
        made.deliver(*given)
    assert sorted(sent(fake)) == sorted(expected(range(6)))


def test_a_dead_port_is_told(fake: FakeFindFace) -> None:
    """Nobody listens: Unavailable at open(), with the system's word for it."""
    sink = Bench(fake, url=f"http://127.0.0.1:{free_port()}").sink
    with contextlib.closing(sink), pytest.raises(Unavailable, match="Connection refused"):
        sink.open()


def test_an_outage_in_the_middle_loses_and_doubles_nothing(fake: FakeFindFace) -> None:
    """A server that is stopped and started on its port: its connections are dead, and what follows goes over new ones."""
    first, second = records(8)[:4], records(8)[4:]
    with bench(fake) as made:
        made.deliver(*first)
        fake.stop()
        with pytest.raises(Unavailable):
            made.deliver(*second)
        with pytest.raises(Unavailable):
            made.sink.open()
        fake.start()
        made.sink.open()
        made.deliver(*second)
    assert len(sent(fake)) == len(set(sent(fake))) + made.sink.repeated


def test_a_picture_that_the_server_cannot_stomach_is_given_up(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone fails again and again, and others are taken: a dead letter in the end."""
    monkeypatch.setattr("edgegw.sinks.findface.memory.STUBBORN", 10)
    bad, *others = records(4)
    fake.poison = set(expected([0]))
    with bench(fake) as made:
        for _ in range(10):
            with contextlib.suppress(Unavailable):
                isolate([bad, *others], made.sink.deliver)
            assert len(fake.events) == 3
        ((record, rejected),) = isolate([bad, *others], made.sink.deliver)
    assert (record.position, rejected.code) == (bad.position, "500")
    assert re.search(r"failed over this picture 1\d times, and took others: 500", rejected.reason)


@pytest.mark.parametrize(("count", "ill"), [(1, 1), (4, 2)])
def test_nothing_is_given_up_while_a_server_is_ill(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch, count: int, ill: int) -> None:
    """One face that fails while none is taken, or two of four, say nothing about the pictures: all arrive when it is well again."""
    monkeypatch.setattr("edgegw.sinks.findface.memory.STUBBORN", 5)
    given = records(count)
    fake.poison = set(expected(range(ill)))
    with bench(fake) as made:
        for _ in range(20):
            with pytest.raises(Unavailable, match="500 Internal Server Error: Bad & Gateway"):
                isolate(given, made.sink.deliver)
        fake.poison = set()
        assert isolate(given, made.sink.deliver) == []
    assert sorted(sent(fake)) == sorted(expected(range(count)))


@pytest.mark.parametrize("look_up", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_through_any_weather_all_arrive_and_every_duplicate_is_explained(fake: FakeFindFace, seed: int, look_up: bool) -> None:
    """Sixty faces, a fault before every second of them, outages in between: none is missing, and no more are doubled than were told."""
    weather = random.Random(seed)
    passing = [Fault.BUSY, Fault.GATEWAY, Fault.RESET, Fault.RESET_AFTER_STORING, Fault.NONSENSE_AFTER_STORING, Fault.REDIRECT]
    given = records(60)
    with bench(fake, look_up=look_up) as made:
        for at in range(0, 60, 10):
            for attempt in range(1000):
                fake.faults = weather.choices([*passing, Fault.SLOW, Fault.SLOW, Fault.SLOW], k=3) if attempt < 20 else []
                fake.slow_s = 0.005
                if weather.random() < 0.1:
                    fake.stop()
                    fake.start()
                with contextlib.suppress(Unavailable):
                    made.sink.open()
                    assert isolate(given[at : at + 10], made.sink.deliver) == []
                    break
        assert set(sent(fake)) == set(expected(range(60)))
        assert len(sent(fake)) - 60 <= made.sink.repeated
        assert made.sink.repeated == len(made.journal.of("face_sent_again_and_may_be_there_twice"))
        assert (len(sent(fake)) == 60) is look_up


def test_no_proxy_of_the_environment_gets_to_see_a_face(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures go where the configuration says, whatever HTTP_PROXY says."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    with bench(fake) as made:
        made.deliver(leaves([0]))
    assert sent(fake) == expected([0])


# --- look-ups ---


def test_a_face_that_arrived_is_not_sent_again(fake: FakeFindFace) -> None:
    """After a lost answer the server is asked for the camera and the face's own time, and what is there is done."""
    fake.faults = [Fault.RESET_AFTER_STORING, Fault.RESET]
    given = records(2)
    with bench(fake, connections=1, look_up=True) as made:
        for _ in range(2):
            with pytest.raises(Unavailable):
                made.deliver(*given)
        made.deliver(*given)
        assert sorted(sent(fake)) == sorted(expected([0, 1]))
        assert made.sink.repeated == 0
        events = [event for event, _ in made.journal.told]
        assert events == ["face_not_sent_again_as_it_is_there", "face_sent_again_as_it_was_not_there"]


def test_what_was_looked_up_is_in_doubt_no_more(fake: FakeFindFace) -> None:
    """A face that was shown to be absent, and then met a server too busy to take it, is sent without another question."""
    fake.faults = [Fault.RESET, Fault.BUSY]
    record = leaves([0])
    with bench(fake, look_up=True) as made:
        fake.requests.clear()
        for _ in range(2):
            with pytest.raises(Unavailable):
                made.deliver(record)
        made.deliver(record)
        assert made.journal.told == []
    assert [request.split("?")[0] for request in fake.requests] == [ADD, "GET /events/faces/", ADD, ADD]


def test_the_look_up_is_not_misled_by_others(fake: FakeFindFace) -> None:
    """A face of another camera at the same time, or of the same camera in the same second, is not the one that was lost."""
    fake.faults = [Fault.SLOW, Fault.SLOW, Fault.RESET]
    one, other, lost = leaves([0], "yard"), leaves([0]), leaves([0], run=1)
    near = lost.batch.readings[1]
    moved = near.__class__(near.seq + 2, near.time_ns, near.boot_ns, near.clock, near.quality, near.values)
    batch = lost.batch.__class__(lost.batch.run, "face", lost.batch.counts, (moved,))
    record = lost.__class__(lost.position, lost.run, batch, attachments={moved.seq: lost.attachments[near.seq]})
    with bench(fake, connections=1, look_up=True) as made:
        with pytest.raises(Unavailable):
            made.deliver(one, other, record)
        made.deliver(one, other, record)
    assert len(fake.events) == 3


def test_a_server_in_trouble_when_asked_is_asked_again(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the look-up gets no answer, the face is not sent on the off chance."""
    fake.faults = [Fault.RESET_AFTER_STORING]
    record = leaves([0])
    with bench(fake, look_up=True) as made:
        with pytest.raises(Unavailable):
            made.deliver(record)
        fake.stop()
        with pytest.raises(Unavailable):
            made.deliver(record)
        fake.start()
        made.deliver(record)
    assert (posts(fake), sent(fake)) == (1, expected([0]))


def test_a_look_up_that_is_forbidden_leaves_the_doubt(fake: FakeFindFace) -> None:
    """At open() it is Refused with a sentence; when the right is lost later, the face is sent, and counted as perhaps there twice."""
    fake.faults = [Fault.RESET_AFTER_STORING]
    record = leaves([0])
    with bench(fake, look_up=True) as made:
        with pytest.raises(Unavailable):
            made.deliver(record)
        fake.may_read = False
        made.deliver(record)
        assert made.sink.repeated == 1
        with pytest.raises(Refused, match="or set look_up = false"):
            made.sink.open()


# --- login ---


def test_it_logs_in_where_the_server_wants_that(fake: FakeFindFace) -> None:
    """User and password are exchanged for a token once, for all connections; close() gives it back."""
    fake.api_token, fake.users = "", {"gw": "pass:word"}
    with bench(fake, token="", user="gw", password="pass:word", device="d") as made:
        made.deliver(*records(12))
        assert len(fake.sessions) == 1
    assert fake.requests.count("POST /auth/login/") == 1
    assert fake.requests[-1] == "POST /auth/logout/"
    assert fake.sessions == set()
    assert sorted(sent(fake)) == sorted(expected(range(12)))


def test_a_login_that_has_expired_is_renewed_once_for_all(fake: FakeFindFace) -> None:
    """Requests that meet 401 together log in once, and the faces go out in the same delivery."""
    fake.api_token, fake.users = "", {"gw": "password"}
    with bench(fake, token="", user="gw", password="password", device="d") as made:
        made.deliver(leaves([0]))
        fake.sessions.clear()
        made.deliver(*[leaves([n]) for n in range(1, 9)])
    assert fake.requests.count("POST /auth/login/") == 2
    assert sorted(sent(fake)) == sorted(expected(range(9)))


def test_a_wrong_password_is_refused(fake: FakeFindFace) -> None:
    """Somebody has to act, and the sentence does not say the password."""
    fake.users = {"gw": "password"}
    sink = Bench(fake, token="", user="gw", password="hunter2", device="d").sink
    with contextlib.closing(sink), pytest.raises(Refused, match=r"login was refused .*check user and password") as caught:
        sink.open()
    assert "hunter2" not in str(caught.value)


def test_a_server_that_hangs_does_not_hold_up_the_farewell(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """close() is safe twice, before open() and with a server that is gone, and never raises."""
    Bench(fake).sink.close()
    fake.users = {"gw": "password"}
    made = Bench(fake, token="", user="gw", password="password", device="d")
    made.sink.open()
    fake.stop()
    made.sink.close()
    made.sink.close()
    fake.start()
    made.sink.open()
    made.deliver(leaves([0]))
    made.sink.close()
    assert sent(fake) == expected([0])


# --- what nobody may see ---


def test_no_picture_and_no_token_in_any_text(fake: FakeFindFace) -> None:
    """Neither errors nor reprs nor log lines carry a picture's bytes or a secret."""
    record = leaves([0])
    shown: list[str] = []
    for fault in Fault:
        fake.faults, fake.slow_s = [fault], 0.01
        with bench(fake, timeout_s=1.0) as made:
            try:
                made.deliver(record)
            except SinkError as error:
                cause = error.__cause__ or error.__context__
                shown += [str(error), repr(error), repr(cause)]
            shown += [repr(made.sink._server), str(made.journal.told)]
    text = "\n".join(shown)
    assert [word for word in (API_TOKEN, *TOKENS.values(), "boundary", "xff\\xd8", "JFIF") if word in text] == []


def test_nothing_is_left_behind(fake: FakeFindFace) -> None:
    """After close() the server sees every connection end."""
    with bench(fake) as made:
        made.deliver(*records(8))
    until(
        lambda: not [thread for thread in threading.enumerate() if "process_request" in thread.name], PATIENCE_s, "the connections to end"
    )

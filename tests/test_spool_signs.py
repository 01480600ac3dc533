"""What an operator is told of the spool's room and of its card: in time, in plain words, with what to do."""

from __future__ import annotations

import pytest

from edgegw.bridge.crowd import CALM_ns, Crowd, TAKEN_ns, sentence
from edgegw.bridge.gauge import Gauge, span
from edgegw.cli import show
from edgegw.clock import NS_PER_S
from edgegw.spool import GivenUp, Room, Turn, card
from tests.records import a_run
from tests.rig import Rig
from tests.spooling import handed
from tests.test_show import a_child, a_sink, an_answer, rendered

RUN = a_run(1)
MB = 1_000_000


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99, "99 s"), (2400, "40 min"), (7200, "2 h"), (90_000, "25 h"), (200_000, "2 days")]
)
def test_a_forecast_has_one_unit(seconds: float, text: str) -> None:
    """More would claim to know more."""
    assert span(seconds) == text


def test_a_warning_comes_at_nine_tenths_with_a_forecast(rig: Rig) -> None:
    """100 MB that grow by 0.1 MB a second: at 91 % there is room for a minute and a half; said once, and once that it is over."""
    gauge = Gauge(rig.process.log)
    for second in range(912):
        gauge.look(Room(second * MB // 10, 100 * MB, 1 << 40), second * NS_PER_S)
        assert bool(gauge.why) == (second >= 900)
    assert gauge.why.startswith("91 % of what max_bytes in [spool] allows is used, and full in about 89 s at this rate")
    gauge.look(Room(87 * MB, 100 * MB, 1 << 40), 920 * NS_PER_S)
    assert gauge.why
    gauge.look(Room(84 * MB, 100 * MB, 1 << 40), 921 * NS_PER_S)
    assert gauge.why == ""
    assert len(rig.log("spool_nearly_full")) == len(rig.log("spool_has_room")) == 1
    rig.close()


def test_a_disk_with_less_room_than_the_quota_is_what_counts(rig: Rig) -> None:
    """The disk may be full long before max_bytes is reached; what does not grow has no forecast; full is full."""
    gauge = Gauge(rig.process.log)
    gauge.look(Room(95 * MB, 1000 * MB, 5 * MB), 0)
    assert gauge.why == "95 % of what its disk has room for is used, and it is not growing: bring the sinks back, or make room on the disk"
    gauge.look(Room(95 * MB, 1000 * MB, 0), NS_PER_S)
    assert gauge.why.startswith("100 % of what its disk has room for is used, and it is full")
    rig.close()


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (0, ""),
        (1_200_000_000, "the spool writes 1.2 GB a day, which takes about 73 years to wear out a card of 32 GB and 3000 cycles"),
        (40_000_000, "the spool writes 40 MB a day, which takes more than 100 years"),
        (150_000_000_000, "the spool writes 150 GB a day, which takes about 7 months"),
    ],
)
def test_the_life_of_a_card(day: int, said: str) -> None:
    """From what is written, with what is assumed; nothing where nothing is known."""
    assert card.sentence(day, 32_000_000_000, 3000).startswith(said)
    assert bool(said) == ("if it writes 3 times what it is given" in card.sentence(day, 32_000_000_000, 3000))


def test_a_rate_needs_a_minute() -> None:
    """What starting up costs would be taken for the rule."""
    assert card.day_bytes(1000, 59.0) == 0
    assert card.day_bytes(1000, 86_400.0) == 1000


def test_room_that_comes_and_goes_is_one_trouble(rig: Rig) -> None:
    """A full spool that is drained has room at each trim, for a moment: one line for all of it, and one when it is over for a while."""
    now = [0]
    crowd = Crowd(rig.process.log, lambda: now[0])
    for number in range(100):
        crowd.note([handed(RUN, number, number)], Turn(blocked={RUN.id: "share"} if number % 2 == 0 else {}))
        now[0] += 30_000_000
    assert [one.sensor for one in crowd.health({})] == ["front"]
    now[0] += TAKEN_ns - 30_000_000
    crowd.note([handed(RUN, 100, 100)], Turn())
    assert crowd.health({}) == ()
    assert len(rig.log("spool_has_no_room")) == len(rig.log("spool_has_room_again")) == 1
    rig.close()


def test_giving_up_is_over_when_it_has_been_calm(rig: Rig) -> None:
    """Between two batches of a slow sensor the trouble has not gone and come again; readings are added up."""
    now = [0]
    crowd = Crowd(rig.process.log, lambda: now[0])
    for _ in range(4):
        crowd.note([handed(RUN, 0, 0)], Turn(given_up=[GivenUp("front", "drop_oldest", "quota", 5)]))
        now[0] += CALM_ns
        crowd.note([handed(RUN, 1, 3)], Turn())
    (state,) = crowd.health({})
    assert (state.given_up, state.for_s) == (20, 40.0)
    now[0] += 1
    assert crowd.health({}) == ()
    assert len(rig.log("spool_has_no_room")) == 1
    (over,) = rig.log("spool_has_room_again")
    assert over["given_up"] == 20
    rig.close()


def test_status_says_who_has_no_room_and_what_to_do() -> None:
    """By sensor; the gateway is degraded, and the card is a line of its own."""
    crowded = {"sensor": "front", "why": sentence("block", "disk"), "for_s": 300.0, "waiting": 7, "given_up": 0}
    told = {"room": "95 % of it is used", "card": "the spool writes 1 GB a day", "crowded": [crowded], "sinks": [a_sink()]}
    answer = an_answer(a_child("bridge", health={"stored": 5, "spool_bytes": 1 << 20} | told))
    text = " ".join(rendered(answer).split())
    assert show.unwell(answer) == ["front", "spool"]
    assert "front the disk of the spool is full, so its readings wait in its own process" in text
    assert "make room on it (for 5 min; 7 readings wait, 0 were given up)" in text
    assert "spool 95 % of it is used" in text
    assert "card: the spool writes 1 GB a day" in text

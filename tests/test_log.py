"""The log of a process up to its sink: order, bounds, what goes first, drops told, time."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.log import LEVELS, Log, OnChange
from edgegw.log.pipeline import BUSY_s, pause_s
from edgegw.log.ring import Ring
from tests.log_fakes import FakeClock, ListSink, make_log
from tests.services.base import until


def test_line_has_time_level_process_event_and_fields() -> None:
    """An entry carries when, how important, who and what, then the bound fields and those of the call."""
    sink = ListSink()
    log = make_log(sink)
    log.logger(sensor="front").info("device lost", tries=3)
    assert log.drain() == 1
    expected = {
        "time": "2026-11-21T02:31:31.123456Z",
        "level": "info",
        "process": "front",
        "event": "device lost",
        "sensor": "front",
        "tries": 3,
    }
    assert list(sink.entries[0].items()) == list(expected.items())


def test_fields_called_like_ours_do_not_replace_them() -> None:
    """A field named level, time or process keeps its value under a name of its own."""
    sink = ListSink()
    log = make_log(sink)
    log.logger().info("child ended", process="imu", level=7, time="now")
    log.drain()
    assert sink.entries[0] | {"time": ""} == {
        "time": "", "level": "info", "process": "front", "event": "child ended", "process_": "imu", "level_": 7, "time_": "now",
    }  # fmt: skip


def test_level_below_the_chosen_one_is_not_logged() -> None:
    """Only the chosen level and those above it reach the sink; an unknown level is refused."""
    sink = ListSink()
    log = make_log(sink, level="warning")
    logger = log.logger()
    for name in LEVELS:
        getattr(logger, name)(name)
    log.drain()
    assert sink.events() == ["warning", "error", "critical"]
    with pytest.raises(ValueError, match="no log level 'loud'"):
        make_log(sink, level="loud")


def test_exception_is_rendered_where_it_is_logged() -> None:
    """exc_info in each of its forms becomes a traceback in the field `exception`; without an exception there is none."""
    sink = ListSink()
    log = make_log(sink)
    logger = log.logger()
    try:
        raise OSError("no such device")
    except OSError as error:
        logger.exception("read failed")
        logger.error("read failed", exc_info=error)
        logger.error("read failed", exc_info=(type(error), error, error.__traceback__))
    logger.info("fine", exc_info=True)
    logger.info("fine", exc_info=None)
    log.drain()
    assert ["no such device" in entry.get("exception", "") for entry in sink.entries] == [True, True, True, False, False]
    assert all("exc_info" not in entry for entry in sink.entries)


@given(st.lists(st.one_of(st.integers(0, 4), st.just("take"))), st.integers(1, 5))
def test_ring_is_bounded_ordered_and_drops_the_least_important_first(steps: list[int | str], capacity: int) -> None:
    """Against a model: never more than capacity; taken in order of arrival; the oldest of the lowest level goes; every drop counted."""
    ring = Ring(capacity)
    model: deque[tuple[int, int]] = deque()
    lost: Counter[str] = Counter()
    for number, step in enumerate(steps):
        if step == "take":
            taken = ring.take(ring.mark())
            assert (taken and (taken[2], taken[1])) == (model.popleft() if model else None)
            continue
        ring.put(int(step), number, {})
        model.append((int(step), number))
        if len(model) > capacity:
            out = min(model)
            model.remove(out)
            lost[LEVELS[out[0]]] += 1
        assert len(ring) == len(model) <= capacity
    assert {level: count for level, count in ring.dropped().items() if count} == lost


def test_what_is_put_after_the_mark_waits_for_the_next_turn() -> None:
    """take() leaves what came after the mark, so that a record never overtakes an earlier one of its thread."""
    ring = Ring(10)
    ring.put(1, 1, {})
    mark = ring.mark()
    ring.put(0, 2, {})
    first, second = ring.take(mark), ring.take(mark)
    assert (first and first[1], second, len(ring)) == (1, None, 1)


def test_full_sink_keeps_records_and_then_tells_the_drops_in_one_line() -> None:
    """While the sink takes nothing the ring keeps the most important; with room again one line says what is missing."""
    sink = ListSink(room=0)
    log = make_log(sink, capacity=4)
    logger = log.logger()
    assert log.drain() == 0
    for number in range(10):
        logger.debug(f"debug {number}")
        logger.error(f"error {number}")
        log.drain()
    assert sum(log.dropped.values()) == 20 - 4 - 1  # one is held for the sink, already out of the ring
    sink.room = float("inf")
    log.drain()
    log.drain()
    assert sink.events() == ["debug 0", *(f"error {number}" for number in range(6, 10)), "log records dropped"]
    assert (sink.entries[-1]["count"], sink.entries[-1]["debug"], sink.entries[-1]["error"]) == (15, 9, 6)
    log.drain()
    assert len(sink.entries) == 6, "told once"


def test_drops_that_go_on_are_told_every_ten_seconds() -> None:
    """A sink that never catches up still gets a line about drops now and then, and not one per turn."""
    sink, clock = ListSink(), FakeClock()
    log = Log("front", sink, capacity=1, clock=clock)
    logger = log.logger()
    for _ in range(605):  # tenths of a second
        logger.info("lost")
        logger.info("kept")
        sink.flush = lambda: logger.info("comes meanwhile") or True  # type: ignore[method-assign]
        log.drain()
        clock.now_ns += 100_000_000
    told = [entry for entry in sink.entries if entry["event"] == "log records dropped"]
    assert len(told) == 6
    assert [entry["count"] for entry in told] != [0] * 6


def test_stop_writes_the_rest_closes_and_is_safe_twice() -> None:
    """Without a thread stop() drains in the caller; a second one changes nothing."""
    sink = ListSink()
    log = make_log(sink)
    log.logger().info("last words")
    assert (log.stop(), log.stop()) == (0, 0)
    assert (sink.events(), sink.closed) == (["last words"], 1)


def test_stop_gives_a_stuck_sink_up_at_its_deadline() -> None:
    """A sink that takes nothing holds stop() no longer than asked; what remains is told to the caller."""
    sink, clock = ListSink(room=0), FakeClock()
    log = Log("front", sink, clock=clock)
    log.logger().info("one")
    log.logger().info("two")
    assert (log.stop(timeout_s=0.5), clock.now_ns, sink.closed) == (2, 500_000_000, 1)


def test_thread_drains_without_being_asked() -> None:
    """After start() what is logged arrives, in order; stop() ends the thread and writes the rest."""
    sink = ListSink()
    log = Log("front", sink)
    log.start()
    logger = log.logger()
    for number in range(100):
        getattr(logger, "info" if number % 2 else "error")(f"{number}")
    until(lambda: len(sink.entries) == 100, 30, "the thread to drain")
    logger.info("last words")
    assert log.stop(timeout_s=30) == 0
    assert sink.events() == [*map(str, range(100)), "last words"]


def test_thread_rests_longer_while_there_is_nothing_to_do() -> None:
    """Four wake-ups a second when idle or stuck, fifty when busy, at once again after the first line written."""
    rests, last_s = [], BUSY_s
    for written in (3, 0, 0, 0, 0, 0, 1):
        rests.append(last_s := pause_s(written, last_s))
    assert rests == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.02])


def test_disowned_log_writes_nothing() -> None:
    """What a parent has queued is not written by its child; the child's copy of the sink is closed."""
    sink = ListSink()
    log = make_log(sink)
    log.logger().info("the parent's")
    log.disown()
    log.stop()
    assert (sink.entries, sink.closed) == ([], 1)


def test_cause_is_new_once() -> None:
    """The same state is new once per key; a change and a change back are new; repeats are counted."""
    seen = OnChange()
    states = ["down", "down", "down", None, None, "down"]
    assert [(seen.changed("mysql", state), seen.repeats("mysql")) for state in states] == [
        (True, 0), (False, 1), (False, 2), (True, 0), (False, 1), (True, 0),
    ]  # fmt: skip
    assert seen.changed("rabbitmq", None)

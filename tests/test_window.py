"""The window: bounded, honest about what it gives up, and in order whatever happens to the connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw import codec
from edgegw.codec import MAX_MESSAGE_bytes, Push
from edgegw.reading import ClockState, Counts, Quality, Reading, Value
from edgegw.worker.window import IN_FLIGHT_batches, PART_bytes, Window


def reading(seq: int, *values: Value) -> Reading:
    return Reading(seq, 1, 1, ClockState.SYNCED, Quality.GOOD, values or (1.0,))


def filled(limit: int, count: int, *, drops_oldest: bool = True, each: int = 1) -> Window:
    """`count` batches of `each` readings, sealed."""
    window = Window("run", limit, drops_oldest=drops_oldest)
    for batch in range(count):
        for index in range(each):
            window.add("lidar", reading(batch * each + index))
        window.seal()
    return window


def send_all(window: Window) -> list[Push]:
    gone = []
    while (push := window.next()) is not None:
        gone.append(push)
        window.sent()
    return gone


def seqs(pushes: list[Push]) -> list[int]:
    return [one.seq for push in pushes for one in push.batch.readings]


def test_a_reading_goes_through() -> None:
    """Collected, sealed, sent, acknowledged, forgotten: at every step the figures say where it is."""
    window = Window("run", 4, drops_oldest=True)
    window.add("lidar", reading(0))
    assert (window.collected, window.size, window.produced, window.next()) == (1, 1, 1, None)
    window.seal()
    (push,) = send_all(window)
    assert (push.number, push.batch.run, push.batch.kind, push.batch.counts) == (0, "run", "lidar", Counts(produced=1))
    assert (window.collected, window.size, window.in_flight) == (0, 1, 1)
    assert window.acknowledge(0)
    assert (window.size, window.in_flight, window.dropped) == (0, 0, 0)


@pytest.mark.parametrize(
    ("drops_oldest", "kept"),
    [(True, [2, 3, 4, 5]), (False, [0, 1, 2, 3])],
)
def test_a_full_window_gives_way_on_the_side_that_the_policy_names(drops_oldest: bool, kept: list[int]) -> None:
    """Never more than the limit; what was dropped is counted, and its seqs stay unused."""
    window = filled(4, 6, drops_oldest=drops_oldest)
    assert (window.size, window.produced, window.dropped) == (4, 6, 2)
    assert seqs(send_all(window)) == kept


@pytest.mark.parametrize("drops_oldest", [True, False])
def test_what_was_sent_is_never_dropped(drops_oldest: bool) -> None:
    """It may be on disk already and would be counted twice: where all is sent, the newest gives way under either policy."""
    window = filled(4, 4, drops_oldest=drops_oldest)
    assert seqs(send_all(window)) == [0, 1, 2, 3]
    window.add("lidar", reading(4))
    window.seal()
    assert (window.next(), window.size, window.dropped) == (None, 4, 1)
    window.acknowledge(3)
    window.add("lidar", reading(5))
    window.seal()
    assert seqs(send_all(window)) == [5]


def test_readings_not_sealed_yet_are_not_dropped_for_newer_ones() -> None:
    """A batch is given up as a whole, or not at all."""
    window = Window("run", 2, drops_oldest=True)
    for seq in range(3):
        window.add("lidar", reading(seq))
    window.seal()
    assert (seqs(send_all(window)), window.dropped) == ([0, 1], 1)


def test_a_dropped_batch_counts_with_all_its_readings() -> None:
    """Three readings in the oldest batch: three are dropped to make room for one."""
    window = filled(6, 2, each=3)
    window.add("lidar", reading(6))
    assert (window.size, window.dropped, window.produced) == (4, 3, 7)


def test_the_counts_of_a_batch_include_what_was_dropped_before_it() -> None:
    """Each batch carries the account as it stood when it was sealed, so the loss arrives as data."""
    window = filled(2, 4)
    assert [push.batch.counts for push in send_all(window)] == [Counts(produced=3, dropped=1), Counts(produced=4, dropped=2)]


def test_a_batch_for_each_kind() -> None:
    """Kinds are never mixed; each kind keeps its own order, and numbers ascend."""
    window = Window("run", 10, drops_oldest=True)
    for seq, kind in enumerate(["lidar", "imu", "lidar", "imu"]):
        window.add(kind, reading(seq))
    window.seal()
    window.seal()
    gone = send_all(window)
    assert [(push.number, push.batch.kind, seqs([push])) for push in gone] == [(0, "lidar", [0, 2]), (1, "imu", [1, 3])]


def test_not_more_than_so_many_batches_are_in_flight() -> None:
    """Behind the bound batches wait for an acknowledgement, and each one lets another go."""
    window = filled(1000, IN_FLIGHT_batches + 3)
    assert len(send_all(window)) == window.in_flight == IN_FLIGHT_batches
    window.acknowledge(0)
    assert seqs(send_all(window)) == [IN_FLIGHT_batches]


@pytest.mark.parametrize(
    ("committed", "news", "left"),
    [(-1, False, 3), (0, True, 2), (2, True, 0), (99, True, 0)],
)
def test_acknowledgements_are_cumulative(committed: int, news: bool, left: int) -> None:
    """Everything up to that number is safe; only what is forgotten is news."""
    window = filled(9, 3)
    send_all(window)
    assert window.acknowledge(committed) is news
    assert (window.in_flight, window.size) == (left, left)
    assert not window.acknowledge(committed)


def test_an_acknowledgement_touches_nothing_that_was_not_sent() -> None:
    """A bridge that acknowledges too much does not empty the window."""
    window = filled(9, 3)
    assert not window.acknowledge(99)
    assert seqs(send_all(window)) == [0, 1, 2]


def test_after_a_rewind_all_goes_out_again_in_order() -> None:
    """What is committed is forgotten; the rest comes first, under its old numbers, before what was never sent."""
    window = filled(99, IN_FLIGHT_batches + 2)
    first = send_all(window)
    window.rewind(1)
    again = send_all(window)
    assert again[:-2] == first[2:]
    assert [push.number for push in again] == list(range(2, IN_FLIGHT_batches + 2))


def test_much_text_is_spread_over_several_batches() -> None:
    """However long the texts are, no batch outgrows a message of the bus: it would be resent for ever."""
    window = Window("run", 1000, drops_oldest=True)
    for seq in range(500):
        window.add("face", reading(seq, "\U0001f600" * 10_000, float(seq)))
    window.seal()
    sizes = []
    gone = []
    while (push := window.next()) is not None:
        sizes.append(len(codec.encode(push)))
        gone.append(push)
        window.sent()
        window.acknowledge(push.number)
    assert max(sizes) <= MAX_MESSAGE_bytes
    assert seqs(gone) == list(range(500))
    assert [push.number for push in gone] == list(range(len(gone)))
    assert len(gone) == 500 // (PART_bytes // 40_000)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("seal"), st.just(0)),
        st.tuples(st.just("send"), st.integers(1, 3)),
        st.tuples(st.just("ack"), st.integers(-1, 20)),
        st.tuples(st.just("rewind"), st.integers(-1, 20)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 8), st.booleans())
def test_the_account_balances_whatever_happens(plan: list[tuple[str, int]], limit: int, drops_oldest: bool) -> None:
    """produced = forgotten as safe + held + dropped, the window keeps its limit, and what goes out ascends on every connection."""
    window = Window("run", limit, drops_oldest=drops_oldest)
    safe = seq = 0
    last = -1
    for what, number in plan:
        held = window.size
        if what == "add":
            for _ in range(number):
                window.add("lidar", reading(seq))
                seq += 1
        elif what == "seal":
            window.seal()
        elif what == "send":
            for _ in range(number):
                push = window.next()
                if push is not None:
                    assert push.number > last
                    last = push.number
                    window.sent()
        elif what == "ack":
            window.acknowledge(number)
            safe += held - window.size
        else:
            window.rewind(number)
            safe += held - window.size
            last = -1
        assert window.size <= limit
        assert window.produced == seq == safe + window.size + window.dropped

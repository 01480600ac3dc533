"""The order in which a sink is given what it lacks, and the pace: live first, the backlog beside it, and nobody is trampled."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.bridge import pace
from edgegw.bridge.course import Course, MOST_spans, Wish
from edgegw.clock import NS_PER_S
from edgegw.errors import Busy, Refused, SpoolError, Unavailable
from edgegw.spool import Reach, Span

spans = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


def positions(reach: Reach) -> set[int]:
    return {*range(1, reach.cursor + 1), *(at for first, last in reach.ahead for at in range(first, last + 1))}


@given(cursor=st.integers(0, 20), done=st.lists(spans, max_size=12))
def test_a_reach_is_a_set_of_positions(cursor: int, done: list[Span]) -> None:
    """Whatever it is told, in whatever order: those positions and no others, in as few spans as can be."""
    reach = Reach(cursor)
    for span in done:
        reach = reach.with_(span)
    expected = {*range(1, cursor + 1), *(at for first, last in done for at in range(first, last + 1))}
    assert positions(reach) == expected
    ends = [(0, reach.cursor), *reach.ahead]
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ends))
    assert reach.end == max(expected, default=0)
    missing = sorted(set(range(1, 70)) - expected)
    gap = reach.gap(69)
    assert gap is not None
    assert gap[0] == missing[0]
    assert set(range(gap[0], gap[1] + 1)) <= set(missing)
    assert gap[1] + 1 not in missing


@pytest.mark.parametrize(
    ("error", "failures", "least_s", "most_s"),
    [
        (Unavailable("away"), 0, 0.4, 0.6),
        (Unavailable("away"), 1, 0.8, 1.2),
        (Unavailable("away"), 3, 3.2, 4.8),
        (Unavailable("away"), 50, 6.6667, 10.0),
        (SpoolError("no disk"), 50, 6.6667, 10.0),
        (ValueError("a bug"), 0, 0.4, 0.6),
        (Busy("the queue is full"), 0, 1.0, 1.2),
        (Busy("the queue is full"), 50, 1.0, 1.2),
        (Refused("wrong password"), 0, 30.0, 33.0),
        (Refused("wrong password"), 50, 30.0, 33.0),
    ],
)
def test_the_pauses(error: Exception, failures: int, least_s: float, most_s: float) -> None:
    """Later and later for one who is away; each second for one who is busy; twice a minute for one who says no. Never in step."""
    assert pace.pause_s(error, failures, lambda: 0.0) == pytest.approx(least_s, rel=1e-3)
    assert pace.pause_s(error, failures, lambda: 1.0) == pytest.approx(most_s)


@pytest.mark.parametrize(("readings", "took_s", "then"), [(50, 0.01, 100), (800, 0.4, 1000), (1000, 0.1, 1000), (50, 2.0, 62), (1, 9.0, 2)])
def test_deliveries_grow(readings: int, took_s: float, then: int) -> None:
    """Twice as much while that is fast; by a quarter otherwise, or a slow server would stay at a trickle; up to the full size."""
    assert pace.grown(readings, took_s) == then


class Walk:
    """A sink that takes what its course wishes for; the spool holds one reading at every position."""

    def __init__(self, backlog: int, took_s: float = 0.01, reach: Reach | None = None) -> None:
        self.reach = reach or Reach()
        self.newest = backlog
        self.took_ns = round(took_s * NS_PER_S)
        self.now_ns = 0
        self.course = Course()
        self.course.begin(self.reach, backlog)
        self.went: list[Span] = []

    def turn(self) -> bool:
        for wish in self.course.wishes(self.reach, self.now_ns):
            span = self.found(wish)
            if span:
                began_ns, self.now_ns = self.now_ns, self.now_ns + self.took_ns
                self.reach = self.reach.with_(span)
                self.course.went(wish, span[1] - span[0] + 1, began_ns, self.now_ns)
                self.went.append(span)
                return True
        return False

    def found(self, wish: Wish) -> Span | None:
        last = min(self.newest, wish.first + wish.readings - 1, wish.last or self.newest)
        return (wish.first, last) if wish.first <= last else None


def test_a_small_piece_first_and_then_more() -> None:
    """A server that has just come back is not handed a full delivery at once."""
    walk = Walk(5000)
    while walk.reach.cursor < 5000:
        walk.turn()
        walk.now_ns += NS_PER_S
    assert [last - first + 1 for first, last in walk.went] == [50, 100, 200, 400, 800, 1000, 1000, 1000, 450]


@given(arrivals=st.lists(st.integers(0, 400), min_size=20, max_size=60), took_s=st.floats(0.001, 3))
def test_what_is_new_goes_first_and_the_backlog_beside_it(arrivals: list[int], took_s: float) -> None:
    """New readings never wait for more than one piece of the backlog, and that goes on as often as every fifth piece."""
    walk = Walk(100_000, took_s)
    for count in arrivals:
        walk.newest += count
        walk.turn()
    old = [last <= 100_000 for _, last in walk.went]
    assert all(not (one and other) or count == 0 for one, other, count in zip(old, old[1:], arrivals[1:], strict=False))
    pauses = "".join("b" if is_old else "l" for is_old in old).split("b")
    assert walk.took_ns > NS_PER_S or max(map(len, pauses)) <= 5
    assert len(walk.reach.ahead) <= 1


def test_the_backlog_leaves_the_server_a_fifth_of_its_time() -> None:
    """Without live data too; others have come back to it as well."""
    walk = Walk(100_000, took_s=2.0)
    assert walk.turn()
    assert not walk.turn()
    assert walk.course.rest_s(walk.reach, walk.now_ns) == pytest.approx(0.5)
    walk.now_ns += NS_PER_S // 2
    assert walk.turn()


def test_where_the_backlog_reaches_what_went_ahead_they_become_one() -> None:
    """Then there is no backlog any more, and nothing was passed twice."""
    walk = Walk(120)
    walk.newest = 130
    while walk.turn():
        walk.now_ns += NS_PER_S
    assert walk.reach == Reach(130)
    assert walk.course.rest_s(walk.reach, walk.now_ns) is None
    assert sorted(at for first, last in walk.went for at in range(first, last + 1)) == list(range(1, 131))
    assert walk.went[0] == (121, 130)


@pytest.mark.parametrize(("spans", "first"), [(MOST_spans - 1, 10_001), (MOST_spans, 2 * MOST_spans + 12)])
def test_spans_are_bounded(spans: int, first: int) -> None:
    """One outage too many in the middle of a backlog, and what is new goes on behind what was newest before."""
    reach = Reach(10, tuple((at, at) for at in range(13, 13 + 2 * spans, 2)))
    walk = Walk(10_000, reach=reach)
    walk.newest += 5
    assert walk.turn()
    assert walk.went[0][0] == first
    assert len(walk.reach.ahead) <= MOST_spans

"""A commit that fails when it is on the disk already, and one that fails before: nothing is written twice, and nothing left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.bridge.gather import Step
from edgegw.errors import SpoolError
from edgegw.spool import Commit, Handed, Reader, Spool
from edgegw.spool.work import Span
from tests.records import a_run
from tests.spooling import handed, held
from tests.test_keeper import Bench

RUN, OTHER = a_run(1), a_run(2, "rear")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.keeper.commit([handed(RUN, 0, 0, 10)])
    yield bench
    bench.close()


@pytest.fixture(params=["before", "after"])
def fails(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each entry lets one transaction of a commit fail, before it is on the disk or after."""
    strikes: list[str] = []
    for name in ("fit", "commit"):
        monkeypatch.setattr(Spool, name, _failing(getattr(Spool, name), request.param, strikes))
    return strikes


def _failing(method: object, when: str, strikes: list[str]) -> object:
    def wrapped(spool: Spool, work: Commit) -> object:
        strike = strikes.pop() if strikes else ""
        if strike and when == "before":
            raise SpoolError(strike)
        done = method(spool, work)  # type: ignore[operator] # one of two methods of Spool's
        if strike:
            raise SpoolError(strike)
        return done

    return wrapped


def told(bench: Bench, span: Span, count: int) -> None:
    """The first sink is done with these."""
    bench.one.report.tell(Step(span, {RUN.id: count}))


def joined(*parts: Handed) -> Handed:
    """As the intake offers what it has of one run and kind."""
    readings = tuple(reading for part in parts for reading in part.batch.readings)
    first, last = parts[0], parts[-1]
    return Handed(first.run, last.number, type(first.batch)(first.run.id, first.batch.kind, last.batch.counts, readings))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_each_reading_is_kept_and_counted_once(bench: Bench, fails: list[str], times: int) -> None:
    """Also where the batch comes again with newer ones joined to it, and where draining fails as well."""
    comes = [handed(RUN, 1, 10, 10), handed(RUN, 2, 20, 10), handed(OTHER, 0, 0, 10)]
    told(bench, (1, 1), 10)
    fails += ["no"] * times
    waiting: list[Handed] = []
    for one in (*comes, None, None):
        waiting += [one] if one else []
        if bench.keeper.commit([joined(*of) for run in (RUN, OTHER) if (of := [each for each in waiting if each.run is run])]):
            waiting.clear()
    assert waiting == []
    assert [reading.seq for batch in held(bench.path) if batch.run == RUN.id for reading in batch.readings] == list(range(30))
    books = bench.books()
    assert (books[RUN.id].kept, books[OTHER.id].kept) == (30, 10)
    assert books[RUN.id].sinks["one"].delivered == 10


def test_what_a_sink_did_is_counted_once(bench: Bench, fails: list[str]) -> None:
    """With nothing handed over: by where it stands; and what it does meanwhile is not taken for written."""
    told(bench, (1, 1), 10)
    fails += ["no", "no"]
    assert not bench.keeper.commit([])
    bench.keeper.commit([handed(RUN, 1, 10, 10)])
    told(bench, (2, 2), 10)
    assert bench.keeper.commit([])
    reader = Reader(bench.path)
    assert (reader.reach("one").cursor, reader.undone("one"), reader.undone("two")) == (2, 0, 20)
    reader.close()
    assert bench.books()[RUN.id].sinks["one"].delivered == 20

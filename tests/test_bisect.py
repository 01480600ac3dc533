"""Finding the poison: everything else arrives, and it costs few deliveries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.bridge.bisect import MANY, halve, isolate
from edgegw.errors import Refused, Rejected, Unavailable
from edgegw.reading import Record
from tests.records import a_run, lidar


class Picky:
    """Rejects deliveries that hold poison; notes the others."""

    def __init__(self, *poison: int) -> None:
        self.poison = set(poison)
        self.calls = 0
        self.got: list[int] = []

    def deliver(self, records: Sequence[Record]) -> None:
        self.calls += 1
        seqs = seqs_of(records)
        if self.poison.intersection(seqs):
            raise Rejected("1406", "too long")
        self.got += seqs


def seqs_of(records: Sequence[Record]) -> list[int]:
    return [reading.seq for record in records for reading in record.batch.readings]


def split(sizes: Sequence[int]) -> list[Record]:
    """Records of these sizes, seqs counting on."""
    begins = [sum(sizes[:index]) for index in range(len(sizes))]
    return [lidar(a_run(), range(begin, begin + size)) for begin, size in zip(begins, sizes, strict=True)]


SHAPES = {
    "one-record": [1000],
    "records-of-one": [1] * 1000,
    "twenty-of-fifty": [50] * 20,
    "uneven": [1] * 499 + [501],
    "uneven-first": [501] + [1] * 499,
}


@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("poison", [0, 1, 499, 500, 998, 999])
def test_one_poison_among_a_thousand_is_found_cheaply(sizes: list[int], poison: int) -> None:
    """At most 2·log2(1000) + 2 deliveries, however the readings lie in records; the other 999 arrive once, in order."""
    sink = Picky(poison)
    ((record, rejected),) = isolate(split(sizes), sink.deliver)
    assert seqs_of([record]) == [poison]
    assert str(rejected) == "too long (1406)"
    assert sink.calls <= 2 * math.log2(1000) + 2
    assert sink.got == [seq for seq in range(1000) if seq != poison]


@pytest.mark.parametrize("poison", [(0, 999), (499, 500), (3, 4), (10, 900)])
def test_two_poisons_are_both_found(poison: tuple[int, int]) -> None:
    """Each is set aside by itself; the cost at most doubles."""
    sink = Picky(*poison)
    found = isolate(split([50] * 20), sink.deliver)
    assert seqs_of([record for record, _ in found]) == list(poison)
    assert sink.got == [seq for seq in range(1000) if seq not in poison]
    assert sink.calls <= 2 * (2 * math.log2(1000) + 2)


def test_all_poison_is_given_up_reading_by_reading() -> None:
    """A sink that rejects everything gets everything alone once, which is what its letters say, and few halves once that shows."""
    sink = Picky(*range(64))
    found = isolate(split([10, 54]), sink.deliver)
    assert seqs_of([record for record, _ in found]) == list(range(64))
    assert {len(record.batch.readings) for record, _ in found} == {1}
    assert sink.calls <= 64 + MANY + math.log2(64)


def test_no_poison_costs_one_delivery() -> None:
    """The usual case is not slowed, and the records are the very ones."""
    sink = Picky()
    assert isolate(split([3, 4]), sink.deliver) == []
    assert (sink.calls, sink.got) == (1, list(range(7)))


@pytest.mark.parametrize("error", [Unavailable("away"), Refused("no"), ValueError("a bug")], ids=lambda error: type(error).__name__)
def test_other_errors_pass_through(error: Exception) -> None:
    """They say nothing about the content: the whole delivery is tried again later."""
    calls = []

    def deliver(records: Sequence[Record]) -> None:
        calls.append(seqs_of(records))
        raise Rejected("x", "y") if len(calls) < 3 else error

    with pytest.raises(type(error)):
        isolate(split([8]), deliver)
    assert calls == [list(range(8)), list(range(4)), list(range(2))]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9).filter(lambda sizes: sum(sizes) > 1))
def test_halves_are_halves(sizes: list[int]) -> None:
    """Both have half of the readings, order and keys stay, and no record is empty."""
    records = split(sizes)
    left, right = halve(records)
    assert abs(len(seqs_of(left)) - len(seqs_of(right))) <= 1
    assert seqs_of([*left, *right]) == list(range(sum(sizes)))
    assert all(record.batch.readings for record in [*left, *right])
    of = {reading.seq: record for record in records for reading in record.batch.readings}
    for part in [*left, *right]:
        whole = of[part.batch.first_seq]
        assert (part.position, part.run, part.batch.counts) == (whole.position, whole.run, whole.batch.counts)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.sets(st.integers(0, 30)))
def test_everything_but_the_poison_arrives_once(sizes: list[int], poison: set[int]) -> None:
    """For any shape and any poison: delivered and rejected together are all, each exactly once."""
    sink = Picky(*poison)
    rejected = seqs_of([record for record, _ in isolate(split(sizes), sink.deliver)])
    assert rejected == sorted(poison.intersection(range(sum(sizes))))
    assert sorted(sink.got + rejected) == list(range(sum(sizes)))

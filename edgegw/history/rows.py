"""Judges the rows of a place one by one: which of them are what a sensor gave, where it gave it, and once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from edgegw.history.expected import content
from edgegw.history.journal import Life
from edgegw.history.observed import Observed, Row
from edgegw.history.verdict import EXAMPLES, Fault, Finding

Key = tuple[str, str]  # sensor, run
_WORD = range(1 << 63)


class Judged(msgspec.Struct, frozen=True):
    """What is left when every row has been looked at."""

    seqs: dict[Key, set[int]]  # that are taken by a reading, be it spoilt or in another's place; copies and inventions take none
    homes: dict[tuple[str, int], str]  # (sensor, life) → the run that it belongs to
    findings: list[Finding]


def judge(lives: Sequence[Life], seen: Observed, runs: Mapping[Key, tuple[int, int]]) -> Judged:
    """`runs`: how many seqs each run has given out, and how many readings it filtered; rows of others are taken for what they say."""
    bench = _Bench(seen.place)
    once = _once(seen, bench)
    noted = {(life.sensor, life.life): life.ticks for life in lives}
    true = list[Row]()
    for row in once:
        numbered, _ = runs.get((row.sensor, row.run), (1 << 63, 0))
        if row.seq not in range(numbered):
            bench.charge(Fault.INVENTED, row)
        elif not _intact(row):
            bench.charge(Fault.CORRUPTED, row)
            bench.take(row)
        elif not 0 <= _tick(row) < noted.get(_life(row), 0):
            bench.charge(Fault.INVENTED, row)
        else:
            true.append(row)
    homes = _homes(true)
    for row in _misplaced(_without_copies(true, homes, bench), homes, {key for key, (_, filtered) in runs.items() if filtered}):
        bench.charge(Fault.MISPLACED, row)
    return Judged(bench.seqs, homes, bench.findings())


class _Bench:
    """Collects charges and the seqs that are taken."""

    def __init__(self, place: str) -> None:
        self.seqs: dict[Key, set[int]] = defaultdict(set)
        self._place = place
        self._charges: dict[tuple[Fault, str, str], list[str]] = defaultdict(list)

    def take(self, row: Row) -> None:
        self.seqs[row.sensor, row.run].add(row.seq)

    def charge(self, fault: Fault, row: Row) -> None:
        self._charges[fault, row.sensor, row.run].append(f"seq {row.seq}")

    def findings(self) -> list[Finding]:
        return [
            Finding(fault, self._place, sensor, run, len(rows), tuple(rows[:EXAMPLES]))
            for (fault, sensor, run), rows in self._charges.items()
        ]


def _once(seen: Observed, bench: _Bench) -> list[Row]:
    """The first row of each key; a further one is a copy, or, where they may come twice, has to be equal."""
    first: dict[tuple[str, str, int], Row] = {}
    for row in seen.rows:
        key = row.sensor, row.run, row.seq
        if key not in first:
            first[key] = row
        elif not seen.repeats:
            bench.charge(Fault.DUPLICATED, row)
        elif first[key] != row:
            bench.charge(Fault.CORRUPTED, row)
    return list(first.values())


def _intact(row: Row) -> bool:
    if type(row.life) is not int or type(row.tick) is not int or row.life not in _WORD or row.tick not in _WORD:
        return False
    return (row.value, row.text) == content(row.life, row.tick)


def _life(row: Row) -> tuple[str, int]:
    assert type(row.life) is int
    return row.sensor, row.life


def _tick(row: Row) -> int:
    assert type(row.tick) is int
    return row.tick


def _homes(rows: Iterable[Row]) -> dict[tuple[str, int], str]:
    """A life belongs to one run: the one that has most of its rows."""
    counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[_life(row)][row.run] += 1
    return {life: runs.most_common(1)[0][0] for life, runs in counts.items()}


def _offsets(rows: Iterable[Row], homes: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], int]:
    """How far ticks are from seqs in each life: the same for all its rows, as long as nothing is filtered."""
    counts: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for row in rows:
        if homes[_life(row)] == row.run:
            counts[_life(row)][_tick(row) - row.seq] += 1
    return {life: offsets.most_common(1)[0][0] for life, offsets in counts.items()}


def _without_copies(rows: list[Row], homes: Mapping[tuple[str, int], str], bench: _Bench) -> list[Row]:
    """Of the rows that carry the same tick only the one that stands where it belongs is the reading."""
    offsets = _offsets(rows, homes)
    same: dict[tuple[tuple[str, int], int], list[Row]] = defaultdict(list)
    for row in rows:
        same[_life(row), _tick(row)].append(row)
    kept = list[Row]()
    for (life, tick), alike in same.items():
        at_home = (row for row in alike if row.run == homes[life] and tick - row.seq == offsets[life])
        real = next(at_home, None) or min(alike, key=lambda row: row.seq)
        for row in alike:
            if row is not real:
                bench.charge(Fault.DUPLICATED, row)
        bench.take(real)
        kept.append(real)
    return kept


def _misplaced(rows: list[Row], homes: Mapping[tuple[str, int], str], filtered: set[Key]) -> list[Row]:
    """Rows of another run's life, and those at odds with the order of ticks; where readings were filtered, ticks only ascend."""
    offsets, found = _offsets(rows, homes), list[Row]()
    newest = dict[tuple[str, int], int]()
    for row in sorted(rows, key=lambda row: row[:3]):
        life, tick = _life(row), _tick(row)
        if homes[life] != row.run:
            found.append(row)
        elif (row.sensor, row.run) not in filtered:
            found += [row] if tick - row.seq != offsets[life] else []
        elif tick <= newest.get(life, -1):
            found.append(row)
        else:
            newest[life] = tick
    return found

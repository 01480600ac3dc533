"""The history checker on random histories with random faults: each is counted, and nothing else."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edgegw.history import Fault
from tests.histories import History, altered, row

WAYS = ("lost", "unexplained", "dropped", "evicted", "twice", "copied", "spoilt", "swapped", "invented", "beyond")


@given(st.data())
def test_it_names_exactly_what_was_done_at_random(data: st.DataObject) -> None:
    """Any number of runs and lives, any mixture of faults in different places: each is counted, none else."""
    runs = data.draw(st.lists(st.lists(st.integers(20, 40), min_size=1, max_size=3), min_size=1, max_size=3))
    history = History(*runs)
    expected = Counter[Fault]()
    for number, ticks_of in enumerate(runs):
        run, total = f"run-{number}", sum(ticks_of)
        victims = data.draw(st.lists(st.integers(0, total - 1), max_size=8, unique=True))
        befallen = spoil(history, run, victims, data)
        if not befallen[Fault.UNEXPLAINED] and data.draw(st.booleans()):  # one makes up for the other: a count is all that a book has
            history.book(run, declared=dict(Counter(history.book_of(run).declared) + Counter(dropped=2)))
            befallen[Fault.OVERDECLARED] += 2
        expected += befallen
    random.Random(data.draw(st.integers(0, 99))).shuffle(history.rows)
    assert history.verdict() == expected


def spoil(history: History, run: str, victims: list[int], data: st.DataObject) -> Counter[Fault]:
    """Something befalls each of the victims."""
    expected = Counter[Fault]()
    sources = [one for one in history.rows if one.run == run and one.seq not in victims]
    while victims:
        seq, way = victims.pop(), data.draw(st.sampled_from(WAYS))
        old = history.take(seq, run)
        match way:
            case "lost":
                expected[Fault.LOST] += 1
            case "unexplained":
                history.book(run, kept=history.book_of(run).kept - 1)
                expected[Fault.UNEXPLAINED] += 1
            case "dropped" | "evicted":
                history.declare(way, 1, run)
            case "twice":
                history.rows += [old, old]
                expected[Fault.DUPLICATED] += 1
            case "copied":
                history.rows.append(sources.pop()._replace(seq=seq))
                expected += Counter({Fault.DUPLICATED: 1, Fault.LOST: 1})
            case "spoilt":
                field, value = data.draw(st.sampled_from([("life", 1), ("tick", 10**6), ("value", 2.0), ("text", ""), ("text", None)]))
                history.rows.append(altered(old, field, value))
                expected[Fault.CORRUPTED] += 1
            case "swapped" if victims:
                other = history.take(victims.pop(), run)
                history.rows += [old._replace(seq=other.seq), other._replace(seq=old.seq)]
                expected[Fault.MISPLACED] += 2
            case "invented":
                history.rows.append(row(seq, 1, seq, run))
                expected += Counter({Fault.INVENTED: 1, Fault.LOST: 1})
            case _:
                history.rows += [old, row(10_000 + seq, 1000, 0, run)]
                expected[Fault.INVENTED] += 1
    return expected

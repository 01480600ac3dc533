"""The history checker: it names every fault that is planted, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from edgegw.history import Books, Fault, Life, Observed, check, from_messages, from_table, together
from edgegw.history.expected import content
from tests.histories import RUN, SENSOR, WHERE, History, altered, row


def lost(history: History) -> Counter[Fault]:
    history.take(5)
    return Counter({Fault.LOST: 1})


def never_kept(history: History) -> Counter[Fault]:
    history.take(5)
    history.book(kept=29)
    return Counter({Fault.UNEXPLAINED: 1})


def kept_unknown(history: History) -> Counter[Fault]:
    history.take(5)
    history.book(kept=-1)
    return Counter({Fault.UNEXPLAINED: 1})


def declared_before_the_spool(history: History) -> Counter[Fault]:
    for seq in (5, 6, 29):
        history.take(seq)
    history.declare("dropped", 2)
    history.declare("lost", 1)
    return Counter()


def declared_lost_and_passed_over(history: History) -> Counter[Fault]:
    """A worker that dies takes its newest readings along; one with later ones behind it had been acknowledged."""
    for seq in (5, 6, 7, 29):
        history.take(seq)
    history.declare("dropped", 1)
    history.declare("lost", 3)
    return Counter({Fault.LOST: 2})


def declared_after_the_spool(history: History) -> Counter[Fault]:
    for seq, cause in enumerate(("waiting", "dead", "damaged", "evicted")):
        history.take(seq)
        history.declare(cause, 1)
    return Counter()


def half_declared(history: History) -> Counter[Fault]:
    for seq in (5, 6, 7):
        history.take(seq)
    history.declare("dropped", 1)
    return Counter({Fault.LOST: 2})


def over_declared(history: History) -> Counter[Fault]:
    history.take(5)
    history.declare("dropped", 3)
    history.book(kept=29)
    return Counter({Fault.OVERDECLARED: 2})


def over_declared_beside_a_loss(history: History) -> Counter[Fault]:
    history.take(5)
    history.book(declared={"dropped": 1})
    return Counter({Fault.LOST: 1, Fault.OVERDECLARED: 1})


def twice(history: History) -> Counter[Fault]:
    history.rows.append(row(5, 1000, 5))
    return Counter({Fault.DUPLICATED: 1})


def twice_under_another_seq(history: History) -> Counter[Fault]:
    history.take(9)
    history.rows.append(row(9, 1000, 5))
    return Counter({Fault.DUPLICATED: 1, Fault.LOST: 1})


def spoilt(field: str, value: object) -> Callable[[History], Counter[Fault]]:
    def plant(history: History) -> Counter[Fault]:
        history.rows.append(altered(history.take(5), field, value))
        return Counter({Fault.CORRUPTED: 1})

    plant.__name__ = f"spoilt_{field}"
    return plant


def swapped(history: History) -> Counter[Fault]:
    first, second = history.take(5), history.take(8)
    history.rows += [first._replace(seq=8), second._replace(seq=5)]
    return Counter({Fault.MISPLACED: 2})


def swapped_between_lives(history: History) -> Counter[Fault]:
    first, second = history.take(5), history.take(25)
    history.rows += [first._replace(seq=25), second._replace(seq=5)]
    return Counter({Fault.MISPLACED: 2})


def swapped_between_runs(history: History) -> Counter[Fault]:
    first, second = history.take(5), history.take(5, "run-1")
    history.rows += [first._replace(run="run-1"), second._replace(run=RUN)]
    return Counter({Fault.MISPLACED: 2})


def swapped_where_readings_are_filtered(history: History) -> Counter[Fault]:
    history.rows = [one._replace(seq=one.seq // 2) for one in history.rows if one.run == RUN and one.seq % 2]
    history.lives, history.books = history.lives[:2], [Books(SENSOR, RUN, produced=30, filtered=15, kept=15)]
    first, second = history.take(4), history.take(5)
    history.rows += [first._replace(seq=5), second._replace(seq=4)]
    return Counter({Fault.MISPLACED: 1})


def of_no_life(history: History) -> Counter[Fault]:
    history.take(5)
    history.rows.append(row(5, 777, 5))
    return Counter({Fault.INVENTED: 1, Fault.LOST: 1})


def never_ticked(history: History) -> Counter[Fault]:
    history.take(5)
    history.rows.append(row(5, 1000, 20))
    return Counter({Fault.INVENTED: 1, Fault.LOST: 1})


def beyond_the_last(history: History) -> Counter[Fault]:
    history.rows.append(row(30, 1001, 9))
    return Counter({Fault.INVENTED: 1})


def of_a_run_without_book(history: History) -> Counter[Fault]:
    history.books = history.books[1:]
    return Counter({Fault.UNACCOUNTED: 30})


def in_no_book(history: History) -> Counter[Fault]:
    history.lives[0] = Life(SENSOR, 1000, 25)
    return Counter({Fault.UNACCOUNTED: 3})  # of five one may have been in hand in each of two lives


def never_given(history: History) -> Counter[Fault]:
    history.lives[0] = Life(SENSOR, 1000, 18)
    return Counter({Fault.UNACCOUNTED: 2, Fault.INVENTED: 2, Fault.LOST: 2})


def life_without_a_row(history: History) -> Counter[Fault]:
    history.lives.append(Life(SENSOR, 5000, 40))
    history.books.append(Books(SENSOR, "run-9", produced=39, kept=0, declared={"lost": 39}))
    return Counter()


def second_life_without_a_row(history: History) -> Counter[Fault]:
    history.lives.append(Life(SENSOR, 5000, 40))
    history.book(produced=70)
    history.declare("lost", 40)
    history.book(kept=30)
    return Counter()


def life_that_nobody_counted(history: History) -> Counter[Fault]:
    history.lives.append(Life(SENSOR, 5000, 40))
    return Counter({Fault.UNACCOUNTED: 39})


def life_that_nobody_counted_before_a_power_cut(history: History) -> Counter[Fault]:
    history.lives.append(Life(SENSOR, 5000, 40))
    history.book(cut=True)
    return Counter()


def life_of_which_too_much_is_counted(history: History) -> Counter[Fault]:
    history.lives.append(Life(SENSOR, 5000, 10))
    history.books.append(Books(SENSOR, "run-9", produced=39, kept=0, declared={"lost": 39}))
    return Counter({Fault.UNACCOUNTED: 29})


def spoilt_journal(history: History) -> Counter[Fault]:
    history.lives[0] = Life(SENSOR, 1000, 20, damaged=1)
    return Counter({Fault.UNPROVEN: 1})


PLANTS: list[Callable[[History], Counter[Fault]]] = [
    lambda _: Counter(),
    *(lost, never_kept, kept_unknown, declared_before_the_spool, declared_lost_and_passed_over, declared_after_the_spool, half_declared),
    *(over_declared, over_declared_beside_a_loss, twice, twice_under_another_seq),
    *(spoilt("value", 0.5), spoilt("text", "x"), spoilt("life", 1001), spoilt("tick", 6), spoilt("life", None), spoilt("tick", 2.0)),
    *(spoilt("value", None), spoilt("text", 7), spoilt("tick", -1), spoilt("life", 1 << 64)),
    *(swapped, swapped_between_lives, swapped_between_runs, swapped_where_readings_are_filtered),
    *(of_no_life, never_ticked, beyond_the_last, of_a_run_without_book, in_no_book, never_given),
    *(life_without_a_row, second_life_without_a_row, life_that_nobody_counted, life_that_nobody_counted_before_a_power_cut),
    *(life_of_which_too_much_is_counted, spoilt_journal),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_it_names_what_was_planted(plant: Callable[[History], Counter[Fault]]) -> None:
    """Two runs, the first of them of two lives; one thing is done to them, and the verdict is that, with its count."""
    history = History([20, 10], [30])
    expected = plant(history)
    assert history.verdict() == expected


def test_a_broker_may_say_it_twice_but_not_two_things() -> None:
    """A repeated message is no fault; one that repeats a key with another content is, were it only its time."""
    history = History([20])
    history.rows += history.rows[5:15]
    assert history.verdict(repeats=True) == {}
    history.rows.append(history.rows[3]._replace(rest=(1,)))
    assert history.verdict(repeats=True) == {Fault.CORRUPTED: 1}


def test_a_finding_names_the_first_few() -> None:
    """Where, whose, how many, and five of them; and the head says what was looked at and what is declared."""
    history = History([30])
    for seq in range(3, 12):
        history.take(seq)
    history.declare("dropped", 1)
    verdict = check(history.lives, history.books, Observed(WHERE, tuple(history.rows)))
    assert verdict.report() == (
        "mysql: 21 readings, NOT as they were given\ndeclared missing: dropped 1\n"
        "mysql: m0 run run-0: 8 acknowledged and lost: seq 3, seq 4, seq 5, seq 6, seq 7, …"
    )
    assert (verdict.lost_acknowledged, verdict.unexplained, verdict.duplicates, verdict.corrupted) == (8, 0, 0, 0)


def test_several_places_make_one_verdict() -> None:
    """Findings add up; what both lack for the same cause is declared once."""
    history = History([30])
    history.take(29)
    history.declare("lost", 1)
    whole = check(history.lives, history.books, Observed("mysql", tuple(history.rows)))
    history.take(7)
    both = together(whole, check(history.lives, history.books, Observed("rabbitmq", tuple(history.rows), repeats=True)))
    assert both.lost_acknowledged == 1
    assert both.declared == {"lost": 1}
    assert both.report().startswith("mysql and rabbitmq: 57 readings, NOT")


def test_tables_and_messages_become_rows() -> None:
    """What the stores' question gives and what a message carries are the same rows; other kinds in messages are passed over."""
    value, text = content(5, 0)
    assert from_table("mysql", [("m0", "r", 0, 5, 0, value, text)]).rows == (row(0, 5, 0, "r"),)
    reading = {"seq": 0, "time_ns": 1, "boot_ns": 2, "clock": "synced", "quality": "good"}
    values = {"life": 5, "tick": 0, "value": value, "text": text}
    body = {"kind": "metronome", "sensor": "m0", "run": "r", "readings": [{**reading, "values": values}]}
    seen = from_messages("rabbitmq", [body, {**body, "kind": "lidar"}])
    assert seen.rows == (row(0, 5, 0, "r")._replace(rest=(1, 2, "synced", "good")),)
    assert seen.repeats

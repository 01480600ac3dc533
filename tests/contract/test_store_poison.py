"""What every store must do with poison: reject it whole, say why, bury it once, and take the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from edgegw.errors import Rejected
from edgegw.reading import Letter, Quality, Reading, Run, Stored
from tests.contract.conftest import FACE, Subject, seqs
from tests.records import START_ns, a_reading, a_record, a_run, lidar


def poison(values: Sequence[Any], seq: int = 0) -> Reading:
    return a_reading(seq, values)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (("near", 1, 1.0), "text for a number"),
        ((1.0, 1.5, 1.0), "a fraction for an integer"),
        ((1.0, 2**63, 1.0), "more than int64"),
        ((math.nan, 1, 1.0), "not a number"),
        ((math.inf, 1, 1.0), "infinity"),
        ((True, 1, 1.0), "a truth value"),
        ((1.0, 1), "a value too few"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_value_that_does_not_fit_is_rejected_whole(subject: Subject, values: tuple[Any, ...], what: str) -> None:
    """Poison is Rejected with a code and a reason, nothing of its delivery is stored, and the same connection takes the rest."""
    good, bad = lidar(a_run(1), range(10)), a_record(a_run(2), [poison(values)])
    with pytest.raises(Rejected) as caught:
        subject.store.deliver([good, bad])
    assert caught.value.code
    assert caught.value.reason
    assert subject.store.stored() == {}, what
    subject.store.deliver([good])
    assert seqs(subject) == list(range(10))


def test_a_word_that_is_no_quality_is_rejected(subject: Subject) -> None:
    """A constraint other than the key is never passed over as a duplicate."""
    odd = msgspec.structs.replace(a_reading(0, (1.0, 1, 1.0)), quality=cast(Quality, "odd"))
    with pytest.raises(Rejected):
        subject.store.deliver([a_record(a_run(), [odd])])
    assert seqs(subject) == []


def test_broken_text_is_rejected(subject: Subject) -> None:
    """Half a surrogate pair, which no database takes, is poison and no crash."""
    with pytest.raises(Rejected):
        subject.store.deliver([a_record(a_run(kinds=FACE), [a_reading(0, (1, "\ud83d", *[None] * 6))], "face")])
    subject.store.deliver([lidar(a_run(), [0])])
    assert seqs(subject) == [0]


@pytest.mark.parametrize(
    "kinds",
    [
        {"lidar`; DROP TABLE run; --": {"x": "float"}},
        {"odd": {"x` DOUBLE); DROP TABLE run; --": "float"}},
        {"odd": {"x": "DOUBLE); DROP TABLE run; --"}},
        {"odd": {"seq": "int"}},
        {"odd": {"fps": "int", "FPS": "int"}},
        {"odd": {}},
        {"run": {"x": "float"}},
        {"o" * 65: {"x": "float"}},
    ],
    ids=["kind", "field", "type", "key-column", "case", "none", "our-table", "long"],
)
def test_names_that_may_not_go_into_sql_are_rejected(subject: Subject, kinds: dict[str, dict[str, str]]) -> None:
    """Names come from a driver and cannot be parameters: one outside the allow-list never reaches a statement."""
    ((kind, fields),) = kinds.items()
    with pytest.raises(Rejected):
        subject.store.deliver([a_record(a_run(kinds=kinds), [a_reading(0, [1] * len(fields))], kind)])
    subject.store.deliver([lidar(a_run(), [0])])
    assert subject.rows("SELECT COUNT(*) FROM run") == [(1,)]


@pytest.mark.parametrize("kind", ["rUN", "gatEway", "sqlite_x"])
def test_names_that_a_database_takes_for_others_are_rejected(subject: Subject, kind: str) -> None:
    """SQLite folds the case of tables: a kind rUN would be written into the table of runs, and sqlite_x never be made."""
    kinds = {kind: {"x": "float"}}
    with pytest.raises(Rejected, match="the name is taken"):
        subject.store.deliver([a_record(a_run(kinds=kinds), [a_reading(0, [1.0])], kind)])
    subject.store.deliver([lidar(a_run(), [0])])
    assert subject.rows("SELECT COUNT(*) FROM run") == [(1,)]


def test_a_field_beside_one_of_ours_that_differs_in_case_only_is_rejected(subject: Subject) -> None:
    """A database cannot have both, and would answer for ever that the column is there already."""
    kinds = {"camera": {"fpS": "float"}}
    with pytest.raises(Rejected, match="'fpS' beside 'fps'"):
        subject.store.deliver([a_record(a_run(kinds=kinds), [a_reading(0, [1.0])], "camera")])
    subject.store.deliver([lidar(a_run(), [0])])
    assert seqs(subject) == [0]


@pytest.mark.parametrize("time_ns", [253_402_300_800 * 10**9, -30_610_224_000 * 10**9 - 1, 10**30, -(10**30)])
def test_a_moment_of_no_calendar_is_rejected(subject: Subject, time_ns: int) -> None:
    """Before the year 1000 and after 9999 no column takes it: poison with a sentence, also as the start of a run; and it can be buried."""
    bad = a_reading(0, (1.0, 1, 1.0), time_ns)
    for record in (a_record(a_run(1), [bad]), lidar(msgspec.structs.replace(a_run(2), started_ns=time_ns), [0])):
        with pytest.raises(Rejected, match="outside of the years 1000 to 9999") as caught:
            subject.store.deliver([record])
        assert caught.value.code == "time"
    subject.store.bury(Letter(subject.store.name, a_run(), "lidar", bad, "time", "when?", START_ns))
    subject.store.deliver([lidar(a_run(), [1])])
    assert seqs(subject) == [1]


def test_bury_takes_names_and_numbers_of_any_size(subject: Subject) -> None:
    """What came with the poison is cut to what the columns take: a letter that cannot be buried would stop the sink for ever."""
    odd = Run("g" * 300, "s" * 300, "d", "run-\N{SNOWMAN}-" + "r" * 300, "b", START_ns, a_run().fields)
    for seq in (0, 2**64 - 1):
        for _ in range(2):
            reading = a_reading(seq, (1.0, 2**70, "\ud83d"), 10**30)
            subject.store.bury(Letter("mysql", odd, "k" * 300, reading, "c" * 300, "w" * 3000, START_ns))
    assert subject.rows("SELECT COUNT(*), MAX(seq), MIN(JSON_VALID(reading)) FROM dead_letter") == [(2, 2**63 - 1, 1)]


def test_bury_keeps_the_reading_and_its_reason_once(subject: Subject) -> None:
    """A letter is found with all its fields; buried again, also with another time, it stays one."""
    reading = a_reading(5, (1.25, 812, None))
    letter = Letter(subject.store.name, a_run(), "lidar", reading, "1264", "it's \\ out of range", START_ns)
    subject.store.bury(letter)
    subject.store.open()
    subject.store.bury(msgspec.structs.replace(letter, time_ns=START_ns + 10**9))
    ((*fields, text, reason, code, time),) = subject.rows("SELECT * FROM dead_letter")
    assert fields == [subject.store.name, "pi-7", "front", a_run().id, 5, "lidar"]
    assert (reason, code, str(time)) == ("it's \\ out of range", "1264", "2026-11-21 02:31:31.123456")
    assert json.loads(text)["values"] == {"distance_m": 1.25, "strength": 812, "temperature_degC": None}


def test_bury_takes_what_no_table_takes(subject: Subject) -> None:
    """The poison itself, and a reason of any length, never keep a letter from being buried."""
    for seq, values in enumerate([(1.0,), ("near", 1, 1.0), ("x" * 5000, 2**63, "\0😀"), (math.nan, 1, 1.0)]):
        subject.store.bury(Letter("mysql", a_run(), "lidar", poison(values, seq), "type", "why " * 1000, START_ns))
    subject.store.bury(Letter("mysql", a_run(), "nonsense", poison((1.0,), 9), "kind", "no such kind", START_ns))
    assert subject.rows("SELECT COUNT(*) FROM dead_letter") == [(5,)]


def test_a_rolled_back_delivery_leaves_no_wrong_ids_behind(subject: Subject) -> None:
    """A run first met in a delivery that fails is delivered under its own name afterwards, on the same connection and on another."""
    first, second = a_run(1, "first"), a_run(2, "second")
    with pytest.raises(Rejected):
        subject.store.deliver([lidar(first, [0]), a_record(second, [poison(("x", 1, 1.0))])])
    subject.store.deliver([lidar(second, range(2))])
    subject.store.open()
    subject.store.deliver([lidar(first, range(3)), lidar(second, range(2))])
    assert subject.store.stored() == {("first", first.id): Stored(3, 0, 2), ("second", second.id): Stored(2, 0, 1)}

"""Poison, or a sink that rejects whatever it is given: told apart so that neither stops the flow nor empties it into dead letters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.bridge.bisect import MANY, Doubt, isolate
from edgegw.errors import Refused, Rejected, Unavailable
from edgegw.reading import Reading, Record, Run
from tests.records import a_run, lidar

Verdict = Callable[[Run, Reading], str]  # the code it is rejected with, or nothing

SENSORS = ("a", "b", "c")
CHECK = "4025"


class Server:
    """Rejects a delivery for the first reading in it that its verdict is against; notes what it took."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.calls = 0
        self.got: list[tuple[str, int]] = []

    def deliver(self, records: Sequence[Record]) -> None:
        self.calls += 1
        for record in records:
            for reading in record.batch.readings:
                if code := self.verdict(record.run, reading):
                    raise Rejected(code, f"reading {reading.seq} of {record.run.sensor} is against the rules")
        self.got += keys(records)


def keys(records: Sequence[Record]) -> list[tuple[str, int]]:
    return [(record.run.sensor, reading.seq) for record in records for reading in record.batch.readings]


def delivery(begin: int = 0, **sizes: int) -> list[Record]:
    """A record for each sensor, its seqs counted from `begin`."""
    return [lidar(run_of(sensor), range(begin, begin + size)) for sensor, size in sizes.items() if size]


def run_of(sensor: str) -> Run:
    return a_run(SENSORS.index(sensor), sensor)


def everything(code: str) -> Verdict:
    return lambda _run, _reading: code


def only(*sensors: str, code: str = CHECK) -> Verdict:
    return lambda run, _reading: code if run.sensor in sensors else ""


@pytest.mark.parametrize(
    ("verdict", "sizes", "to_blame"),
    [
        (everything(CHECK), {"a": 100, "b": 100}, True),
        (everything(CHECK), {"a": 500, "b": 499, "c": 1}, True),
        (everything(CHECK), {"a": MANY - 1, "b": 1}, True),
        (everything(CHECK), {"a": MANY - 2, "b": 1}, False),
        (everything(CHECK), {"a": 1000}, False),
        (everything("type"), {"a": 500, "b": 500}, False),
        (everything("SQLITE_CONSTRAINT_CHECK"), {"a": 50, "b": 50}, True),
        (only("a"), {"a": 900, "b": 1}, False),
        (only("a", "b"), {"a": 400, "b": 400, "c": 1}, False),
        (lambda run, reading: "" if (run.sensor, reading.seq) == ("b", 77) else CHECK, {"a": 400, "b": 400}, False),
        (lambda _run, reading: "1264" if reading.seq == 99 else CHECK, {"a": 100, "b": 100}, True),
        (lambda _run, reading: "type" if reading.seq % 3 else CHECK, {"a": 100, "b": 100}, True),
        (lambda run, _reading: "1264" if run.sensor == "a" else CHECK, {"a": 100, "b": 100}, False),
        (lambda _run, reading: str(reading.seq % 50), {"a": 200, "b": 200}, False),
    ],
    ids=[
        "everything", "and-a-third", "just-enough", "too-few-to-tell", "one-sensor-alone", "a-word-of-ours", "sqlite", "a-bad-sensor",
        "two-bad-sensors", "one-good-reading", "odd-ones-among-them", "nonsense-among-them", "a-code-each", "every-code",
    ],
)  # fmt: skip
def test_who_is_to_blame(verdict: Verdict, sizes: Mapping[str, int], to_blame: bool) -> None:
    """The sink, where it takes nothing and rejects many readings of several sensors for one reason of its own; else the readings."""
    sink = Server(verdict)
    records = delivery(**sizes)
    if to_blame:
        with pytest.raises(Refused, match=r"it rejects whatever it is given, readings of \d sensors alike"):
            isolate(records, sink.deliver, Doubt())
        assert sink.got == []
    else:
        poison = keys([record for record, _ in isolate(records, sink.deliver, Doubt())])
        assert poison == [(run.sensor, seq) for run, seq in each(records) if verdict(run, reading_of(records, run, seq))]
        assert sorted(sink.got + poison) == sorted(keys(records))


def each(records: Sequence[Record]) -> list[tuple[Run, int]]:
    return [(record.run, reading.seq) for record in records for reading in record.batch.readings]


def reading_of(records: Sequence[Record], run: Run, seq: int) -> Reading:
    return next(reading for record in records for reading in record.batch.readings if record.run == run and reading.seq == seq)


def test_it_costs_a_sick_sink_little_more_than_one_try_a_reading() -> None:
    """A thousand readings, all rejected: each is tried alone once, and hardly anything else is."""
    sink = Server(everything(CHECK))
    with pytest.raises(Refused):
        isolate(delivery(a=500, b=500), sink.deliver, Doubt())
    assert sink.calls <= 1000 + MANY + math.log2(1000)


def test_small_deliveries_add_up() -> None:
    """Live readings come a few at a time: a sick sink gets fewer than MANY of them set aside, then all waits; healed, all goes in."""
    doubt, sick, letters, records = Doubt(), Server(everything(CHECK)), 0, list[Record]()
    for begin in range(100):
        records = delivery(begin, a=1, b=1)
        try:
            letters += len(isolate(records, sick.deliver, doubt))
        except Refused:
            break
    assert letters == MANY - 2
    with pytest.raises(Refused):
        isolate(records, sick.deliver, doubt)
    healed = Server(everything(""))
    assert isolate(records, healed.deliver, doubt) == []
    assert healed.got == keys(records)
    assert len(isolate(records, sick.deliver, doubt)) == 2


def test_what_it_takes_clears_it_of_all_doubt() -> None:
    """A bad sensor's readings are set aside for ever, as long as anything else goes in now and then."""
    doubt, sink = Doubt(), Server(only("a", "b"))
    for begin in range(0, 1000, 10):
        assert len(isolate(delivery(begin, a=5, b=5), sink.deliver, doubt)) == 10
        assert isolate(delivery(begin, c=1), sink.deliver, doubt) == []


def test_nothing_is_held_for_ever_by_a_sink_that_takes_something() -> None:
    """Two bad sensors fill a whole piece of the backlog: held once, set aside when it comes again and others went in meanwhile."""
    doubt, sink = Doubt(), Server(only("a", "b"))
    for begin in (0, 100):
        piece = delivery(begin, a=50, b=50)
        for _ in range(3):
            with pytest.raises(Refused):
                isolate(piece, sink.deliver, doubt)
        assert isolate(delivery(begin, c=1), sink.deliver, doubt) == []
        assert isolate(delivery(begin + 1, c=1), sink.deliver, doubt) == []
        assert len(isolate(piece, sink.deliver, doubt)) == 100


def test_the_same_readings_again_prove_nothing() -> None:
    """A delivery that is tried again because its letters could not be buried counts once."""
    doubt, sink = Doubt(), Server(everything(CHECK))
    records = delivery(a=3, b=3)
    for _ in range(10):
        assert len(isolate(records, sink.deliver, doubt)) == 6


def test_trouble_in_between_leaves_no_trace() -> None:
    """A sink that goes away in the middle of the search has rejected nothing yet: all of it is searched again."""
    doubt = Doubt()
    sink = Server(everything(CHECK))

    def away(records: Sequence[Record]) -> None:
        if sink.calls > 40:
            raise Unavailable("gone")
        sink.deliver(records)

    with pytest.raises(Unavailable):
        isolate(delivery(a=50, b=50), away, doubt)
    assert len(isolate(delivery(a=1, b=1), sink.deliver, doubt)) == 2


def test_it_remembers_no_more_than_it_must() -> None:
    """Rejecting a million readings takes no more memory than rejecting a few."""
    doubt, sink = Doubt(), Server(everything(CHECK))
    for begin in range(0, 5000, 1000):
        isolate(delivery(begin, a=1000), sink.deliver, doubt)
    assert len(doubt._alike[CHECK]) == MANY


sizes = st.fixed_dictionaries({sensor: st.integers(0, 40) for sensor in SENSORS}).filter(lambda of: any(of.values()))
codes = st.dictionaries(st.tuples(st.sampled_from(SENSORS), st.integers(0, 39)), st.sampled_from([CHECK, "1264", "type"]))
bad_by_default = st.sampled_from(["", CHECK, CHECK])


@given(sizes, codes, bad_by_default)
def test_the_good_arrives_and_the_poison_is_found_or_nothing_is(
    sizes: dict[str, int], codes: dict[tuple[str, int], str], default: str
) -> None:
    """Everything good is delivered once, and exactly the poison is set aside, or nothing: where nothing is good and a sick sink explains.

    Tries: never more than two a reading, and one plus a few where none is good.
    """
    records = delivery(**sizes)
    of = {key: codes.get(key, default) for key in keys(records)}
    sink = Server(lambda run, reading: of[run.sensor, reading.seq])
    good, bad = [key for key in of if not of[key]], [key for key in of if of[key]]
    alike = [[key for key in bad if of[key] == code] for code in (CHECK, "1264")]
    sick = not good and any(len(found) >= MANY and len({sensor for sensor, _ in found}) > 1 for found in alike)
    try:
        poison = isolate(records, sink.deliver, Doubt())
    except Refused:
        assert sick
    else:
        assert not sick
        assert keys([record for record, _ in poison]) == bad
        assert [rejected.code for _, rejected in poison] == [of[key] for key in bad]
    assert sink.got == good
    assert sink.calls <= 2 * len(of) - 1
    assert good or sink.calls <= len(of) + MANY + math.log2(len(of)) + 1

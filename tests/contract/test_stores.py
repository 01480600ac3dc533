"""What every store must do, asked of each of them: delivers all, exactly as it was; twice is harmless; counts right."""

from __future__ import annotations

import contextlib
import math
import random
import struct
from typing import Any, cast

import msgspec
import pytest

from edgegw.errors import Unavailable
from edgegw.reading import Stored
from edgegw.sinks import schema
from tests.contract.conftest import FACE, INT64, Subject, seqs
from tests.records import START_ns, a_reading, a_record, a_run, lidar


def test_a_reading_arrives_whole(subject: Subject) -> None:
    """Every field of a reading and of its run is found again in the tables, time in UTC and rounded down to microseconds."""
    subject.store.deliver([a_record(a_run(), [a_reading(7, (1.25, 812, 41.5), START_ns)])])
    join = (
        "SELECT gateway.name, sensor.name, sensor.kind, sensor.driver, run.uuid, run.boot_id, lidar.* FROM lidar"
        " JOIN run ON run.run_id = lidar.run_id JOIN sensor ON sensor.sensor_id = lidar.sensor_id"
        " JOIN gateway ON gateway.gateway_id = sensor.gateway_id"
    )
    ((*names, sensor_id, time, run_id, seq, boot_ns, quality, clock, distance_m, strength, temperature_degC),) = subject.rows(join)
    assert names == ["pi-7", "front", "lidar", "tfluna", a_run().id, a_run().boot_id]
    assert (sensor_id, run_id, seq, str(time)) == (1, 1, 7, "2026-11-21 02:31:31.123456")
    assert (boot_ns, quality, clock) == (a_reading(7, ()).boot_ns, "good", "synced")
    assert (distance_m, strength, temperature_degC) == (1.25, 812, 41.5)


def test_nothing_to_deliver_is_fine(subject: Subject) -> None:
    """An empty delivery changes nothing and fails nothing."""
    subject.store.deliver([])
    assert subject.store.stored() == {}


def test_twice_is_harmless(subject: Subject) -> None:
    """The same records again, in the same delivery, in a later one, after a reopen and through another sink, change nothing."""
    record = lidar(a_run(), range(100))
    subject.store.deliver([record, record])
    subject.store.deliver([record])
    subject.store.open()
    subject.store.deliver([record])
    with contextlib.closing(subject.another()) as other:
        other.open()
        other.deliver([record])
    assert seqs(subject) == list(range(100))


def test_overlaps_leave_neither_gap_nor_duplicate(subject: Subject) -> None:
    """Deliveries that overlap the stored rows anywhere, in any order and interleaved with another run, add what is missing."""
    dice = random.Random(20)
    ours, other = a_run(1), a_run(2)
    for _ in range(40):
        start = dice.randrange(300)
        subject.store.deliver([lidar(ours, range(start, start + 60, dice.choice([1, 2, 3]))), lidar(other, range(start, start + 9))])
    for run in (ours, other):
        subject.store.deliver([lidar(run, range(360))])
    number = "SELECT run_id, COUNT(*), COUNT(DISTINCT seq), MIN(seq), MAX(seq) FROM lidar GROUP BY run_id ORDER BY run_id"
    assert subject.rows(number) == [(1, 360, 360, 0, 359), (2, 360, 360, 0, 359)]


def test_more_rows_than_a_statement_takes(subject: Subject) -> None:
    """A delivery of thousands of readings of several kinds arrives complete."""
    kinds = {kind: schema.KINDS[kind] for kind in ("camera", "face")}
    eye = a_run(1, "eye", kinds=kinds)
    camera = a_record(eye, [a_reading(seq, (seq / 3, 1.5, None, None, None, 2, 9.9, 640, 480)) for seq in range(0, 3000, 2)], "camera")
    face = a_record(eye, [a_reading(seq, (seq, "enter", 1.0, 2.0, 3.0, 4.0, 0.9, 0.0)) for seq in range(1, 3000, 2)], "face")
    subject.store.deliver([camera, lidar(a_run(2), range(2300)), face])
    assert subject.store.stored() == {("eye", eye.id): Stored(3000, 0, 2999), ("front", a_run(2).id): Stored(2300, 0, 2299)}


def test_null_is_null(subject: Subject) -> None:
    """No echo is NULL, not zero, in columns of every type."""
    subject.store.deliver([lidar(a_run(), [1]), a_record(a_run(), [a_reading(0, (None, None, None))])])
    assert subject.rows("SELECT distance_m, strength, temperature_degC FROM lidar WHERE seq = 0") == [(None, None, None)]
    subject.store.deliver([a_record(a_run(1, kinds=FACE), [a_reading(0, (1, None, *[None] * 6))], "face")])
    assert subject.rows("SELECT event FROM face") == [(None,)]


def test_every_number_comes_back_exactly(subject: Subject) -> None:
    """The ends of int64 and of double, the numbers that decimal cannot write, and random bit patterns read back as they were."""
    dice = random.Random(64)
    patterns = [struct.unpack("<d", dice.randbytes(8))[0] for _ in range(500)]
    floats = [5e-324, 2.2250738585072014e-308, 1.7e308, 1.7976931348623157e308, 0.1, 1 / 3, -0.0, 1e16, 123456789012345678.0, 3, -(2**53)]
    floats += [value for value in patterns if math.isfinite(value)]
    ints = [*INT64, 0, -1, 7.0, *(dice.randrange(*INT64) for _ in range(len(floats) - 5))]
    readings = [a_reading(seq, (number, whole, None)) for seq, (number, whole) in enumerate(zip(floats, ints, strict=True))]
    subject.store.deliver([a_record(a_run(), readings)])
    found = subject.rows("SELECT distance_m, strength FROM lidar ORDER BY seq")
    assert [number for number, _ in found] == floats
    assert [whole for _, whole in found] == ints
    assert all(type(whole) is int for _, whole in found)


def test_every_text_comes_back_exactly(subject: Subject) -> None:
    """Quotes, backslashes, comment marks, percent signs, NUL, line ends, emoji and 255 characters read back as they were."""
    texts = ["'", '"', "`", "\\", "\\'", "a'); DROP TABLE face; --", "%s %(x)s ?", "nul\0in the middle", "\r\n\t\x1a", "😀 é 漢字", "", " "]
    texts += ["\\" * 255, "😀" * 255, "Enter", "enter"]
    run = a_run(kinds=FACE)
    subject.store.deliver([a_record(run, [a_reading(seq, (seq, text, *[None] * 6)) for seq, text in enumerate(texts)], "face")])
    assert [text for (text,) in subject.rows("SELECT event FROM face ORDER BY seq")] == texts


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01 00:00:00"),
        (999, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59.999999"),
        (INT64[1], "2262-04-11 23:47:16.854775"),
    ],
)
def test_any_time_has_a_row(subject: Subject, time_ns: int, text: str) -> None:
    """A clock that woke in 1970, or went mad, is recorded as it is; redelivery finds the row again."""
    record = a_record(a_run(), [a_reading(0, (1.0, 1, 1.0), time_ns)])
    subject.store.deliver([record])
    subject.store.deliver([record])
    ((time,),) = subject.rows("SELECT time FROM lidar")
    assert str(time).removesuffix(".000000") == text


def test_runs_sensors_and_gateways_do_not_mix(subject: Subject) -> None:
    """Equal seqs and times of two runs, two sensors and two gateways are different readings; names differ by case too."""
    runs = [a_run(1), a_run(2), a_run(3, "rear"), a_run(4, "Rear"), a_run(5, gateway="pi-8")]
    subject.store.deliver([lidar(run, range(number + 1)) for number, run in enumerate(runs)])
    expected = {(run.sensor, run.id): Stored(number + 1, 0, number) for number, run in enumerate(runs)}
    assert subject.store.stored() == expected
    assert subject.rows("SELECT COUNT(*) FROM gateway") == [(2,)]
    assert subject.rows("SELECT COUNT(*) FROM sensor") == [(4,)]


def test_another_driver_makes_another_sensor_row(subject: Subject) -> None:
    """What a sensor measured with its old driver stays under that driver's name."""
    new = msgspec.structs.replace(a_run(2), driver="tfluna_i2c")
    subject.store.deliver([lidar(a_run(1), [0]), lidar(new, [0])])
    assert subject.rows("SELECT name, driver FROM sensor ORDER BY sensor_id") == [("front", "tfluna"), ("front", "tfluna_i2c")]


def test_a_kind_of_another_drivers_making(subject: Subject) -> None:
    """A kind that we do not know gets a table from the run's own fields; a field that comes later gets a column."""
    kinds: dict[str, dict[str, str]] = {"radon": {"activity_Bq_m3": "float", "counts": "int", "mode": "text"}}
    subject.prepare(kinds)
    subject.store.deliver([a_record(a_run(1, kinds=kinds), [a_reading(0, (148.5, 3, "fast"))], "radon")])
    wider = {"radon": {**kinds["radon"], "order": "int"}}
    subject.prepare(wider)
    subject.store.deliver([a_record(a_run(2, kinds=wider), [a_reading(1, (150.5, 4, "slow", 9))], "radon")])
    rows = subject.rows("SELECT seq, `activity_Bq_m3`, `counts`, `mode`, `order` FROM radon ORDER BY seq")
    assert rows == [(0, 148.5, 3, "fast", None), (1, 150.5, 4, "slow", 9)]
    assert subject.store.stored() == {("front", a_run(1).id): Stored(1, 0, 0), ("front", a_run(2).id): Stored(1, 1, 1)}


def test_kinds_and_fields_that_differ_in_case_only(subject: Subject) -> None:
    """Whether a database takes them for one or for two, every reading is stored."""
    kinds = [{"doorA": {"open": "int"}}, {"doora": {"open": "int"}}, {"doora": {"opeN": "int"}}]
    for number, of in enumerate(kinds):
        subject.prepare(of)
        ((kind, _),) = of.items()
        subject.store.deliver([a_record(a_run(number, kinds=of), [a_reading(seq, [seq]) for seq in range(3)], kind)])
    assert subject.store.stored() == {("front", a_run(number).id): Stored(3, 0, 2) for number in range(3)}


def test_fewer_and_reordered_fields(subject: Subject) -> None:
    """A driver that gives some of a kind's fields, in its own order, fills just those columns."""
    some = a_run(kinds={"imu": {"temperature_degC": "float", "acceleration_x_m_s2": "float"}})
    subject.store.deliver([a_record(some, [a_reading(0, (21.5, 9.81))], "imu")])
    assert subject.rows("SELECT temperature_degC, acceleration_x_m_s2, roll_rad FROM imu") == [(21.5, 9.81, None)]


def test_many_runs(subject: Subject) -> None:
    """More runs than are remembered at a time are all kept apart."""
    subject.store.deliver([lidar(a_run(number), [number]) for number in range(1100)])
    subject.store.deliver([lidar(a_run(number), [number]) for number in (0, 1099)])
    assert subject.store.stored() == {("front", a_run(number).id): Stored(1, number, number) for number in range(1100)}


def test_before_open_and_after_close(subject: Subject) -> None:
    """A sink that is not open says Unavailable; closing twice is harmless; opening again works."""
    fresh = subject.another()
    fresh.close()
    with pytest.raises(Unavailable):
        fresh.deliver([lidar(a_run(), [0])])
    subject.store.close()
    subject.store.close()
    for call in (lambda: subject.store.deliver([lidar(a_run(), [0])]), subject.store.stored):
        with pytest.raises(Unavailable):
            call()
    subject.store.open()
    subject.store.deliver([lidar(a_run(), [0])])
    assert seqs(subject) == [0]


def test_says_which_version(subject: Subject) -> None:
    """A probe can tell what it talks to."""
    version = cast(Any, subject.store).version()
    assert any(character.isdigit() for character in version)

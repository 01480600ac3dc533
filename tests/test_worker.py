"""The loop of a sensor process, with a scripted device, a clock that is told, and a bridge in memory."""

from __future__ import annotations

import itertools
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from edgegw import codec, tally
from edgegw.clock import NS_PER_S
from edgegw.codec import Push
from edgegw.config import SensorPolicy
from edgegw.driver import FieldTypes
from edgegw.errors import DeviceAbsent, DeviceError
from edgegw.process import Process
from edgegw.reading import ClockState, Counts, Quality, Reading, Sample, Value
from edgegw.signals import Lifeline
from edgegw.tally import Tally
from edgegw.testing import FakeClock, NoOptions, Script
from edgegw.worker.body import SLICE_s, Worker
from edgegw.worker.ladder import ABSENT_s, DEADLINE_s, PROBE_s, Rung
from edgegw.worker.link import Link
from edgegw.worker.outlet import BATCH_readings, FAREWELL_s, Outlet
from edgegw.worker.pulse import Pulse
from edgegw.worker.recovery import Recovery, STEADY_ns
from edgegw.worker.single import uuid7
from edgegw.worker.stamp import Stamp
from edgegw.worker.window import Window
from tests.rig import RUN, Rig, Wire, fields

LINGER_s = 0.1
TWO_KINDS: Mapping[str, FieldTypes] = {"lidar": {"distance_m": float}, "note": {"text": str, "count": int}}


class Bench:
    """A worker that is ready to run, and all that is around it."""

    def __init__(self, directory: Path) -> None:
        self.rig = Rig()
        self.directory = directory
        self.clock = self.rig.clock
        self.wire = Wire(self.clock)
        self.window: Window = Window(RUN.id, 1000, drops_oldest=True)
        self.policy = SensorPolicy(driver="scripted", linger_s=LINGER_s)
        self.receipts: Path | None = None
        self.resets: Sequence[Any] = ()
        self.reset_at: list[int] = []
        self.came_to_its_end = True

    def fresh_process(self) -> None:
        """As the supervisor would start one."""
        self.window = Window(RUN.id, 1000, drops_oldest=True)
        self.wire.acked.clear()
        for file in self.directory.glob("run-*"):
            file.unlink()

    def stop(self) -> None:
        self.rig.stop.ask()

    def passes(self, seconds: float) -> Callable[[], None]:
        """A step of a script: time goes by."""

        def pass_() -> None:
            self.clock.now_ns += round(seconds * NS_PER_S)

        return pass_

    def run(self, *lives: Sequence[Any], kinds: Mapping[str, FieldTypes] | None = None, process: Process | None = None) -> Script:
        """Plays the lives to their end, which has to ask for the stop somewhere."""
        script = Script(*lives, fields=kinds) if kinds else Script(*lives)
        driver = script.driver()
        if self.resets:
            driver = msgspec.structs.replace(driver, reset=lambda _options: self._reset(script))
        run = fields(driver.field_names())
        counts = Tally(self.directory, run)
        link = Link(run, self.window, self.wire, self.clock)
        process = process or self.rig.process
        recovery = Recovery(self.clock, can_reset=bool(self.resets), may_restart=True, file=self.receipts)
        pulse = Pulse(run, self.window, link, recovery, process.notifier, self.clock)
        outlet = Outlet(self.window, link, counts, pulse, self.policy.linger_s, self.clock)
        try:
            self.came_to_its_end = Worker(driver, Stamp(run, self.policy, self.clock), outlet, recovery, process).work(NoOptions())
        finally:
            counts.close()
        return script

    def _reset(self, script: Script) -> Iterator[None]:
        self.reset_at.append(script.opened)
        for step in self.resets:
            if step:
                step()
            yield None

    def closing_counts(self) -> Counts:
        (ended,) = tally.ended(self.directory)
        return ended.counts

    def got(self) -> list[Reading]:
        return [cast(Reading, self.wire.readings[seq][0]) for seq in self.wire.seqs()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.rig.close()


def sample(value: Value = 1.0, quality: Quality = Quality.GOOD, **more: Any) -> Sample:
    return Sample({"distance_m": value}, quality, **more)


class Interrupted(FakeClock):
    """Between one question and the next the machine does something else for a while, the first few times."""

    def __init__(self, pauses: int) -> None:
        super().__init__()
        self._pauses = pauses

    def boot_ns(self) -> int:
        if self._pauses:
            self._pauses -= 1
            self.now_ns += NS_PER_S
        return super().boot_ns()


@pytest.mark.parametrize("pauses", [0, 1, 2])
def test_a_driver_may_tell_the_moment_and_no_pause_moves_it(pauses: int) -> None:
    """Its own clock and the wall clock are asked for the same moment, or asked again."""
    clock = Interrupted(pauses)
    stamp = Stamp(fields({"lidar": {"distance_m": "float"}}), SensorPolicy(driver="scripted", linger_s=LINGER_s), clock)
    kind, reading = stamp.reading(sample(1.5, at_ns=40, age_ns=7))
    assert reading is not None
    began_ns = FakeClock().wall_ns() - FakeClock().now_ns
    assert (kind, reading.boot_ns, reading.time_ns) == ("lidar", 40, began_ns + 40)


def pushed(wire: Wire) -> list[Push]:
    return [message for message in map(codec.decode, wire.sent) if isinstance(message, Push)]


def test_a_sample_becomes_a_reading_here(bench: Bench) -> None:
    """Stamped with both clocks at the moment it was measured, with seq, quality and what is known of the clock."""
    bench.clock.boot_ahead_ns = 500
    bench.clock.synced = ClockState.UNSYNCED
    first_ns, first_boot_ns = bench.clock.wall_ns(), bench.clock.boot_ns()
    bench.run([sample(1.5, age_ns=40), bench.passes(3), sample(2.5, Quality.UNCERTAIN), bench.stop, None])
    assert bench.got() == [
        Reading(0, first_ns - 40, first_boot_ns - 40, ClockState.UNSYNCED, Quality.GOOD, (1.5,)),
        Reading(1, first_ns + 3 * NS_PER_S, first_boot_ns + 3 * NS_PER_S, ClockState.UNSYNCED, Quality.UNCERTAIN, (2.5,)),
    ]


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1, True, b"bytes", "\ud800", "x" * 10_001],
    ids=["nan", "inf", "-inf", "int64+1", "int64-1", "bool", "bytes", "half-a-surrogate", "long"],
)
def test_what_no_store_can_hold_becomes_null_and_bad(bench: Bench, value: Any) -> None:
    """One such value would get its whole batch refused, and a refused batch is lost: it goes as null, its reading as bad."""
    bench.run([sample(1.0), sample(value), sample(2.0), bench.stop, None])
    assert [(one.values, one.quality) for one in bench.got()] == [((1.0,), Quality.GOOD), ((None,), Quality.BAD), ((2.0,), Quality.GOOD)]


@pytest.mark.parametrize("value", [None, 0, -(2**63), 2**63 - 1, "", "größer", "\U0001f600", 1e308])
def test_what_can_be_held_goes_through_unchanged(bench: Bench, value: Value) -> None:
    """Nulls, texts and the ends of the ranges are no fault."""
    bench.run([sample(value), bench.stop, None])
    assert [(one.values, one.quality) for one in bench.got()] == [((value,), Quality.GOOD)]


def test_kinds_have_their_own_fields_and_one_row_of_seqs(bench: Bench) -> None:
    """A driver of two kinds names the kind; values go in the order of FIELDS, whatever the order of the sample."""
    note = Sample({"count": 3, "text": "hello"}, kind="note")
    bench.run([sample(kind="lidar"), note, sample(kind="lidar"), bench.stop, None], kinds=TWO_KINDS)
    assert sorted(bench.wire.taken) == [(0, "lidar", (0, 2)), (1, "note", (1,))]
    assert next(one for one in bench.got() if one.seq == 1).values == ("hello", 3)


def test_readings_wait_for_company_no_longer_than_the_linger(bench: Bench) -> None:
    """Within the linger they are collected, then they go as one batch."""
    just_before = bench.passes(LINGER_s - 0.001)
    bench.run([bench.passes(1), None, *[sample()] * 5, just_before, sample(), bench.passes(0.001), sample(), bench.stop, None])
    assert [len(push.batch.readings) for push in pushed(bench.wire)] == [7]
    assert bench.wire.seqs() == list(range(7))


def test_a_batch_has_a_limit(bench: Bench) -> None:
    """A fast sensor does not wait for the linger."""
    bench.run([bench.passes(1), None, *[sample()] * (2 * BATCH_readings + 3), bench.stop, None])
    assert [len(push.batch.readings) for push in pushed(bench.wire)] == [BATCH_readings, BATCH_readings, 3]


@pytest.mark.parametrize(
    "error",
    [DeviceError("the device sends nothing"), OSError(5, "Input/output error")],
    ids=["DeviceError", "OSError"],
)
def test_a_device_that_lets_go_is_opened_again(bench: Bench, error: Exception) -> None:
    """Readings go on with the next seq; the loss is logged once, with the reason; the device was closed before it was opened again."""
    lives: list[list[Any]] = [[sample(), error], [error], [error], [sample(), bench.stop, None]]
    script = bench.run(*lives)
    assert (script.opened, script.closed) == (4, 4)
    assert bench.wire.seqs() == [0, 1]
    (lost,) = bench.rig.log("device_lost")
    assert (lost["why"], lost["next"]) == (str(error), "reopen")


def test_a_device_that_misbehaves_is_taken_up_the_ladder(bench: Bench, tmp_path: Path) -> None:
    """Three times reopened, reset, reopened, reset; then a fresh process is asked for, which finds that it was. Logged once a rung."""
    bench.receipts = tmp_path / "receipts" / "front.json"
    bench.resets = [None, None]
    script = bench.run(*[[DeviceError("deaf")]] * 30)
    assert not bench.came_to_its_end
    assert script.opened == 7
    assert bench.reset_at == [4, 6]  # so many times it had been opened
    assert [entry["next"] for entry in bench.rig.log("device_lost")] == ["reopen", "reset", "reopen", "reset", "restart"]
    bench.fresh_process()
    bench.run(*[[DeviceError("deaf")]] * 9, [bench.stop, None])
    assert bench.came_to_its_end
    assert bench.rig.log("device_lost")[-1]["next"] == "quarantine"
    assert bench.rig.heard.health().rung == "quarantine"


def test_in_quarantine_a_look_is_rare_and_the_heartbeat_goes_on(bench: Bench) -> None:
    """Without a process to restart the top of the ladder is quarantine; the device is asked every PROBE_s, and status says why."""
    opened: list[int] = []
    away = [lambda: opened.append(bench.clock.now_ns), OSError(5, "Input/output error")]
    bench.run(*[away] * 30, [bench.stop, None])
    pauses_s = [(after - before) / NS_PER_S for before, after in itertools.pairwise(opened)]
    assert 0.15 < pauses_s[0] < 0.3
    assert all(PROBE_s <= pause_s <= PROBE_s + SLICE_s for pause_s in pauses_s[6:])
    assert len(bench.rig.heard.beats) >= sum(pauses_s) / (1 + SLICE_s) - 1
    assert "Input/output error" in bench.rig.heard.health().why
    assert len(bench.rig.log("device_lost")) == 2


def test_an_absent_device_is_looked_for_often_and_for_ever(bench: Bench) -> None:
    """No rung can plug it in, so none is climbed: the moment that it is there again it is opened."""
    opened: list[int] = []
    away = [lambda: opened.append(bench.clock.now_ns), DeviceAbsent("there is no port")]
    bench.run(*[away] * 200, [sample(), bench.stop, None])
    pauses_s = [(after - before) / NS_PER_S for before, after in itertools.pairwise(opened)]
    assert max(pauses_s) <= ABSENT_s + 0.01
    assert [entry["next"] for entry in bench.rig.log("device_lost")] == ["reopen"]


def test_a_device_that_opens_and_says_nothing_has_a_deadline(bench: Bench) -> None:
    """Heartbeats alone are no readings: after its rung's time it is reopened."""
    script = bench.run([bench.passes(DEADLINE_s[Rung.REOPEN] - 1), None, bench.passes(2), None, sample()], [sample(), bench.stop, None])
    assert script.opened == 2
    assert "no sample" in bench.rig.log("device_lost")[0]["why"]


def test_a_reset_that_does_not_end_has_a_deadline(bench: Bench) -> None:
    """Its time over, it counts as failed, and the next rung is tried."""
    bench.resets = [bench.passes(DEADLINE_s[Rung.RESET] + 1), None, bench.passes(1000)]
    started = bench.clock.now_ns
    bench.run(*[[DeviceError("deaf")]] * 4, [sample(), bench.stop, None])
    assert bench.clock.now_ns - started < 100 * NS_PER_S


def test_status_shows_which_rung_healed_it_when_and_how_often(bench: Bench) -> None:
    """The rung that stood last before it was well for a while gets the credit; faults that did not keep a sample away are re-reads."""
    bench.resets = [None]
    well = [sample(), bench.passes(STEADY_ns / NS_PER_S), sample(), sample(faults=3)]
    deaf = [DeviceError("deaf")]
    bench.run([*well, *deaf], [*well, *deaf], *[deaf] * 3, [*well, bench.passes(1), None, bench.stop, None])
    health = bench.rig.heard.health()
    assert {rung: healed.count for rung, healed in health.healed.items()} == {"re-read": 3, "reopen": 1, "reset": 1}
    assert health.healed["reset"].last_ns >= health.healed["reopen"].last_ns > 0
    assert health.rung == ""
    assert [entry["by"] for entry in bench.rig.log("device_healed")] == ["reopen", "reset"]


def test_a_device_that_gives_one_reading_and_lets_go_does_not_flood_the_log(bench: Bench) -> None:
    """One good sample is no recovery: the climb goes on, and it is told by the rung, not by the failure."""
    bench.run(*[[sample(), DeviceError("gone")]] * 50, [bench.stop, None])
    assert len(bench.rig.log("device_lost")) == 2
    assert bench.rig.heard.health().healed == {}
    assert len(bench.wire.seqs()) == 50


def test_a_device_that_was_well_for_a_while_begins_on_the_ground(bench: Bench) -> None:
    """Old trouble does not count: the pause is small again, and the first rung is the first."""
    at: list[int] = []

    def note() -> None:
        at.append(bench.clock.now_ns)

    well = [sample(), bench.passes(STEADY_ns / NS_PER_S), sample(), note, DeviceError("gone")]
    bench.run(*[[DeviceError("away")]] * 10, well, [note, bench.stop, None])
    assert at[1] - at[0] < 0.5 * NS_PER_S
    assert bench.rig.log("device_lost")[-1]["next"] == "reopen"


def test_a_driver_that_stops_reading_is_treated_as_a_lost_device(bench: Bench) -> None:
    """read() that returns is no end of the process: the device is opened again, and the operator is told."""
    bench.run([sample()], [sample(), bench.stop, None])
    assert bench.wire.seqs() == [0, 1]
    assert "stopped reading" in bench.rig.log("device_lost")[0]["why"]


def test_what_a_filter_holds_back_is_counted_and_leaves_no_gap(bench: Bench) -> None:
    """Produced is everything; the filtered have no seq, so that a gap in the seqs still means a loss."""
    bench.policy = SensorPolicy(driver="scripted", linger_s=LINGER_s, deadband={"distance_m": 0.5})
    bench.run([*(sample(value) for value in (1.0, 1.1, 2.0, 2.1, 2.2, 3.0)), bench.passes(2), None, bench.stop, None])
    assert [one.values[0] for one in bench.got()] == [1.0, 2.0, 3.0]
    assert bench.wire.seqs() == [0, 1, 2]
    assert bench.closing_counts() == Counts(produced=6, filtered=3)
    assert bench.rig.heard.health().filtered == 3


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("distance_m"), ZeroDivisionError()])
def test_a_bug_in_the_driver_ends_the_process(bench: Bench, error: Exception) -> None:
    """Only the supervisor knows what to do then; what was produced is in the tally."""
    with pytest.raises(type(error)):
        bench.run([sample(), error], [bench.stop, None])
    assert bench.closing_counts().produced == 1


@pytest.mark.parametrize(
    "odd", [Sample({"distance": 1.0}), Sample({"distance_m": 1.0}, kind="nonsense")], ids=["field-missing", "kind-unknown"]
)
def test_a_sample_that_breaks_the_drivers_own_word_is_a_bug(bench: Bench, odd: Sample) -> None:
    """FIELDS is a promise to every table and subscriber."""
    with pytest.raises(KeyError):
        bench.run([odd])


def test_stop_is_heard_at_the_next_yield(bench: Bench) -> None:
    """The sample in hand is still taken, none after it; what was collected is handed over and acknowledged."""
    script = bench.run([sample(), bench.stop, sample(), sample()])
    assert bench.wire.seqs() == [0, 1]
    assert (script.opened, script.closed) == (1, 1)
    assert bench.window.size == 0
    assert bench.rig.heard.told == ["ready", "stopping"]


def test_stop_is_heard_within_a_slice_of_waiting(bench: Bench) -> None:
    """A process that waits for its device to come back does not keep anybody waiting."""
    asked: list[int] = []

    def stop() -> None:
        if bench.clock.now_ns > 3 * NS_PER_S and not asked:
            asked.append(bench.clock.now_ns)
            bench.stop()

    bench.rig.heard.at_beat = stop
    script = bench.run(*[[DeviceError("away")]] * 50)
    assert script.opened < 50
    assert bench.clock.now_ns - asked[0] <= SLICE_s * NS_PER_S


def test_trouble_while_stopping_is_no_trouble(bench: Bench) -> None:
    """A device that fails while it is being let go is not opened again."""
    script = bench.run([sample(), bench.stop, DeviceError("gone")])
    assert script.opened == 1
    assert bench.rig.log("device_lost") == []
    assert bench.wire.seqs() == [0]


def test_the_farewell_waits_for_the_last_acknowledgement(bench: Bench) -> None:
    """A slow commit is waited for, and not a moment longer."""

    def wait(timeout_s: float) -> None:
        bench.clock.now_ns += round(timeout_s * NS_PER_S)
        bench.wire.waits += 1
        bench.wire.commits = bench.wire.waits >= 3

    bench.wire.commits = False
    bench.wire.wait = wait  # type: ignore[method-assign]
    bench.run([sample(), bench.stop, None])
    assert bench.window.size == 0
    assert bench.wire.waits <= 4


def test_the_farewell_does_not_wait_for_ever(bench: Bench) -> None:
    """Without a bridge the process leaves in time and says how much it takes along."""
    bench.wire.bridge = None
    bench.run([*[sample()] * 3, bench.stop, None])
    assert FAREWELL_s <= bench.clock.now_ns / NS_PER_S <= FAREWELL_s + 0.2
    (done,) = bench.rig.log("worker_done")
    assert done["unacknowledged"] == 3
    assert bench.closing_counts() == Counts(produced=3)


def test_the_heartbeat_comes_only_from_the_loop(bench: Bench) -> None:
    """While read() hangs there is no beat, so the supervisor sees it; silence that the driver yields is no hang."""
    beats: list[int] = []

    def look() -> None:
        beats.append(len(bench.rig.heard.beats))

    bench.run([look, bench.passes(30), look, None, look, *[bench.passes(1.0), None] * 5, look, bench.stop, None])
    assert beats == [0, 0, 1, 6]


def test_the_heartbeat_tells_how_it_goes(bench: Bench) -> None:
    """Counts, rate, newest reading; and, while no bridge answers, that readings wait here."""
    bench.wire.bridge = None
    bad = sample(None, Quality.BAD, faults=2)
    tick = [bench.passes(0.5), sample(2.5)]
    bench.run([bad, *tick * 20, bench.stop, None])
    health = bench.rig.heard.health()
    assert (health.run, health.produced, health.bad, health.faults) == (RUN.id, 21, 1, 2)
    assert health.newest == {"distance_m": 2.5}
    assert 1.5 < health.rate_hz < 2.5
    assert health.window == 21
    assert "the bridge does not answer; 21 readings wait" in health.why


def test_what_the_operator_has_to_do_stays_until_it_is_done(bench: Bench) -> None:
    """A note is the measurements', and an event of another kind between two of them takes it away as little as it is shown as newest."""
    kinds: Mapping[str, FieldTypes] = {"lidar": {"distance_m": float}, "face": {"track": int}}
    noted = Sample({"distance_m": 1.0}, kind="lidar", note="install the extra")
    event = Sample({"track": 7}, kind="face")
    bench.run([*[noted, event, bench.passes(1.5)] * 4, event, bench.stop, None], kinds=kinds)
    health = bench.rig.heard.health()
    assert (health.why, health.newest) == ("install the extra", {"distance_m": 1.0})


def test_all_is_well_is_an_empty_why(bench: Bench) -> None:
    """With a device that reads and a bridge that answers there is nothing to explain."""
    bench.run([*[sample(), bench.passes(0.5)] * 6, sample(), bench.stop, None])
    assert bench.rig.heard.health().why == ""


def test_the_tally_is_never_behind_what_was_sent(bench: Bench) -> None:
    """Killed at any moment, the worker leaves counts that cover all that ever went out: looked at as each message goes."""
    seen: list[tuple[int, int]] = []

    def look(message: bytes) -> None:
        decoded = codec.decode(message)
        if isinstance(decoded, Push):
            (count,) = tally.counts(bench.directory).values()
            seen.append((count.counts.produced, decoded.batch.counts.produced))

    bench.wire.at_send = look
    bench.run([*[sample(), bench.passes(0.03)] * 50, bench.stop, None])
    assert len(seen) > 10
    assert [pair for pair in seen if pair[0] < pair[1]] == []
    assert bench.closing_counts() == Counts(produced=50)


def test_what_a_full_window_drops_is_in_the_tally_and_in_the_books(bench: Bench) -> None:
    """A bridge that is away for long: the window keeps its limit, and produced = kept + dropped when it is back."""
    bench.window = Window(RUN.id, 10, drops_oldest=True)
    bench.wire.bridge = None

    def back() -> None:
        bench.wire.bridge = bench.wire.fresh()

    bench.run([*[sample(), bench.passes(0.2)] * 40, back, *[bench.passes(1.0), None] * 4, sample(), bench.stop, None])
    counts = bench.closing_counts()
    assert counts.produced == 41
    assert counts.dropped == 30
    assert bench.wire.seqs() == list(range(30, 41))
    assert bench.wire.readings[40][1] == counts


def test_a_restarted_bridge_gets_the_rest_and_nothing_twice(bench: Bench) -> None:
    """It knows of no connection and says so; the worker begins anew where the disk ends."""

    def die() -> None:
        bench.wire.bridge = bench.wire.fresh()

    bench.run([*[sample(), bench.passes(0.2)] * 5, die, *[sample(), bench.passes(0.2)] * 5, bench.stop, None])
    assert bench.wire.seqs() == list(range(10))
    assert bench.wire.connections == 2


def test_a_cut_lifeline_stops_the_worker(bench: Bench) -> None:
    """Without its supervisor nobody would ever end it."""
    read, write = os.pipe()
    try:
        process = msgspec.structs.replace(bench.rig.process, lifeline=Lifeline(read))

        def cut() -> None:
            os.close(write)

        bench.run([sample(), None, cut, bench.passes(1), sample(), None, sample()], process=process)
    finally:
        os.close(read)
    assert bench.wire.seqs() == [0, 1]


def test_run_ids_sort_by_their_start() -> None:
    """UUIDs of version 7: a later millisecond sorts later, and no two are the same."""
    ids = [uuid7(1_795_228_291_000_000_000 + step * 1_000_000) for step in range(1000)]
    assert {(one.version, one.variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert sorted(map(str, ids)) == list(map(str, ids))
    assert len({uuid7(1) for _ in range(1000)}) == 1000

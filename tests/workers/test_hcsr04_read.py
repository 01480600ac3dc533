"""The HC-SR04 driver on a scripted radio: what it makes of notifications, and when it gives a connection up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from edgegw import driver
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from workers.buses.ble import Link, Peripheral, Radio
from workers.hcsr04 import Options
from workers.hcsr04.ear import QUEUE
from workers.hcsr04.listening import VOLTAGE, BATTERY_s, Listener

S = 1_000_000_000
UART = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
ESP32 = "beb5483e-36c1-4688-b7f5-ea07361b26a8"
NOTIFIES = frozenset({"notify"})
HC_SR04 = driver.find("hcsr04")

Step = bytes | Callable[[], object] | None


class ScriptedLink:
    """Plays its steps once it is subscribed to, one each turn of the loop: bytes to notify, a thing to do, or None to let time pass."""

    def __init__(self, steps: Sequence[Step] = (), able: Mapping[str, frozenset[str]] | None = None) -> None:
        self.lost = False
        self.closed = 0
        self.values: dict[str, bytes | Exception] = {}
        self.reads = 0
        self._steps = steps
        self._able = {UART: NOTIFIES, ESP32: NOTIFIES} if able is None else able
        self._playing: asyncio.Task[None] | None = None

    def characteristics(self) -> Mapping[str, frozenset[str]]:
        return self._able

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None]) -> None:
        assert "notify" in self._able[characteristic]
        self._playing = asyncio.create_task(self._play(hear))

    async def read(self, characteristic: str) -> bytes:
        self.reads += 1
        value = self.values[characteristic]
        if isinstance(value, Exception):
            raise value
        return value

    async def close(self) -> None:
        self.closed += 1
        if self._playing:
            self._playing.cancel()

    async def _play(self, hear: Callable[[bytes], None]) -> None:
        for step in self._steps:
            if isinstance(step, bytes):
                hear(step)
            elif step:
                step()
            else:
                await asyncio.sleep(0)

    def lose(self) -> None:
        self.lost = True


class ScriptedRadio:
    """Finds at once, unless told otherwise, and hands out its links one after the other."""

    def __init__(self, *links: ScriptedLink, rssi_dBm: int | None = -61, trouble: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.serves_others = False
        self._links = iter(links)
        self._peripheral = Peripheral("AA:BB:CC:DD:EE:01", "door", rssi_dBm)
        self._trouble = trouble

    async def find(self, device: str, timeout_s: float) -> Peripheral:
        self.asked.append(f"find {device}")
        if self._trouble:
            raise self._trouble
        return self._peripheral

    async def connect(self, peripheral: Peripheral) -> Link:
        self.asked.append("connect")
        return next(self._links)

    async def let_go(self, device: str) -> bool:
        self.asked.append(f"let go {device}")
        return self.serves_others

    async def power_cycle(self) -> None:
        self.asked.append("power cycle")


def options(radio: Radio, **values: Any) -> Options:
    bound: Options = driver.bind(HC_SR04, {"device": "door", "format": "text", **values})
    return msgspec.structs.replace(bound, adapter=radio)


@contextlib.contextmanager
def reading(link: ScriptedLink, **values: Any) -> Iterator[Iterator[Sample]]:
    with contextlib.closing(HC_SR04.read(options(ScriptedRadio(link), **values))) as samples:
        yield (sample for sample in samples if sample is not None)


def some(link: ScriptedLink, count: int, **values: Any) -> list[Sample]:
    with reading(link, **values) as samples:
        return list(itertools.islice(samples, count))


def listened(link: ScriptedLink, clock: FakeClock, **values: Any) -> tuple[list[Sample], str]:
    """What a connection gives until it is given up, and why it was, on that clock."""
    got: list[Sample] = []

    async def listen() -> None:
        listener = Listener(options(ScriptedRadio(), **values), Peripheral("AA:BB", "door", -61), link, clock)
        async with contextlib.aclosing(listener.samples()) as samples:
            async for sample in samples:
                got.append(sample)
        await link.close()

    with pytest.raises(DeviceError) as given_up:
        asyncio.run(listen())
    return got, str(given_up.value)


def test_a_notification_becomes_a_sample() -> None:
    """Its distance, the strength of the advertisement, no voltage; young, and without faults."""
    link = ScriptedLink([b"123.4\r\n"])
    (sample,) = some(link, 1)
    assert sample.values == {"distance_m": 1.234, "rssi_dBm": -61, "battery_V": None}
    assert list(sample.values) == list(HC_SR04.fields["ultrasonic"])
    assert (sample.quality, sample.kind, sample.faults) == (Quality.GOOD, "", 0)
    assert 0 <= sample.age_ns < 10 * S
    assert link.closed == 1


@pytest.mark.parametrize(
    ("line", "distance_m", "quality"),
    [
        (b"2", 0.02, Quality.GOOD),
        (b"1.9", 0.019, Quality.UNCERTAIN),
        (b"400", 4.0, Quality.GOOD),
        (b"400.1", 4.001, Quality.UNCERTAIN),
        (b"0.00001", None, Quality.UNCERTAIN),
        (b"-1", None, Quality.UNCERTAIN),
        (b"no echo", None, Quality.UNCERTAIN),
    ],
)
def test_the_table_of_the_driver_holds(line: bytes, distance_m: float | None, quality: Quality) -> None:
    """Row by row: none, too near, too far, and good; never a zero."""
    (sample,) = some(ScriptedLink([line]), 1)
    assert (sample.values["distance_m"], sample.quality) == (distance_m, quality)


def test_distances_are_corrected_for_the_temperature() -> None:
    """Before they are judged: four metres by the fixed rule are 3.84 m at 0 °C, and 4.11 m at 40 °C."""
    (cold,) = some(ScriptedLink([b"400"]), 1, temperature_degC=0)
    (hot,) = some(ScriptedLink([b"400"]), 1, temperature_degC=40)
    assert cold.values["distance_m"] == pytest.approx(3.843, abs=0.001)
    assert hot.values["distance_m"] == pytest.approx(4.114, abs=0.001)
    assert (cold.quality, hot.quality) == (Quality.GOOD, Quality.UNCERTAIN)


def test_faults_travel_with_the_next_sample() -> None:
    """Three notifications that are no distances are counted with the good one after them, once."""
    got = some(ScriptedLink([b"a", b"1 2", b"\xff", b"50", b"60"]), 2)
    assert [(sample.values["distance_m"], sample.faults) for sample in got] == [(0.5, 3), (0.6, 0)]


def test_a_flood_is_bounded_and_what_did_not_fit_is_counted() -> None:
    """More notifications at once than are kept: the oldest give way, none is mixed with another, and the sum is right."""
    flood = [b"%d\r\n" % n for n in range(1, QUEUE + 101)]
    begun = [b"\n9", *[None] * 5]  # whose end is among what will not fit: 9101 is nowhere to be read
    got = some(ScriptedLink([*begun, *flood, None, b"7\n"]), QUEUE - 1, format="nordic-uart")
    assert got[0].faults == 100
    assert [sample.values["distance_m"] for sample in got] == [round(n / 100, 2) for n in range(102, QUEUE + 101)]


def test_another_peripheral_is_refused_by_name() -> None:
    """It says what was looked for and what is there, and the connection is closed."""
    link = ScriptedLink([b"50"], able={"0000ffe1-0000-1000-8000-00805f9b34fb": NOTIFIES, UART: frozenset({"write"})})
    with pytest.raises(DeviceError, match=r"door \(AA:BB:CC:DD:EE:01\) has no characteristic 6e400003-.*; it has ffe1 \(notify\)"):
        some(link, 1, format="nordic-uart")
    assert link.closed == 1


def test_a_lost_link_is_an_error() -> None:
    """What came before it is delivered."""
    link = ScriptedLink()
    link._steps = [b"50", link.lose]
    with reading(link) as samples:
        assert next(samples).values["distance_m"] == 0.5
        with pytest.raises(DeviceError, match=r"door .* disconnected"):
            next(samples)
    assert link.closed == 1


def ticking(clock: FakeClock, seconds: float) -> Callable[[], object]:
    return lambda: clock.sleep_until(clock.now_ns + round(seconds * S))


def test_silence_ends_a_connection() -> None:
    """It looks connected, and for five periods nothing has come: that is no connection."""
    clock = FakeClock()
    got, why = listened(ScriptedLink([b"50", ticking(clock, 9), b"51", None, ticking(clock, 10.1)]), clock, rate_hz=0.5)
    assert [sample.values["distance_m"] for sample in got] == [0.5, 0.51]
    assert why == "door (AA:BB) is connected, but silent: no notification for 10 s"


def test_notifications_that_cannot_be_read_end_a_connection_too() -> None:
    """With the newest of them, so that somebody can see which format it is."""
    clock = FakeClock()
    steps: list[Step] = [step for _ in range(40) for step in (b"\x01\x02\x03", None, ticking(clock, 0.1))]
    got, why = listened(ScriptedLink(steps), clock, format="u16-mm")
    assert got == []
    assert why.startswith("door (AA:BB) notifies, but for 3 s nothing that reads as u16-mm (the newest: 01 02 03)")
    steps = [step for _ in range(40) for step in (b"D:57cm", None, ticking(clock, 0.1))]
    _, why = listened(ScriptedLink(steps), clock, format="nordic-uart")
    assert 'nordic-uart (the newest: "D:57cm"): is the format right?' in why


def test_a_busy_worker_is_not_taken_for_silence() -> None:
    """Ten seconds go by before it asks for the next sample: what has come meanwhile is read first."""
    clock = FakeClock()

    async def listen() -> list[object]:
        link = ScriptedLink([b"50", *[None] * 9, b"51"])
        listener = Listener(options(ScriptedRadio()), Peripheral("AA:BB", "door", -61), link, clock)
        async with contextlib.aclosing(listener.samples()) as samples:
            first = await anext(samples)
            clock.now_ns += 10 * S
            return [sample.values["distance_m"] for sample in (first, await anext(samples))]

    assert asyncio.run(listen()) == [0.5, 0.51]


def test_the_age_is_counted_from_the_arrival() -> None:
    """A notification that waited while the driver was busy is older by that."""
    clock = FakeClock()
    got, _ = listened(ScriptedLink([b"50", ticking(clock, 0.5), b"60", ticking(clock, 0.25), None, None, ticking(clock, 4)]), clock)
    assert [sample.age_ns for sample in got] == [0.75 * S, 0.25 * S]


def test_the_battery_is_read_once_a_minute() -> None:
    """2B18 in 1/64 V; what cannot be read is a fault and a null."""
    clock = FakeClock()
    link = ScriptedLink()
    link.values[VOLTAGE] = (3 * 64 + 32).to_bytes(2, "little")
    fail = {VOLTAGE: DeviceError("gone")}

    def minute() -> None:
        clock.now_ns += round(BATTERY_s * S)
        link.values.update(fail)

    link._steps = [b"50", b"51", None, None, None, minute, b"52", None, None, None, b"53", None, None, ticking(clock, 4)]
    got, _ = listened(link, clock, battery="2B18")
    assert [sample.values["battery_V"] for sample in got] == [3.5, 3.5, 3.5, None]
    assert [sample.faults for sample in got] == [0, 0, 0, 1]
    assert link.reads == 2


def test_there_is_a_heartbeat_while_the_radio_looks() -> None:
    """Nones come as long as nothing is found."""
    found = ScriptedRadio(ScriptedLink([b"50"]))
    patience = asyncio.Event()

    async def find(device: str, timeout_s: float) -> Peripheral:
        await patience.wait()
        return found._peripheral

    found.find = find  # type: ignore[method-assign]
    with contextlib.closing(HC_SR04.read(options(found))) as samples:
        assert [next(samples) for _ in range(3)] == [None] * 3
        patience.set()
        assert next(sample for sample in samples if sample).values["distance_m"] == 0.5


def test_what_a_radio_cannot_do_passes_through() -> None:
    """Its sentence is for the operator as it is."""
    with pytest.raises(DeviceError, match=r"^door was not heard$"):
        next(HC_SR04.read(options(ScriptedRadio(trouble=DeviceError("door was not heard")))))


@pytest.mark.parametrize("serves_others", [True, False])
def test_a_reset_spares_an_adapter_that_serves_others(serves_others: bool) -> None:
    """Switching it off would cost them their links: it happens only where letting go of this one is not enough."""
    radio = ScriptedRadio()
    radio.serves_others = serves_others
    assert HC_SR04.reset
    list(HC_SR04.reset(options(radio)))
    assert radio.asked == ["let go door"] + ["power cycle"] * (not serves_others)


def test_without_bleak_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence, not as an ImportError."""
    for name in ("workers.buses.bluez", "workers.buses.bluetoothd"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("workers.buses.bluez", raising=False)
    monkeypatch.setitem(sys.modules, "bleak", None)
    with pytest.raises(DeviceError, match=r"pip install 'edgegw\[ble\]'"):
        next(HC_SR04.read(Options(device="door")))


def test_a_hundred_lives_leave_nothing_behind() -> None:
    """Each ends amid its samples: no task, no descriptor and no object more than after the first ten."""

    def live() -> None:
        link = ScriptedLink([b"50"] * 5)
        some(link, 3)
        assert link.closed == 1

    def held() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(gc.get_objects())

    for _ in range(10):
        live()
    fds, objects = held()
    for _ in range(100):
        live()
    fds_after, objects_after = held()
    assert fds_after == fds
    assert objects_after - objects < 100

"""What the driver makes of a peripheral, in health and in trouble: over bleak on a private BlueZ, and over the radio that replaces it.

Both run the same tests, so the one can stand in for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import workers.hcsr04
from edgegw.reading import Quality
from tests.services.base import until
from tests.workers.hcsr04_air import DEVICE, DRIVER, PATIENCE_s, World, distances, matches, persistent, reading, take, trouble, world
from workers.buses import bluez

LAYOUT = {"layout": "<4xH", "scale_m": 0.001}
# format → what else the options say → how finely it tells a distance, in m
FORMATS = [
    ("nordic-uart", {}, 0.001),
    ("nordic-uart", {"unit": "mm"}, 0.0001),
    ("hm10", {}, 0.001),
    ("text", {}, 0.001),
    ("u16-mm", {}, 0.001),
    ("u16-cm", {}, 0.01),
    ("f32-m", {}, 2e-6),  # samples are rounded to 1 µm
    ("obs8", {}, 0.01),
    ("sig-length", {}, 2e-6),
    ("custom", LAYOUT, 0.001),
]


@pytest.fixture(params=["bluez", "inside"])
def air(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a peripheral that is not there, or does not answer, less time than a real one needs."""
    monkeypatch.setattr(workers.hcsr04, "SCAN_s", 1.0)
    monkeypatch.setattr(bluez, "CONNECT_s", 2.0)


@pytest.mark.parametrize(("word", "more", "resolution_m"), FORMATS)
def test_what_is_read_is_what_was_measured(air: World, word: str, more: dict[str, object], resolution_m: float) -> None:
    """In every format: the distances are, in order and without a gap, those of the peripheral's own journal."""
    scale_m = {"mm": 0.001}.get(str(more.get("unit")), more.get("scale_m", 0.01))
    air.start(f"format={word}&layout={more.get('layout', '')}&scale_m={scale_m}&no_echo=0.2&noise_m=0.2&rate_hz=50")
    with reading(air.options(format=word, **more)) as samples:
        read_m = distances(take(samples, 30))
    assert matches(read_m, air.journal("measure"), resolution_m)
    assert None in read_m
    assert len(set(read_m)) > 5


@pytest.mark.parametrize("device", ["door", DEVICE, DEVICE.lower()])
def test_a_peripheral_is_found_by_name_and_address(air: World, device: str) -> None:
    """Of two that advertise, the one that was asked for is read; each sample tells how well it was heard."""
    air.start("address=AA:BB:CC:DD:EE:02&name=gate", "name=door")
    with reading(air.options(device=device)) as samples:
        taken = take(samples, 5)
    assert {sample.values["rssi_dBm"] for sample in taken} <= set(range(-69, -59))
    assert {event["device"] for event in air.journal("notify")} == {DEVICE}


def test_no_echo_is_null_and_uncertain(air: World) -> None:
    """Never zero, never the maximum, never good."""
    air.start("no_echo=1")
    with reading(air.options()) as samples:
        taken = take(samples, 5)
    assert distances(taken) == [None] * 5
    assert {sample.quality for sample in taken} == {Quality.UNCERTAIN}


def test_a_stuck_echo_line_ends(air: World) -> None:
    """A clone whose line stays high sees nothing for a while; that is no reason to give it up."""
    air.start("no_echo=0.1&stuck_s=0.2&rate_hz=50&seed=3")
    with reading(air.options()) as samples:
        read_m = distances(take(samples, 60))
    assert read_m.count(None) > 10
    assert read_m.count(None) < 60


def test_garbage_is_counted_and_passed_over(air: World) -> None:
    """What cannot be read is a fault of the next sample; what can be is read as ever."""
    air.start("garbage=0.3&rate_hz=50&seed=2")
    with reading(air.options()) as samples:
        taken = take(samples, 40)
    assert sum(sample.faults for sample in taken) > 3
    true_m = [event["distance_m"] for event in air.journal("measure")]
    right = [got for got in distances(taken) if got is not None and any(abs(got - true) < 0.001 for true in true_m)]
    assert len(right) > 30  # two random bytes are a distance, too


def test_lost_notifications_leave_the_others_right(air: World) -> None:
    """Half of them never arrive."""
    air.start("dropped=0.5&rate_hz=50&seed=2")
    with reading(air.options()) as samples:
        taken = take(samples, 20)
    true_m = [event["distance_m"] for event in air.journal("measure")]
    assert all(any(abs(got - true) < 0.001 for true in true_m) for got in distances(taken) if got is not None)
    assert len(air.journal("dropped")) > 3


@pytest.mark.parametrize(("fault", "says"), [("zombie", "silent"), ("drop", "disconnect")])
def test_a_dead_link_is_noticed_and_replaced(air: World, fault: str, says: str) -> None:
    """Whether BlueZ says so (a lost link) or not (a zombie), reading ends with an error that tells, and goes on when opened again."""
    air.start("")
    troubles: list[str] = []
    samples = persistent(air.options(), troubles)
    take(samples, 5)
    air.order(DEVICE, fault)
    until(lambda: next(samples) is None and len(troubles) == 1, PATIENCE_s, "the error")
    take(samples, 5)
    samples.close()
    assert says in troubles[0]
    assert DEVICE in troubles[0]
    assert len(air.journal("connect")) == 2


def test_a_link_that_is_lost_without_a_word_is_found_by_the_age_of_its_data(air: World) -> None:
    """The adapter tells of the loss late, much later than anybody wants to wait."""
    air.start("")
    with reading(air.options()) as samples:
        take(samples, 5)
        air.order(DEVICE, "drop", late_s=600)
        assert "silent" in trouble(samples)


def test_a_short_silence_is_borne(air: World) -> None:
    """A second without a notification, again and again, is no reason to connect again."""
    air.start("silence_every_s=1.5&silence_s=1&rate_hz=50")
    with reading(air.options()) as samples:
        take(samples, 60)
    assert len(air.journal("connect")) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [({"format": "f32-m"}, "nothing that reads as f32-m"), ({"characteristic": "FFE1"}, "has no characteristic ffe1")],
)
def test_another_peripheral_than_expected_is_an_error(air: World, given: dict[str, object], says: str) -> None:
    """One that writes otherwise, or lacks the characteristic: said in words that help to correct the options."""
    air.start("")
    with reading(air.options(**given)) as samples:
        assert says in trouble(samples)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", ["refused", "hangs", "lost"])
def test_a_connection_that_fails_is_an_error_and_the_next_one_works(air: World, fault: str) -> None:
    """Refused, never answered, or lost again while the services are looked up: the driver says so, and can be opened again."""
    air.start("")
    air.order(DEVICE, connect=fault)
    with reading(air.options()) as samples:
        assert DEVICE in trouble(samples)
    air.order(DEVICE, connect="works")
    with reading(air.options()) as samples:
        take(samples, 5)


def test_a_peripheral_may_be_forgotten_between_scan_and_connection(air: World) -> None:
    """BlueZ keeps nothing for ever of what it has heard; that is an error like any other, and passes."""
    air.start("forgotten=1")
    with reading(air.options()) as samples:
        assert DEVICE in trouble(samples)
    air.order(DEVICE, forgotten=False)
    with reading(air.options()) as samples:
        take(samples, 5)


@pytest.mark.usefixtures("hasty")
def test_a_peripheral_that_is_not_there_is_an_error(air: World) -> None:
    """It says who was looked for, and the scan is over then."""
    air.start("advertising=0&name=door")
    with reading(air.options(device="door")) as samples:
        assert "door" in trouble(samples)
    assert len(air.journal("scan")) == len(air.journal("scanned")) > 0
    assert air.journal("connect") == []


def test_an_adapter_that_is_off_is_an_error(air: World) -> None:
    """It says what to do, and reading works as soon as it is done."""
    air.start("powered=0")
    with reading(air.options()) as samples:
        assert "off" in trouble(samples)
    air.order(do="on")
    with reading(air.options()) as samples:
        take(samples, 5)


def test_a_busy_adapter_is_asked_again(air: World) -> None:
    """InProgress is no error: somebody else scans just now."""
    air.start("in_progress=2")
    with reading(air.options()) as samples:
        take(samples, 5)
    assert len(air.journal("busy")) == 2


@pytest.mark.usefixtures("hasty")
def test_a_reset_brings_back_what_the_kernel_held(air: World) -> None:
    """A peripheral that is not heard while the kernel holds an old link to it is heard again after `reset`: power off, power on."""
    air.start("stale=1")
    options = air.options()
    with reading(options) as samples:
        assert DEVICE in trouble(samples)
    assert DRIVER.reset is not None
    for _ in DRIVER.reset(options):
        pass
    assert [event["on"] for event in air.journal("power")] == [False, True]
    with reading(options) as samples:
        take(samples, 5)


def test_a_link_of_former_times_is_ended(air: World) -> None:
    """A peripheral that still looks connected, though nobody here is, does not advertise: the driver disconnects it first."""
    air.start("held=1")
    with reading(air.options()) as samples:
        take(samples, 5)
    assert air.journal("power") == []


def test_the_battery_is_read_beside_the_distance(air: World) -> None:
    """From its own characteristic, in 1/64 V."""
    air.start("battery_V=3.75")
    with reading(air.options(battery="2B18")) as samples:
        taken = take(samples, 5)
    assert {sample.values["battery_V"] for sample in taken} == {3.75}


def test_closing_disconnects(air: World) -> None:
    """Who stops reading leaves the peripheral to others."""
    air.start("")
    with reading(air.options()) as samples:
        take(samples, 2)
    until(lambda: air.journal("disconnect"), PATIENCE_s, "the link to be given back")

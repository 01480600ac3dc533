"""Meeting a TF-Luna on a real port: what it is asked, what it is told, and what is read of one that does not answer."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.buses import uart
from workers.tfluna import Options, read, reset
from workers.tfluna.frames import MM, Parser
from workers.virtual.bench import Bench
from workers.virtual.luna import Luna, Settings
from workers.virtual.tfluna import Behaviour

CHANGES = {0x02, 0x03, 0x05, 0x06, 0x07, 0x11, 0x35}
SAVE = 0x11
BENCH_hz = 250


@contextlib.contextmanager
def a_luna(hz: float = 100, link: Path | None = None, bench_hz: float = BENCH_hz, **behaviour: Any) -> Iterator[Luna]:
    """A device at work."""
    luna = Luna(link, Behaviour(seed=1, **behaviour), hz=hz)
    with Bench([luna], bench_hz):
        yield luna


def met(luna: Luna, count: int = 5, **options: Any) -> list[Sample]:
    """The first samples of an open driver. Raises what the driver raises."""
    with contextlib.closing(read(Options(port=luna.port.path, **options))) as samples:
        real = filter(None, samples)
        return [next(real) for _ in range(count)]


def distances(found: list[Sample]) -> list[object]:
    return [sample.values["distance_m"] for sample in found]


def test_by_default_nothing_is_changed() -> None:
    """The device is asked who it is and how it is set, and what it sends is read so: nothing else."""
    with a_luna() as luna:
        before = copy.copy(luna.settings)
        assert met(luna)[0].quality is Quality.GOOD
        assert luna.settings == before
        assert luna.obeyed[0] == 0x01
        assert CHANGES.isdisjoint(luna.obeyed)


def test_what_is_set_already_is_not_set_again() -> None:
    """A device that is as the options say is left alone, and its flash, too."""
    with a_luna(hz=62.5, format=6) as luna:
        met(luna, rate_hz=60, format="mm", low_power_hz=0, save=True)
        assert CHANGES.isdisjoint(luna.obeyed)


def test_no_frame_is_lost_by_asking() -> None:
    """From the first frame that the open port brings, each becomes a sample, replies among them or not, and no reply is a fault."""
    sent: list[bytes] = []
    with a_luna() as luna:
        luna.on_frame = sent.append
        got = met(luna, 50, rate_hz=50)
    assert CHANGES & set(luna.obeyed) == {0x03}
    assert distances(got) == [one.distance_m for one in Parser().feed(b"".join(sent))][:50]
    assert sum(sample.faults for sample in got) == 0


def test_what_could_have_been_a_reply_is_data_in_the_end() -> None:
    """A frame whose last byte is that with which replies begin is whole when no reply is waited for any more."""
    raw = bytes.fromhex("5959ED00E803C8085A")
    with contextlib.closing(Luna()) as luna, contextlib.closing(read(Options(port=luna.port.path))) as samples:
        next(samples)
        luna.port.write(raw * 3)
        assert distances([next(filter(None, samples)) for _ in range(3)]) == [2.37] * 3


@pytest.mark.parametrize(("asked", "made"), [(50, 50), (60, 62.5), (166.7, 500 / 3), (1, 1)])
def test_the_rate_is_set_where_it_differs(asked: float, made: float, caplog: pytest.LogCaptureFixture) -> None:
    """The device takes the nearest of 500/n; where that is another number, the log says so, and the rate in force is used."""
    with a_luna() as luna:
        met(luna, 1, rate_hz=asked)
        assert luna.settings.rate_hz == pytest.approx(made)
        assert luna.saved.rate_hz == 100
    told = f"the sensor at {luna.port.path} sends 62.5 frames a second: it has 500/n only, and no 60"
    assert caplog.messages == ([told] if asked == 60 else [])


def test_frames_are_dated_by_the_rate_in_force() -> None:
    """Without rate_hz, the rate that the device tells: three frames of one read at 250 Hz are 4 ms apart."""
    with a_luna(hz=BENCH_hz) as luna, contextlib.closing(read(Options(port=luna.port.path))) as samples:
        while not luna.behaviour.burst > 1:
            if next(samples) is not None:
                luna.behaviour = Behaviour(seed=1, burst=3)
        ages = [next(filter(None, samples)).age_ns for _ in range(12)]
    assert {4_000_000, 8_000_000} <= set(ages)


@pytest.mark.parametrize("options", [{"rate_hz": 50}, {"format": "mm"}, {"low_power_hz": 5}])
def test_a_refusal_is_an_error(options: dict[str, Any]) -> None:
    """A device that answers with what it had before is not read as if it had obeyed."""
    with a_luna(stubborn=True) as luna, pytest.raises(DeviceError, match=r"was told to set its .* to \d+, and stays at \d+"):
        met(luna, **options)


def test_a_refused_format_of_old_is_found_out() -> None:
    """Nor the other way round: cm was asked for, and mm stay."""
    with a_luna(format=6, stubborn=True) as luna, pytest.raises(DeviceError, match="output format to 1, and stays at 6"):
        met(luna, format="cm")


@pytest.mark.parametrize(("before", "asked", "digits"), [(1, "mm", 3), (6, "keep", 3), (6, "cm", 2), (1, "keep", 2)])
def test_distances_are_metres_in_either_format(before: int, asked: str, digits: int) -> None:
    """What the frames mean is known by a reply before the first of them is read; none is ten times too far or too near."""
    sent: list[bytes] = []
    with a_luna(format=before) as luna:
        luna.on_frame = sent.append
        got = met(luna, 40, format=asked)
        wanted = {1: "cm", 6: "mm"}[luna.settings.format]
    assert asked in ("keep", wanted)
    per_m = MM if digits == 3 else 100
    found = [one.distance_m for one in Parser(per_m=per_m).feed(b"".join(sent))]
    assert distances(got)[-1] in found
    every = [float(str(distance)) for distance in distances(got)]
    assert 0.2 < min(every) < max(every) < 6.1
    assert max(len(str(distance).partition(".")[2]) for distance in every) == digits
    assert max(every) - min(every) < 1  # over 40 frames the scene hardly moves


@pytest.mark.parametrize("other", [2, 7, 8, 9, 10])
def test_another_format_is_named_and_can_be_set(other: int) -> None:
    """Text, time stamps and what has no header are not read: the error says what to write, and that mends it."""
    with a_luna(format=other) as luna:
        with pytest.raises(DeviceError, match=f'sends its output format {other}, .*set format = "cm"'):
            met(luna)
        assert met(luna, format="cm")[-1].quality is Quality.GOOD


def test_firmware_that_does_not_tell_its_settings_is_told_them() -> None:
    """The first one answers changes but no questions: what is configured is set each time, and proved by the answer; the rest is left."""
    with a_luna(reads_back=False) as luna:
        assert met(luna)[0].quality is Quality.GOOD
        assert CHANGES.isdisjoint(luna.obeyed)
        met(luna, rate_hz=50, format="mm")
        assert (luna.settings.rate_hz, luna.settings.format) == (50, 6)


def test_a_rate_that_nobody_tells_is_measured() -> None:
    """Without an answer about it, frames are dated as delivered, 100 Hz, at first, and then by the rate at which they come."""
    with a_luna(hz=BENCH_hz, reads_back=False) as luna, contextlib.closing(read(Options(port=luna.port.path))) as samples:
        real = filter(None, samples)
        for _ in range(3 * BENCH_hz):
            next(real)
        luna.behaviour = Behaviour(seed=1, burst=10)
        ages = [next(real).age_ns for _ in range(40)]
    assert any(3_500_000 < age < 4_500_000 for age in ages)


def test_low_power_is_switched_on_and_off() -> None:
    """Ten frames a second in that mode, whatever the rate; 0 ends it."""
    with a_luna() as luna:
        got = met(luna, 20, low_power_hz=10)
        assert (luna.settings.low_power_hz, luna.settings.rate_hz) == (10, 100)
        assert len(got) == 20
        met(luna, low_power_hz=0)
        assert luna.settings.low_power_hz == 0


def test_a_rate_of_zero_is_told() -> None:
    """A device in trigger mode says nothing by itself; the error leads out of it."""
    with a_luna() as luna:
        luna.settings.rate_hz = 0
        with pytest.raises(DeviceError, match=r"only when it is triggered .*set rate_hz"):
            met(luna)
        met(luna, rate_hz=100)


@pytest.mark.parametrize("old_sums", [False, True])
def test_changes_are_saved_where_that_is_asked(old_sums: bool) -> None:
    """After a change, and only then, flash is written, which takes its time; the sums of the first manual are good enough."""
    with a_luna(old_sums=old_sums, saving_s=0.4) as luna:
        met(luna, rate_hz=50, format="mm", save=True)
        assert luna.saved == luna.settings == Settings(rate_hz=50, format=6)
        met(luna, rate_hz=50, format="mm", save=True)
    assert luna.obeyed.count(SAVE) == 1


def test_without_save_flash_is_left_alone() -> None:
    """What was set is gone with the power, and set again after."""
    with a_luna() as luna:
        met(luna, rate_hz=50)
    assert SAVE not in luna.obeyed
    assert luna.saved.rate_hz == 100


def test_replies_are_understood_on_a_bad_line() -> None:
    """One message in five is damaged, replies as well: what was asked for is set in the end, or the error says what was not."""
    done = 0
    for seed in range(10):
        with a_luna(bad_sum=0.05, lost=0.05, doubled=0.05, noise=0.1) as luna:
            luna._random.seed(seed)
            with contextlib.suppress(DeviceError):
                met(luna, rate_hz=50, format="mm")
                assert (luna.settings.rate_hz, luna.settings.format) == (50, 6)
                done += 1
    assert done >= 5


def test_replies_squeeze_through_a_full_line() -> None:
    """9600 baud at 100 Hz: the line is 94 % full of frames, some give way to the replies, and all is set as it should be."""
    with a_luna(baud=9600) as luna:
        got = met(luna, 30, baud=9600, format="mm")
        assert (luna.settings.format, luna.dropped > 0) == (6, True)
    assert {sample.quality for sample in got} == {Quality.GOOD}


def test_a_line_too_slow_for_its_rate_carries_what_it_can() -> None:
    """9600 baud carry 106 frames a second; of 250 more than half fall on the floor, none in pieces."""
    with a_luna(hz=250, baud=9600) as luna:
        got = met(luna, 100, baud=9600)
    assert luna.dropped > luna.sent > 50
    assert sum(sample.faults for sample in got) == 0


@pytest.mark.parametrize("baud", [921600, 9600])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_device_at_another_speed_is_found(baud: int, deaf: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Where bytes come and none makes sense, the other speeds are tried; the device is read at its own, and the log says so."""
    with a_luna(baud=baud, deaf=deaf) as luna:
        assert met(luna)[0].quality is Quality.GOOD
        assert luna.settings.baud == baud
    assert caplog.messages == [f"the sensor at {luna.port.path} speaks at {baud} baud, not at 115200, and is read so"]


def test_an_adapter_need_not_have_every_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses the fast ones is searched at the others."""
    real = uart.set_speed

    def picky(port: Any, name: str, baud: int) -> None:
        if baud > 230400:
            raise DeviceError(f"{name} cannot be set to {baud} baud")
        real(port, name, baud)

    monkeypatch.setattr(uart, "set_speed", picky)
    with a_luna(baud=57600) as luna:
        met(luna)
        assert luna.port.baud == 57600


def test_a_device_at_another_speed_is_changed_where_that_is_asked() -> None:
    """It goes on at the configured speed, proved by an answer there, and for good with save."""
    with a_luna(baud=921600) as luna:
        met(luna, set_baud=True, save=True)
        assert (luna.settings.baud, luna.saved.baud, luna.port.baud) == (115200,) * 3


def test_a_speed_that_is_refused_is_told() -> None:
    """The error names the speed to write into the configuration instead."""
    with a_luna(baud=230400, stubborn=True) as luna, pytest.raises(DeviceError, match="does not change to 115200: set baud = 230400"):
        met(luna, set_baud=True)


def test_a_silent_device_at_another_speed_is_found() -> None:
    """With its output switched off it sends nothing, but answers."""
    with a_luna(baud=460800) as luna, contextlib.closing(read(Options(port=luna.port.path))) as samples:
        luna.settings.output = False
        for _ in samples:
            if luna.obeyed:
                break
        assert luna.port.baud == 460800


def test_a_device_that_is_switched_on_late_is_met_then() -> None:
    """The port is there, the power comes after: what is configured is set then, and nothing is said of wires."""
    luna = Luna(behaviour=Behaviour(seed=1))
    with contextlib.closing(read(Options(port=luna.port.path, rate_hz=50))) as samples:
        assert [next(samples) for _ in range(4)] == [None] * 4
        with Bench([luna], BENCH_hz):
            next(filter(None, samples))
            assert luna.settings.rate_hz == 50


def test_a_device_without_a_wire_to_its_rx_is_read() -> None:
    """Many people connect TX only: all its frames come and nothing is complained of; those that came while it was asked are dated back."""
    sent: list[bytes] = []
    with a_luna(deaf=True) as luna:
        luna.on_frame = sent.append
        got = met(luna, 300, rate_hz=100)
    assert distances(got) == [one.distance_m for one in Parser().feed(b"".join(sent))][:300]
    assert luna.obeyed == []
    assert got[0].age_ns > got[10].age_ns > 0
    assert got[0].age_ns > 250_000_000  # it was asked three times


def test_a_rate_that_cannot_be_set_is_told() -> None:
    """Frames come at another rate than the configured one, and nobody answers: the error asks for the wire, with both numbers."""
    with (
        a_luna(deaf=True) as luna,
        pytest.raises(DeviceError, match=r"frames come from /dev/pts/\d+ at [\d.]+ Hz, not at 20 Hz: is the sensor's RX wired"),
    ):
        met(luna, 10_000, rate_hz=20)


def test_a_unit_that_cannot_be_proved_is_told() -> None:
    """Centimetres and millimetres look alike: without an answer, mm is refused."""
    with a_luna(deaf=True, format=6) as luna, pytest.raises(DeviceError, match="nothing says that it sends mm: is its RX wired"):
        met(luna, format="mm")


def test_pulling_the_plug_ends_every_question() -> None:
    """At whatever moment of the meeting the cable goes, the port is said to be unplugged, in the very next turn."""
    for moment in range(8):
        with a_luna() as luna, contextlib.closing(read(Options(port=luna.port.path, rate_hz=50, format="mm"))) as samples:
            for _ in range(moment + 1):
                next(samples)
            luna.port.unplug()
            with pytest.raises(DeviceError, match="was unplugged"):
                for _ in range(100):
                    next(samples)


def test_a_device_is_met_again_under_another_number(tmp_path: Path) -> None:
    """Behind the name that stays it comes back with its saved settings, and is set again; meanwhile the port is absent."""
    with a_luna(link=tmp_path / "usb-TFLuna") as luna:
        met(luna, rate_hz=50)
        before = os.readlink(luna.port.path)
        luna.port.unplug()
        luna.settings = copy.copy(luna.saved)
        taken = os.openpty()  # takes the number that has become free
        luna.port.plug()
        assert os.readlink(luna.port.path) != before
        met(luna, rate_hz=50)
        assert luna.settings.rate_hz == 50
        for fd in taken:
            os.close(fd)


def test_a_device_that_hangs_is_healed_by_its_reset() -> None:
    """It stops sending: bad samples without values, then an error; after the reset, frames come again."""
    with a_luna(hang_after_s=0.5) as luna:
        options = Options(port=luna.port.path, rate_hz=100)
        with pytest.raises(DeviceError, match=r"no frame from .* for 2 s, though the sensor answered before"):
            met(luna, 10_000, rate_hz=100)
        assert set(reset(options)) <= {None}
        luna.behaviour = Behaviour(seed=1)
        assert met(luna)[0].quality is Quality.GOOD


@pytest.mark.parametrize("old_sums", [False, True])
def test_a_reset_brings_back_what_was_saved(old_sums: bool) -> None:
    """Unsaved settings are lost, the output is on, and the speed is the saved one; then the driver reads on."""
    with a_luna(old_sums=old_sums) as luna:
        luna.settings = Settings(rate_hz=10, format=2, baud=115200 if old_sums else 230400, output=False)
        list(reset(Options(port=luna.port.path, baud=115200)))
        assert luna.settings == Settings(rate_hz=100)
        met(luna)


def test_a_reset_switches_a_saved_silence_off() -> None:
    """A device whose flash says that its output is off is not taken for one that fails to see: it sends nothing, and then after a reset."""
    with a_luna() as luna:
        luna.saved.output = luna.settings.output = False
        options = Options(port=luna.port.path, rate_hz=100)
        with contextlib.closing(read(options)) as samples, pytest.raises(DeviceError, match="though the sensor answered before"):
            for sample in samples:
                assert sample is None
        list(reset(options))
        assert luna.settings.output


def test_a_reset_without_an_answer_is_an_error() -> None:
    """Frames come, but the device hears nothing: the reset is not said to have been one."""
    with a_luna(deaf=True) as luna, pytest.raises(DeviceError, match="could not be reset: it does not answer: is its RX wired"):
        list(reset(Options(port=luna.port.path)))


@pytest.mark.parametrize("behaviour", [{"deaf": True}, {"baud": 9600}, {"saving_s": 0.8}])
def test_meeting_never_holds_up_the_heartbeat(behaviour: dict[str, Any]) -> None:
    """Whatever the device does or does not, the driver yields twice a second and more."""
    began_ns, beats = SystemClock.monotonic_ns(), 0
    with a_luna(**behaviour) as luna:
        options = Options(port=luna.port.path, rate_hz=50 if "saving_s" in behaviour else None, save=True)
        with contextlib.closing(read(options)) as samples:
            while next(samples) is None:
                beats += 1
    assert beats > 2 * (SystemClock.monotonic_ns() - began_ns) / NS_PER_S

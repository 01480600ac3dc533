"""`edgegw try`: options as they are typed, the measured rate, and the line that shows it while samples scroll by."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Generator, Sequence
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta

from edgegw import driver
from edgegw.cli import trial
from edgegw.cli.footer import ERASE, Footer
from edgegw.cli.spelling import option
from edgegw.cli.trial import Tally
from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Driver, DriverError
from edgegw.errors import DeviceError, Exit
from edgegw.reading import Quality, Sample
from tests.screen import Screen
from tests.services.base import until
from tests.typed import command, edgegw
from workers.mpu6050.decode import NOTHING


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One option of each sort that drivers have."""

    bus: int | str = 1
    address: Annotated[int, Meta(ge=0x68, le=0x69)] = 0x68
    rate_hz: Annotated[float, Meta(ge=1, le=250)] = 100.0
    port: Annotated[str, Meta(min_length=1)] = "x"
    range_g: Literal[2, 4] = 2
    mode: Literal["burst", "fifo"] = "burst"
    bandwidth_hz: Literal[5, 10] | None = None
    self_test: bool = False
    roi: tuple[int, ...] = ()
    temperature_degC: float | None = None


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("bus", "1", 1),
        ("bus", "/dev/i2c-1", "/dev/i2c-1"),
        ("bus", "virtual?noise=0.1", "virtual?noise=0.1"),
        ("address", "0x68", 0x68),
        ("address", "105", 105),
        ("rate_hz", "1e2", 100.0),
        ("rate_hz", "100", 100),
        ("port", "0x68", "0x68"),
        ("port", "123", "123"),
        ("port", "a=b", "a=b"),
        ("range_g", "4", 4),
        ("mode", "fifo", "fifo"),
        ("bandwidth_hz", "10", 10),
        ("self_test", "true", True),
        ("roi", "[1, 2]", [1, 2]),
        ("temperature_degC", "-4.5", -4.5),
        ("nix", "0x68", "0x68"),
    ],
)
def test_text_becomes_what_the_option_is(key: str, text: str, value: object) -> None:
    """As in a configuration, but without quotes: hexadecimal for numbers, digits for names, lists in brackets."""
    found = option(Options, key, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("rate_hz", "fast", "rate_hz: expected a number, got 'fast'"),
        ("rate_hz", "", "rate_hz: expected a number, got ''"),
        ("rate_hz", "nan", "rate_hz: expected a finite number"),
        ("rate_hz", "251", "rate_hz: 251 is out of range (allowed is 1 to 250)"),
        ("address", "0x6g", "address: expected a whole number, got '0x6g'"),
        ("address", "0x70", "address: 112 is out of range (allowed is 104 to 105)"),
        ("address", "104.5", "address: expected a whole number, got a number with a fraction"),
        ("port", "", "port: the text must not be empty"),
        ("mode", "fiffo", 'mode: expected one of "burst", "fifo" (did you mean "fifo"?)'),
        ("self_test", "yes", "self_test: expected true or false, got 'yes'"),
    ],
)
def test_what_cannot_be_is_told_in_plain_words(key: str, text: str, said: str) -> None:
    """The option, what it wants, and what it got; no type of Python's."""
    with pytest.raises(DriverError) as caught:
        option(Options, key, text)
    assert str(caught.value) == said


@given(st.sampled_from(Options.__struct_fields__), st.text())
@example("rate_hz", "1\nport = 2")
@example("roi", "{a = 1}")
@example("address", "9" * 400)
def test_any_text_is_a_value_or_a_sentence(key: str, text: str) -> None:
    """Nothing that can be typed raises anything else, and a sentence is one line."""
    try:
        msgspec.convert({key: option(Options, key, text)}, Options, strict=False)
    except DriverError as error:
        assert str(error).startswith(f"{key}: ")
        assert "\n" not in str(error)


def came(tally: Tally, at_s: Sequence[float], age_s: float = 0, faults: int = 0, quality: Quality = Quality.GOOD) -> Tally:
    """Samples that arrived at those times."""
    for at in at_s:
        tally.add(Sample({}, quality, age_ns=round(age_s * NS_PER_S), faults=faults), round(at * NS_PER_S))
    return tally


def test_rate_counts_gaps() -> None:
    """Eleven samples in one second are 10 Hz, and the time before the first counts for nothing."""
    assert str(came(Tally(), [50 + n / 10 for n in range(11)])) == "11 samples in 1.0 s: 10.0 Hz; 11 good"


def test_samples_that_come_in_bursts_keep_their_rate() -> None:
    """Two that arrive together, dated 0.1 s apart, are 10 Hz, not infinitely many."""
    tally = came(Tally(), [5.0], age_s=0.1)
    assert str(came(tally, [5.0])) == "2 samples in 0.1 s: 10.0 Hz; 2 good"


def test_qualities_and_faults_are_counted() -> None:
    """Those that there were, each with its number."""
    tally = came(came(Tally(), [1], faults=2), [2, 3], quality=Quality.BAD)
    assert str(tally) == "3 samples in 2.0 s: 1.0 Hz; 1 good, 2 bad; 2 faults on the wire"


def test_few_samples_have_no_rate() -> None:
    """One sample has no gap; none is said to be none."""
    assert str(came(Tally(), [1])) == "1 sample in 0.0 s; 1 good"
    assert str(Tally()).startswith("0 samples")


def test_the_newest_rate_is_that_of_the_last_second() -> None:
    """A sensor that slows down is shown slow, and one that stops is shown at 0, once a second."""
    tally = Tally()
    assert tally.lately(0) == "waiting for the first sample"
    came(tally, [n / 100 for n in range(101)])
    assert tally.lately(NS_PER_S).startswith("100.0 Hz")
    came(tally, [1.5])
    assert tally.lately(round(1.6 * NS_PER_S)).startswith("100.0 Hz")
    came(tally, [2.0])
    assert tally.lately(2 * NS_PER_S).startswith("2.0 Hz")
    assert tally.lately(3 * NS_PER_S).startswith("0.0 Hz")


class Both(io.StringIO):
    """A terminal that both streams go to."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What stands on it: what is before an ERASE on its line is gone."""
        return [line.rpartition(ERASE)[2] for line in self.getvalue().split("\n")]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Both:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    return Both()


def test_footer_stays_under_what_scrolls(screen: Both) -> None:
    """It makes way for each line, comes back under it, is never wider than the screen, and leaves its last word."""
    footer = Footer(screen, under=screen)
    for number in range(3):
        footer.above(f"sample {number}\n")
        footer.show("100.0 Hz, 3 good, and more than fits")
    assert screen.lines() == ["sample 0", "sample 1", "sample 2", "100.0 Hz, 3 good, a"]
    footer.close("the end\n")
    assert screen.lines()[3:] == ["the end", ""]


def test_footer_does_not_repeat_itself(screen: Both) -> None:
    """A line that stands there already is not written again, so a terminal has little to do at 1000 Hz."""
    footer = Footer(screen, under=io.StringIO())
    for _ in range(1000):
        footer.above("sample\n")
        footer.show("100.0 Hz, 3 good, and more than fits")
    assert len(screen.getvalue()) < 100


def test_no_footer_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stderr is no terminal, only the last word is written."""
    monkeypatch.setenv("TERM", "xterm")
    out, err = io.StringIO(), io.StringIO()
    footer = Footer(err, under=out)
    footer.show("100.0 Hz")
    footer.above("sample\n")
    footer.close("the end\n")
    assert (out.getvalue(), err.getvalue()) == ("sample\n", "the end\n")


def test_rate_is_shown_while_it_runs() -> None:
    """On a terminal the rate appears under the samples long before the end; Ctrl-C ends with the summary, exit 0."""
    with Screen() as screen, screen.runs(*command("try", "tfluna", "port=virtual"), stdout=screen.terminal) as process:
        until(lambda: b" Hz, " in screen.seen(), 60, "a rate on the screen")
        process.send_signal(signal.SIGINT)
        until(lambda: b" samples in " in screen.seen(), 60, "the summary")
        assert process.wait(30) == 0
        assert b"distance_m=" in screen.seen()


def test_summary_counts_what_the_line_did() -> None:
    """Faults of a noisy line are counted and shown, in the samples and at the end."""
    done = edgegw("try", "tfluna", "port=virtual?bad_sum=0.2", "-n", "60")
    assert done.returncode == Exit.DONE
    assert "faults=" in done.stdout
    assert "on the wire" in done.stderr


def test_json_tells_age_and_faults() -> None:
    """Each object has kind, quality, age in ns, faults and values."""
    done = edgegw("try", "tfluna", "port=virtual", "-n", "2", "--json")
    sample = json.loads(done.stdout.splitlines()[0])
    assert set(sample) == {"kind", "quality", "age_ns", "faults", "values"}
    assert sample["age_ns"] >= 0


def test_json_also_of_a_sample_without_values_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A driver may give any mapping, and a moment instead of an age: what the MPU6050 says where the FIFO ran over is told, too."""
    bad = Sample(NOTHING, Quality.BAD, at_ns=SystemClock.monotonic_ns() - NS_PER_S)
    found = Driver("x", Options, {"imu": {}}, lambda _: (each for each in [bad]))
    monkeypatch.setattr(driver, "find", lambda _: found)
    trial.run("x", [], trial.Wish(json=True, count=1, seconds=None))
    told = json.loads(capsys.readouterr().out)
    assert told["values"] == dict(NOTHING)
    assert NS_PER_S <= told["age_ns"] < 60 * NS_PER_S


def test_a_device_that_fails_still_has_its_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What came before is summed up, then the error goes on; without a sample there is the error only."""

    def unplugged(count: int) -> Driver:
        def read(_: object) -> Generator[Sample | None, None, None]:
            yield from [Sample({"distance_m": 1.5}, age_ns=7_400_000)] * count
            raise OSError("it was unplugged")

        return Driver("x", Options, {"lidar": {"distance_m": float}}, read)

    for count, said in ((2, "2 samples in "), (0, "")):
        monkeypatch.setattr(driver, "find", lambda _, count=count: unplugged(count))
        with pytest.raises(DeviceError, match="it was unplugged"):
            trial.run("x", [], trial.Wish(json=False, count=None, seconds=None))
        out, err = capsys.readouterr()
        assert out == "distance_m=1.5  [good, 7.4 ms ago]\n" * count
        assert err.startswith(said)
        assert bool(err) == bool(count)


def test_wrong_option_is_one_sentence() -> None:
    """As it is typed: exit 78, nothing on stdout."""
    done = edgegw("try", "tfluna", "port=virtual", "rate_hz=fast")
    assert (done.returncode, done.stdout, done.stderr) == (Exit.CONFIG, "", "edgegw: rate_hz: expected a number, got 'fast'\n")

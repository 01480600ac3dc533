"""The virtual TF-Luna's other half: it obeys the bytes of the datasheet, on a port that real pyserial opens at a speed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import serial

from tests.services.base import until
from workers.tfluna.frames import Parser
from workers.virtual.luna import Luna, Settings
from workers.virtual.tfluna import Behaviour, behaviour_of

PATIENCE_s = 30
TICK_s = 0.01
DONE = "5A05110070"


@contextlib.contextmanager
def opened(baud: int = 115200, hz: float = 100, **behaviour: Any) -> Iterator[tuple[Luna, serial.Serial]]:
    """A device that sends no frames by itself, and its port as a program has it."""
    with contextlib.closing(Luna(behaviour=Behaviour(seed=1, **behaviour), hz=hz)) as luna:
        luna.settings.output = False
        with serial.Serial(luna.port.path, baud, timeout=0, exclusive=True) as port:
            yield luna, port


def told(luna: Luna, port: serial.Serial, raw: str, ticks: int = 1, at_s: float = 0.0) -> str:
    """What it answers within so many ticks."""
    port.write(bytes.fromhex(raw))
    for tick in range(ticks):
        luna.tick(at_s + tick * TICK_s)
    return read(luna, port).hex().upper()


def read(luna: Luna, port: serial.Serial) -> bytes:
    """All that has been sent; the kernel takes a moment to hand it over."""
    got = b""

    def complete() -> bool:
        nonlocal got
        got += port.read(4096)
        return len(got) == luna.port.arrived_bytes

    until(complete, PATIENCE_s, "all bytes to arrive")
    luna.port.arrived_bytes = 0
    return got


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("5A04015F", "5A07010800036D"),
        ("5A040260", "5A05020061"),
        ("5A06030A006D", "5A06030A006D"),
        ("5A0603FA005D", "5A0603FA005D"),
        ("5A06033C009F", "5A06033E00A1"),  # 60 Hz becomes 62.5
        ("5A0603E80349", "5A0603FA005D"),  # and 1000 becomes 250
        ("5A0505066A", "5A0505066A"),
        ("5A05050369", "5A05050165"),  # a format that it does not have
        ("5A05070167", "5A05070167"),
        ("5A06350A009F", "5A06350A009F"),
        ("5A063514 00A9", "5A06350A009F"),  # ten is the most
        ("5A053F03A1", "5A06036400C7"),
        ("5A053F06A4", "5A080600C201002B"),
        ("5A04015E", "5A07010800036D"),  # it does not check the sums of what it is told
        ("5A04775F", ""),
        ("0102035959", ""),
    ],
)
def test_a_request_is_answered_as_in_the_datasheet(request_: str, reply: str) -> None:
    """Byte for byte; what it does not know it passes over, and hears the next one all the same."""
    with opened() as (luna, port):
        assert told(luna, port, request_)[: len(reply) or None] == reply  # behind it there may be a frame
        luna.tick(0.2)
        luna.settings.output = False
        read(luna, port)
        assert told(luna, port, "5A04015F", at_s=1) == "5A07010800036D"


def test_settings_are_volatile_until_they_are_saved() -> None:
    """A reset brings back what was saved: the change before it, not the one after."""
    with opened() as (luna, port):
        told(luna, port, "5A06030A006D")
        assert told(luna, port, "5A04116F", ticks=40, at_s=1) == DONE
        told(luna, port, "5A0505066A", at_s=2)
        assert (luna.settings.rate_hz, luna.settings.format) == (10, 6)
        told(luna, port, "5A040260", at_s=3)
        assert luna.settings == Settings(rate_hz=10, output=False)


def test_saving_takes_its_time() -> None:
    """Nothing is heard or said for 0.3 s; then comes the answer."""
    with opened() as (luna, port):
        assert told(luna, port, "5A04116F", ticks=29) == ""
        assert told(luna, port, "", ticks=3, at_s=0.29) == DONE


def test_the_sums_of_the_first_manual() -> None:
    """One too low, in the answers that tell a status."""
    with opened(old_sums=True) as (luna, port):
        assert told(luna, port, "5A04116F", ticks=40) == "5A0511006F"
        assert told(luna, port, "5A04015F", at_s=1) == "5A07010800036D"


def test_a_command_may_come_in_pieces() -> None:
    """And with another one right behind it."""
    with opened() as (luna, port):
        assert told(luna, port, "5A") == ""
        assert told(luna, port, "0401", at_s=0.1) == ""
        assert told(luna, port, "5F5A053F03A1", at_s=0.2) == "5A07010800036D" + "5A06036400C7"


def test_another_speed_makes_garbage_both_ways() -> None:
    """Bytes arrive, none of them a frame, and nothing is obeyed; at its own speed all is well again."""
    with opened(9600) as (luna, port):
        luna.settings.output = True
        port.write(bytes.fromhex("5A05070066"))
        for tick in range(100):
            luna.tick(tick * TICK_s)
        got = read(luna, port)
        assert (len(got), Parser().feed(got), luna.damaged, luna.obeyed) == (900, [], 100, [])
        port.baudrate = 115200
        for tick in range(100, 200):
            luna.tick(tick * TICK_s)
        assert len(Parser().feed(read(luna, port))) == 100


@pytest.mark.parametrize(("rate", "frames"), [("5A06030A006D", 10), ("5A06033200 95", 50), ("5A0603FA005D", 250), ("5A060300 0063", 0)])
def test_frames_come_at_the_rate_that_was_set(rate: str, frames: int) -> None:
    """Whatever the beat of the bench; 0 is none at all."""
    with opened() as (luna, port):
        told(luna, port, rate)
        luna.settings.output = True
        for tick in range(1, 101):
            luna.tick(tick * TICK_s)
        assert len(read(luna, port)) // 9 == pytest.approx(frames, abs=1)


@pytest.mark.parametrize(
    ("form", "length", "head"),
    [(1, 9, "5959"), (2, 6, ""), (6, 9, "5959"), (7, 11, "5959"), (8, 12, "5A0C00"), (9, 8, ""), (10, 13, "5A0D00")],
)
def test_every_format_has_its_layout(form: int, length: int, head: str) -> None:
    """Length, head and sum; text is metres with two decimals."""
    with opened(format=form) as (luna, port):
        luna.settings.output = True
        luna.tick(0)
        got = read(luna, port)
        assert (len(got), got.startswith(bytes.fromhex(head))) == (length, True)
        assert form in (2, 9) or sum(got[:-1]) % 256 == got[-1]
        assert form != 2 or (0.2 < float(got) < 6.1 and got.endswith(b"\r\n"))


def test_it_hangs_once_until_it_is_reset() -> None:
    """For trying what a gateway does about it: no frames, but it answers; a reset and "output on" mend it for as long again."""
    with opened(hang_after_s=1) as (luna, port):
        luna.settings.output = True
        for tick in range(200):
            luna.tick(tick * TICK_s)
        assert len(read(luna, port)) == 900
        told(luna, port, "5A040260", at_s=2)
        assert luna.settings.output
        told(luna, port, "", ticks=30, at_s=2.11)
        assert luna.settings.output


def test_it_may_be_silent_out_of_range() -> None:
    """Of a scene that comes and goes, only what is near is sent."""
    with opened(silent_beyond_cm=300) as (luna, port):
        luna.settings.output = True
        for tick in range(1000):
            luna.tick(tick / 10)
        found = Parser().feed(read(luna, port))
    assert 100 < len(found) < 900
    assert max(frame.distance_m for frame in found) <= 3.0


def test_the_wire_to_its_rx_may_be_missing() -> None:
    """Then it hears nothing."""
    with opened(deaf=behaviour_of({"deaf": "1"}).deaf) as (luna, port):
        assert told(luna, port, "5A04015F", ticks=5) == ""

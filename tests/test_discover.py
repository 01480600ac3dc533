"""`edgegw discover`: buses that answer, fail, hang or lie, what a person sees of it, and sections that can be pasted."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgegw.cli import discover, sections
from edgegw.driver import Found
from edgegw.errors import DeviceError, Exit
from tests.screen import Screen
from tests.services.base import until
from tests.typed import ESCAPE, command, edgegw, environment

NO_BUS = "unix:path=/nowhere"  # this machine's own Bluetooth is not asked
PORT = Found("serial", "/dev/serial/by-id/usb-0", "CP2102", "/dev/ttyUSB0", "tfluna", {"port": "/dev/serial/by-id/usb-0"})
OTHER_PORT = Found("serial", "/dev/serial/by-id/usb-1", "CP2102", "/dev/ttyUSB1", "tfluna", {"port": "/dev/serial/by-id/usb-1"})
HEADER = Found("serial", "/dev/serial0", "UART of the board", options={"port": "/dev/serial0"})
CHIP = Found("i2c", "bus 1, address 0x68", "MPU6050", "WHO_AM_I 0x68", "mpu6050", {"bus": 1, "address": 0x68})
BAROMETER = Found("i2c", "bus 1, address 0x76", "BME280")
HOSTILE = 'x"\n[sinks.rabbitmq]\nurl = "amqp://evil"\x1b[31m\x7f\u202e🐍\\'
DOOR = Found("ble", "AA:BB:CC:DD:EE:01", HOSTILE, "-60 dBm", "hcsr04", {"device": HOSTILE, "format": "hm10"})
EVERYTHING = [PORT, OTHER_PORT, HEADER, CHIP, BAROMETER, DOOR]


def finder(name: str, *found: Found, error: Exception | None = None, hangs: threading.Event | None = None) -> Any:
    """A module of workers/finding."""

    def find(_seconds: float) -> Iterator[Found]:
        yield from found
        if hangs:
            hangs.wait(60)
        if error:
            raise error

    return SimpleNamespace(__name__=f"workers.finding.{name}", TITLE=name.title(), CHECK="is it plugged in?", find=find)


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *modules: Any, **how: bool) -> tuple[str, str]:
    """stdout and stderr of the command."""
    monkeypatch.setattr(discover, "finders", lambda: list(modules))
    discover.run(1, **{"as_json": False, "as_toml": False, **how})
    return capsys.readouterr()


def test_trouble_with_one_stops_no_other() -> None:
    """A bus without permission, one with a bug and one that fails half-way each have their sentence; what was found stays."""
    refused = finder("serial", error=PermissionError(13, "Permission denied"))
    buggy = finder("i2c", error=ZeroDivisionError("oh"))
    half = finder("ble", DOOR, error=DeviceError("Bluetooth is switched off"))
    answers = discover.ask([refused, buggy, half, finder("camera", PORT)], 1)
    assert [len(answer.found) for answer in answers] == [0, 0, 1, 1]
    assert "Permission denied" in answers[0].trouble
    assert "bug" in answers[1].trouble
    assert answers[2].trouble == "Bluetooth is switched off"
    assert answers[3].trouble == ""


def test_a_bus_that_hangs_is_left_behind() -> None:
    """What it found before is kept, and the others do not wait for it longer than they are patient."""
    hangs = threading.Event()
    stuck, well = discover.ask([finder("i2c", CHIP, hangs=hangs), finder("serial", PORT)], 2, patience_s=0.2)
    hangs.set()
    assert (stuck.found, stuck.trouble) == ([CHIP], "no answer within 2 s")
    assert (well.found, well.trouble) == ([PORT], "")


def test_buses_are_asked_at_once() -> None:
    """Each of three waits for the other two: one after the other, none would ever answer."""
    meeting = threading.Barrier(3, timeout=60)

    def meets(name: str) -> Any:
        return SimpleNamespace(__name__=name, TITLE=name, CHECK="", find=lambda _: iter([PORT] if meeting.wait() >= 0 else []))

    assert [len(answer.found) for answer in discover.ask([meets("a"), meets("b"), meets("c")], 60)] == [1, 1, 1]


def test_every_finder_is_known() -> None:
    """All four buses are asked, in the order in which they are shown, and each can say what it is and what to check."""
    modules = discover.finders()
    assert [module.__name__ for module in modules] == [f"workers.finding.{name}" for name in ("serial", "i2c", "ble", "camera")]
    assert all(module.TITLE and module.CHECK for module in modules)


def test_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for each bus that has something; what to check where nothing was found; why where it could not be asked."""
    trouble = finder("ble", error=DeviceError("Bluetooth is switched off"))
    out, _ = shown(monkeypatch, capsys, finder("serial", PORT), finder("i2c"), trouble)
    assert "/dev/serial/by-id/usb-0" in out
    assert [word in out for word in ("WHERE", "WHAT", "DETAIL", "DRIVER", "tfluna")] == [True] * 5
    assert "nothing found; is it plugged in?" in out
    assert "  Bluetooth is switched off" in out
    assert out.count("WHERE") == 1


def test_a_name_is_never_broken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal too narrow for the table still shows each lasting name in one piece, to be copied; all else is there, too."""
    name = f"/dev/serial/by-id/usb-{'Silicon_Labs_CP2102_' * 8}0001-if00-port0"
    wide = Found("serial", name, "CP2102", "/dev/ttyUSB0", "tfluna", {"port": name})
    out, _ = shown(monkeypatch, capsys, finder("serial", wide, PORT))
    assert f"  {name}\n" in out
    assert [word in out for word in ("CP2102, /dev/ttyUSB0, driver tfluna", PORT.where)] == [True] * 2


def test_names_from_the_air_are_harmless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A peripheral's name can neither colour the terminal nor begin a line, and its brackets are no markup."""
    loud = Found("ble", "AA:BB:CC:DD:EE:02", "[red]Lamp[/red]")
    out, _ = shown(monkeypatch, capsys, finder("ble", DOOR, loud))
    assert ESCAPE not in out
    assert "\u202e" not in out
    assert "[red]Lamp[/red]" in out
    assert not any(line.lstrip().startswith("url") for line in out.splitlines())


def test_json_is_a_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """stdout is one JSON list with all of it; what was wrong goes to stderr."""
    out, err = shown(monkeypatch, capsys, finder("serial", *EVERYTHING), finder("ble", error=DeviceError("off")), as_json=True)
    assert [each["where"] for each in json.loads(out)] == [each.where for each in EVERYTHING]
    assert err == "Ble: off\n"


def test_sections_say_what_was_found() -> None:
    """Parsed, they are the sensors whose driver is known, with all their options, under names that are unique."""
    sensors = tomllib.loads(sections.of(EVERYTHING))["sensors"]
    assert list(sensors) == ["tfluna", "tfluna-2", "mpu6050", "hcsr04"]
    assert sensors["tfluna-2"] == {"driver": "tfluna", "port": "/dev/serial/by-id/usb-1"}
    assert sensors["mpu6050"] == {"driver": "mpu6050", "bus": 1, "address": 0x68}
    assert sensors["hcsr04"]["device"] == HOSTILE


def test_sections_can_be_pasted(tmp_path: Path) -> None:
    """`edgegw check` accepts them as they are."""
    file = tmp_path / "edgegw.toml"
    places = f'[gateway]\nruntime_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n\n'
    file.write_text(places + sections.of(EVERYTHING))
    done = edgegw("check", "-c", str(file))
    assert done.returncode == 0, done.stderr
    assert "sensors: tfluna, tfluna-2, mpu6050, hcsr04;" in done.stdout


def test_what_is_not_sure_is_said() -> None:
    """Guesses say how to try them; without a driver the section is commented out and lists the drivers; the rest is a comment."""
    text = sections.of(EVERYTHING)
    assert "# a guess" in text
    assert "`edgegw try tfluna port=/dev/serial/by-id/usb-0`" in text
    assert '#port = "/dev/serial0"' in text
    assert "there are " in text.partition("/dev/serial0")[2]
    assert "# bus 1, address 0x76, BME280\n# no driver reads it\n" in text
    assert "address = 0x68" in text


def test_an_option_that_the_driver_refuses_is_commented_out() -> None:
    """What would not bind is told why, and does not spoil the file."""
    text = sections.of([Found("serial", "/dev/ttyUSB0", "", driver="tfluna", options={"prot": "/dev/ttyUSB0"})])
    assert tomllib.loads(text) == {}
    assert "did you mean port?" in text


def test_this_machine() -> None:
    """Whatever hangs here, or nothing: exit 0, tables on stdout, and nothing that a pipe should not see."""
    done = edgegw("discover", "--seconds", "1", env=environment(DBUS_SYSTEM_BUS_ADDRESS=NO_BUS))
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    for title in ("Serial ports", "I2C chips", "Bluetooth peripherals", "Cameras"):
        assert title in done.stdout
    assert ESCAPE not in done.stdout


def test_toml_of_this_machine() -> None:
    """stdout is TOML and nothing else, even when there is nothing."""
    done = edgegw("discover", "--toml", "--seconds", "1", env=environment(DBUS_SYSTEM_BUS_ADDRESS=NO_BUS))
    assert done.returncode == Exit.DONE
    tomllib.loads(done.stdout)
    assert "Bluetooth peripherals: " in done.stderr


def test_one_form_at_a_time() -> None:
    """--json and --toml together are a usage error."""
    done = edgegw("discover", "--json", "--toml")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "--json or --toml" in done.stderr


def test_progress_is_seen_on_a_terminal_only(tmp_path: Path) -> None:
    """While a slow bus is awaited, its name stands on the terminal that stderr is; stdout stays what was asked for."""
    gate, slow = tmp_path / "gate", tmp_path / "rpicam-hello"
    os.mkfifo(gate)
    slow.write_text(f"#!/bin/sh\nread line < {gate}\necho '0 : imx477 [4056x3040] (/base/soc/i2c0mux/i2c@1/imx477@1a)'\n")
    slow.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DBUS_SYSTEM_BUS_ADDRESS": NO_BUS}
    words = command("discover", "--json", "--seconds", "60")
    with Screen() as screen, screen.runs(*words, stdout=subprocess.PIPE, **env) as process:
        until(lambda: b"asking: Cameras" in screen.seen(), 60, "the name of the slow bus, alone")
        gate.write_text("go\n")
        out, _ = process.communicate(timeout=60)
    assert "imx477" in [each["what"] for each in json.loads(out)]

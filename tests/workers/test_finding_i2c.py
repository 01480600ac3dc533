"""Looking for I2C chips: unmodified smbus2 on a simulated /dev/i2c-1, and a diary of every transfer that it saw."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgegw.errors import DeviceError
from tests.services.base import SKIP, need
from tests.typed import REPOSITORY, command, environment
from workers.finding import i2c

SYSTEM_PYTHON = "/usr/bin/python3"
MPU6050 = {0x75: 0x68}
LUNA = dict(zip(range(0x3C, 0x40), b"LUNA", strict=True))
FIND = """\
import msgspec, sys
from workers.finding import i2c
found, trouble = [], ""
try:
    for each in i2c.find(5):
        found.append(each)
except i2c.DeviceError as error:
    trouble = str(error)
sys.stdout.buffer.write(msgspec.json.encode([found, trouble]))
"""


@pytest.fixture(autouse=True)
def umockdev() -> None:
    """What plays the bus; see i2c_bus.py."""
    need("umockdev-wrapper", "umockdev")
    check = [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('UMockdev', '1.0')"]
    if subprocess.run(check, capture_output=True, check=False, timeout=60).returncode:
        reason = f"{SKIP}UMockdev for Python (apt install gir1.2-umockdev-1.0 python3-gi)"
        pytest.fail(reason, pytrace=False) if os.environ.get("CI") == "true" else pytest.skip(reason)


def on_a_bus(plan: Mapping[str, Any], tmp_path: Path, client: Sequence[str]) -> tuple[str, list[str]]:
    """What the client prints on a machine with that bus, and the diary of the bus."""
    diary = tmp_path / "diary"
    diary.touch()
    server = [SYSTEM_PYTHON, str(Path(__file__).with_name("i2c_bus.py")), json.dumps(plan), str(diary)]
    env = environment(PYTHONPATH=str(REPOSITORY), DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nowhere")
    done = subprocess.run([*server, *client], capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, diary.read_text().splitlines()


def look(plan: Mapping[str, Any], tmp_path: Path) -> tuple[dict[str, dict[str, Any]], str, list[str]]:
    """What was found, by its place; the trouble; the diary."""
    said, diary = on_a_bus(plan, tmp_path, [sys.executable, "-c", FIND])
    found, trouble = json.loads(said)
    return {each["where"].removeprefix("bus 1, address "): each for each in found}, trouble, diary


def test_chips_say_who_they_are(tmp_path: Path) -> None:
    """What has a register for it is named; only an MPU6050 or its like gets a driver, with bus and address."""
    chips = {0x10: LUNA, 0x3C: {}, 0x68: {0x75: 0x00}, 0x69: {0x75: 0x70}, 0x76: {0xD0: 0x60}, 0x77: {0xD0: 0x58}}
    found, trouble, _ = look({"chips": chips}, tmp_path)
    assert trouble == ""
    assert {where: each["what"] for where, each in found.items()} == {
        "0x10": "TF-Luna in I2C mode",
        "0x3c": "",
        "0x68": "",
        "0x69": "MPU6500",
        "0x76": "BME280",
        "0x77": "BMP280",
    }
    assert {where: each["options"] for where, each in found.items() if each["driver"]} == {"0x69": {"bus": 1, "address": 0x69}}
    assert "clock" in found["0x68"]["detail"]
    assert "pin 5" in found["0x10"]["detail"]


def test_nothing_is_ever_written(tmp_path: Path) -> None:
    """No transfer writes more than the register to read from; where memory chips live, there is not even an empty write."""
    chips: dict[int, dict[int, int]] = {address: {} for address in (*range(0x50, 0x58), 0x30, 0x68, 0x76)}
    found, _, diary = look({"chips": chips}, tmp_path)
    assert len(found) == len(chips)
    writes = [line.split() for line in diary if " write " in line]
    assert {kind for _, _, kind, _ in writes} == {"quick"}
    written = {int(address, 16) for address, *_ in writes}
    assert written == set(i2c.ADDRESSES) - i2c.MEMORY


def test_what_the_kernel_uses_is_not_touched(tmp_path: Path) -> None:
    """An address that a driver of the kernel's has is shown as such, and sees no transfer at all."""
    found, _, diary = look({"chips": {0x68: MPU6050}, "busy": [0x68]}, tmp_path)
    assert found["0x68"]["detail"] == "a driver of the kernel's has it"
    assert found["0x68"]["driver"] == ""
    assert [line for line in diary if line.startswith("0x68")] == []


def test_controller_without_quick_writes(tmp_path: Path) -> None:
    """Where the controller cannot write without data, every address is read instead; none is skipped."""
    found, trouble, diary = look({"chips": {0x68: MPU6050}, "funcs": 0x0EFE0009}, tmp_path)
    assert (trouble, list(found)) == ("", ["0x68"])
    assert [line for line in diary if " write " in line] == []


def test_controller_that_promises_too_much(tmp_path: Path) -> None:
    """Where an empty write is refused though the controller was said to be able to, the address is read instead."""
    found, trouble, diary = look({"chips": {0x68: MPU6050}, "quirk": True}, tmp_path)
    assert (trouble, list(found)) == ("", ["0x68"])
    assert len([line for line in diary if " read byte " in line]) == len(i2c.ADDRESSES)


def test_empty_bus(tmp_path: Path) -> None:
    """Nothing there is nothing found, and no trouble; every address was asked once."""
    found, trouble, diary = look({}, tmp_path)
    assert (found, trouble) == ({}, "")
    assert len(diary) == len(i2c.ADDRESSES)


def test_stuck_bus_is_given_up(tmp_path: Path) -> None:
    """A real controller takes a second for each transfer that times out: after two of 112 the bus is called stuck."""
    found, trouble, diary = look({"chips": {0x68: MPU6050}, "errno": errno.ETIMEDOUT}, tmp_path)
    assert found == {}
    assert trouble.startswith("bus 1 cannot be asked: it hangs")
    assert len(diary) == i2c.STUCK_timeouts


def test_controller_that_hears_everybody(tmp_path: Path) -> None:
    """The HDMI buses of a Raspberry Pi take each silence for an answer; that is one sentence, not 112 chips."""
    found, trouble, diary = look({"chips": {address: {} for address in range(128)}}, tmp_path)
    assert found == {}
    assert "every address seems to answer" in trouble
    assert len(diary) == len(i2c.ADDRESSES)


def test_mainboard_of_a_pc_is_left_alone(tmp_path: Path) -> None:
    """The bus of memory modules and clock generators sees no transfer."""
    found, trouble, diary = look({"chips": {0x50: {}}, "parent": "pci0000:00/0000:00:1f.4"}, tmp_path)
    assert (found, trouble, diary) == ({}, "", [])


def test_discover_names_a_chip(tmp_path: Path) -> None:
    """The whole command, on that bus: the chip, its place, its driver."""
    said, _ = on_a_bus({"chips": {0x68: MPU6050}}, tmp_path, command("discover", "--toml", "--seconds", "1"))
    assert said.splitlines()[-4:] == ["[sensors.mpu6050]", 'driver = "mpu6050"', "bus = 1", "address = 0x68"]


def test_no_permission_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to open one bus, it says which group; the others are asked all the same."""

    def opened(number: int, _seconds: float) -> list[str]:
        if number == 1:
            raise PermissionError(errno.EACCES, "Permission denied")
        return [f"chip on {number}"]

    monkeypatch.setattr(i2c, "buses", lambda: [1, 3])
    monkeypatch.setattr(i2c, "_on", opened)
    finding = i2c.find(1)
    assert next(finding) == "chip on 3"
    with pytest.raises(DeviceError, match="no permission to open /dev/i2c-1: add yourself to the group i2c"):
        next(finding)

"""Opening an I2C bus, and what is said when that or a transfer fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgegw.errors import DeviceAbsent, DeviceError
from workers.buses import i2c
from workers.virtual.mpu6050 import Bus


@pytest.mark.parametrize(("bus", "path"), [(1, "/dev/i2c-1"), ("1", "/dev/i2c-1"), ("/dev/i2c-22", "/dev/i2c-22")])
def test_a_bus_has_one_name(bus: int | str, path: str) -> None:
    """A number and its path are the same; as text, too, for that is how the command line gives it."""
    assert i2c.path_of(bus) == path


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOENT, DeviceAbsent, "enable I2C (dtparam=i2c_arm=on"),
        (errno.ENODEV, DeviceAbsent, "there is no I2C bus"),
        (errno.EACCES, DeviceError, "to the group i2c"),
        (errno.ENOTTY, DeviceError, "is not an I2C bus"),
        (errno.EMFILE, DeviceError, "cannot be opened"),
    ],
)
def test_why_a_bus_cannot_be_opened(number: int, kind: type[DeviceError], words: str) -> None:
    """Each has its remedy; only a bus that is not there is absent."""
    said = i2c.refusal(OSError(number, os.strerror(number)), "/dev/i2c-1")
    assert type(said) is kind
    assert "/dev/i2c-1" in str(said)
    assert words in str(said)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EREMOTEIO, "nothing answers at address 0x68"),
        (errno.ENXIO, "nothing answers at address 0x68"),
        (errno.ETIMEDOUT, "is stuck"),
        (errno.EBUSY, "a kernel driver owns address 0x68"),
        (errno.EIO, "break off"),
        (errno.EAGAIN, "break off"),
        (errno.ENODEV, "has gone"),
        (errno.EOPNOTSUPP, "combined transfers"),
        (errno.ENOMEM, "failed"),
    ],
)
def test_why_a_transfer_fails(number: int, words: str) -> None:
    """The bus is named, and what to do."""
    said = i2c.trouble(OSError(number, os.strerror(number)), "/dev/i2c-1", 0x68)
    assert type(said) is DeviceError
    assert "/dev/i2c-1" in str(said)
    assert words in str(said)


def test_a_bus_that_is_not_there_is_absent(tmp_path: Path) -> None:
    """Asked of the kernel itself."""
    with pytest.raises(DeviceAbsent, match="enable I2C"), i2c.opened(str(tmp_path / "i2c-1")):
        pass


def test_another_device_is_no_bus() -> None:
    """/dev/null can be opened, but has no idea of I2C; it is closed again."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(DeviceError, match="not an I2C bus"), i2c.opened("/dev/null"):
        pass
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_is_a_bus_already_is_lent() -> None:
    """Whoever plugged it in closes it; the driver comes back to it after an error."""
    bus = Bus()
    with i2c.opened(bus) as lent:
        assert lent is bus
    assert bus.closed == 0


def test_the_device_tree_tells_the_clock(tmp_path: Path) -> None:
    """Four bytes, the highest first; where there are none, nothing is known."""
    (tmp_path / "i2c-1" / "of_node").mkdir(parents=True)
    (tmp_path / "i2c-1" / "of_node" / "clock-frequency").write_bytes(bytes.fromhex("00061A80"))
    assert [i2c.clock_hz(bus, tmp_path) for bus in (1, "/dev/i2c-1", 2, Bus())] == [400_000, 400_000, 0, 0]

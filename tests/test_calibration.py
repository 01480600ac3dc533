"""What calibrate found is kept whole, and reaches the driver unless the configuration knows better."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from edgegw import calibration
from edgegw.driver import Driver
from edgegw.errors import DeviceError
from edgegw.reading import Sample


class Offset(msgspec.Struct, frozen=True):
    """Of one axis."""

    offset_m: float


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Of a driver that can be calibrated."""

    calibration: Offset | None = None


def read(_options: Options) -> Generator[Sample | None, None, None]:
    """Nothing."""
    yield None


ABLE = Driver("able", Options, {"lidar": {"distance_m": float}}, read, calibration=Offset)


def test_what_was_kept_is_applied(tmp_path: Path) -> None:
    """To the sensor that it was made for, and to no other."""
    calibration.keep(tmp_path / "new", "front", Offset(0.5))
    assert calibration.applied(ABLE, Options(), tmp_path / "new", "front") == Options(calibration=Offset(0.5))
    assert calibration.applied(ABLE, Options(), tmp_path / "new", "left") == Options()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["front.json"]


def test_the_configuration_wins(tmp_path: Path) -> None:
    """Who writes a calibration into the file means it."""
    calibration.keep(tmp_path, "front", Offset(0.5))
    assert calibration.applied(ABLE, Options(calibration=Offset(0.1)), tmp_path, "front").calibration == Offset(0.1)


def test_a_driver_without_calibration_gets_its_options_as_they_are(tmp_path: Path) -> None:
    """Whatever lies in the directory."""
    (tmp_path / "front.json").write_text("nonsense")
    plain = msgspec.structs.replace(ABLE, calibration=None)
    assert calibration.applied(plain, Options(), tmp_path, "front") == Options()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"offset_m": "far"}', "\x00"])
def test_a_damaged_file_is_told_not_guessed(tmp_path: Path, content: str) -> None:
    """Readings without the correction that they were promised would be wrong in silence."""
    (tmp_path / "front.json").write_text(content)
    with pytest.raises(DeviceError, match="calibrate front again, or remove the file"):
        calibration.applied(ABLE, Options(), tmp_path, "front")

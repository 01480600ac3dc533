"""What every driver promises, whatever its sensor: this finds all that come with edgegw, so a new one needs no test here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgegw import driver
from edgegw.testing.drivers import DriverContract

# Numbers of dimension one by definition: a unit would be invented.
PLAIN = {"luminosity", "sharpness", "score", "fps", "value"}
# What no machine has; and a Bluetooth sensor that keeps quiet, for a real address would ask whatever radio this machine has.
ABSENT: Mapping[str, Mapping[str, object]] = {
    "camera": {"source": "/dev/video97"},
    "hcsr04": {"device": "virtual?advertising=0"},
    "metronome": {"journal": "/not/there"},
    "mpu6050": {"bus": 97},
    "tfluna": {"port": "/dev/serial/by-id/usb-not-there"},
}


# No twin of it is needed: it is made of software itself.
ITSELF: Mapping[str, Mapping[str, object]] = {"metronome": {}}


def test_there_are_drivers() -> None:
    """The suite has something to check, and no device of a driver that is not there any more."""
    assert set(ABSENT) == set(driver.available())


class TestOurs(DriverContract):
    """Each of our own, on its virtual device."""

    plain = PLAIN
    test_an_unplugged_device_is_noticed = None  # type: ignore[assignment] # the tests of each driver pull its cable, the way its cable comes off

    @pytest.fixture(autouse=True, params=driver.available())
    def each(self, request: pytest.FixtureRequest) -> None:
        self.driver = request.param
        self.absent = ABSENT.get(request.param)
        self.options = ITSELF.get(request.param)

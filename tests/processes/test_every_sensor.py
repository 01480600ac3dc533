"""A sensor of every make in trouble at once: status says so to somebody who has never seen it, and the one that is well reads on."""

from __future__ import annotations

import re
from typing import Any

from tests.processes.rig import Rig, rig
from tests.services.base import until

LIMIT_s = 90
TROUBLE = """
[sensors.front]
driver = "tfluna"
port = "/dev/serial/by-id/usb-Silicon_Labs_CP2102-if00-port0"
[sensors.imu]
driver = "mpu6050"
bus = "virtual?absent=1"
[sensors.door]
driver = "hcsr04"
device = "virtual?advertising=0"
[sensors.eye]
driver = "camera"
source = "/dev/video99"
"""
# What a stranger has to find: what is wrong, where, and what to look at.
SENTENCES = {
    "front": r"there is no serial port /dev/serial/by-id/usb-Silicon_Labs_CP2102-if00-port0: is the sensor plugged in",
    "imu": r"nothing answers at address 0x68 .* is the sensor powered, are SDA and SCL connected",
    "door": r"was not heard on hci0 within .* is it powered, and within reach",
    "eye": r"/dev/video99",
}


def healths(gateway: Rig) -> dict[str, dict[str, Any]]:
    return {child["name"]: child["health"] or {} for child in gateway.status()["children"]}


def test_one_of_each_in_trouble() -> None:
    """Exit 150; the first line names them; below the table stands a whole sentence for each, and what is being done about it."""
    with rig(1, 50, TROUBLE) as made:
        made.start()
        until(lambda: all(healths(made)[name].get("rung") for name in SENTENCES), LIMIT_s, "all to be told")
        done = made.run("status")
        assert healths(made)["s0"]["rate_hz"] > 0
    assert done.returncode == 150
    first, _, rest = done.stdout.partition("\n")
    assert first.endswith("degraded: front, imu, door, eye")
    wrong = " ".join(rest.partition("What is wrong:")[2].split())
    for name, sentence in SENTENCES.items():
        assert re.search(rf"{name} [^\[]*{sentence}[^\[]* \[[a-z ]+", wrong), (name, wrong)

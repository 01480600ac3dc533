"""The guide through a calibration, on samples made up for it: what counts as lying still, and what it says when."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

import pytest

from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.mpu6050 import Calibration
from workers.mpu6050.decode import NAMES, NOTHING, Three
from workers.mpu6050.guide import Steps, rest, six, stretches

g_m_s2 = 9.80665
LEVEL = (0.0, 0.0, g_m_s2)
STILL = (0.0, 0.0, 0.0)
BAD = Sample(NOTHING, Quality.BAD)
KNOWN = Calibration(gyro_bias_rad_s=(0.3, 0.3, 0.3), accel_scale=(1.1, 1.0, 1.0), trim=(1, 2, 3, 4))


def lying(
    seconds: float, acceleration: Three = LEVEL, turning: Three = STILL, noise: float = 1, rocking: float = 1
) -> Iterator[Sample]:
    """Samples at 100 Hz, with the noise of a chip; times twenty it is a hand."""
    chance = random.Random(1)
    for _ in range(round(seconds * 100)):
        figures = [chance.gauss(axis, 0.02 * noise) for axis in acceleration]
        figures += [chance.gauss(axis, 0.001 * noise * rocking) for axis in turning]
        yield Sample(dict(zip(NAMES, [*figures, 25.0, None, None], strict=True)))


def swinging(seconds: float) -> Iterator[Sample]:
    """A slow and even pendulum: within half a second it hardly changes its speed."""
    for number in range(round(seconds * 100)):
        turning = 0.2 * math.sin(math.tau * number / 700)
        yield Sample(dict(zip(NAMES, [*LEVEL, turning, 0.0, 0.0, 25.0, None, None], strict=True)))


def ended(steps: Steps) -> tuple[list[str], Calibration]:
    """All that is said, and what is found."""
    said: list[str] = []
    while True:
        try:
            said += filter(None, [next(steps)])
        except StopIteration as done:
            return said, done.value


def lengths(samples: Iterable[Sample | None], windows: int = 4) -> list[int]:
    return [len(still) for still in stretches(samples, windows) if still is not None]


def test_stillness_grows_and_is_told_once() -> None:
    """Half a second a step, up to as many as are wanted; then nothing more is said of it."""
    assert lengths(lying(4)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (list(lying(0.5, noise=20)), [1, 2, 0, 1, 2]),
        (list(lying(0.5, turning=(0.0, 0.0, 1.0))), [1, 2, 0, 1, 2]),
        (list(lying(1, acceleration=(0.5, 0.0, 9.79))), [1, 2, 0, 1, 0, 1]),
        (list(lying(0.5, rocking=20)), [1, 2, 0, 1, 2]),
        ([*lying(0.25), BAD, *lying(0.25)], [1, 2, 3, 4]),
        ([*lying(0.25), None, *lying(0.25)], [1, 2, 3, 4, 5]),
    ],
    ids=["in a hand", "turning evenly", "tilted a little", "rocking", "one bad sample", "no sample"],
)
def test_what_interrupts_stillness(between: list[Sample | None], told: list[int]) -> None:
    """Motion of any kind begins it anew; a failed transfer does not, but the half second that it is in begins anew."""
    assert lengths([*lying(1), *between, *lying(1)], 9) == told


def test_every_sample_is_a_heartbeat() -> None:
    """However long it takes, there is a yield for each sample."""
    yields = list(stretches(lying(3), 4))
    assert yields.count(None) == 300


def test_rest_finds_the_bias_and_keeps_the_rest() -> None:
    """After five seconds; the accelerometer's part and the trim stay as they were."""
    said, found = ended(rest(lying(6, turning=(0.1, -0.2, 0.05)), KNOWN))
    assert found.gyro_bias_rad_s == pytest.approx((0.1, -0.2, 0.05), abs=2e-4)
    assert (found.accel_scale, found.trim, len(said)) == (KNOWN.accel_scale, KNOWN.trim, 1)


def test_rest_says_once_that_it_moves() -> None:
    """Not every half second; and again when it moves again."""
    said, _ = ended(rest([*lying(3, noise=20), *lying(2), *lying(2, noise=20), *lying(6)], KNOWN))
    assert ["moves" in sentence for sentence in said] == [False, True, True]


@pytest.mark.parametrize("samples", [list(swinging(60)), list(lying(60, turning=(0.0, 0.0, 0.6))), list(lying(60, noise=20))])
def test_rest_never_takes_motion_for_a_bias(samples: list[Sample]) -> None:
    """A minute of slow, of even or of wild motion: it is never still."""
    with pytest.raises(DeviceError, match="no more samples"):
        ended(rest(samples, KNOWN))


def test_six_takes_the_sides_in_any_order() -> None:
    """It finds out by itself which side is up, tells what is missing, and is not taken in by an edge or by the same side twice."""
    sides: list[Three] = [(0, g_m_s2, 0), LEVEL, LEVEL, (0, -g_m_s2, 0), (0, 6.9, 6.9), (-g_m_s2, 0, 0), (g_m_s2, 0, 0), (0, 0, -g_m_s2)]
    offset, scale = (0.3, -0.2, 0.1), (1.02, 0.98, 1.01)
    samples: list[Sample] = []
    for x, y, z in sides:
        felt = (x / scale[0] + offset[0], y / scale[1] + offset[1], z / scale[2] + offset[2])
        samples += [*lying(1, noise=20), *lying(2.5, felt)]
    said, found = ended(six(samples, KNOWN))
    assert found.accel_offset_m_s2 == pytest.approx(offset, abs=0.01)
    assert found.accel_scale == pytest.approx(scale, abs=0.001)
    assert found.gyro_bias_rad_s == KNOWN.gyro_bias_rad_s
    assert [sentence.partition(":")[0].partition(";")[0] for sentence in said[1:]] == [
        "Y up", "Z up", "Z up has been measured already. Still to come", "Y down", "It lies on an edge", "X down", "X up",
    ]  # fmt: skip
    assert said[-1].endswith("Still to come: Z down.")

"""The self-test's arithmetic: the factory's codes, what they promise, and what is within tolerance."""

from __future__ import annotations

import pytest

from workers.mpu6050.selftest import AXES, Trim, trim_of, verdict

PROMISED = {1: (1392.6, 3275), 10: (1877.3, 4909), 20: (2616.0, 7697), 31: (3768.3, 12623)}  # code → accelerometer, gyroscope, in LSB


@pytest.mark.parametrize("code", PROMISED)
def test_what_a_code_promises(code: int) -> None:
    """The datasheet's formulas, at four codes; the gyroscope's Y axis answers to the other side."""
    accel, gyro = PROMISED[code]
    expected = Trim((code,) * 6).expected()
    assert expected[:3] == pytest.approx([accel] * 3, abs=0.1)
    assert expected[3:] == pytest.approx([gyro, -gyro, gyro], abs=0.5)


@pytest.mark.parametrize(
    ("registers", "codes"),
    [
        ("00000000", (0, 0, 0, 0, 0, 0)),
        ("1F000000", (0, 0, 0, 31, 0, 0)),
        ("E0E0E03F", (31, 31, 31, 0, 0, 0)),
        ("2000002A", (6, 2, 2, 0, 0, 0)),
        ("00004101", (0, 0, 9, 0, 0, 1)),
        ("00400004", (0, 9, 0, 0, 0, 0)),
        ("516C543D", (11, 15, 9, 17, 12, 20)),
    ],
)
def test_codes_are_five_bits_each(registers: str, codes: tuple[int, ...]) -> None:
    """The accelerometer's lower two bits share the fourth register, X highest."""
    assert trim_of(bytes.fromhex(registers)).codes == codes


def test_within_14_per_cent_all_is_well() -> None:
    """Either way, on every axis."""
    expected = Trim((10,) * 6).expected()
    assert verdict([value * 1.139 for value in expected], expected) == ""
    assert verdict([value * 0.861 for value in expected], expected) == ""


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("factor", [1.15, 0.85, 0.0, -1.0])
def test_one_axis_beyond_fails_by_name(axis: int, factor: float) -> None:
    """And only that one is named, with what it answers and what it should."""
    expected = Trim((10,) * 6).expected()
    responses = list(expected)
    responses[axis] *= factor
    assert verdict(responses, expected) == f"{AXES[axis]} answers {responses[axis]:.0f} instead of {expected[axis]:.0f}"

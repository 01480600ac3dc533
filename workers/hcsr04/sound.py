"""Speed of sound, and what a rangefinder that takes it for constant reads too far or too near. Pure."""

from __future__ import annotations

import math

ZERO_m_s, ZERO_K = 331.3, 273.15  # dry air at 0 °C
FIXED_m_s = 2 * 0.01 / 58e-6  # 344.83: what "echo time in µs / 58 = cm" takes for granted, right at 23 °C


def speed_m_s(temperature_degC: float) -> float:
    """In dry air, within 0.4 % of what humid air has. Any temperature above absolute zero."""
    return ZERO_m_s * math.sqrt(1 + temperature_degC / ZERO_K)


def corrected_m(distance_m: float, temperature_degC: float | None) -> float:
    """A distance that was worked out with FIXED_m_s, as it is at this temperature; as it was, where none is known."""
    return distance_m if temperature_degC is None else distance_m * speed_m_s(temperature_degC) / FIXED_m_s

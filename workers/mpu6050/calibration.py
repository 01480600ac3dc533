"""What one chip's figures are off by, and how that is found out."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Bias = Annotated[float, Meta(ge=-2, le=2)]  # rad/s; PS 6.1 allows 20 °/s, and as much again over temperature
Offset = Annotated[float, Meta(ge=-5, le=5)]  # m/s²
Scale = Annotated[float, Meta(ge=0.5, le=2)]
Code = Annotated[int, Meta(ge=0, le=255)]


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A true value is (measured - offset) * scale, a true turn rate measured - bias; X, Y, Z."""

    gyro_bias_rad_s: tuple[Bias, Bias, Bias] = (0.0, 0.0, 0.0)
    accel_offset_m_s2: tuple[Offset, Offset, Offset] = (0.0, 0.0, 0.0)
    accel_scale: tuple[Scale, Scale, Scale] = (1.0, 1.0, 1.0)
    trim: tuple[Code, Code, Code, Code] = (0, 0, 0, 0)  # the factory's own codes for this chip: whose calibration this is

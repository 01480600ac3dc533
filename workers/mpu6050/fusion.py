"""Roll and pitch out of turning and gravity, by imufusion, which the extra edgegw[fusion] brings along."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from workers.mpu6050.decode import Three
from workers.mpu6050.options import Options
from workers.mpu6050.registers import STANDARD_GRAVITY_m_s2
from workers.mpu6050.setting import Setting

if TYPE_CHECKING:
    import imufusion

GAIN = 0.5  # how much gravity is believed over the gyroscope; the figure that the library's authors give
REJECTED_deg = 10.0  # an acceleration that points so far from where gravity should be is a push, not gravity…
REJECTED_s = 5.0  # …unless it lasts


class Fusion:
    """An attitude filter of one chip. It believes that samples follow each other at their rate; after a gap gravity puts it right."""

    def __init__(self, options: Options, setting: Setting) -> None:
        try:
            import imufusion  # here, not above: only who asks for roll and pitch pays for numpy
            import numpy

            self._ahrs = imufusion.Ahrs()
            self._ahrs.set_settings(_settings(imufusion.AhrsSettings(), options, setting))
            self._euler_deg = imufusion.quaternion_to_euler
        except ImportError as error:
            raise DeviceError(f"fusion = true needs a library that is not here ({error.name}): pip install 'edgegw[fusion]'") from error
        except AttributeError as error:  # names have changed until 1.3.2
            raise DeviceError(f"fusion = true needs a newer imufusion ({error}): pip install 'edgegw[fusion]'") from error
        self._array = numpy.array

    def update(self, angular_velocity: Three, acceleration: Three) -> tuple[float, float] | tuple[None, None]:
        """Roll and pitch in rad, in the order yaw, pitch, roll of REP 103; nothing in the filter's first three seconds."""
        turning = self._array([math.degrees(axis) for axis in angular_velocity])
        pulling = self._array([axis / STANDARD_GRAVITY_m_s2 for axis in acceleration])
        self._ahrs.update_no_magnetometer(turning, pulling)
        if self._ahrs.get_flags().startup:
            return None, None
        roll, pitch, _ = self._euler_deg(self._ahrs.get_quaternion())
        return math.radians(roll), math.radians(pitch)


def _settings(settings: imufusion.AhrsSettings, options: Options, setting: Setting) -> imufusion.AhrsSettings:
    settings.sample_rate = NS_PER_S / setting.period_ns
    settings.gain = GAIN
    settings.gyroscope_range = options.gyroscope_range_deg_s  # the filter starts anew after a turn that the gyroscope could not follow
    settings.acceleration_rejection = REJECTED_deg
    settings.rejection_timeout = REJECTED_s
    return settings

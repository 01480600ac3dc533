"""What stands under a TF-Luna's [sensors.NAME]."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_PORT = (
    "Serial port; a name out of /dev/serial/by-id stays the same whichever is plugged in first. "
    'Or "virtual": a simulated sensor, with faults as in "virtual?noise=0.01&bad_sum=0.01".'
)
_BAUD = "Speed of the port, in bits a second. Where nothing can be understood at it, the other usual speeds are tried."
_SET_BAUD = "Whether a device that was found at another speed is told to go on at `baud`; else it is read at the one it has."
_RATE = (
    "Frames a second; the device is set to it where it differs, and takes 500/n (250, 166.7, 125, 100 …). "
    "Without it, the rate is left as it is and read back."
)
_FORMAT = 'Unit of the distances that the device sends: set to "cm" or "mm" where it differs, or left as it is with "keep".'
_LOW_POWER = "Frames a second of the mode that saves power, which takes the place of rate_hz; 0: not in that mode. Without it: as it is."
_SAVE = "Whether what was changed is written to the device's flash; else it is gone with the power, and set again."
_DUMMY = "What the device has been set to give for want of an echo, in cm (0 as delivered); read as no echo, always."


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the device, and how it is to be set up; what is not said is left as the device has it."""

    port: Annotated[str, Meta(min_length=1, description=_PORT, examples=["/dev/serial0", "virtual", "virtual?noise=0.01"])]
    baud: Annotated[int, Meta(ge=9600, le=921600, description=_BAUD, examples=[115200])] = 115200
    set_baud: Annotated[bool, Meta(description=_SET_BAUD, examples=[True])] = False
    rate_hz: Annotated[Annotated[float, Meta(ge=1, le=250)] | None, Meta(description=_RATE, examples=[100])] = None
    format: Annotated[Literal["keep", "cm", "mm"], Meta(description=_FORMAT, examples=["mm"])] = "keep"
    low_power_hz: Annotated[Annotated[int, Meta(ge=0, le=10)] | None, Meta(description=_LOW_POWER, examples=[10])] = None
    save: Annotated[bool, Meta(description=_SAVE, examples=[True])] = False
    dummy_distance_cm: Annotated[int, Meta(ge=0, le=65535, description=_DUMMY, examples=[0, 900])] = 0

    @property
    def expected_hz(self) -> float | None:
        """Frames a second that the device shall send, or None where that is left to it."""
        return self.low_power_hz or self.rate_hz

"""What stands in the section of a camera."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_SOURCE = (
    "Where the pictures come from: a USB camera by its name out of /dev/v4l/by-id (or as /dev/video0), a stream as rtsp://…, "
    'http://… or https://… (Motion JPEG), or a video file. Or "virtual": a simulated camera, with faults as in '
    '"virtual?freeze_every_s=60&freeze_s=5".'
)
_RATE = "Measurements a second. The camera goes on at its own rate; what comes between two measurements is counted and let go."
_WIDTH = "Width to ask a USB camera for, in pixels; it gives the nearest that it has. Without it: as the camera likes."
_HEIGHT = "Height to ask a USB camera for, in pixels; it gives the nearest that it has. Without it: as the camera likes."
_LASER = "Whether to look for the dot of a red laser; without it, or where the camera sees no colour, there is never one."
_EXACT = "Whether luminosity and sharpness are worked out from every pixel of a large picture; else from about half a million of them."


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pictures come from, and what is measured in them."""

    source: Annotated[str, Meta(min_length=1, description=_SOURCE, examples=["/dev/video0", "virtual", "rtsp://camera/stream"])]
    rate_hz: Annotated[float, Meta(ge=0.1, le=30, description=_RATE, examples=[2])] = 2.0
    width_px: Annotated[Annotated[int, Meta(ge=16, le=16384)] | None, Meta(description=_WIDTH, examples=[1280])] = None
    height_px: Annotated[Annotated[int, Meta(ge=16, le=16384)] | None, Meta(description=_HEIGHT, examples=[720])] = None
    laser: Annotated[bool, Meta(description=_LASER, examples=[True])] = True
    exact: Annotated[bool, Meta(description=_EXACT, examples=[False])] = False

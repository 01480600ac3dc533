"""A camera as a sensor: how bright and how sharp its picture is, where in it a red laser's dot lies, how fast it comes.

What a frame is, or the want of one, decides what is reported; the first row that fits counts:

    a frame that is black: luminosity
      and contrast below 2             BLACK   a lens cap, or no light      measured                     uncertain
    bit by bit the frame before,
      for more than 2 s                FROZEN  an old picture, sent again   null but for size and fps    bad
    any other frame                    GOOD                                 measured                     good
    no frame for 1 s or 3 periods              it is late, or hangs         all null                     bad
    no frame for 3 s or 5 periods              it hangs                     DeviceError: it is opened anew

Periods are the camera's own, as measured; of two times the longer one counts. The rows can be told apart in what is stored: bad
with a size is a frozen picture, bad without one a missing one. A frame that cannot be read is skipped and counted as a fault;
after three in a row the camera is opened anew.

luminosity, sharpness and the dot are explained in `measure` and `laser`. Laser columns are null where there is no dot, faces as
long as nobody looks for any. Coordinates count from the centre of the upper left pixel, x to the right and y down. fps is what
the camera gives, measured over 3 s, not what is measured of it.
"""

from __future__ import annotations

from collections.abc import Generator

from edgegw.clock import SystemClock
from edgegw.reading import Sample
from workers.camera import opening
from workers.camera.capture import Capture
from workers.camera.options import Options
from workers.camera.watch import FIELDS, Watch

__all__ = ["FIELDS", "SIMULATOR", "Options", "read"]

SIMULATOR = "workers.virtual.camera"


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Measurements at `options.rate_hz`; None in between. Raises DeviceError, DeviceAbsent where there is no such camera."""
    with Capture(opening.named(options.source), opening.opener(options)) as capture:
        yield from Watch(capture, options, SystemClock()).samples()

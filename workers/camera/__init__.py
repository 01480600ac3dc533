"""A camera as a sensor: how bright and sharp its picture is, where a red laser's dot lies in it and, where asked for, who comes and goes.

What a frame is, or the want of one, decides what is reported; the first row that fits counts:

    a frame that is black: luminosity
      and contrast below 2             BLACK   a lens cap, or no light      measured                     uncertain
    bit by bit the frame before,
      for more than 2 s                FROZEN  an old picture, sent again   null but for size and fps    bad
      for more than 10 s                       it hangs                     DeviceError: it is opened anew
    any other frame                    GOOD                                 measured                     good
    no frame for 1 s or 3 periods              it is late, or hangs         all null                     bad
    no frame for 4 s or 5 periods              it hangs                     DeviceError: it is opened anew

Periods are the camera's own, as measured; of two times the longer one counts. The rows can be told apart in what is stored: bad
with a size is a frozen picture, bad without one a missing one. A frame that cannot be read is skipped and counted as a fault;
after three in a row the camera is opened anew.

luminosity, sharpness and the dot are explained in `measure` and `laser`. Laser columns are null where there is no dot, faces as
long as nobody looks for any; samples of kind face are explained in `people`. Coordinates count from the centre of the upper left
pixel, x to the right and y down. fps is what the camera gives, measured over 3 s, not what is measured of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from edgegw.clock import Clock, SystemClock
from edgegw.driver import Shown
from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.camera import opening
from workers.camera.blind import Blind
from workers.camera.capture import Capture
from workers.camera.fields import FIELDS
from workers.camera.options import Options
from workers.camera.watch import Feed, Guest, Watch

__all__ = ["FIELDS", "SIMULATOR", "Options", "preview", "read"]

SIMULATOR = "workers.virtual.camera"
KEPT_frames = 4  # that wait while one is being worked on, where every frame is wanted


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Measurements at `options.rate_hz` and whatever faces do; None in between. Raises DeviceError, DeviceAbsent without such a camera."""
    with _captured(options) as capture:
        yield from _samples(capture, options, SystemClock())


def preview(options: Options, clear: bool) -> Generator[Sample | Shown | None, None, None]:
    """As read, and before each measurement what it was made of, for people. With `clear`, faces in it are shown as they are."""
    try:
        from workers.camera import cv, show  # noqa: F401 # what draws needs OpenCV, and shall say so before it has looked for a while
    except ImportError as error:
        raise DeviceError(f"a picture cannot be drawn, {error.name or error} is not there: pip install 'edgegw[camera]'") from error
    clock = SystemClock()
    with _captured(options) as capture:
        kept = show.Kept(capture)
        yield from show.preview(_samples(kept, options, clock), kept, options, clear, clock)


def _captured(options: Options) -> Capture:
    every = options.faces or options.laser_switched or bool(options.share)
    return Capture(opening.named(options.source), opening.opener(options), KEPT_frames if every else 1)


def _samples(feed: Feed, options: Options, clock: Clock) -> Generator[Sample | None, None, None]:
    with _guests(options, clock) as guests:
        yield from Watch(feed, options, clock, guests).samples()


@contextmanager
def _guests(options: Options, clock: Clock) -> Iterator[tuple[Guest, ...]]:
    """Whoever is to see every frame; imported only where somebody is, for they load much."""
    guests: list[Guest] = []
    if options.faces:
        guests.append(_followers(options, clock))
    if not options.share:
        yield tuple(guests)
        return
    from workers.camera.share import Offer

    offer = Offer(options.share, clock)
    try:
        yield (*guests, offer)
    finally:
        offer.close()


def _followers(options: Options, clock: Clock) -> Guest:
    try:
        from workers.camera.people import followers
    except ImportError as error:
        return Blind(f"faces cannot be looked for, {error.name or error} is not there: pip install 'edgegw[face]'")
    return followers(options, clock)

"""What the tracker takes for granted: how boxes move, how well they are found, and how much of it makes a person.

The figures were chosen on seeded spoilings of the truth of public pedestrian sequences and, for faces, on simulated walkers seen three to
fifteen times a second; `python -m tests.benchmarks.tracking` scores them on other seeds and other spoilings.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths are in heights of the box, so that it does not matter how near somebody is."""

    # How a face moves, which is about 0.25 m high: people start, stop and turn within a second.
    jolt: Positive = 4.0  # random acceleration: square root of its spectral density, in heights/s^1.5
    start: Positive = 5.0  # standard deviation of a new box's speed, in heights/s
    # How a detector's boxes are.
    blur: Positive = 0.06  # standard deviation of a box's centre and size, in heights
    drift: Positive = 0.1  # of the true size after a second
    # Which box may belong to which track.
    strong: Share = 0.65  # score from which on a box is trusted: boxes below it go to confirmed tracks only, and count half
    weak: Share = 0.2  # score below which a box is passed over
    overlap: Share = 0.4  # least intersection over union with where the track should be
    weak_overlap: Share = 0.5  # the same for a weak box
    sigmas: Positive = 2.0  # without overlap: how far from where it should be, in standard deviations of that…
    far: Positive = 2.0  # …and at most so many times the root of the box's area
    alike: Share = 0.7  # without overlap: the smaller height over the larger one, at least
    # How much makes a track, and how little ends it.
    birth: Share = 0.6  # least score of a track's first box
    evidence: Positive = 1.5  # sum of the scores from which on a track of at least two boxes is confirmed
    patience: Annotated[int, Meta(ge=0)] = 1  # looks in a row that a track may be missed in before it is confirmed…
    shown: Annotated[int, Meta(ge=0)] = 2  # …and after it, to be taken for present all the same
    alive_s: Positive = 0.5  # a track that was missed for longer gets no weak boxes
    lost_s: Positive = 1.0  # a confirmed track that was missed for longer, and in two looks at least, is lost
    # The bounds of it all.
    most: Annotated[int, Meta(ge=1)] = 256  # tracks at a time; boxes beyond begin none


FACES = Tuning()
# A standing person's box is seven times as high as a face, so the same walk is fewer heights a second, and much steadier.
PEOPLE = Tuning(jolt=0.1, start=1.0)

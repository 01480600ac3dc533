"""What a camera shows to other processes. It is an extra: where it cannot be had, the camera goes on, and the operator is told why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.camera.capture import Frame
from workers.camera.picture import Picture
from workers.camera.share.ring import Writer
from workers.camera.share.segment import SHM

AGAIN_ns = 5 * NS_PER_S


class Offer:
    """Shows pictures under a name, as soon as and for as long as that can be done."""

    def __init__(self, name: str, clock: Clock, directory: Path = SHM) -> None:
        self._name = name
        self._clock = clock
        self._directory = directory
        self._writer: Writer | None = None
        self._again_ns = clock.monotonic_ns()
        self._trouble = self.note = ""

    def show(self, picture: Picture, at_ns: int) -> str:
        """It, taken then (monotonic, ns). "" where it is shown; else why not, in a sentence; it is tried again after AGAIN_ns."""
        if self._trouble and self._clock.monotonic_ns() < self._again_ns:
            return self._trouble
        try:
            self._writer = self._writer or Writer(self._name, self._directory)
            self._writer.write(picture, at_ns)
            self._trouble = ""
        except (DeviceError, OSError) as error:
            self._trouble = str(error)
            self._again_ns = self._clock.monotonic_ns() + AGAIN_ns
        return self._trouble

    def seen(self, frame: Frame) -> Iterator[Sample]:
        """As a guest of the camera: every frame is shown, and nothing said of it."""
        self.note = self.show(frame.picture, frame.at_ns)
        return iter(())

    def told(self, sample: Sample) -> Sample:
        """Nothing to add."""
        return sample

    def lost(self) -> Iterator[Sample]:
        """Nothing to say."""
        return iter(())

    def close(self) -> None:
        """Nothing is shown any more."""
        if self._writer:
            self._writer.close()
            self._writer = None

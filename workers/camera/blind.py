"""In the place of whoever follows faces, where nothing can find any."""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.reading import Sample
from workers.camera.capture import Frame


class Blind:
    """In the place of People, where faces were asked for and nothing can find any."""

    def __init__(self, why: str) -> None:
        self.note = why

    def seen(self, frame: Frame) -> Iterator[Sample]:
        """Nothing."""
        return iter(())

    def told(self, sample: Sample) -> Sample:
        """Faces stay null: nobody has looked."""
        return sample

    def lost(self) -> Iterator[Sample]:
        """Nobody."""
        return iter(())

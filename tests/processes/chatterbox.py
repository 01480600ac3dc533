"""Driver of a metronome that talks: many lines of log with each tick, as a library in a driver may, from the thread that takes readings."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Generator
from pathlib import Path

from edgegw.reading import Sample
from workers import metronome
from workers.metronome import FIELDS, Options

__all__ = ["FIELDS", "Options", "read"]

WARNINGS, ERRORS = 24, 1  # lines with each tick
LOGGER = logging.getLogger("chatterbox")


def read(options: Options) -> Generator[Sample | None, None, None]:
    """As the metronome."""
    numbers = itertools.count()
    for sample in metronome.read(options):
        if sample is not None:
            for number in itertools.islice(numbers, WARNINGS):
                LOGGER.warning("%d words", number)
            for _ in range(ERRORS):
                LOGGER.error("a word of weight")
        yield sample


def install(place: Path) -> None:
    """Make `place` a directory that, in PYTHONPATH, offers this driver as "chatterbox"."""
    information = place / "chatterbox-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: chatterbox\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[edgegw.drivers]\nchatterbox = {__name__}\n")

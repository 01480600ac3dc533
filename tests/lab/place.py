"""A directory for recordings and for what cuts have left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

FAST = Path("/dev/shm")  # in memory, where that is possible: hundreds of files are written, and read once


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A fresh directory, gone with the block."""
    made = Path(tempfile.mkdtemp(prefix=f"edgegw-lab-{os.getpid()}-", dir=FAST if FAST.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)

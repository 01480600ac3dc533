"""What a metronome's tick must carry, worked out a second time: from the page of the driver, not from its code."""

from __future__ import annotations

import hashlib


def content(life: int, tick: int) -> tuple[float, str]:
    """Value and text of that tick; both numbers are 64 bits wide."""
    digest = hashlib.blake2b(life.to_bytes(8, "little") + tick.to_bytes(8, "little"), digest_size=16).digest()
    fraction = int.from_bytes(digest[7::-1], "big") >> 11
    return fraction * 2.0**-53, digest[8:].hex()

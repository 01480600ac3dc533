"""python -m tests.workers.hcsr04_reader DEVICE: a process that reads one peripheral for ever, as a worker does, and says what it gets."""

from __future__ import annotations

import sys

from tests.workers.hcsr04_air import options, persistent
from workers.virtual import process


def main(device: str, parent: int) -> None:
    """A line for each sample, and one for each error."""
    process.tie(parent)
    troubles: list[str] = []
    for sample in persistent(options(device=device), troubles):
        if sample is not None:
            print("sample", flush=True)
        while troubles:
            print(f"trouble {troubles.pop()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

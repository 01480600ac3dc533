"""Messages that no honest worker sends: what is no message, what is one of another version, what carries numbers that nothing stores."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from edgegw import codec
from edgegw.bridge.intake import RUN_bytes
from edgegw.codec import Ack, Again, Hello, Message, Push, Welcome
from edgegw.reading import Batch, Counts, Run
from tests.records import a_reading

Frames = list[bytes]


def nonsense(rng: random.Random, run: Run) -> Frames:
    """One message that no honest worker sends, and that is refused."""
    reading = a_reading(7, (1.5, 2, 40.0))
    batch = Batch(run.id, "lidar", Counts(produced=8), (reading,))
    honest = codec.encode(Push(7, batch))
    wild = (
        msgspec.structs.replace(reading, time_ns=1 << 63),
        msgspec.structs.replace(reading, values=(1.5, 1 << 63, 40.0)),
        msgspec.structs.replace(reading, values=(float("nan"), 2, 40.0)),
        msgspec.structs.replace(reading, values=(float("-inf"), 2, 40.0)),
        msgspec.structs.replace(reading, seq=-1),
    )
    for_workers: tuple[Message, ...] = (Ack(run.id, 1 << 62), Welcome(run.id, 3), Again())
    choices: list[Callable[[], Frames]] = [
        lambda: [b""],
        lambda: [rng.randbytes(rng.randrange(1, 2000))],
        lambda: [bytes([rng.randrange(2, 256)]) + honest[1:]],
        lambda: [honest[: rng.randrange(len(honest))]],
        lambda: [honest, honest],
        lambda: [b""] * rng.randrange(2, 50),
        lambda: [codec.VERSION + b"\x91" * rng.randrange(1, 100_000)],
        lambda: [codec.VERSION + b"\x93\xa4push\xce\xff\xff\xff\xff\xdd\xff\xff\xff\xff"],
        lambda: [honest.replace(b"lidar", b"l\xff\xfear")],
        lambda: [codec.encode(Push(-1, batch))],
        lambda: [codec.encode(Push(7, Batch(run.id, "lidar", Counts(produced=-5), (reading,))))],
        lambda: [codec.encode(Push(7, Batch(run.id, "lidar", Counts(), ())))],
        lambda: [codec.encode(Push(7, Batch(run.id, "lidar", Counts(), (rng.choice(wild),))))],
        lambda: [codec.encode(Hello(msgspec.structs.replace(run, id="x" * rng.choice([0, 37, 5000]))))],
        lambda: [codec.encode(Hello(msgspec.structs.replace(run, driver="d" * RUN_bytes)))],
        lambda: [codec.encode(rng.choice(for_workers))],
    ]
    return rng.choice(choices)()

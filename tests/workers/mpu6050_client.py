"""Reads the MPU6050 driver in a process of its own and prints what it gives, as JSON lines; run by the tests under umockdev.

    python -m tests.workers.mpu6050_client '{"bus": 1}'                prints each sample as it comes, reopening after errors
    python -m tests.workers.mpu6050_client '{"bus": 1}' --seconds 5    collects, prints at the end, then what it cost

A sample: [when it was measured in ns, monotonic; quality; faults; values; its age in ns when it came].
An error: {"error": its class, "what": its sentence, "took_s"}.
None is not printed, but the longest time between two yields is: the worker takes silence for a hang.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from edgegw import driver
from edgegw.errors import DeviceError
from edgegw.reading import Sample

BACKOFF_s = 0.1


def main(given: str, seconds: float | None) -> None:
    found = driver.find("mpu6050")
    options = driver.bind(found, json.loads(given))
    if seconds is not None:
        _collect(found, options, seconds)
        return
    while True:
        opened_s = time.monotonic()
        try:
            with contextlib.closing(found.read(options)) as samples:
                for sample in samples:
                    if sample is not None:
                        print(json.dumps(line(sample, time.monotonic_ns())), flush=True)
        except (OSError, DeviceError) as error:
            took_s = time.monotonic() - opened_s
            print(json.dumps({"error": type(error).__name__, "what": str(error), "took_s": took_s}), flush=True)
            time.sleep(BACKOFF_s)


def line(sample: Sample, now_ns: int) -> list[Any]:
    moment_ns = sample.measured_ns(now_ns)
    return [moment_ns, sample.quality, sample.faults, list(sample.values.values()), now_ns - moment_ns]


def _collect(found: driver.Driver, options: Any, seconds: float) -> None:
    """Keep everything, so that the processor time is the driver's and the printing costs nothing of it."""
    kept: list[tuple[int, Sample]] = []
    pauses_ns = [0]
    with contextlib.closing(found.read(options)) as samples:
        first = next(sample for sample in samples if sample is not None)
        begun, cpu_s = time.monotonic_ns(), _cpu_s()
        kept.append((begun, first))
        for sample, now_ns in _until(samples, begun + round(seconds * 1e9), pauses_ns):
            kept.append((now_ns, sample))
        cpu_s = _cpu_s() - cpu_s
        took_s = (time.monotonic_ns() - begun) / 1e9
    for now_ns, sample in kept:
        print(json.dumps(line(sample, now_ns)))
    print(json.dumps({"cpu_s": cpu_s, "took_s": took_s, "longest_pause_s": max(pauses_ns) / 1e9}), flush=True)


def _until(samples: Iterator[Sample | None], end_ns: int, pauses_ns: list[int]) -> Iterator[tuple[Sample, int]]:
    last_ns = time.monotonic_ns()
    for sample in samples:
        now_ns = time.monotonic_ns()
        pauses_ns[0] = max(pauses_ns[0], now_ns - last_ns)
        last_ns = now_ns
        if sample is not None:
            yield sample, now_ns
        if now_ns >= end_ns:
            return


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], float(arguments[2]) if arguments[1:2] == ["--seconds"] else None)

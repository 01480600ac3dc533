"""A gateway under load for as long as one likes, one of its workers killed again and again: nothing in it grows.

EDGEGW_SOAK_S is how long it is watched. In seconds only a gross leak shows; a slope of 1 MB an hour needs minutes.
"""

from __future__ import annotations

import functools
import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import psutil
import pytest

from tests.processes.metronomes import Gateway, gateway
from tests.services.base import until

SOAK_s = float(os.environ.get("EDGEGW_SOAK_S", "3"))
WARM_s = min(60.0, SOAK_s / 2)  # pools, caches and counters of the allocator come to rest
SENSORS, HZ = 4, 100
KILLS_s = 15.0  # apart, so that they are no crash loop; the pauses before it is started again grow all the same
LOOK_s = 0.5
VICTIM = "m0"
SLOPE_bytes_h = 1 << 20
NOISE_bytes = 512 << 10  # an idle CPython process moves by so much, up and down
SPOOL_bytes = 8 << 20  # twice its first size and its log of 1 MiB, with room for what waits for a sink
MOST_bytes = {"supervisor": 45 << 20, "bridge": 120 << 20}
WORKER_bytes = 40 << 20


class Look(msgspec.Struct, frozen=True):
    """One process at one moment."""

    at_s: float
    rss_bytes: int
    files: int


History = Mapping[str, list[Look]]


def grown_bytes(looks: Sequence[Look]) -> float:
    """What the straight line through them gains from the first look to the last."""
    slope, _ = statistics.linear_regression([look.at_s for look in looks], [look.rss_bytes for look in looks])
    return slope * (looks[-1].at_s - looks[0].at_s)


def leaks(history: History) -> list[str]:
    """A sentence for each process that grows: memory by regression, open files by the fewest before and after."""
    found = []
    for name, looks in history.items():
        hours, half = (looks[-1].at_s - looks[0].at_s) / 3600, len(looks) // 2
        allowed_bytes = SLOPE_bytes_h * hours + NOISE_bytes
        if (grown := grown_bytes(looks)) > allowed_bytes:
            found.append(f"{name} grew by {grown / 1024:.0f} KiB, {allowed_bytes / 1024:.0f} KiB are allowed")
        before, after = (min(look.files for look in part) for part in (looks[:half], looks[half:]))
        if after > before:
            found.append(f"{name} never has fewer than {after} files open, before it was {before}")
        if (most := max(look.rss_bytes for look in looks)) > MOST_bytes.get(name, WORKER_bytes):
            found.append(f"{name} takes {most / (1 << 20):.0f} MiB")
    return found


def pids(soaked: Gateway) -> dict[str, int]:
    """Of every process but the victim, and the victim's under its own name."""
    status = soaked.status()
    return {"supervisor": status["pid"], **{child["name"]: child["pid"] for child in status["children"] if child["pid"]}}


def spool_bytes(soaked: Gateway) -> int:
    """The file and what SQLite keeps beside it."""
    return sum(path.stat().st_size for path in soaked.paths.spool.parent.glob(soaked.paths.spool.name + "*"))


def moments(duration_s: float, every_s: float) -> Iterator[float]:
    """Seconds since now, as they come; a late one is not made up for."""
    began = time.monotonic()
    while (at_s := time.monotonic() - began) < duration_s:
        yield at_s
        due_s = began + at_s + every_s
        until(functools.partial(past, due_s), every_s + 30, "the next look")


def past(due_s: float) -> bool:
    """Whether it is later than that."""
    return time.monotonic() >= due_s


def looked_at(soaked: Gateway, duration_s: float) -> tuple[History, list[int]]:
    """Every process but the victim, twice a second, and the size of the spool; the victim is killed now and then."""
    named = {name: psutil.Process(pid) for name, pid in pids(soaked).items() if name != VICTIM}
    history: dict[str, list[Look]] = {name: [] for name in named}
    kills, due_s, sizes = 0, KILLS_s, []
    for at_s in moments(duration_s, LOOK_s):
        for name, process in named.items():
            history[name].append(Look(at_s, process.memory_info().rss, process.num_fds()))
        sizes.append(spool_bytes(soaked))
        if at_s >= due_s:
            due_s = at_s + KILLS_s
            if pid := pids(soaked).get(VICTIM):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    print(f"{kills} kills; spool: {min(sizes)} to {max(sizes)} bytes; {len(sizes)} looks")
    return history, sizes


@pytest.mark.timeout(SOAK_s * 2 + 400)
def test_nothing_grows_and_nothing_is_lost() -> None:
    """Only the killed one is started anew, none has more files open, memory grows by less than 1 MB an hour, the spool not at all."""
    with gateway(SENSORS, HZ) as soaked:
        soaked.start()
        soaked.well()
        began = pids(soaked)
        for _ in moments(WARM_s, LOOK_s):
            pass
        history, sizes = looked_at(soaked, SOAK_s)
        for name, looks in history.items():
            first, last = looks[0], looks[-1]
            kib = f"{first.rss_bytes >> 10} to {last.rss_bytes >> 10} KiB, {grown_bytes(looks) / 1024:+.0f} KiB by regression"
            print(f"{name}: {kib}, {first.files} to {last.files} files")
        soaked.well(200)
        ended = pids(soaked)
        assert leaks(history) == []
        assert max(sizes) <= SPOOL_bytes
        assert {name: pid for name, pid in ended.items() if name != VICTIM} == {name: pid for name, pid in began.items() if name != VICTIM}
        soaked.stop()
        case, verdict = soaked.case(), soaked.verdict()
        assert verdict.ok, verdict.report()
        least = 0.5 * SENSORS * HZ * SOAK_s
        assert len(case.seen.rows) > least, "a gateway that does nothing does not grow either"


def looks(rss_bytes: Sequence[float], files: Sequence[int]) -> list[Look]:
    """Two a second."""
    return [Look(LOOK_s * at, round(rss), count) for at, (rss, count) in enumerate(zip(rss_bytes, files, strict=True))]


def test_a_process_that_grows_is_found() -> None:
    """The judge itself: 3 MB an hour in 20 minutes, a file a minute and a process too large are told, a saw-tooth is not."""
    count, base = 2400, 30 << 20
    saw = [base + (at % 40) * 4096 for at in range(count)]
    busy = [12 + at % 3 for at in range(count)]
    assert leaks({"bridge": looks(saw, busy)}) == []
    growing = [at_bytes + 3 * SLOPE_bytes_h * LOOK_s * at / 3600 for at, at_bytes in enumerate(saw)]
    assert leaks({"bridge": looks(growing, busy)}) == ["bridge grew by 1026 KiB, 853 KiB are allowed"]
    filed = [files + at // 120 for at, files in enumerate(busy)]
    assert leaks({"bridge": looks(saw, filed)}) == ["bridge never has fewer than 22 files open, before it was 12"]
    assert leaks({"m1": looks([50 << 20] * count, busy)}) == ["m1 takes 50 MiB"]

"""SIGTERM at any moment: while the gateway starts, while it reads, while it drains, and once more to be quick about it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from typing import NamedTuple

import pytest

from tests.processes.rig import Rig, load_s, rig
from tests.processes.typed import REPOSITORY
from tests.services.base import until
from tests.typed import command, environment

LIMIT_s = 10.0
SEED = int(os.environ.get("EDGEGW_SEED", "46"))


class Strike(NamedTuple):
    """When to send SIGTERM, in seconds after the gateway has its lock; and again, in seconds after that."""

    first_s: float
    second_s: float | None


def strikes(count: int, seed: int) -> list[Strike]:
    """By turns: during start, in full run, during start and again, in full run and again."""
    chance = random.Random(seed)
    return [
        Strike(chance.uniform(0, 0.4) if number % 2 == 0 else chance.uniform(0.4, 1.5), chance.uniform(0, 0.5) if number % 4 > 1 else None)
        for number in range(count)
    ]


def struck(gateway: Rig, strike: Strike) -> float:
    """Start the gateway, strike it; seconds from the first SIGTERM to its end, which must be in order and leave nothing."""
    words = command("start", "--foreground", "--logs", str(gateway.paths.logs), "-c", str(gateway.config))
    with subprocess.Popen(words, cwd=REPOSITORY, env=environment(), start_new_session=True) as process:
        until(lambda: holder(gateway) == process.pid, 60, "the lock")
        lives_on(process, strike.first_s)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        if strike.second_s is not None:
            lives_on(process, strike.second_s)
            process.send_signal(signal.SIGTERM)
        process.wait(60)
        took_s = time.monotonic() - begun
    assert process.returncode == 0, (strike, gateway.logs())
    until(lambda: not group(process.pid), 2, "its whole group to be gone")  # what the kernel kills with the supervisor is init's to reap
    assert {path.name for path in gateway.paths.runtime.iterdir()} <= {"lock", "tally", "receipts"}
    return took_s


def group(leader: int) -> bool:
    """Whether anybody is left in that process group."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def holder(gateway: Rig) -> int:
    """Whose pid stands in the lock; 0: nobody's."""
    with contextlib.suppress(OSError, ValueError):
        return int(gateway.paths.lock.read_text())
    return 0


def lives_on(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let so much time pass, or less when it ends."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def rows(gateway: Rig) -> int:
    """Readings in the embedded store."""
    with contextlib.closing(sqlite3.connect(gateway.paths.store)) as store:
        return int(store.execute("SELECT COUNT(*) FROM lidar").fetchone()[0])


@pytest.mark.timeout(300)
def test_sigterm_at_any_moment_ends_in_order() -> None:
    """Exit code 0 within ten seconds, no process and no socket left; and what the spool counts as kept is what the store has."""
    with rig(2, 100, "") as made:
        planned = strikes(20 if load_s(0) else 4, SEED)
        made.paths.logs.mkdir(mode=0o700, parents=True)
        made.paths.state.chmod(0o700)
        took = [struck(made, strike) for strike in planned]
        print(f"seed {SEED}: the longest of {len(took)} stops took {max(took):.2f} s")
        assert max(took) < LIMIT_s
        made.start()  # settles what the quick ones left
        until(lambda: made.sinks().get("sqlite", {}).get("delivered"), 60, f"a delivery; log: {made.logs()}")
        made.stop()
        books = made.books()
        assert books
        assert all(book.closed for book in books)
        assert sum(book.kept for book in books) == rows(made)

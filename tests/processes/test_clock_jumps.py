"""A wall clock that leaps by a day under a running gateway (libfaketime; the machine's own clock is never touched)."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from pathlib import Path

import pytest

from tests.processes.rig import Rig, rig
from tests.services.base import need, until

DAY_s = 86_400
LIBRARIES = "*/faketime/libfaketime.so.1"  # below /usr/lib, in the directory of the architecture


@pytest.fixture
def hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how far from the truth the wall clock is, for every process that is started from here on."""
    need("faketime", "faketime")
    hands = tmp_path / "hands"
    hands.write_text("+0\n")
    monkeypatch.setenv("LD_PRELOAD", str(next(Path("/usr/lib").glob(LIBRARIES))))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(hands))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return hands


def produced(gateway: Rig) -> dict[str, int]:
    """By every worker, in its present run."""
    workers = [child for child in gateway.status()["children"] if child["role"] == "worker"]
    return {child["name"]: (child["health"] or {}).get("produced", 0) for child in workers}


def leap(gateway: Rig, hands: Path, offset_s: int) -> None:
    """Set the hands, and wait until every worker has read on for a while."""
    hands.write_text(f"{offset_s:+d}\n")
    before = produced(gateway)
    until(lambda: all(count >= before[name] + 30 for name, count in produced(gateway).items()), 30, "readings after the leap")


def rows(gateway: Rig, run: str) -> list[tuple[int, int, int]]:
    """(seq, boot time in ns, wall clock in s) of every row of `run`, by seq."""
    with contextlib.closing(sqlite3.connect(gateway.paths.store)) as store:
        question = (
            "SELECT seq, boot_ns, CAST(strftime('%s', time) AS INTEGER) FROM lidar JOIN run USING (run_id) WHERE uuid = ? ORDER BY seq"
        )
        return store.execute(question, (run,)).fetchall()


def test_a_day_forth_and_two_back_change_no_timer_and_no_order(hands: Path) -> None:
    """No process is restarted, nothing is lost; seqs go on and boot times do not leap; each leap is told."""
    true_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)  # by this process's own clock, which nobody moves
    with rig(2, 50, "[sinks.sqlite]") as gateway:
        gateway.start()
        pids = {name: process.pid for name, process in gateway.children().items()}
        for offset_s in (DAY_s, -DAY_s, 0):
            leap(gateway, hands, offset_s)
        assert {name: process.pid for name, process in gateway.children().items()} == pids
        assert all(child["restarts"] == 0 for child in gateway.status()["children"])
        gateway.settle()
        leaps = [json.loads(line) for line in gateway.run("logs", "--json").stdout.splitlines() if "clock_jumped" in line]
        gateway.stop()
        assert [round(one["by_s"] / DAY_s) for one in leaps] == [1, -2, 1]
        for book in gateway.books():
            found = rows(gateway, book.run.id)
            assert [seq for seq, _, _ in found] == list(range(book.counts.produced))
            assert all(abs(after - before) < 10e9 for (_, before, _), (_, after, _) in itertools.pairwise(found))
            days = [round((time_s - boot_ns / 1e9 - true_s) / DAY_s) for _, boot_ns, time_s in found]
            assert set(days) == {0, 1, -1}

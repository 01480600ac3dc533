"""A long backlog and live sensors at once: the gateway is up at once, what is new comes first, and all of the old comes too."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

import pytest

from tests.benchmarks.backlog import HZ, SENSORS, StoreTail, drained, preload
from tests.processes.rig import Rig, rig

READINGS = int(os.environ.get("EDGEGW_BACKLOG", "100000"))
INGEST = SENSORS * HZ  # a second
MARGIN = 3  # for a machine that is busy with other things


@pytest.fixture
def gateway() -> Iterator[Rig]:
    with rig(SENSORS, HZ, "[sinks.sqlite]") as made:
        yield made


@pytest.mark.timeout(1200)
def test_a_backlog_drains_beside_live_data(gateway: Rig) -> None:
    """READY in 5 s, drained at five times the rate at which new readings come, in little memory, live p99 5 s; none lost, none twice."""
    runs = preload(gateway.paths.spool, ["sqlite"], READINGS)
    found = drained(gateway, ["sqlite"], READINGS, StoreTail(gateway.paths.store, gateway.names))
    gateway.stop()
    print(found)
    with contextlib.closing(sqlite3.connect(gateway.paths.store)) as db:
        rows = dict(db.execute("SELECT uuid, count(*) FROM lidar JOIN run USING (run_id) GROUP BY uuid"))
        assert db.execute("SELECT count(*) FROM (SELECT DISTINCT run_id, seq FROM lidar)").fetchone()[0] == sum(rows.values())
    books = {book.run.id: book for book in gateway.books()}
    assert sum(books[run.id].kept for run in runs) == READINGS
    assert rows == {run: book.kept for run, book in books.items()} == {run: book.sinks["sqlite"].delivered for run, book in books.items()}
    assert found.ready_s < 5 * MARGIN
    assert found.readings / found.drained_s > 5 * INGEST / MARGIN
    assert found.rss_bytes < 64 << 20
    assert found.p99_s < 5

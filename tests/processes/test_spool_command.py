"""`edgegw spool` on a real gateway, and the gateway itself when the structure of its spool is broken: before the start, while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.errors import Exit
from edgegw.failpoint import DIRECTORY, SPEC, struck
from edgegw.spool.file import PAGE_bytes
from tests.processes.rig import Rig, rig
from tests.services.base import until

SENSORS, HZ = 2, 200
SINKS = '[sinks.sqlite]\n[sinks.rabbitmq]\nurl = "amqp://user:password@127.0.0.1:9/"'  # nobody listens there: a backlog stays
BACKLOG_readings = 800


@pytest.fixture(scope="module")
def gateway() -> Iterator[Rig]:
    """One for all tests: the backlog of each is salvaged by the next."""
    with rig(SENSORS, HZ, SINKS) as made:
        made.start()
        until(lambda: made.sinks().get("rabbitmq", {}).get("lag", 0) >= BACKLOG_readings, 90, "a backlog")
        yield made


def test_what_is_in_it_while_the_gateway_runs(gateway: Rig) -> None:
    """What waits for whom, how long the room lasts; sound; every reading a line."""
    told = gateway.run("spool", "status")
    assert (told.returncode, told.stderr) == (0, "")
    assert all(word in told.stdout for word in ("sqlite", "rabbitmq", "at the present rate", "of 960.0 MiB"))
    assert gateway.run("spool", "verify").returncode == Exit.DONE
    assert sum(_exported(gateway).values()) >= BACKLOG_readings


def test_a_structure_that_breaks_while_the_gateway_runs(gateway: Rig) -> None:
    """The root of the records overwritten: set aside and salvaged, nothing missing, the sinks go on, the books balance."""
    before = _kept(gateway)
    _overwrite_root(gateway.paths.spool)
    _must_be_well(gateway, before, 1)


def test_a_structure_that_is_broken_at_the_start(gateway: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and the bridge is killed twice in the middle of the salvage."""
    gateway.stop()
    before = _kept(gateway)
    strikes = gateway.home / "strikes"
    strikes.mkdir()
    monkeypatch.setenv(SPEC, "bridge:spool.before_commit=kill@2#2")
    monkeypatch.setenv(DIRECTORY, str(strikes))
    _overwrite_root(gateway.paths.spool)
    gateway.run("start")
    _must_be_well(gateway, before, 2)
    assert sum(struck(strikes).values()) == 2


def _must_be_well(gateway: Rig, before: dict[str, int], files: int) -> None:
    until(lambda: _salvaged(gateway, files), 60, f"the spool to be salvaged: {gateway.logs()}")
    until(lambda: sum(_kept(gateway).values()) >= sum(before.values()) + 50, 60, "what is new to come in")
    for stopped in (False, True):
        if stopped:
            gateway.stop()
        answer = gateway.run("audit", "--json")
        assert answer.returncode == Exit.DONE, answer.stdout[-4000:] + answer.stderr
        assert json.loads(answer.stdout)["lost"] == []
    assert gateway.run("spool", "verify").returncode == Exit.DONE
    assert "readings of it were taken over, none is missing" in gateway.run("spool", "status").stdout
    assert _exported(gateway) == _kept(gateway)
    gateway.start()


def _salvaged(gateway: Rig, files: int) -> bool:
    """Whether so many files were set aside and are read to their end."""
    with contextlib.suppress(ValueError):
        told: dict[str, Any] = json.loads(gateway.run("spool", "status", "--json").stdout)
        return [(one["number"], one["done"], one["missing"]) for one in told["salvaged"]][-1:] == [(files, True, 0)]
    return False


def _kept(gateway: Rig) -> dict[str, int]:
    """Run → readings that were ever in the spool, and all of them wait for the broker."""
    return {book.run.id: book.kept for book in gateway.books()}


def _exported(gateway: Rig) -> Counter[str]:
    out = gateway.home / "out.jsonl"
    done = gateway.run("spool", "export", "-o", str(out))
    assert done.returncode == Exit.DONE, done.stderr
    keys = Counter((line["run"], line["seq"]) for line in map(json.loads, out.read_text().splitlines()))
    assert set(keys.values()) == {1}
    return Counter(run for run, _ in keys)


def _overwrite_root(spool: Path) -> None:
    """As a bad card does, behind the back of whoever has it open."""
    with contextlib.closing(sqlite3.connect(spool)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = os.open(spool, os.O_WRONLY)
    try:
        assert os.pwrite(file, b"\xa5" * PAGE_bytes, (page - 1) * PAGE_bytes) == PAGE_bytes
    finally:
        os.close(file)

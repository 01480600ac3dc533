"""The spool's files with a torn end: cut at any byte, filled with zeros or garbage, or without their companions."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from edgegw.errors import SpoolError
from edgegw.spool import Commit, Reader, Spool
from tests.lab import some
from tests.lab.kept import EACH, RUN
from tests.lab.place import workplace
from tests.spooling import ALL, handed, held

OLD, NEW = 15, 12  # batches in the database, and behind them in the WAL
TAIL_bytes = 4096
OPENS_s = 10  # the matrix says 1, on a machine that does nothing else
WAL_HEAD_bytes, SHM_bytes = 32, 32768


class Files(NamedTuple):
    """A spool as kill -9 leaves it."""

    database: bytes
    wal: bytes
    shm: bytes


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    with workplace() as directory:
        path = directory / "spool.db"
        spool = Spool(path, ["mysql"])
        _append(spool, range(OLD))
        spool.close()
        spool = Spool(path, ["mysql"])
        _append(spool, range(OLD, OLD + NEW))
        yield Files(*(path.with_name(f"spool.db{end}").read_bytes() for end in ("", "-wal", "-shm")))
        spool.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    with workplace() as made:
        yield made


@pytest.mark.parametrize("filled", ["nothing", "zeros", "garbage"])
@pytest.mark.parametrize("shm", ["none", "stale", "garbage"])
def test_a_torn_end_of_the_log_costs_the_last_commits_only(directory: Path, files: Files, filled: str, shm: str) -> None:
    """At any byte of the last 4 KB: what is lost is a suffix of the commits, none but the one that was torn, and nothing is set aside."""
    rng = random.Random(29)
    end, step = len(files.wal), 1 if (filled, shm) == ("nothing", "none") else 7
    for cut in some(range(end - TAIL_bytes, end, step), 12):
        tail = {"nothing": b"", "zeros": bytes(end - cut), "garbage": rng.randbytes(end - cut)}[filled]
        beside = {"none": b"", "stale": files.shm, "garbage": rng.randbytes(SHM_bytes)}[shm]
        count = _opened(directory, files.database, files.wal[:cut] + tail, beside)
        assert count == OLD + NEW - 1, f"cut at {cut} of {end}"


@pytest.mark.parametrize("extra", [bytes(10_000), random.Random(29).randbytes(10_000), b"\x00"], ids=["zeros", "garbage", "byte"])
def test_what_lies_behind_the_log_is_passed_over(directory: Path, files: Files, extra: bytes) -> None:
    """A file system may leave it longer than it was written: all commits are there."""
    assert _opened(directory, files.database, files.wal + extra, files.shm) == OLD + NEW


def test_the_deeper_the_cut_the_fewer_commits(directory: Path, files: Files) -> None:
    """Anywhere in the log: never a later commit without an earlier one, and never fewer than the database has."""
    cuts = sorted(some(range(0, len(files.wal) + 1, 211), 40))
    counts = [_opened(directory, files.database, files.wal[:cut], b"") for cut in [0, WAL_HEAD_bytes, *cuts, len(files.wal)]]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (OLD, OLD + NEW)


def test_a_log_from_elsewhere_is_not_taken_for_this_one(directory: Path, files: Files) -> None:
    """Missing, garbage, or zeros from the first byte on: what the database has is there, and no more."""
    for wal in (None, b"", random.Random(29).randbytes(len(files.wal)), bytes(len(files.wal))):
        assert _opened(directory, files.database, wal, files.shm) == OLD


def test_a_database_with_a_torn_end_is_opened_or_set_aside_whole(directory: Path, files: Files) -> None:
    """Without its log nothing can mend it: each batch is right or called damaged, or said, or the file is set aside whole and read."""
    end = len(files.database)
    for cut in some(range(end - TAIL_bytes, end), 12):
        _opened_or_aside(directory, files.database[:cut])


def _append(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.commit(Commit([handed(RUN, number, number * EACH, EACH)]))


def _laid(directory: Path, database: bytes, wal: bytes | None, shm: bytes) -> Path:
    path = directory / "torn" / "spool.db"
    path.parent.mkdir()
    path.write_bytes(database)
    if wal is not None:
        path.with_name("spool.db-wal").write_bytes(wal)
    if shm:
        path.with_name("spool.db-shm").write_bytes(shm)
    return path


def _opened(directory: Path, database: bytes, wal: bytes | None, shm: bytes) -> int:
    """How many batches a spool of these files has, from the first one on, each whole; and it takes in another."""
    path = _laid(directory, database, wal, shm)
    before = time.monotonic()
    spool = Spool(path, ["mysql"])
    assert time.monotonic() - before < OPENS_s
    try:
        assert spool.set_aside is None
        count = spool.acked(RUN.id) + 1
        _append(spool, range(count, count + 1))
        assert held(path) == [handed(RUN, number, number * EACH, EACH).batch for number in range(count + 1)]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        spool.close()
        shutil.rmtree(path.parent)
    return count


def _opened_or_aside(directory: Path, database: bytes) -> None:
    path = _laid(directory, database, None, b"")
    spool = Spool(path, ["mysql"])
    try:
        if spool.set_aside is None:
            try:
                with closing(Reader(path)) as reader:
                    records, damaged = reader.after(0, ALL)
            except SpoolError:
                return
            whole = {record.position: record.batch for record in records}
            assert len(whole) + len(damaged) >= OLD  # a page that ends in zeros may have lost the position of a record with it
            assert all(one == handed(RUN, at - 1, (at - 1) * EACH, EACH).batch for at, one in whole.items())
        else:
            assert spool.set_aside.read_bytes() == database
            _append(spool, range(99, 100))
            while spool.salvor.at_work:
                spool.salvage()
            taken_over = [batch.first_seq // EACH for batch in held(path)]
            assert taken_over[-1] == 99
            assert all(one == handed(RUN, at, at * EACH, EACH).batch for at, one in zip(taken_over, held(path), strict=True))
    finally:
        spool.close()
        shutil.rmtree(path.parent)

"""SQLiteSink and its file: full disks, other processes, wrong files, missing files, kill -9."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import Refused, Unavailable
from edgegw.reading import Stored
from edgegw.sinks.sqlite import SQLiteSink
from tests.records import a_reading, a_record, a_run, lidar
from tests.services.base import end, need

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def sink(path: Path) -> Iterator[SQLiteSink]:
    with contextlib.closing(SQLiteSink(path, busy_timeout_s=0.2)) as made:
        made.open()
        yield made


def count(path: Path) -> tuple[int, int, int, int]:
    """(rows, different seqs, first, last), as another process sees them."""
    statement = "SELECT COUNT(*), COUNT(DISTINCT seq), MIN(seq), MAX(seq) FROM lidar"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        found: tuple[int, int, int, int] = reader.execute(statement).fetchone()
    return found


def fill(sink: SQLiteSink, size: int = 200) -> int:
    """Deliver until it fails; how many readings went in."""
    for seq in range(0, 1_000_000, size):
        try:
            sink.deliver([lidar(a_run(), range(seq, seq + size))])
        except Unavailable:
            return seq
    raise AssertionError("the disk never filled")


def test_a_full_disk_is_unavailable_and_heals(path: Path, sink: SQLiteSink) -> None:
    """A file that may not grow (RLIMIT_FSIZE: SQLITE_IOERR_WRITE) keeps what it has; with room again everything goes in, once."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # Python ignores SIGXFSZ: the write fails with EFBIG
    try:
        stored = fill(sink)
        assert count(path) == (stored, stored, 0, stored - 1)
        with pytest.raises(Unavailable):
            sink.open()
            sink.deliver([lidar(a_run(), range(stored, stored + 20_000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.open()
    sink.deliver([lidar(a_run(), range(stored + 20_000))])
    assert count(path) == (stored + 20_000, stored + 20_000, 0, stored + 19_999)


def test_a_full_file_system_is_unavailable_and_heals(tmp_path: Path) -> None:
    """On a 2 MB file system the message says what to do (SQLITE_FULL), readers still read, and freed space ends it."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "edgegw", str(small)], capture_output=True, timeout=30, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.decode().strip()}")
    try:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(1 << 19))
        with contextlib.closing(SQLiteSink(small / "store.db")) as sink:
            sink.open()
            stored = fill(sink)
            sink.open()
            with pytest.raises(Unavailable, match="disk is full: free some space"):
                sink.deliver([lidar(a_run(), range(stored, stored + 5000))])
            assert count(small / "store.db") == (stored, stored, 0, stored - 1)
            ballast.unlink()
            sink.open()
            sink.deliver([lidar(a_run(), range(stored + 200))])
            assert count(small / "store.db") == (stored + 200, stored + 200, 0, stored + 199)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True, timeout=30)


def test_kill_9_keeps_what_was_delivered(path: Path) -> None:
    """Everything a killed process was told is stored is there; delivering all of it again leaves neither gap nor duplicate."""
    script = (
        "import sys, pathlib; from edgegw.sinks.sqlite import SQLiteSink; from tests.records import a_run, lidar\n"
        "sink = SQLiteSink(pathlib.Path(sys.argv[1])); sink.open()\n"
        "for seq in range(0, 10**7, 50):\n"
        "    sink.deliver([lidar(a_run(), range(seq, seq + 50))]); print(seq + 50, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(20)]
        end(child, signal.SIGKILL)
        told += [int(line) for line in child.stdout if line.endswith(b"\n")]
    with contextlib.closing(SQLiteSink(path)) as sink:
        sink.open()
        stored = sink.stored()["front", a_run().id]
        assert stored in (Stored(told[-1], 0, told[-1] - 1), Stored(told[-1] + 50, 0, told[-1] + 49))
        sink.deliver([lidar(a_run(), range(told[-1] + 100))])
    assert count(path) == (told[-1] + 100, told[-1] + 100, 0, told[-1] + 99)


def test_a_reader_neither_waits_nor_is_waited_for(path: Path, sink: SQLiteSink) -> None:
    """Somebody in the middle of a long read keeps what he saw, while deliveries go on; a new read sees them."""
    sink.deliver([lidar(a_run(), [0])])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM lidar").fetchone() == (1,)
        sink.deliver([lidar(a_run(), range(1000))])
        assert reader.execute("SELECT COUNT(*) FROM lidar").fetchone() == (1,)
        assert count(path)[0] == 1000


def test_another_writer_is_waited_for_and_then_unavailable(path: Path, sink: SQLiteSink) -> None:
    """A lock held longer than the timeout is Unavailable; released, the delivery goes through."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another process"):
            sink.deliver([lidar(a_run(), [0])])
        other.execute("ROLLBACK")
    sink.open()
    sink.deliver([lidar(a_run(), [0])])
    assert count(path)[0] == 1


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_a_file_taken_away_is_noticed(path: Path, tmp_path: Path, sink: SQLiteSink, replaced: bool) -> None:
    """SQLite would go on writing into a file without a name: the delivery fails instead, and the next one fills a new file."""
    sink.deliver([lidar(a_run(), [0])])
    for name in list(tmp_path.glob("store.db*")):
        name.rename(tmp_path / f"old-{name.name}")
    if replaced:
        path.touch()
    with pytest.raises(Unavailable, match="taken away"):
        sink.deliver([lidar(a_run(), range(1, 3))])
    sink.open()
    sink.deliver([lidar(a_run(), range(1, 3))])
    assert count(path) == (2, 2, 1, 2)


@pytest.mark.parametrize("content", [b"not a database, but a letter to the editor\n" * 200, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """It is named, left as it is, and the operator is told to move it."""
    path.write_bytes(content)
    with contextlib.closing(SQLiteSink(path)) as sink, pytest.raises(Refused, match="move") as caught:
        sink.open()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_damaged_page_is_refused(path: Path, sink: SQLiteSink) -> None:
    """A database broken in the middle is Refused with what to do, not retried for ever as if it were away."""
    sink.deliver([lidar(a_run(), range(5000))])
    sink.close()
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    with pytest.raises(Refused, match="move the file away"):
        sink.open()
        sink.stored()


def test_a_table_taken_away_is_refused_and_made_anew(path: Path, sink: SQLiteSink) -> None:
    """Somebody drops or renames a table of the open file: nothing is poison, and the next open() makes it anew."""
    for kind in ("lidar", "radar"):  # one that open() makes, and one that the first reading makes
        record = a_record(a_run(kinds={kind: {"distance_m": "float"}}), [a_reading(0, [1.0])], kind)
        sink.deliver([record])
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute(f"ALTER TABLE {kind} RENAME TO kept_{kind}")
        with pytest.raises(Refused, match=f"no such table: {kind}"):
            sink.deliver([record])
        sink.open()
        sink.deliver([record])
    assert count(path) == (1, 1, 0, 0)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """With the path and what to look at."""
    with contextlib.closing(SQLiteSink(tmp_path / "no" / "store.db")) as sink, pytest.raises(Refused, match=r"no/store\.db.*directory"):
        sink.open()


def test_where_wal_is_impossible_is_refused() -> None:
    """Pragmas are read back: a database that will not take them is not used with a weaker promise."""
    with contextlib.closing(SQLiteSink(Path(":memory:"))) as sink, pytest.raises(Refused, match="journal_mode"):
        sink.open()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """With synchronous=FULL each delivery syncs the write-ahead log before it returns; NORMAL would not."""
    script = (
        "import sys, os, pathlib; from edgegw.sinks.sqlite import SQLiteSink; from tests.records import a_run, lidar\n"
        "sink = SQLiteSink(pathlib.Path(sys.argv[1])); sink.open(); sink.deliver([lidar(a_run(), [0])])\n"
        "for seq in range(1, 21): os.write(2, b'MARK\\n'); sink.deliver([lidar(a_run(), [seq])])\n"
        "os.write(2, b'END\\n')\n"
    )
    strace = [need("strace", "strace"), "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(tmp_path / "trace")]
    command = [*strace, sys.executable, "-c", script, str(tmp_path / "s.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    deliveries = (tmp_path / "trace").read_text().split("MARK")[1:]
    assert len(deliveries) == 20
    assert all("sync(" in delivery for delivery in deliveries)


def test_tables_of_another_version_are_refused(path: Path) -> None:
    """A file that a later edgegw has written is left alone."""
    with contextlib.closing(SQLiteSink(path)) as sink:
        sink.open()
        sink.close()
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE schema_version SET version = 99")
        with pytest.raises(Refused, match="update edgegw"):
            sink.open()


def test_made_used_and_closed_in_three_threads(path: Path) -> None:
    """As the bridge does: made while starting, opened and used in the sink's own thread, closed by whoever is last."""
    sink = SQLiteSink(path)

    def use() -> None:
        sink.open()
        sink.deliver([lidar(a_run(), range(10))])

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    sink.close()
    assert count(path)[0] == 10


def test_no_file_descriptor_is_left(path: Path) -> None:
    """Opening again and again, also in vain, leaves no file open."""
    sink = SQLiteSink(path)
    sink.open()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        sink.open()
        with pytest.raises(Refused):
            SQLiteSink(path.parent).open()
    assert len(os.listdir("/proc/self/fd")) == before
    sink.close()

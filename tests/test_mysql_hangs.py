"""MySQL held up: by locks, by a wire that goes silent at the worst moment, by a server that hangs; exactly once all the same."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from edgegw.errors import Unavailable
from edgegw.reading import Record
from edgegw.sinks.mysql import MySQLSink, link
from tests.mysql_line import Line, PATIENCE_s, joined, line, troubles
from tests.records import a_run, lidar
from tests.services.base import end, until
from tests.services.mariadb import Database
from tests.services.proxy import Proxy
from tests.test_mysql_outages import hold

__all__ = ["line", "troubles"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    with Proxy(database.gateway.port) as made:
        yield made


def behind(proxy: Proxy, database: Database, timeout_s: float) -> MySQLSink:
    return MySQLSink(msgspec.structs.replace(database.gateway, port=proxy.port), timeout_s=timeout_s)


# --- locks ---


def test_a_lock_in_the_middle_is_worked_around(
    line: Line, database: Database, troubles: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five tries of the whole, then of halves, quarters, ...: what is free goes in while the lock is held, the rest after it, once."""
    monkeypatch.setattr(link, "_SESSION", link._SESSION.replace("innodb_lock_wait_timeout = {0}", "innodb_lock_wait_timeout = 0"))
    with database.mariadb.session(database.gateway.database) as other, other.cursor() as cursor:
        other.begin()
        hold(cursor, 45, "lidar")
        for (connection,) in database.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{database.gateway.user}'"):
            database.sql(f"KILL {connection}")  # the next one does not wait for locks
        line.fill(1, each=40)
        until(lambda: line.rows() > 10, PATIENCE_s, f"what is free to go in ({line.mysql.health(0)})")
        assert [type(error) for error in troubles] == [Unavailable] * len(troubles)
        assert sum("(1205)" in str(error) for error in troubles) >= 5
        until(lambda: line.rows() == 45, PATIENCE_s, "all in front of the lock to go in")
        assert line.letters() == 0
        other.rollback()
    line.complete()


def test_whole_again_once_the_lock_is_gone(database: Database) -> None:
    """Parts are for trouble only: after five clashes two transactions for a delivery, after it went through one again."""
    sink = MySQLSink(database.gateway)
    sink._clashes = 5
    commits = []
    with contextlib.closing(sink):
        for begin in (0, 100):
            sink.open()
            ((_, before),) = database.sql("SHOW GLOBAL STATUS LIKE 'Com_commit'")
            sink.deliver([lidar(a_run(), range(begin, begin + 100))])
            ((_, after),) = database.sql("SHOW GLOBAL STATUS LIKE 'Com_commit'")
            commits.append(int(after) - int(before))
    assert commits == [3, 1]  # the third closes the two parts, with nothing in it
    assert database.lidar() == (200, 200, 0, 199)


# --- replay ---


def test_the_whole_spool_again(line: Line, database: Database) -> None:
    """A cursor that was lost: everything is delivered once more, cut differently, and the table does not change."""
    line.fill(20, each=500)
    line.complete()
    again = line.forward(MySQLSink(database.gateway, batch_rows=333))
    until(lambda: again.health(0).delivered == line.made, PATIENCE_s, "the replay")
    line.complete()
    assert again.health(0).why == ""


def passed_on(proxy: Proxy) -> int:
    """Bytes to the client so far, while nothing is on its way: the proxy counts after it has written, so let it come round first."""
    proxy.blackhole(False)
    return proxy.to_client_bytes


def cut(proxy: Proxy, at_bytes: int) -> None:
    until(lambda: proxy.to_client_bytes == at_bytes, PATIENCE_s, "the answer to be cut")


def test_an_answer_that_never_comes(database: Database, proxy: Proxy) -> None:
    """The wire falls silent at any byte of the server's answers, the last of COMMIT's too: there or not, given again it is there once."""
    first, committed = 1000, 0  # equal digits make answers of equal length

    def overlapping(turn: int) -> list[Record]:
        return [lidar(a_run(), range(first + 5 * turn, first + 5 * turn + 10))]  # the first half is there already

    with contextlib.closing(behind(proxy, database, PATIENCE_s)) as sink, ThreadPoolExecutor(1) as thread:
        sink.open()
        sink.deliver(overlapping(0))
        heard = passed_on(proxy)
        sink.deliver(overlapping(1))
        answers = passed_on(proxy) - heard
        for turn, after in enumerate([0, 1, 12, 40, answers // 2, answers - 20, answers - 12, answers - 11, answers - 1], start=2):
            proxy.half_open(after)
            heard = passed_on(proxy) + after
            delivery = thread.submit(sink.deliver, overlapping(turn))
            cut(proxy, heard)
            proxy.reset()
            with pytest.raises(Unavailable, match="lost"):
                delivery.result(PATIENCE_s)
            rows = 10 + 5 * turn
            committed += database.lidar()[0] == rows
            sink.open()
            sink.deliver(overlapping(turn))
            assert database.lidar() == (rows, rows, first, first + rows - 1)
    assert committed


# --- silence ---


def test_a_blackhole_on_the_wire(tmp_path: Path, database: Database, proxy: Proxy, troubles: list[Exception]) -> None:
    """What was on its way arrives late, beside its own repetition: once all the same. The other sink goes on meanwhile."""
    with joined(tmp_path, database, behind(proxy, database, timeout_s=1)) as line:
        proxy.blackhole()
        line.fill(50)
        until(lambda: line.others() == line.made, PATIENCE_s, "the other sink to have all")
        until(lambda: troubles, PATIENCE_s, "the silence to be noticed")
        assert "no answer in time" in str(troubles[0])
        proxy.blackhole(False)
        line.complete()


def test_a_wire_that_gives_little_at_a_time(database: Database, proxy: Proxy) -> None:
    """Answers in pieces of three bytes are put together again."""
    proxy.slice_bytes = 3
    with contextlib.closing(behind(proxy, database, timeout_s=PATIENCE_s)) as sink:
        sink.open()
        for _ in range(2):
            sink.deliver([lidar(a_run(), range(10))])
    assert database.lidar() == (10, 10, 0, 9)


def test_closing_does_not_wait_for_a_server_that_hangs(database: Database) -> None:
    """Goodbye is said to a stopped server without waiting for an answer."""
    sink = MySQLSink(database.gateway, timeout_s=PATIENCE_s)
    sink.open()
    database.mariadb.pause()
    try:
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < PATIENCE_s / 4
    finally:
        database.mariadb.resume()


LEAVING = """
import pathlib, sys, threading
import tests.mysql_line as room
from edgegw.sinks.mysql import MySQLSink, Server

class Seen(MySQLSink):
    inside = threading.Event()
    def deliver(self, records):
        self.inside.set()
        super().deliver(records)

user, database, password, port, directory = sys.argv[1:]
sink = Seen(Server("127.0.0.1", user, database, lambda: password, int(port)))
line = room.Line(pathlib.Path(directory), None, sink)
line.fill(1)
room.until(lambda: line.mysql.health(0).delivered, room.PATIENCE_s, "a first delivery")
sink.inside.clear()
print("ready", flush=True)
sys.stdin.readline()
line.fill(1)
sink.inside.wait(room.PATIENCE_s)
line.mysql.stop_soon()
print("left", line.mysql.ended(1.0), flush=True)
"""


def test_a_gateway_that_stops_does_not_wait_for_a_server_that_hangs(database: Database, tmp_path: Path) -> None:
    """With a delivery stuck in the server for half a minute to come, the process gives it a second, and ends."""
    server = database.gateway
    command = [sys.executable, "-c", LEAVING, server.user, server.database, server.password(), str(server.port), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"ready\n"
            database.mariadb.pause()
            child.stdin.write(b"go\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"left False\n"
            assert child.wait(10) == 0
        finally:
            database.mariadb.resume()
            end(child)

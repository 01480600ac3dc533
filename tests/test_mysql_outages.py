"""MySQLSink through outages and locks: crash, hang, kill, read-only, deadlock; nothing is lost and nothing is twice."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from edgegw.errors import Unavailable
from edgegw.reading import Record
from edgegw.sinks.mysql import MySQLSink
from edgegw.sinks.schema import KINDS
from tests.records import a_reading, a_record, a_run, lidar
from tests.services import base
from tests.services.mariadb import Database, with_server

PATIENCE_s = 30


# --- outages ---


def kill_after(event: threading.Event, database: Database) -> None:
    event.wait(PATIENCE_s)
    database.mariadb.kill()


def test_kill_9_under_load_leaves_neither_gap_nor_duplicate(database: Database, mysql: MySQLSink) -> None:
    """What deliver() returned for survives the crash of the server; what it raised for is delivered again; nothing is there twice."""
    run, size, crashes = a_run(), 50, 3
    seq, delivered = 0, 0
    for crash in range(crashes):
        under_load = threading.Event()
        killer = threading.Thread(target=kill_after, args=(under_load, database))
        killer.start()
        try:
            while True:
                mysql.deliver([lidar(run, range(seq, seq + size))])
                seq += size
                delivered += 1
                if delivered > 10 * (crash + 1):
                    under_load.set()
        except Unavailable:
            killer.join()
        database.mariadb.start()
        assert database.lidar()[0] in (seq, seq + size)  # the last one: outcome unknown
        mysql.open()
    mysql.deliver([lidar(run, range(max(0, seq - 3 * size), seq + size))])
    assert database.lidar() == (seq + size, seq + size, 0, seq + size - 1)


def test_a_server_that_hangs_is_unavailable(database: Database) -> None:
    """A stopped server holds neither a delivery nor a new connection longer than the timeout; afterwards all is well."""
    with contextlib.closing(MySQLSink(database.gateway, timeout_s=1)) as sink:
        sink.open()
        sink.deliver([lidar(a_run(), range(10))])
        database.mariadb.pause()
        try:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                sink.deliver([lidar(a_run(), range(10, 20))])
            with pytest.raises(Unavailable):
                sink.open()
            assert time.monotonic() - began < PATIENCE_s
        finally:
            database.mariadb.resume()
        sink.open()
        sink.deliver([lidar(a_run(), range(20))])
    assert database.lidar() == (20, 20, 0, 19)


def test_nobody_there_is_unavailable(database: Database) -> None:
    """A port that nobody listens on, and a name that does not resolve."""
    for changes in ({"port": base.free_port()}, {"host": "nowhere.invalid"}):
        with contextlib.closing(with_server(database.gateway, **changes)) as sink, pytest.raises(Unavailable, match="2003"):
            sink.open()


def test_a_connection_killed_by_the_operator(database: Database, mysql: MySQLSink) -> None:
    """KILL, or a server restarted in between, is noticed at the next delivery and over after the next open()."""
    mysql.deliver([lidar(a_run(), [0])])
    user = database.gateway.user
    ((connection,),) = database.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
    database.sql(f"KILL {connection}")
    with pytest.raises(Unavailable):
        mysql.deliver([lidar(a_run(), [1])])
    mysql.open()
    mysql.deliver([lidar(a_run(), [1])])
    assert database.lidar() == (2, 2, 0, 1)


def test_read_only_is_unavailable_until_it_is_over(database: Database, mysql: MySQLSink) -> None:
    """A replica, or a server under maintenance, is waited for, and nothing is taken for poison."""
    database.mariadb.sql("SET GLOBAL read_only = 1")
    with pytest.raises(Unavailable, match="read-only"):
        mysql.deliver([lidar(a_run(), [0])])
    database.mariadb.sql("SET GLOBAL read_only = 0")
    mysql.open()
    mysql.deliver([lidar(a_run(), [0])])
    assert database.lidar()[0] == 1


def test_too_many_connections_is_unavailable(database: Database) -> None:
    """A full server is waited for, with a hint what to raise."""
    database.mariadb.sql("SET GLOBAL max_connections = 10")
    try:
        with contextlib.ExitStack() as crowd, pytest.raises(Unavailable, match="max_connections"):
            for _ in range(12):
                sink = MySQLSink(database.gateway)
                crowd.callback(sink.close)
                sink.open()
    finally:
        database.mariadb.sql("SET GLOBAL max_connections = 100")


def test_a_table_locked_for_a_backup(database: Database) -> None:
    """FLUSH TABLES WITH READ LOCK holds a delivery for the timeout and no longer; after the unlock it goes through, once."""
    with contextlib.closing(MySQLSink(database.gateway, timeout_s=1)) as sink:
        sink.open()
        with database.mariadb.session() as backup, backup.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            with pytest.raises(Unavailable):
                sink.deliver([lidar(a_run(), range(10))])
        sink.open()
        sink.deliver([lidar(a_run(), range(10))])
    assert database.lidar() == (10, 10, 0, 9)


# --- locks ---


def blocked(database: Database) -> bool:
    # Not information_schema.innodb_trx: that is a cache, which is not refreshed as long as somebody asks every 100 ms.
    return database.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1] != "0"


def hold(cursor: Any, seq: int, table: str) -> None:
    """Insert what a record of `seq` would, and keep the lock."""
    moment = a_reading(seq, ()).time_ns // 1000
    when = f"DATE_ADD('1970-01-01', INTERVAL {moment} MICROSECOND)"
    cursor.execute(f"INSERT INTO {table} (sensor_id, time, run_id, seq, boot_ns, quality, clock) VALUES (1, {when}, 1, {seq}, 0, 1, 1)")


def two_kinds(seq: int) -> list[Record]:
    run = a_run(kinds={kind: KINDS[kind] for kind in ("lidar", "imu")})
    return [a_record(run, [a_reading(seq, (1.0, 1, 1.0))]), a_record(run, [a_reading(seq, [0.5] * 9)], "imu")]


def test_a_lock_that_is_not_released_is_unavailable(database: Database) -> None:
    """1205, which comes before our own patience ends, rolls back the whole delivery; the row of the one who let go does not count."""
    with contextlib.closing(MySQLSink(database.gateway, timeout_s=3)) as mysql:
        mysql.open()
        mysql.deliver(two_kinds(0))
        with database.mariadb.session(database.gateway.database) as other, other.cursor() as cursor:
            other.begin()
            hold(cursor, 1, "imu")
            with pytest.raises(Unavailable, match=r"1205.*SHOW PROCESSLIST"):
                mysql.deliver(two_kinds(1))
            other.rollback()
        assert database.lidar()[0] == 1
        mysql.open()
        mysql.deliver(two_kinds(1))
        assert database.lidar()[0] == 2


def test_a_deadlock_is_unavailable(database: Database, mysql: MySQLSink) -> None:
    """1213: the delivery that the server gives up is given again whole, and is not taken for poison."""
    mysql.deliver(two_kinds(0))
    with database.mariadb.session(database.gateway.database) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as thread:
        other.begin()
        for seq in range(100, 200):  # the server gives up the transaction that wrote less
            hold(cursor, seq, "ultrasonic")
        hold(cursor, 1, "imu")
        delivery = thread.submit(mysql.deliver, two_kinds(1))
        base.until(lambda: blocked(database) or delivery.done(), PATIENCE_s, "the delivery to wait for the lock")
        cursor.execute("SELECT * FROM lidar WHERE seq = 1 FOR UPDATE")
        with pytest.raises(Unavailable, match="1213"):
            delivery.result(PATIENCE_s)
        other.rollback()
    mysql.open()
    mysql.deliver(two_kinds(1))
    assert database.lidar()[0] == 2


def deliver_beside(database: Database, sink: MySQLSink, record: Record, seq: int) -> None:
    """Deliver while another connection has reading `seq` inserted, and commits once the delivery waits for that."""
    with database.mariadb.session(database.gateway.database) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as thread:
        other.begin()
        hold(cursor, seq, "lidar")
        delivery = thread.submit(sink.deliver, [record])
        base.until(lambda: blocked(database) or delivery.done(), PATIENCE_s, "the delivery to wait for the lock")
        other.commit()
        delivery.result(PATIENCE_s)


def test_two_writers_of_the_same_readings(database: Database, mysql: MySQLSink) -> None:
    """A delivery that waits for another connection's uncommitted copy of its rows finds them there once that commits."""
    mysql.deliver([lidar(a_run(), [0])])
    deliver_beside(database, mysql, lidar(a_run(), range(1, 5)), 2)
    assert database.lidar() == (5, 5, 0, 4)


def test_two_writers_and_a_replay(database: Database, mysql: MySQLSink) -> None:
    """Where that copy commits after the delivery has looked which rows are there, the delivery is given again, and loses nothing."""
    mysql.deliver([lidar(a_run(), [0])])
    record = lidar(a_run(), range(5))
    with pytest.raises(Unavailable, match="very readings"):
        deliver_beside(database, mysql, record, 2)
    mysql.open()
    mysql.deliver([record])
    assert database.lidar() == (5, 5, 0, 4)

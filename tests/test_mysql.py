"""MySQLSink and its database: rights, tables and content, each refused with what to do about it."""

from __future__ import annotations

import contextlib
import math

import pytest

from edgegw.errors import Refused, Rejected
from edgegw.reading import Record, Stored
from edgegw.sinks.mysql import MySQLSink, Server, initialise
from edgegw.sinks.schema import KINDS
from tests.records import a_reading, a_record, a_run, lidar, part
from tests.services.mariadb import GRANTS, PASSWORD, Database, refused, with_server

FACE = {"face": KINDS["face"]}
PATIENCE_s = 30


# --- rights ---


def test_select_and_insert_are_enough(database: Database, mysql: MySQLSink) -> None:
    """The running gateway delivers, delivers again, buries and counts with SELECT and INSERT; anything more is denied to it."""
    grants = [row[0] for row in database.sql(f"SHOW GRANTS FOR {database.gateway.user}@'127.0.0.1'")]
    assert any(grant.startswith(f"GRANT {GRANTS} ON") for grant in grants)
    record = lidar(a_run(), range(10))
    mysql.deliver([record])
    mysql.deliver([record])
    assert mysql.stored() == {("front", a_run().id): Stored(10, 0, 9)}
    with pytest.raises(Refused):
        initialise(database.gateway, {"radon": {"x": "float"}})


def test_a_wrong_password_is_refused_and_not_repeated(database: Database) -> None:
    """The message names the account and what to check, and neither password stands in it, in the traceback or in repr()."""
    wrong = "wrong-" + PASSWORD
    sink = with_server(database.gateway, password=lambda: wrong)
    message = refused(sink, sink.open)
    assert "1045" in message
    assert "password" in message
    assert PASSWORD not in repr(database.gateway)


def test_a_password_outside_latin_1(database: Database) -> None:
    """A password goes to the server as UTF-8, as every other client sends it."""
    database.mariadb.sql(f"SET PASSWORD FOR {database.gateway.user}@'127.0.0.1' = PASSWORD('пароль€')")
    with contextlib.closing(with_server(database.gateway, password=lambda: "пароль€")) as sink:
        sink.open()
        sink.deliver([lidar(a_run(), [0])])


@pytest.mark.parametrize(
    ("revoke", "code"), [("INSERT", "1142"), ("SELECT", "1142"), ("SELECT, INSERT", "1044")], ids=["insert", "select", "both"]
)
def test_missing_rights_are_refused(database: Database, revoke: str, code: str) -> None:
    """Without a right the sink says which the account needs, and goes on once it is granted."""
    account = f"{database.gateway.user}@'127.0.0.1'"
    database.sql(f"REVOKE {revoke} ON {database.gateway.database}.* FROM {account}")
    sink = MySQLSink(database.gateway)

    def use() -> None:
        sink.open()
        sink.deliver([lidar(a_run(), [0])])

    message = refused(sink, use)
    assert code in message
    assert "SELECT and INSERT" in message
    database.sql(f"GRANT {GRANTS} ON {database.gateway.database}.* TO {account}")
    with contextlib.closing(sink):
        use()


def test_an_unknown_database_is_refused(database: Database) -> None:
    """With the sentence that says to create it. (To an account without rights there it would be 1044.)"""
    sink = MySQLSink(Server("127.0.0.1", "root", "nowhere", unix_socket=str(database.mariadb.socket)))
    assert "create the database" in refused(sink, sink.open)


# --- tables ---


def test_tables_are_made_once(database: Database) -> None:
    """initialise() says what it made, makes what is missing and only that, and never touches what is there."""
    database.sql("DROP TABLE lidar")
    database.sql("ALTER TABLE imu DROP COLUMN pitch_rad")
    assert initialise(database.admin) == ["lidar", "imu.pitch_rad"]
    assert initialise(database.admin) == []
    assert initialise(database.admin, {"radon": {"activity_Bq_m3": "float"}}) == ["radon"]
    with pytest.raises(ValueError, match="cannot be a table"):
        initialise(database.admin, {"run": {"x": "float"}})


def test_a_database_without_tables_is_refused(database: Database) -> None:
    """The first thing an operator forgets is answered with the command that does it."""
    database.sql("DROP TABLE schema_version")
    sink = MySQLSink(database.gateway)
    assert "run: edgegw db init" in refused(sink, sink.open)


@pytest.mark.parametrize(("version", "cure"), [(99, "update edgegw"), (0, "edgegw db init")])
def test_tables_of_another_version_are_refused(database: Database, version: int, cure: str) -> None:
    """Writing into tables that mean something else would be worse than waiting."""
    database.sql(f"UPDATE schema_version SET version = {version}")
    sink = MySQLSink(database.gateway)
    assert cure in refused(sink, sink.open)


def test_a_missing_table_is_refused_and_heals(database: Database, mysql: MySQLSink) -> None:
    """A table renamed away under load is named together with the cure; renamed back, the next try goes through."""
    record = lidar(a_run(), range(10))
    database.sql("RENAME TABLE lidar TO kept")
    message = refused(mysql, lambda: mysql.deliver([record]))
    assert f"{database.gateway.database}.lidar" in message
    assert "run: edgegw db init" in message
    database.sql("RENAME TABLE kept TO lidar")
    mysql.open()
    mysql.deliver([record])
    assert database.lidar() == (10, 10, 0, 9)


def test_an_unknown_kind_is_refused_until_it_has_a_table(database: Database, mysql: MySQLSink) -> None:
    """The running gateway may not CREATE: it names the table, and db init with that kind cures it."""
    kinds = {"radon": {"activity_Bq_m3": "float"}}
    record = a_record(a_run(kinds=kinds), [a_reading(0, (148.5,))], "radon")
    assert "radon" in refused(mysql, lambda: mysql.deliver([record]))
    initialise(database.admin, kinds)
    mysql.open()
    mysql.deliver([record])
    assert database.sql("SELECT activity_Bq_m3 FROM radon") == ((148.5,),)


def test_a_missing_column_is_refused(database: Database, mysql: MySQLSink) -> None:
    """A field that came with a newer driver names its column and the cure."""
    database.sql("ALTER TABLE lidar DROP COLUMN strength")
    message = refused(mysql, lambda: mysql.deliver([lidar(a_run(), [0])]))
    assert "strength" in message
    assert "edgegw db init" in message


# --- content ---


def bisect(sink: MySQLSink, record: Record) -> tuple[list[tuple[int, str]], int]:
    """The seqs and codes of the poison in `record`, everything else delivered; and how many deliveries that took."""
    try:
        sink.deliver([record])
    except Rejected as error:
        number = len(record.batch.readings)
        if number == 1:
            return [(record.batch.first_seq, error.code)], 1
        left, tries = bisect(sink, part(record, 0, number // 2))
        right, more = bisect(sink, part(record, number // 2, number))
        return left + right, tries + more + 1
    return [], 1


def test_one_bad_row_among_a_thousand(database: Database, mysql: MySQLSink) -> None:
    """A text too long is rejected with the server's code, nothing of its delivery stays; halving finds it and stores the other 999."""
    readings = [a_reading(seq, (seq, "x" * (256 if seq == 637 else 255), *[None] * 6)) for seq in range(1000)]
    record = a_record(a_run(kinds=FACE), readings, "face")
    with pytest.raises(Rejected):
        mysql.deliver([record])
    mysql.deliver([lidar(a_run(), [0])])  # BEGIN would commit whatever was not rolled back
    assert database.sql("SELECT COUNT(*) FROM face") == ((0,),)
    found, tries = bisect(mysql, record)
    assert found == [(637, "1406")]
    assert tries <= 2 * math.log2(1000) + 2
    assert database.sql("SELECT COUNT(*), SUM(seq = 637) FROM face") == ((999, 0),)


def test_another_unique_key_is_not_taken_for_a_replay(database: Database, mysql: MySQLSink) -> None:
    """Where an operator's own unique key stands in the way, the reading is rejected, not passed over as already there."""
    database.sql("CREATE UNIQUE INDEX mine ON lidar (strength)")
    with pytest.raises(Rejected) as caught:
        mysql.deliver([a_record(a_run(), [a_reading(seq, (1.0, 7, 1.0)) for seq in range(2)])])
    assert caught.value.code == "1062"
    assert database.lidar()[0] == 0


def test_a_small_packet_only_makes_statements_smaller(database: Database) -> None:
    """Statements keep below max_allowed_packet; a single row above it is rejected, though the server would just hang up."""
    kinds = {"wide": {f"t{number}": "text" for number in range(60)}}
    initialise(database.admin, kinds)
    database.mariadb.sql("SET GLOBAL max_allowed_packet = 16384, GLOBAL net_buffer_length = 16384")
    try:
        with contextlib.closing(MySQLSink(database.gateway)) as sink:
            sink.open()
            sink.deliver([lidar(a_run(1), range(2000))])
            narrow = a_reading(0, ["😀" * 5] * 60)
            record = a_record(a_run(2, kinds=kinds), [narrow, *(a_reading(seq, ["\\" * 200] * 60) for seq in (1, 2))], "wide")
            assert bisect(sink, record) == ([(1, "1153"), (2, "1153")], 5)
    finally:
        database.mariadb.sql("SET GLOBAL max_allowed_packet = 16777216")
    assert database.lidar() == (2000, 2000, 0, 1999)


def test_the_servers_defaults_do_not_matter(database: Database) -> None:
    """A server in another time zone, lenient and without backslash escapes still stores what was sent, or says no."""
    database.mariadb.sql("SET GLOBAL time_zone = '+05:00', GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")
    try:
        with contextlib.closing(MySQLSink(database.gateway)) as sink:
            sink.open()
            event = "\\'; DROP TABLE face; -- \""
            sink.deliver([a_record(a_run(kinds=FACE), [a_reading(0, (1, event, *[None] * 6))], "face")])
            with pytest.raises(Rejected):
                sink.deliver([a_record(a_run(kinds=FACE), [a_reading(1, (1, "x" * 256, *[None] * 6))], "face")])
        ((found, when),) = database.sql("SELECT event, CAST(time AS CHAR) FROM face")
    finally:
        database.mariadb.sql("SET GLOBAL time_zone = 'SYSTEM', GLOBAL sql_mode = DEFAULT")
    assert (found, when) == (event, "2026-11-21 02:31:31.123456")

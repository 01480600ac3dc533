"""MySQLSink and who else may answer: TLS, rogue servers, servers of another kind; and the table of error codes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.sinks.mysql import MySQLSink, Server, errors
from edgegw.sinks.schema import KINDS
from tests.records import a_run, lidar
from tests.services import base
from tests.services.mariadb import PASSWORD, Database, MariaDB, drop_database, make_database, refused, with_server

FACE = {"face": KINDS["face"]}
PATIENCE_s = 30


# --- the wire ---


@contextlib.contextmanager
def stranger(*answers: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that sends these and then hangs up; (its port, what it was sent)."""
    heard: list[bytes] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(PATIENCE_s)
                for answer in answers:
                    peer.sendall(answer)
                    heard.append(peer.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join, PATIENCE_s)
        yield listener.getsockname()[1], heard


def greeting(mariadb: MariaDB) -> bytes:
    """How our MariaDB says hello; it offers no TLS."""
    with socket.create_connection(("127.0.0.1", mariadb.port), PATIENCE_s) as peer:
        return peer.recv(65536)


def test_tls_that_is_not_offered_is_refused_before_the_password(database: Database) -> None:
    """Somebody on the wire who hides that the server speaks TLS gets nothing, not even the user's name."""
    with stranger(greeting(database.mariadb)) as (port, heard):
        sink = with_server(database.gateway, port=port, tls=ssl.create_default_context())
        assert "2026" in refused(sink, sink.open)
    assert heard == [b""]


def test_a_server_that_asks_for_the_password_in_plain_text_does_not_get_it(database: Database) -> None:
    """Without TLS the method mysql_clear_password is refused, though PyMySQL would obey."""
    for method in (b"mysql_clear_password", b"dialog"):
        question = b"\xfe" + method + b"\0\x04Password: "
        packet = len(question).to_bytes(3, "little") + b"\x02" + question
        with stranger(greeting(database.mariadb), packet) as (port, heard):
            sink = with_server(database.gateway, port=port)
            assert "plain text" in refused(sink, sink.open)
        assert database.gateway.user.encode() in heard[0]
        assert PASSWORD.encode() not in b"".join(heard)


@pytest.mark.parametrize(
    "hello", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\0\0\0\x0a5.5\0", bytes(300), b"\xff" * 300]
)
def test_what_is_not_mysql_is_a_sink_error(database: Database, hello: bytes) -> None:
    """A wrong port with something else behind it never ends the process."""
    with stranger(hello) as (port, _), contextlib.closing(with_server(database.gateway, port=port)) as sink, pytest.raises(SinkError):
        sink.open()


# --- the session ---


@pytest.mark.parametrize("forgotten", ["SET sql_mode = ''", "SET time_zone = '+05:00'", "SET NAMES latin1", "SET autocommit = 0"])
def test_a_session_that_is_not_what_was_asked_for_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """What pools connections may hand on another session than the one that was set up: it is read back, and not used."""
    connect = pymysql.connect

    def pooled(**options: Any) -> Any:
        connection = connect(**options)
        connection.query(forgotten)
        return connection

    monkeypatch.setattr(pymysql, "connect", pooled)
    sink = MySQLSink(database.gateway)
    assert "the session is not as it was set" in refused(sink, sink.open)


def test_a_password_is_asked_for_at_each_connect(database: Database) -> None:
    """A rotated password is taken up with the next connection, without a restart; until it is there, the sink says what to check."""
    passwords = [PASSWORD]
    with contextlib.closing(with_server(database.gateway, password=lambda: passwords[-1])) as sink:
        sink.open()
        database.mariadb.sql(f"SET PASSWORD FOR {database.gateway.user}@'127.0.0.1' = PASSWORD('rotated')")
        sink.deliver([lidar(a_run(), [0])])
        with pytest.raises(Refused, match="check user and password"):
            sink.open()
        passwords.append("rotated")
        sink.open()
        sink.deliver([lidar(a_run(), [1])])
    assert database.lidar()[0] == 2


# --- sentences ---


def test_nobody_there_in_plain_words(database: Database) -> None:
    """What happened, where, and what to do, without the driver's own words and without a traceback's."""
    port = base.free_port()
    sink = with_server(database.gateway, port=port)
    with contextlib.closing(sink), pytest.raises(Unavailable) as caught:
        sink.open()
    why = "cannot be reached: Connection refused (2003); see that it runs, and that [sinks.mysql] says where"
    assert str(caught.value) == f"MySQL at 127.0.0.1:{port}: {why}"


@pytest.fixture(scope="module")
def secured(mariadb_template: Path) -> Iterator[tuple[MariaDB, Path]]:
    """A server with TLS and the certificate that it signed itself."""
    base.need("openssl", "openssl")
    home = base.service_dir("tls")
    key, certificate = home / "key.pem", home / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=db"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *name, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60)
    server = MariaDB(mariadb_template, f"ssl_cert={certificate}\nssl_key={key}")
    try:
        server.start()
        yield server, certificate
    finally:
        server.remove()
        shutil.rmtree(home)


def test_tls_with_the_right_certificate_only(secured: tuple[MariaDB, Path]) -> None:
    """With the authority's certificate an account that REQUIREs SSL gets in; without it, under another name, or without TLS it does not."""
    server, certificate = secured
    database = make_database(server)
    server.sql(f"ALTER USER {database.gateway.user}@'127.0.0.1' REQUIRE SSL")
    trusted = ssl.create_default_context(cafile=str(certificate))
    with contextlib.closing(with_server(database.gateway, tls=trusted)) as sink:
        sink.open()
        sink.deliver([lidar(a_run(), [0])])
    for changes in ({"tls": ssl.create_default_context()}, {"tls": trusted, "host": "localhost"}, {}):
        sink = with_server(database.gateway, **changes)
        said = refused(sink, sink.open)
        assert ("the server's certificate is not trusted" in said and "check tls" in said) or not changes
    drop_database(database)


# --- the table of errors ---


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (Unavailable, [0, 1020, 1040, 1203, 1205, 1213, 1226, 1290, 1792, 1836, 2003, 2006, 2013, 1021, 1030, 1114, 9999]),
        (Refused, [1034, 1044, 1045, 1046, 1049, 1054, 1142, 1143, 1146, 1194, 1195, 1364, 1467, 1906, 1932, 2026, 3105]),
        (Rejected, [1048, 1062, 1118, 1153, 1264, 1292, 1366, 1406, 1452, 1526, 1644, 3819, 3988, 4025]),
    ],
)
def test_every_code_has_its_verdict(kind: type[SinkError], codes: list[int]) -> None:
    """What is away is waited for, what needs somebody is refused, what is content is rejected; the unknown is waited for."""
    for code in codes:
        error = errors.classify(code, "HY000", "words of the server", "db:3306")
        assert type(error) is kind, code
        assert "words of the server" in str(error)
        assert str(code) in str(error)


def test_sqlstate_decides_where_the_number_is_unknown() -> None:
    """The standard's classes: 22 data, 23 constraint, 28 login, 42 access or syntax, 45 a trigger's own, anything else may pass."""
    expected = {"22003": Rejected, "23000": Rejected, "28000": Refused, "42S02": Refused, "45000": Rejected, "08S01": Unavailable}
    expected |= {"": Unavailable}
    assert {state: type(errors.classify(9999, state, "x", "db")) for state in expected} == expected


def test_what_class_42_gets_wrong() -> None:
    """Too many connections and used-up limits are of SQLSTATE 42000, like a missing table; they pass, and no db init helps."""
    for code in (1203, 1226):
        error = errors.classify(code, "42000", "words of the server", "db:3306")
        assert type(error) is Unavailable
        assert "db init" not in str(error)


@pytest.mark.parametrize("rows", [0, 1001])
def test_batch_rows_has_limits(rows: int) -> None:
    """A statement of no rows or of too many is refused at once."""
    with pytest.raises(ValueError, match="1 to 1000"):
        MySQLSink(Server("db", "gw", "edge"), batch_rows=rows)

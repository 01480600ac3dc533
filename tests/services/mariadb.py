"""A private MariaDB: one a session, a fresh database with two accounts a test, and every fault a server can have."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pymysql
import pytest

from edgegw.errors import Refused
from edgegw.sinks.mysql import MySQLSink, Server, initialise
from tests.services import base

PACKAGE = "mariadb-server"
GRANTS = "SELECT, INSERT"  # what the contract says the running gateway needs
PASSWORD = "rosebud-17"  # looked for in messages
_START_s = 60
_numbers = itertools.count(1)

# Small files: a fresh data directory is copied, not installed. Logging and fsync as in production, or kill -9 would prove nothing.
_CONFIGURATION = """[mariadbd]
datadir={dir}
socket={dir}/s
pid-file={dir}/pid
log-error={dir}/error.log
port={port}
bind-address=127.0.0.1
skip-name-resolve
skip-log-bin
performance_schema=off
innodb_log_file_size=16M
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=1
{extra}
"""


class MariaDB:
    """A server of our own. Its data directory is its working directory and holds all its files."""

    def __init__(self, template: Path, extra: str = "") -> None:
        self._server = base.need("mariadbd", PACKAGE)
        self.dir = base.service_dir("mariadb")
        self.port = base.free_port()
        shutil.copytree(template, self.dir, dirs_exist_ok=True)
        (self.dir / "my.cnf").write_text(_CONFIGURATION.format(dir=self.dir, port=self.port, extra=extra))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """For connections as root; opened after the port."""
        return self.dir / "s"

    def start(self) -> None:
        """Start, or start again on the same port and data; returns when it answers SQL. From the main thread only."""
        command = [self._server, f"--defaults-file={self.dir}/my.cnf", *_as_root()]
        self._process = subprocess.Popen(
            base.die_with_parent(command), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        base.until(self._answers, _START_s, f"MariaDB to answer; its log ends:\n{self.log()[-2000:]}")

    def ensure(self) -> None:
        """Whatever the last test did to it: running, writable, with room for connections."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        self.resume()
        self.sql("SET GLOBAL read_only = 0")

    def stop(self) -> None:
        """SIGTERM and wait."""
        if self._process is not None:
            self.resume()
            base.end(self._process)

    def kill(self) -> None:
        """SIGKILL and wait: a crash."""
        assert self._process is not None
        base.end(self._process, signal.SIGKILL)

    def restart(self) -> None:
        """After stop() or kill()."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, the kernel even accepts new ones, nothing answers."""
        assert self._process is not None
        base.freeze(self._process.pid)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def sql(self, statement: str, database: str | None = None) -> Sequence[Sequence[Any]]:
        """The rows of one statement, run as root over the socket."""
        with self.session(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def session(self, database: str | None = None) -> pymysql.connections.Connection[Any]:
        """A connection as root; a context manager that closes it."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, ssl_disabled=True, autocommit=True, read_timeout=60
        )

    def log(self) -> str:
        """Its error log so far."""
        log = self.dir / "error.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"MariaDB ended with {self._process.returncode}; its log ends:\n{self.log()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as probe:  # PyMySQL leaves a Unix socket open that it could not connect
            if probe.connect_ex(str(self.socket)):
                return False
        try:
            return bool(self.sql("SELECT 1"))
        except pymysql.MySQLError:
            return False


class Database(msgspec.Struct, frozen=True):
    """A database of one test: its server, and how the two accounts reach it."""

    mariadb: MariaDB
    admin: Server  # for `db init`
    gateway: Server  # may do what GRANTS says

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        """The rows of one statement, run as root in this database."""
        return self.mariadb.sql(statement, self.gateway.database)

    def lidar(self) -> Sequence[int]:
        """(rows, different seqs, first, last) of the lidar table."""
        return self.sql("SELECT COUNT(*), COUNT(DISTINCT seq), MIN(seq), MAX(seq) FROM lidar")[0]


def make_template() -> Path:
    """An empty data directory to copy from."""
    template = base.service_dir("mariadb-template")
    install = base.need("mariadb-install-db", PACKAGE)
    command = [install, "--no-defaults", f"--datadir={template}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    options = ["--innodb-log-file-size=16M", "--skip-log-bin", *_as_root()]
    done = subprocess.run([*command, *options], cwd=template, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return template


def make_database(mariadb: MariaDB) -> Database:
    """A new database with its tables, an account that may do anything in it, and the running gateway's."""
    name = f"edge{next(_numbers)}"
    accounts = {"admin": "ALL", "gw": GRANTS}
    mariadb.sql(f"CREATE DATABASE {name} CHARACTER SET latin1")  # not ours: the tables have to say what they need
    for user, grants in accounts.items():
        mariadb.sql(f"CREATE USER {user}{name}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        mariadb.sql(f"GRANT {grants} ON {name}.* TO {user}{name}@'127.0.0.1'")
    admin, gateway = (Server("127.0.0.1", f"{user}{name}", name, lambda: PASSWORD, mariadb.port) for user in accounts)
    initialise(admin)
    return Database(mariadb, admin, gateway)


def drop_database(database: Database) -> None:
    """The database and its accounts."""
    database.mariadb.ensure()
    database.mariadb.sql(f"DROP DATABASE {database.gateway.database}")
    for account in (database.admin, database.gateway):
        database.mariadb.sql(f"DROP USER {account.user}@'127.0.0.1'")


@pytest.fixture(scope="session")
def mariadb_template() -> Iterator[Path]:
    template = make_template()
    yield template
    shutil.rmtree(template, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb(mariadb_template: Path) -> Iterator[MariaDB]:
    server = MariaDB(mariadb_template)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(mariadb: MariaDB) -> Iterator[Database]:
    mariadb.ensure()
    made = make_database(mariadb)
    yield made
    drop_database(made)


@pytest.fixture
def mysql(database: Database) -> Iterator[MySQLSink]:
    with contextlib.closing(MySQLSink(database.gateway)) as made:
        made.open()
        yield made


def with_server(server: Server, **changes: Any) -> MySQLSink:
    """A sink, not yet open, for a server that differs."""
    return MySQLSink(msgspec.structs.replace(server, **changes), timeout_s=5)


def refused(sink: MySQLSink, call: Callable[[], object]) -> str:
    """What the Refused says that `call` has to raise; the password is nowhere in it. Closes the sink."""
    with contextlib.closing(sink), pytest.raises(Refused) as caught:
        call()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []  # it refuses to run as root unless told

"""A connection to the server: where it is, how it is opened, and what its errors are called."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

import msgspec
import pymysql
from pymysql.connections import Connection
from pymysql.err import MySQLError

from edgegw.errors import Refused, SinkError
from edgegw.sinks.mysql import errors

_STRICT = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_SESSION: Final = "SET time_zone = '+00:00', innodb_lock_wait_timeout = {0}, lock_wait_timeout = {0}"
_PLAIN_PASSWORD: Final = ("mysql_clear_password", "dialog")  # what a server may ask for to be sent the password as it is


class Server(msgspec.Struct, frozen=True):
    """Where the database is and who we are there."""

    host: str
    user: str
    database: str
    password: Callable[[], str] = str  # asked at each connect, for it may have been changed; none by default
    port: int = 3306
    unix_socket: str = ""  # instead of host and port
    tls: ssl.SSLContext | None = None  # None: no TLS, even where the server offers it

    @property
    def where(self) -> str:
        """For messages."""
        return self.unix_socket or f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Server({self.user}@{self.where}/{self.database})"  # tracebacks and logs show it: so without the password

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("user", self.user), ("where", self.where), ("database", self.database)]


def connect(server: Server, timeout_s: float) -> Connection[Any]:
    """A connection in UTC, strict, utf8mb4 and autocommit; every wait for an answer is bounded. Raises Unavailable or Refused."""
    with _named(server), contextlib.ExitStack() as unless_well:
        connection = _connect(server, timeout_s)
        unless_well.callback(connection.close)
        _verify(connection, server)
        unless_well.pop_all()
        return connection


def _connect(server: Server, timeout_s: float) -> Connection[Any]:
    plain = server.tls is None and not server.unix_socket
    return pymysql.connect(
        host=server.host,
        port=server.port,
        unix_socket=server.unix_socket or None,
        user=server.user,
        password=server.password().encode(),  # as text PyMySQL takes it for Latin-1
        database=server.database,
        ssl=server.tls,
        ssl_disabled=server.tls is None,  # left out, PyMySQL takes TLS or plain text as the wire pleases, and 50 ms to prepare
        connect_timeout=timeout_s,  # does not bound the handshake: the next two do
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        charset="utf8mb4",
        sql_mode=_STRICT,
        # A lock that outlasts our patience shall be answered by the server, with the connection whole: it would wait 50 s, or a day.
        init_command=_SESSION.format(max(1, int(timeout_s / 3))),
        autocommit=True,
        local_infile=False,
        auth_plugin_map=dict.fromkeys(_PLAIN_PASSWORD, _NoPlainPassword) if plain else None,
    )


@contextlib.contextmanager
def _named(server: Server) -> Iterator[None]:
    try:
        yield
    except MySQLError as error:
        raise translate(error, server) from error
    except SinkError:
        raise
    except Exception as error:  # bytes that are not MySQL meet PyMySQL's parser unprepared: whatever it trips over means the same
        raise Refused(f"MySQL at {server.where}: cannot log in, or what answers there is not MySQL ({error})") from error


def _verify(connection: Connection[Any], server: Server) -> None:
    """See that the session is what was asked for: what pools connections in between may forget it, and that would be silent."""
    ((*found, modes),) = rows(connection, "SELECT @@time_zone, @@character_set_client, @@autocommit, @@sql_mode")
    if found != ["+00:00", "utf8mb4", 1] or "STRICT_ALL_TABLES" not in modes.split(","):
        what = f"the session is not as it was set (time zone, character set, autocommit, sql_mode: {', '.join(map(str, found))}, {modes})"
        raise Refused(f"MySQL at {server.where}: {what}; connect to the server itself, not to what pools connections before it")


def translate(error: MySQLError, server: Server) -> SinkError:
    """PyMySQL's error as one of ours."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    cause = getattr(error, "original_exception", error.__context__)
    if isinstance(cause, ssl.SSLCertVerificationError):  # PyMySQL calls it 2003, as if nobody were there
        return errors.classify(errors.TLS, "", f"the server's certificate is not trusted, {cause.verify_message}", server.where)
    message = _lost(code, cause) or (str(error.args[-1]) if error.args and error.args[-1] else "the connection is closed")
    return errors.classify(code, getattr(error, "sqlstate", None) or "", message, server.where)


def _lost(code: int, cause: BaseException | None) -> str:
    """What PyMySQL's own errors mean, in plain words; the server's are left as they are."""
    late = "no answer in time" if isinstance(cause, TimeoutError) else ""
    if code == errors.NOBODY:
        return f"cannot be reached: {late or getattr(cause, 'strerror', None) or cause}"
    return late or "the connection was lost" if code in (errors.GONE, errors.LOST) else ""


def rows(connection: Connection[Any], statement: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
    """All rows of a SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        found: Sequence[Sequence[Any]] = cursor.fetchall()
    return found


class _NoPlainPassword:
    """Stands for the authentication methods that would send the password readable; anybody on the wire can ask for them."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._where = f"{connection.host}:{connection.port}"

    def authenticate(self, _packet: object) -> NoReturn:
        raise Refused(f"MySQL at {self._where} asks for the password in plain text over an open wire: set tls in [sinks.mysql]")

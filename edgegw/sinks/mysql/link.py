"""A connection to the server: where it is, how it is opened, and what its errors are called."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec
import pymysql
from pymysql.connections import Connection
from pymysql.err import MySQLError

from edgegw.errors import Refused, SinkError
from edgegw.sinks.mysql import errors

_STRICT = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_PLAIN_PASSWORD: Final = ("mysql_clear_password", "dialog")  # what a server may ask for to be sent the password as it is


class Server(msgspec.Struct, frozen=True):
    """Where the database is and who we are there."""

    host: str
    user: str
    database: str
    password: str = ""
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
    plain = server.tls is None and not server.unix_socket
    try:
        return pymysql.connect(
            host=server.host,
            port=server.port,
            unix_socket=server.unix_socket or None,
            user=server.user,
            password=server.password.encode(),  # as text PyMySQL takes it for Latin-1
            database=server.database,
            ssl=server.tls,
            ssl_disabled=server.tls is None,  # left out, PyMySQL takes TLS or plain text as the wire pleases, and 50 ms to prepare
            connect_timeout=timeout_s,  # does not bound the handshake: the next two do
            read_timeout=timeout_s,
            write_timeout=timeout_s,
            charset="utf8mb4",
            sql_mode=_STRICT,
            init_command="SET time_zone = '+00:00'",
            autocommit=True,
            local_infile=False,
            auth_plugin_map=dict.fromkeys(_PLAIN_PASSWORD, _NoPlainPassword) if plain else None,
        )
    except MySQLError as error:
        raise translate(error, server) from error
    except SinkError:
        raise
    except Exception as error:  # bytes that are not MySQL meet PyMySQL's parser unprepared: whatever it trips over means the same
        raise Refused(f"MySQL at {server.where}: cannot log in, or what answers there is not MySQL ({error})") from error


def translate(error: MySQLError, server: Server) -> SinkError:
    """PyMySQL's error as one of ours."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = str(error.args[-1]) if error.args and error.args[-1] else "the connection is closed"
    if isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError):
        code = errors.TLS  # PyMySQL calls it 2003, as if nobody were there
    return errors.classify(code, getattr(error, "sqlstate", None) or "", message, server.where)


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

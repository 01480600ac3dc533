"""What an error number of MySQL or MariaDB means for a delivery: away, refused until somebody acts, or bad content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgegw.errors import Refused, Rejected, SinkError, Unavailable

DUPLICATE: Final = 1062
PACKET_TOO_LARGE: Final = 1153
TLS: Final = 2026
SCHEMA: Final = "run: edgegw db init"

_LOGIN = "check user and password of [sinks.mysql]"
_GRANT = "the gateway's account needs SELECT and INSERT on this database"
_TLS = "check tls and the certificate authority of [sinks.mysql]"
_WAIT = "the readings are kept and tried again"

# Numbers alone do not tell: 1205 (lock wait) and 1366 (bad text) share the SQLSTATE HY000. Listed is what SQLSTATE gets wrong
# or what an operator can be told more about.
_CODES: Final[Mapping[int, tuple[type[SinkError], str]]] = {
    0: (Unavailable, _WAIT),  # PyMySQL: the connection is closed
    1040: (Unavailable, "too many connections: raise max_connections, or look who holds them"),
    1203: (Unavailable, "this account has too many connections"),
    1129: (Refused, "the server blocks this host: run FLUSH HOSTS there"),
    1130: (Refused, "the server does not let this host in: create the account for it"),
    1205: (Unavailable, _WAIT),  # lock wait timeout
    1213: (Unavailable, _WAIT),  # deadlock: the other side went on
    1290: (Unavailable, "the server is read-only"),
    1792: (Unavailable, "the server is read-only"),
    1836: (Unavailable, "the server is read-only"),
    2003: (Unavailable, _WAIT),  # cannot connect
    2006: (Unavailable, _WAIT),  # gone away
    2013: (Unavailable, _WAIT),  # lost, or a read that took longer than the timeout
    1044: (Refused, _GRANT),
    1045: (Refused, _LOGIN),
    1698: (Refused, _LOGIN),
    1820: (Refused, "the password has expired"),
    1862: (Refused, "the password has expired"),
    1142: (Refused, _GRANT),
    1143: (Refused, _GRANT),
    1227: (Refused, _GRANT),
    1049: (Refused, "create the database, then " + SCHEMA),
    1054: (Refused, SCHEMA),  # unknown column
    1064: (Refused, "report this: the statement is ours"),
    1109: (Refused, SCHEMA),  # unknown table
    1136: (Refused, SCHEMA),  # column count
    1146: (Refused, SCHEMA),  # no such table
    1364: (Refused, "the table has a column that we do not know and that has no default"),
    1932: (Refused, "the table is damaged: see the server's error log"),
    1251: (Refused, "the server asks for an authentication that this client does not speak"),
    1524: (Refused, "the server has not got the account's authentication plugin"),
    TLS: (Refused, _TLS),  # TLS asked for and not offered
    2059: (Refused, "the server asks for an authentication that this client does not speak"),
    3159: (Refused, "the server wants TLS: set tls in [sinks.mysql]"),
    DUPLICATE: (Rejected, "a unique key other than the primary one is in the way"),
    PACKET_TOO_LARGE: (Rejected, "longer than max_allowed_packet of the server"),
    1264: (Rejected, "out of the column's range"),
    1265: (Rejected, "not what the column takes"),
    1292: (Rejected, "not what the column takes"),
    1366: (Rejected, "not what the column takes"),
    1367: (Rejected, "not what the column takes"),
    1406: (Rejected, "too long for the column"),
    1690: (Rejected, "out of the column's range"),
    3140: (Rejected, "not JSON"),
    3988: (Rejected, "not in the column's character set"),
    4025: (Rejected, "a CHECK of the table fails"),  # MariaDB
    3819: (Rejected, "a CHECK of the table fails"),  # MySQL
}

# The first two characters of SQLSTATE, where the number says nothing.
# Anything else is taken for a passing trouble: waiting loses nothing.
_CLASSES: Final[Mapping[str, tuple[type[SinkError], str]]] = {
    "22": (Rejected, "the data is not what the column takes"),
    "23": (Rejected, "a constraint of the table fails"),
    "28": (Refused, _LOGIN),
    "42": (Refused, SCHEMA),
}


def classify(code: int, sqlstate: str, message: str, where: str) -> SinkError:
    """The error to raise for a server's or PyMySQL's (`code`, `message`); `where` is host and port, never the password."""
    kind, advice = _CODES.get(code) or _CLASSES.get(sqlstate[:2]) or (Unavailable, _WAIT)
    if kind is Rejected:
        return Rejected(str(code), f"{message} ({advice})")
    return kind(f"MySQL at {where}: {message} ({code}); {advice}")

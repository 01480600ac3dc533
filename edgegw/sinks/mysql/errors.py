"""What an error number of MySQL or MariaDB means for a delivery: away, refused until somebody acts, or bad content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgegw.errors import Refused, Rejected, SinkError, Unavailable

DUPLICATE: Final = 1062
PACKET_TOO_LARGE: Final = 1153
NOBODY, GONE, LOST = 2003, 2006, 2013  # PyMySQL's own: cannot connect; cannot write; cannot read
TLS: Final = 2026
LOCKS: Final = frozenset({1020, 1205, 1213})  # two transactions are in each other's way
SCHEMA: Final = "run: edgegw db init"

_LOGIN = "check user and password of [sinks.mysql]"
_GRANT = "the gateway's account needs SELECT and INSERT on this database"
_TLS = "check tls and the certificate authority of [sinks.mysql]"
_WAIT = "the readings are kept and tried again"
_DATABASE = "create the database, then " + SCHEMA
_READ_ONLY = "the server is read-only: the readings wait until it takes writes again"
_DAMAGED = "the table is damaged: repair or restore it (CHECK TABLE; the server's error log says more)"
_TRIGGER = "a trigger or view on this table is broken: mend or drop it"
_LOCK = "another session holds the lock: SHOW PROCESSLIST there says whose; " + _WAIT
_OLD = "the server does not know this: MySQL 8, MariaDB 10.11 or later is needed"

# Numbers alone do not tell: 1205 (lock wait) and 1366 (bad text) share the SQLSTATE HY000. Listed is what SQLSTATE gets wrong
# or what an operator can be told more about.
_CODES: Final[Mapping[int, tuple[type[SinkError], str]]] = {
    0: (Unavailable, _WAIT),  # PyMySQL: the connection is closed
    1040: (Unavailable, "raise max_connections there, or look who holds them"),
    1203: (Unavailable, "the gateway's account has max_user_connections open: raise it, or look who holds them"),
    1226: (Unavailable, "the gateway's account has used up what it may: raise its limits (ALTER USER ... WITH ...)"),
    1129: (Refused, "the server blocks this host: run FLUSH HOSTS there"),
    1130: (Refused, "the server does not let this host in: create the account for it"),
    1020: (Unavailable, _WAIT),  # somebody changed what our transaction had read; MariaDB 11.6 and later say it
    1205: (Unavailable, _LOCK),
    1213: (Unavailable, _WAIT),  # deadlock: the other side went on
    1036: (Unavailable, _READ_ONLY),
    1290: (Unavailable, _READ_ONLY),  # read_only and super_read_only
    1792: (Unavailable, _READ_ONLY),
    1836: (Unavailable, _READ_ONLY),
    1021: (Unavailable, "make room on the server's disk"),
    1030: (Unavailable, "the storage engine fails: the server's error log says why"),
    1114: (Unavailable, "make room: the table or the disk it lies on is full"),
    2003: (Unavailable, "see that it runs, and that [sinks.mysql] says where"),
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
    1046: (Refused, _DATABASE),  # dropped while we were in it
    1049: (Refused, _DATABASE),
    1054: (Refused, SCHEMA),  # unknown column
    1064: (Refused, "report this: the statement is ours"),
    1109: (Refused, SCHEMA),  # unknown table
    1136: (Refused, SCHEMA),  # column count
    1146: (Refused, SCHEMA),  # no such table
    1193: (Refused, _OLD),
    1231: (Refused, _OLD),
    1305: (Refused, _TRIGGER),
    1356: (Refused, _TRIGGER),
    1364: (Refused, "the table has a column that we do not know and that has no default"),
    1442: (Refused, _TRIGGER),
    1449: (Refused, _TRIGGER),  # its definer does not exist any more
    1467: (Refused, "the table has run out of numbers: give its first column a larger type"),
    1906: (Refused, "make it an ordinary column again: the gateway writes it"),  # generated, MariaDB
    3105: (Refused, "make it an ordinary column again: the gateway writes it"),  # generated, MySQL
    **dict.fromkeys((126, 127, 144, 145, 1016, 1017, 1033, 1034, 1035, 1194, 1195, 1812, 1814, 1932), (Refused, _DAMAGED)),
    1251: (Refused, "the server asks for an authentication that this client does not speak"),
    1524: (Refused, "the server has not got the account's authentication plugin"),
    TLS: (Refused, _TLS),  # TLS asked for and not offered
    2059: (Refused, "the server asks for an authentication that this client does not speak"),
    3159: (Refused, "the server wants TLS: set tls in [sinks.mysql]"),
    DUPLICATE: (Rejected, "a unique key other than the primary one is in the way"),
    PACKET_TOO_LARGE: (Rejected, "longer than max_allowed_packet of the server"),
    1048: (Rejected, "the column does not take NULL"),
    1118: (Rejected, "longer than a row of the table may be"),
    1264: (Rejected, "out of the column's range"),
    1265: (Rejected, "not what the column takes"),
    1292: (Rejected, "not what the column takes"),
    1300: (Rejected, "not in the column's character set"),
    1366: (Rejected, "not what the column takes"),
    1367: (Rejected, "not what the column takes"),
    1406: (Rejected, "too long for the column"),
    1452: (Rejected, "a foreign key of the table fails"),
    1526: (Rejected, "no partition of the table takes it"),
    1644: (Rejected, "a trigger of the table refuses it"),
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
    "45": (Rejected, "a trigger of the table refuses it"),  # the class that the manuals give to SIGNAL
}


def classify(code: int, sqlstate: str, message: str, where: str) -> SinkError:
    """The error to raise for a server's or PyMySQL's (`code`, `message`); `where` is host and port, never the password."""
    kind, advice = _CODES.get(code) or _CLASSES.get(sqlstate[:2]) or (Unavailable, _WAIT)
    if kind is Rejected:
        return Rejected(str(code), f"{message} ({advice})")
    return kind(f"MySQL at {where}: {message} ({code}); {advice}")

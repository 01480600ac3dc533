"""The sections of the sinks: URLs taken apart, passwords found, TLS decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from edgegw.config import passwords
from edgegw.config.bind import bind, keys_of, refuse_unknown
from edgegw.config.findface import findface
from edgegw.config.lines import KeyPath
from edgegw.config.report import Report
from edgegw.config.secret import Secret
from edgegw.config.servers import address_of, check_ca
from edgegw.config.settings import (
    MySQLKeys,
    MySQLSettings,
    RabbitMQKeys,
    RabbitMQSettings,
    SensorSettings,
    SinksSettings,
    SQLiteKeys,
    SQLiteSettings,
)
from edgegw.config.urls import Address

SINKS = ("rabbitmq", "mysql", "sqlite", "findface")
GUEST = "guest"  # RabbitMQ's first user, whom the broker itself lets in from its own host only


def sinks(report: Report, environ: Mapping[str, str], store: Path, sensors: Sequence[SensorSettings]) -> SinksSettings:
    """[sinks]; the embedded store at `store` is on when no other store or broker is asked for. `sensors`: those that are right."""
    table = report.section(("sinks",))
    refuse_unknown(report, ("sinks",), table, SINKS)
    remote = "rabbitmq" in table or "mysql" in table
    return SinksSettings(
        rabbitmq=_rabbitmq(report, environ) if "rabbitmq" in table else None,
        mysql=_mysql(report, environ) if "mysql" in table else None,
        sqlite=_sqlite(report, store) if "sqlite" in table or not remote else None,
        findface=findface(report, environ, sensors, "findface" in table),
    )


def _rabbitmq(report: Report, environ: Mapping[str, str]) -> RabbitMQSettings | None:
    path = ("sinks", "rabbitmq")
    table = report.section(path)
    refuse_unknown(report, path, table, keys_of(RabbitMQKeys))
    keys = bind(report, path, table, RabbitMQKeys)
    address = address_of(report, path, keys.url, {"amqp": 5672, "amqps": 5671}) if keys else None
    if keys is None or address is None:
        return None
    if not address.user and address.local:
        address = address._replace(user=GUEST)
    tls = address.scheme == "amqps"
    check_ca(report, path, keys.ca_file, tls, "write amqps:// in url")
    password = _rabbitmq_password(report, path, environ, keys.password_file, address)
    rest = _rest(keys, "url", "password_file")
    return RabbitMQSettings(
        host=address.host, port=address.port, user=address.user, password=password, vhost=address.name or "/", tls=tls, **rest
    )


def _rabbitmq_password(report: Report, path: KeyPath, environ: Mapping[str, str], file: Path | None, address: Address) -> Secret:
    if not address.user:
        report.add((*path, "url"), "the URL names no user", f"as in {address.scheme}://user@{address.host}")
    found = passwords.find(report, path, environ, file, address.password)
    if found is None:
        return Secret("")
    if address.local and address.user == GUEST:
        return found or Secret(GUEST)
    if address.user and not found:
        passwords.missing(report, path, address.user)
    elif address.user == GUEST == found.reveal():
        report.add((*path, "url"), "RabbitMQ lets guest with the password guest in from its own host only", "make a user for this gateway")
    return found


def _mysql(report: Report, environ: Mapping[str, str]) -> MySQLSettings | None:
    path = ("sinks", "mysql")
    table = report.section(path)
    refuse_unknown(report, path, table, keys_of(MySQLKeys))
    keys = bind(report, path, table, MySQLKeys)
    address = address_of(report, path, keys.url, {"mysql": 3306}) if keys else None
    if keys is None or address is None:
        return None
    local = "socket" in table or address.local
    tls = keys.tls == "verify" or (keys.tls == "auto" and not local)
    check_ca(report, path, keys.ca_file, tls or report.faulty((*path, "tls")), 'write tls = "verify"')
    for part, name in ((address.user, "user"), (address.name, "database")):
        if not part:
            report.add((*path, "url"), f"the URL names no {name}", f"as in mysql://user@{address.host}/database")
    password = passwords.find(report, path, environ, keys.password_file, address.password)
    if password is not None and not password and address.user and not local:  # a local server may know us by our uid
        passwords.missing(report, path, address.user)
    rest = _rest(keys, "url", "password_file", "tls")
    return MySQLSettings(
        host=address.host, port=address.port, user=address.user, password=password or Secret(""), database=address.name, tls=tls, **rest
    )


def _sqlite(report: Report, store: Path) -> SQLiteSettings:
    path = ("sinks", "sqlite")
    table = report.section(path)
    refuse_unknown(report, path, table, keys_of(SQLiteKeys))
    keys = bind(report, path, table, SQLiteKeys)
    return SQLiteSettings(path=keys.path if keys and keys.path else store)


def _rest(keys: RabbitMQKeys | MySQLKeys, *taken_apart: str) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(keys).items() if name not in taken_apart}

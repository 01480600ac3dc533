"""The sinks of a configuration, made but not opened. Each client library is imported only where its sink is on."""

from __future__ import annotations

import ssl
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from edgegw.config import FindFaceSettings, MySQLSettings, RabbitMQSettings, Settings
from edgegw.sinks import Sink
from edgegw.sinks.missing import MissingOutbox

if TYPE_CHECKING:
    from edgegw.log import Logger
    from edgegw.sinks.mysql import Server


def configured(settings: Settings, log: Logger | None = None, mysql_timeout_s: float = 30.0) -> list[Sink]:
    """Every sink that is on; `log` is for what is no error, and yet somebody may want to know.

    `mysql_timeout_s` is how long MySQL may take for an answer.
    """
    sinks = settings.sinks
    found: list[Sink] = []
    if sinks.rabbitmq is not None:
        found.append(_rabbitmq(sinks.rabbitmq))
    if sinks.mysql is not None:
        found.append(_mysql(sinks.mysql, mysql_timeout_s))
    if sinks.sqlite is not None:
        from edgegw.sinks.sqlite import SQLiteSink

        found.append(SQLiteSink(sinks.sqlite.path))
    if sinks.findface is not None:
        found.append(_findface(sinks.findface, settings, log))
    return found


def create_tables(given: MySQLSettings, kinds: dict[str, dict[str, str]]) -> list[str]:
    """Create what is missing in the database; returns the names. Raises Unavailable or Refused."""
    from edgegw.sinks.mysql import initialise

    return initialise(_server(given), kinds)


def _rabbitmq(given: RabbitMQSettings) -> Sink:
    from edgegw.sinks import rabbitmq

    return rabbitmq.RabbitMQSink(
        rabbitmq.RabbitMQSettings(
            host=given.host,
            port=given.port,
            user=given.user,
            password=given.password.reveal,
            vhost=given.vhost,
            tls=_tls(given.ca_file) if given.tls else None,
            exchange=given.exchange,
            queue=given.queue,
            declare=given.declare,
            format=given.format,
            heartbeat_s=given.heartbeat_s,
        )
    )


def _mysql(given: MySQLSettings, timeout_s: float) -> Sink:
    from edgegw.sinks.mysql import MySQLSink

    return MySQLSink(_server(given), given.batch_rows, timeout_s)


def _findface(given: FindFaceSettings, settings: Settings, log: Logger | None) -> Sink:
    try:
        from edgegw.sinks import findface
    except ModuleNotFoundError as error:
        return MissingOutbox("findface", frozenset({"face"}), error)
    return findface.FindFaceSink(
        findface.Server(
            url=given.url,
            cameras={name: findface.Camera(one.camera, one.token.reveal) for name, one in given.cameras.items()},
            token=given.token.reveal,
            user=given.user,
            password=given.password.reveal,
            secrets=settings.secrets(),
            device=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{settings.gateway.id}.edgegw")),
            tls=_tls(given.ca_file) if given.tls else None,
            connections=given.connections,
            timeout_s=given.timeout_s,
            look_up=given.look_up,
        ),
        log,
        sent=settings.paths.findface_sent,
    )


def _server(given: MySQLSettings) -> Server:
    from edgegw.sinks.mysql import Server

    return Server(
        host=given.host,
        user=given.user,
        database=given.database,
        password=given.password.reveal,
        port=given.port,
        unix_socket=str(given.socket or ""),
        tls=_tls(given.ca_file) if given.tls else None,
    )


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Verified, host name included; the certificates that the system trusts unless a file names others."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

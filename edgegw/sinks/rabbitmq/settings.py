"""Where the broker is and how to treat it."""

from __future__ import annotations

import ssl
from typing import Literal

import msgspec


class RabbitMQSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All a RabbitMQSink needs to know. Its repr does not show the password."""

    host: str
    port: int = 5672
    user: str
    password: str
    vhost: str = "/"
    tls: ssl.SSLContext | None = None  # None: plain TCP
    exchange: str = "edgegw.readings"
    queue: str = "edgegw.readings"
    declare: bool = True  # False: the operator owns the topology, and the gateway only checks that the exchange is there
    format: Literal["json", "msgpack"] = "json"
    heartbeat_s: int = 15
    publish_timeout_s: float = 30.0  # without any confirm for so long, the outcome is unknown and the connection is dropped
    connect_timeout_s: float = 10.0  # for everything open() does: TCP, TLS, login, topology
    window: int = 8  # messages in flight without a confirm; more only adds latency

    @property
    def place(self) -> str:
        """The broker, for messages to people."""
        return f"RabbitMQ at {self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"RabbitMQSettings({self.user}@{self.host}:{self.port}, vhost={self.vhost!r}, exchange={self.exchange!r})"

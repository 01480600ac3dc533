"""Where the broker is and how to treat it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Literal

import msgspec


class RabbitMQSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All a RabbitMQSink needs to know. Its repr does not show the password."""

    host: str
    port: int = 5672
    user: str
    password: Callable[[], str]  # asked at each connect, for it may have been changed
    vhost: str = "/"
    tls: ssl.SSLContext | None = None  # None: plain TCP
    exchange: str = "edgegw.readings"
    queue: str = "edgegw.readings"
    declare: bool = True  # False: the operator owns the topology, and the gateway only checks that the exchange is there
    format: Literal["json", "msgpack"] = "json"
    heartbeat_s: int = 15
    publish_timeout_s: float = 30.0  # see patience_s
    connect_timeout_s: float = 10.0  # for everything open() does: TCP, TLS, login, topology
    # Messages in flight without a confirm: as many may arrive twice after a lost connection. Measured over a line of 100 ms: 8 carry
    # 73 messages a second, which is less than eight sensors send, 128 carry 790, 256 no more.
    window: int = 128

    @property
    def patience_s(self) -> float:
        """Without any confirm for so long, the outcome is unknown and the connection is dropped: by two heartbeats at the latest."""
        return min(self.publish_timeout_s, 2.0 * self.heartbeat_s)

    @property
    def place(self) -> str:
        """The broker, for messages to people."""
        return f"RabbitMQ at {self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"RabbitMQSettings({self.user}@{self.host}:{self.port}, vhost={self.vhost!r}, exchange={self.exchange!r})"

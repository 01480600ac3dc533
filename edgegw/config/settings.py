"""The shapes of the configuration: every key with its range and default, and the Settings that come of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgegw.config.secret import KnownSecrets, Secret
from edgegw.config.urls import password_in
from edgegw.paths import Paths

GIB = 1 << 30
# RabbitMQ's routing keys and MySQL's dimension tables carry these names, so they are safe in both.
NAME = re.compile(r"[a-z0-9_-]{1,64}")
RESERVED = ("bridge", "supervisor", "web")  # processes of the gateway itself

Name = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}\Z", extra={"words": "1 to 64 of the characters a-z 0-9 _ -"})]
_SPAN = {"words": "two numbers in brackets, the lower one first, as in [0.1, 9.0]"}
Span = Annotated[tuple[float, float], Meta(extra=_SPAN)]
Median = Annotated[int, Meta(ge=3, le=31)]
Band = Annotated[float, Meta(ge=0)]
Linger = Annotated[float, Meta(ge=0.001, le=5)]
AmqpName = Annotated[str, Meta(min_length=1, max_length=255)]  # a short string on the wire


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """[gateway]; id and the directories have defaults that depend on the machine, so load() always gives them."""

    id: Name
    runtime_dir: Path
    state_dir: Path
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    linger_s: Linger = 0.1  # the bridge's group commit


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[spool]; a megabyte still holds some ten thousand readings, a tebibyte is beyond any card."""

    max_bytes: Annotated[int, Meta(ge=1_000_000, le=1024 * GIB)] = GIB
    attachments_h: Annotated[float, Meta(ge=0.01, le=72)] = 24.0  # pictures of faces, above all: three days need a good reason
    commit_s: Annotated[float, Meta(ge=0, le=5)] = 0.0  # between two commits, for a card's sake
    card_bytes: Annotated[int, Meta(ge=1_000_000_000, le=1024 * GIB)] = 32_000_000_000
    card_cycles: Annotated[int, Meta(ge=100, le=1_000_000)] = 3000
    clock_wait_s: Annotated[float, Meta(ge=0, le=86_400)] = 120.0  # after the machine's start, for its clock to be set


class SensorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of [sensors.NAME] that every sensor has; all others belong to its driver."""

    driver: str
    linger_s: Linger = 0.1  # how long a worker collects before it sends
    window: Annotated[int, Meta(ge=64, le=1_000_000)] = 4096  # readings that a worker keeps until they are acknowledged
    on_full: Literal["drop_oldest", "drop_newest"] = "drop_oldest"
    spool_full: Literal["block", "drop_oldest", "drop_newest"] = "block"  # what becomes of its readings when the spool has no room
    spool_max_bytes: Annotated[int, Meta(ge=0, le=1024 * GIB)] = 0  # of the spool that it may hold alone; 0: all
    process: Name | None = None  # sensors that name the same one share it; None: a process of its own
    # Filters, applied in the worker; field → what is asked for it.
    median: dict[str, Median] = {}  # of so many samples
    plausible: dict[str, Span] = {}  # outside of it a reading is bad
    deadband: dict[str, Band] = {}  # sent only when it moved by more than this
    deadband_max_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0  # or when so much time has passed
    min_interval_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0  # between two readings


class SensorSettings(SensorPolicy, frozen=True, kw_only=True):
    """One sensor: its name, its policy, and its driver's Options, bound."""

    name: str
    options: Any


class _RabbitMQShared(msgspec.Struct, frozen=True, kw_only=True):
    exchange: AmqpName = "edgegw.readings"
    queue: AmqpName = "edgegw.readings"
    declare: bool = True
    format: Literal["json", "msgpack"] = "json"
    heartbeat_s: Annotated[int, Meta(ge=5, le=300)] = 15
    ca_file: Path | None = None  # None: the certificates that the system trusts


class RabbitMQKeys(_RabbitMQShared, frozen=True, kw_only=True):
    """[sinks.rabbitmq] as the file has it."""

    url: str
    password_file: Path | None = None


class RabbitMQSettings(_RabbitMQShared, frozen=True, kw_only=True):
    """[sinks.rabbitmq] taken apart; tls means verified TLS."""

    host: str
    port: int
    user: str
    password: Secret
    vhost: str
    tls: bool


class _MySQLShared(msgspec.Struct, frozen=True, kw_only=True):
    socket: Path | None = None  # a Unix socket, instead of TCP to the URL's host
    ca_file: Path | None = None
    batch_rows: Annotated[int, Meta(ge=1, le=5000)] = 500


class MySQLKeys(_MySQLShared, frozen=True, kw_only=True):
    """[sinks.mysql] as the file has it."""

    url: str
    password_file: Path | None = None
    tls: Literal["auto", "verify", "off"] = "auto"


class MySQLSettings(_MySQLShared, frozen=True, kw_only=True):
    """[sinks.mysql] taken apart; tls means verified TLS."""

    host: str
    port: int
    user: str
    password: Secret
    database: str
    tls: bool


class SQLiteKeys(msgspec.Struct, frozen=True, kw_only=True):
    """[sinks.sqlite] as the file has it."""

    path: Path | None = None


class SQLiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[sinks.sqlite]: where the embedded store lies."""

    path: Path


class FindFaceCamera(msgspec.Struct, frozen=True, kw_only=True):
    """Which camera of FindFace a sensor is, and the token of its external detector."""

    camera: int
    token: Secret


class FindFaceCameraKeys(msgspec.Struct, frozen=True, kw_only=True):
    """[sinks.findface.cameras.NAME] as the file has it."""

    camera: Annotated[int, Meta(ge=1, examples=[3])]
    token_file: Path | None = None


class _FindFaceShared(msgspec.Struct, frozen=True, kw_only=True):
    user: str = ""  # "": no login
    ca_file: Path | None = None
    connections: Annotated[int, Meta(ge=1, le=20)] = 6
    timeout_s: Annotated[float, Meta(ge=1, le=120)] = 10.0
    look_up: bool = False


class FindFaceKeys(_FindFaceShared, frozen=True, kw_only=True):
    """[sinks.findface] as the file has it, but for its cameras."""

    url: str
    token_file: Path | None = None
    password_file: Path | None = None
    allow_http: bool = False


class FindFaceSettings(_FindFaceShared, frozen=True, kw_only=True):
    """[sinks.findface] taken apart; tls means verified TLS."""

    url: str  # as given, without a slash at its end; it carries no password
    tls: bool
    token: Secret  # of the API; empty where there is a user, or where the server wants none
    password: Secret
    cameras: dict[str, FindFaceCamera]  # by sensor


class SinksSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The sinks that are on; sqlite is on when nothing else keeps readings, which findface does not."""

    rabbitmq: RabbitMQSettings | None = None
    mysql: MySQLSettings | None = None
    sqlite: SQLiteSettings | None = None
    findface: FindFaceSettings | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration, checked: whoever holds one need not check again."""

    gateway: GatewaySettings
    spool: SpoolSettings
    sensors: tuple[SensorSettings, ...]  # in file order, never empty
    sinks: SinksSettings
    paths: Paths
    sources: tuple[Path, ...]  # the files read, in the order they were laid over each other

    def sensor(self, name: str) -> SensorSettings | None:
        """The sensor called `name`, or None."""
        return next((sensor for sensor in self.sensors if sensor.name == name), None)

    def processes(self) -> dict[str, tuple[SensorSettings, ...]]:
        """Process → the sensors that it reads: one, unless several name the same process."""
        grouped: dict[str, tuple[SensorSettings, ...]] = {}
        for sensor in self.sensors:
            name = sensor.process or sensor.name
            grouped[name] = (*grouped.get(name, ()), sensor)
        return grouped

    def secrets(self) -> KnownSecrets:
        """Every secret text in here, for the log to blot out; RabbitMQ's public default is none."""
        found = [sink.password for sink in (self.sinks.rabbitmq, self.sinks.mysql, self.sinks.findface) if sink]
        if findface := self.sinks.findface:
            found += [findface.token, *(camera.token for camera in findface.cameras.values())]
        options = [value for sensor in self.sensors for value in msgspec.structs.asdict(sensor.options).values()]
        return KnownSecrets(found, [password_in(value) for value in options if isinstance(value, str)], ["guest"])

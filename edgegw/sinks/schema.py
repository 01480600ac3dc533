"""The tables of the two stores as data: which kinds there are, which columns each has, and the DDL for both dialects.

The SQL stays in what MySQL 8, MariaDB 10.11 and SQLite 3.37 share; backticks quote an identifier in all three.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from typing import Final

from edgegw.reading import ClockState, Quality

Fields = Mapping[str, str]  # field → "float" | "int" | "text"

VERSION: Final = 1  # of the tables; a row of schema_version says which one a database has

KINDS: Final[Mapping[str, Fields]] = {
    "lidar": {"distance_m": "float", "strength": "int", "temperature_degC": "float"},
    "imu": {
        "acceleration_x_m_s2": "float",
        "acceleration_y_m_s2": "float",
        "acceleration_z_m_s2": "float",
        "angular_velocity_x_rad_s": "float",
        "angular_velocity_y_rad_s": "float",
        "angular_velocity_z_rad_s": "float",
        "temperature_degC": "float",
        "roll_rad": "float",
        "pitch_rad": "float",
    },
    "ultrasonic": {"distance_m": "float", "rssi_dBm": "int", "battery_V": "float"},
    "camera": {
        "luminosity": "float",
        "sharpness": "float",
        "laser_x_px": "float",
        "laser_y_px": "float",
        "laser_area_px": "float",
        "faces": "int",
        "fps": "float",
        "width_px": "int",
        "height_px": "int",
    },
    "face": {
        "track": "int",
        "event": "text",
        "x_px": "float",
        "y_px": "float",
        "width_px": "float",
        "height_px": "float",
        "score": "float",
        "age_s": "float",
    },
}

KEY: Final = ("sensor_id", "time", "run_id", "seq")
COMMON: Final = (*KEY, "boot_ns", "quality", "clock")  # the columns before the values, in this order
TABLES: Final = ("gateway", "sensor", "run", "dead_letter", "schema_version")  # beside one per kind

_IDENTIFIER = re.compile(r"[a-z][a-zA-Z0-9_]{0,63}")  # 64 characters is MySQL's limit


class Dialect(enum.StrEnum):
    """Whose SQL."""

    MYSQL = "mysql"  # MariaDB too
    SQLITE = "sqlite"


def _words(enumeration: type[enum.StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in enumeration)


# quality and clock: an ENUM is one byte a row in MySQL, reads as the word it is, and refuses any other word in strict mode.
# SQLite has none; a word of at most nine bytes and a CHECK say the same.
# utf8mb4_bin: the servers' default collations take "Front" and "front" for one sensor.
# STRICT: without it SQLite stores text in a REAL column as it comes. WITHOUT ROWID: the key is the table, as in InnoDB.
_TYPES: Final[Mapping[Dialect, Mapping[str, str]]] = {
    Dialect.MYSQL: {
        "float": "DOUBLE",
        "int": "BIGINT",
        "text": "VARCHAR(255)",
        "serial": "INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "id": "INT UNSIGNED",
        "name": "VARCHAR(128)",
        "uuid": "VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin",
        "time": "DATETIME(6)",
        "quality": f"ENUM({_words(Quality)}) NOT NULL",
        "clock": f"ENUM({_words(ClockState)}) NOT NULL",
        "json": "JSON",
        "reason": "VARCHAR(1024)",
        "end": "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
        "end_clustered": "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
    },
    Dialect.SQLITE: {
        "float": "REAL",
        "int": "INTEGER",
        "text": "TEXT",
        "serial": "INTEGER PRIMARY KEY",
        "id": "INTEGER",
        "name": "TEXT",
        "uuid": "TEXT",
        "time": "TEXT",
        "quality": f"TEXT NOT NULL CHECK (`quality` IN ({_words(Quality)}))",
        "clock": f"TEXT NOT NULL CHECK (`clock` IN ({_words(ClockState)}))",
        "json": "TEXT",
        "reason": "TEXT",
        "end": "STRICT",
        "end_clustered": "STRICT, WITHOUT ROWID",
    },
}

# A sensor that gets another driver becomes another row: what it measured before stays what it was,
# and the running gateway needs no UPDATE. `code` holds the server's own error number or a word of ours.
_FIXED: Final = (
    "CREATE TABLE IF NOT EXISTS `gateway` (`gateway_id` {serial}, `name` {name} NOT NULL, UNIQUE (`name`)) {end}",
    "CREATE TABLE IF NOT EXISTS `sensor` (`sensor_id` {serial}, `gateway_id` {id} NOT NULL, `name` {name} NOT NULL,"
    " `kind` {name} NOT NULL, `driver` {name} NOT NULL, UNIQUE (`gateway_id`, `name`, `kind`, `driver`),"
    " FOREIGN KEY (`gateway_id`) REFERENCES `gateway` (`gateway_id`)) {end}",
    "CREATE TABLE IF NOT EXISTS `run` (`run_id` {serial}, `sensor_id` {id} NOT NULL, `uuid` {uuid} NOT NULL,"
    " `boot_id` {uuid} NOT NULL, `started` {time} NOT NULL, UNIQUE (`sensor_id`, `uuid`),"
    " FOREIGN KEY (`sensor_id`) REFERENCES `sensor` (`sensor_id`)) {end}",
    "CREATE TABLE IF NOT EXISTS `dead_letter` (`sink` {name} NOT NULL, `gateway` {name} NOT NULL, `sensor` {name} NOT NULL,"
    " `run` {uuid} NOT NULL, `seq` {int} NOT NULL, `kind` {name} NOT NULL, `reading` {json} NOT NULL, `reason` {reason} NOT NULL,"
    " `code` {name} NOT NULL, `time` {time} NOT NULL, PRIMARY KEY (`gateway`, `sensor`, `run`, `seq`, `sink`)) {end_clustered}",
    "CREATE TABLE IF NOT EXISTS `schema_version` (`version` {int} NOT NULL PRIMARY KEY, `applied` {time} NOT NULL) {end}",
)
_KIND: Final = (
    "CREATE TABLE IF NOT EXISTS `{table}` (`sensor_id` {id} NOT NULL, `time` {time} NOT NULL, `run_id` {id} NOT NULL,"
    " `seq` {int} NOT NULL, `boot_ns` {int} NOT NULL, `quality` {quality}, `clock` {clock}, {values},"
    " PRIMARY KEY (`sensor_id`, `time`, `run_id`, `seq`)) {end_clustered}"
)


def tables(dialect: Dialect, kinds: Mapping[str, Fields] = KINDS) -> list[str]:
    """CREATE TABLE IF NOT EXISTS for everything a store of these kinds needs, in an order that satisfies the foreign keys.

    Raises ValueError for a name or a type that may not go into SQL.
    """
    return [statement.format(**_TYPES[dialect]) for statement in _FIXED] + [table(dialect, kind, of) for kind, of in kinds.items()]


def table(dialect: Dialect, kind: str, fields: Fields) -> str:
    """CREATE TABLE IF NOT EXISTS for one kind. Raises ValueError as `check` does."""
    types = _TYPES[dialect]
    values = ", ".join(f"`{name}` {types[of]}" for name, of in columns(kind, fields).items())
    return _KIND.format(table=kind, values=values, **types)


def additions(dialect: Dialect, kind: str, fields: Fields, present: Collection[str]) -> list[str]:
    """ALTER TABLE statements for the fields of a kind that its table does not have among its `present` columns."""
    missing = {name: of for name, of in columns(kind, fields).items() if name not in present}
    return [f"ALTER TABLE `{kind}` ADD COLUMN `{name}` {_TYPES[dialect][of]}" for name, of in missing.items()]


def columns(kind: str, fields: Fields) -> dict[str, str]:
    """All value columns of a kind's table: ours first, and ours decide the type. Raises ValueError as `check` does."""
    check(kind, fields)
    ours = KINDS.get(kind, {})
    return dict(ours) | {name: of for name, of in fields.items() if name not in ours}


def check(kind: str, fields: Fields) -> None:
    """Raise ValueError unless these names may stand in SQL; a driver chooses them, and identifiers cannot be parameters."""
    if not is_kind(kind):
        raise ValueError(f"{kind!r} cannot be a table (letters, digits and _, a small letter first, at most 64, not {', '.join(TABLES)})")
    folded = [name.lower() for name in fields]  # both databases take fps and FPS for one column
    for name, of in fields.items():
        if not _IDENTIFIER.fullmatch(name) or name in COMMON or folded.count(name.lower()) > 1:
            raise ValueError(f"{kind} cannot have a column {name!r} (letters, digits and _, a small letter first, at most 64, once)")
        if of not in ("float", "int", "text"):
            raise ValueError(f"column {name} of {kind} cannot be of type {of!r} (float, int or text)")
    if not fields:
        raise ValueError(f"kind {kind} has no fields")


def is_kind(name: str) -> bool:
    """Whether a table of this name can be one of readings."""
    return bool(_IDENTIFIER.fullmatch(name)) and name not in TABLES

"""config/edgegw.toml is the reference and config/demo.toml runs: proved against the code, key by key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT
from msgspec import inspect as shape

from edgegw import config, driver
from edgegw.config import GatewaySettings, Settings, SpoolSettings
from edgegw.config.bind import keys_of
from edgegw.config.settings import FindFaceCameraKeys, FindFaceKeys, MySQLKeys, RabbitMQKeys, SensorPolicy, SQLiteKeys
from edgegw.config.words import bare

CONFIG = Path(__file__).parents[1] / "config"
REFERENCE = (CONFIG / "edgegw.toml").read_text()
# What stands in the file as "#key" or "#[section]" is a default; "# " is prose.
UNCOMMENTED = re.sub(r"^#(?=[a-z\[])", "", REFERENCE, flags=re.MULTILINE)
# These have a default that the machine decides: the file shows an example, and its prose says so.
BY_THE_MACHINE = {"id", "runtime_dir", "state_dir", "path"}
# Who documents the keys that every sensor has, and which driver each section shows.
FULL, DRIVERS = "sensors.front", {"sensors.front": "tfluna", "sensors.imu": "mpu6050", "sensors.door": "hcsr04", "sensors.eye": "camera"}


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """Of the keys that every sensor has, the one that must be said."""

    driver: str


def sections() -> dict[str, list[type[msgspec.Struct]]]:
    """Section → the structs whose keys it documents."""
    return {
        "gateway": [GatewaySettings],
        "spool": [SpoolSettings],
        **{name: [SensorPolicy if name == FULL else Driver, driver.find(of).options] for name, of in DRIVERS.items()},
        "sinks.rabbitmq": [RabbitMQKeys],
        "sinks.mysql": [MySQLKeys],
        "sinks.sqlite": [SQLiteKeys],
        "sinks.findface": [FindFaceKeys],
        "sinks.findface.cameras.eye": [FindFaceCameraKeys],
    }


SINKS = ["sinks.rabbitmq", "sinks.mysql", "sinks.sqlite", "sinks.findface", "sinks.findface.cameras.eye"]
SECTIONS = ["gateway", "spool", *DRIVERS, *SINKS]


def table(section: str) -> dict[str, Any]:
    """The keys of a section, without the sections below it."""
    found: dict[str, Any] = tomllib.loads(UNCOMMENTED)
    for part in section.split("."):
        found = found[part]
    return {key: value for key, value in found.items() if not any(each.startswith(f"{section}.{key}.") for each in SECTIONS)}


def prose(section: str, key: str) -> str:
    """The remark above `key` in its section, and above the keys that share it."""
    within = UNCOMMENTED.partition(f"\n[{section}]\n")[2].partition("\n[")[0]
    (block,) = [block for block in within.split("\n\n") if re.search(rf"^{key} = ", block, re.MULTILINE)]
    return re.sub(r"\n# ", " ", "\n".join(line for line in block.splitlines() if line.startswith("#")))


def load(path: Path) -> Settings:
    return config.load(path, environ={"HOME": "/home/pi"}, options_of=lambda name: driver.find(name).options)


def _plain(default: Any) -> Any:
    """As TOML gives it."""
    return msgspec.to_builtins(list(default) if isinstance(default, tuple) else default)


def _commented(section: str, key: str) -> bool:
    header = f"[{section}]\n"
    text = REFERENCE.partition(header if header in REFERENCE else f"#{header}")[2].partition("\n[")[0].partition("\n#[")[0]
    return f"\n#{key} = " in text


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_stands_in_the_reference(section: str) -> None:
    """A section of the reference has exactly the keys that the code knows there, no more and no fewer."""
    assert set(table(section)) == {key for struct in sections()[section] for key in keys_of(struct)}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_commented_out_is_the_default(section: str) -> None:
    """Every commented-out value is the code's own default; where there is no constant one, the prose says what holds."""
    given = table(section)
    for struct in sections()[section]:
        for field in msgspec.structs.fields(struct):
            if field.default_factory is not NODEFAULT:  # a table, empty unless one is given
                assert field.default_factory() == {}
                assert given[field.encode_name], f"{field.encode_name} has no example"
            elif field.default not in (None, NODEFAULT) and field.encode_name not in BY_THE_MACHINE:
                assert given[field.encode_name] == _plain(field.default), field.encode_name
            elif field.default is None and _commented(section, field.encode_name):
                assert re.search(r"Default: |There is no default", prose(section, field.encode_name)), field.encode_name


@pytest.mark.parametrize("section", SECTIONS)
def test_the_prose_tells_ranges_and_choices(section: str) -> None:
    """Beside every key stands prose; it names the ends of the key's range, and each of its choices."""
    for struct in sections()[section]:
        for field in msgspec.structs.fields(struct):
            info, _ = bare(shape.type_info(field.type))
            said = prose(section, field.encode_name)
            assert len(said) > 20, field.encode_name
            if isinstance(info, shape.IntType | shape.FloatType) and info.ge is not None and info.le is not None:
                assert f"{info.ge:.15g} to {info.le:.15g}" in said, field.encode_name
            if isinstance(info, shape.LiteralType):
                assert [value for value in info.values if str(value) not in said] == [], field.encode_name


def test_the_reference_as_shipped_is_all_defaults(tmp_path: Path) -> None:
    """Copied and used as it is, the reference means the same as a file with nothing but a driver and a port."""
    minimal = tmp_path / "minimal.toml"
    minimal.write_text('[sensors.front]\ndriver = "tfluna"\nport = "/dev/serial0"\n')
    shipped, least = load(CONFIG / "edgegw.toml"), load(minimal)
    assert msgspec.structs.replace(shipped, sources=()) == msgspec.structs.replace(least, sources=())


def test_the_uncommented_reference_loads(tmp_path: Path) -> None:
    """With every # taken away (and the files it names made) the reference is a right configuration with all four sinks."""
    for name in ("rabbitmq.password", "mysql.password", "ca.pem"):
        (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----")
    for name in ("findface.token", "findface-eye.token"):
        (tmp_path / name).write_text("0123456789abcdef")
    file = tmp_path / "edgegw.toml"
    # An address out of this machine and no socket: else "auto" would leave TLS off and ca_file without a meaning.
    text = re.sub(r"^socket = .*$", "", UNCOMMENTED, flags=re.MULTILINE)
    # A token or a login; and FindFace has cameras only where pictures are sent.
    text = re.sub(r"^password_file = .*findface.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(faces|send_faces) = false$", r"\1 = true", text, flags=re.MULTILINE).replace('purpose = ""', 'purpose = "a test"')
    file.write_text(text.replace("/etc/edgegw/", f"{tmp_path}/"))
    sinks = load(file).sinks
    assert sinks.rabbitmq is not None
    assert sinks.mysql is not None
    assert sinks.sqlite is not None
    assert sinks.findface is not None
    assert sinks.findface.cameras["eye"].camera == 3


def test_the_demo_has_every_kind_and_the_embedded_store() -> None:
    """demo.toml loads as it lies there: a sensor of every driver of a device, all virtual, some with faults, no broker and no server."""
    settings = load(CONFIG / "demo.toml")
    assert {sensor.driver for sensor in settings.sensors} == set(driver.available()) - {"metronome"}
    for sensor in settings.sensors:
        devices = [value for value in msgspec.structs.asdict(sensor.options).values() if isinstance(value, str)]
        assert any(value.partition("?")[0] == driver.VIRTUAL for value in devices), sensor.name
    assert settings.sinks.sqlite is not None
    assert settings.sinks.rabbitmq is None
    assert settings.sinks.mysql is None

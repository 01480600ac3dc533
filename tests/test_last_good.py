"""The copy of the configuration that works, and what tells a changed configuration from the same."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.cli import lastgood
from edgegw.cli.children import SHARE, plan
from edgegw.cli.settings import load
from edgegw.config import SensorPolicy
from edgegw.config.tomltext import text_of
from edgegw.errors import Exit

TEXT = """\
[gateway]
id = "pi-7"
runtime_dir = "run"
state_dir = "{place}/state"
[sensors.front]
driver = "tfluna"
port = "/dev/ttyUSB0"
[sensors.imu]
driver = "mpu6050"
bus = 1
process = "slow"
[sensors.side]
driver = "tfluna"
port = "/dev/ttyUSB1"
process = "slow"
[sinks.mysql]
url = "mysql://gw@localhost/edge"
password_file = "secrets/mysql"
"""
DROP_IN = """\
[sensors.front]
rate_hz = 50
[sinks.sqlite]
path = "here.db"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with a drop-in, relative paths, and a password in a file."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "secrets" / "mysql").write_text("hunter22\n")
    (tmp_path / "conf.d" / "more.toml").write_text(DROP_IN)
    path = tmp_path / "edgegw.toml"
    path.write_text(TEXT.format(place=tmp_path))
    return path


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.datetimes() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_toml_written_is_toml_read(tree: dict[str, Any]) -> None:
    """Any tree of keys and values, whatever characters are in them, comes back from tomllib as it was."""
    assert tomllib.loads(text_of(tree)) == tree


def test_toml_knows_no_none() -> None:
    """What it has no word for is refused, not written as something else."""
    with pytest.raises(TypeError, match="TOML has no NoneType"):
        text_of({"a": None})


def test_the_copy_is_what_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged, private, without the password, with paths that mean the same from where it lies: it loads to the same settings."""
    settings = load(file)
    monkeypatch.chdir("/")
    assert lastgood.keep(file, settings) == Exit.DONE
    copy = settings.paths.last_good
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "hunter22" not in copy.read_text()
    found = load(copy)
    assert found.sinks == settings.sinks
    assert (found.gateway, found.paths, found.sensors, found.spool) == (settings.gateway, settings.paths, settings.sensors, settings.spool)
    assert [path.name for path in copy.parent.iterdir()] == ["last-good.toml"]


def test_the_copy_is_whole_and_on_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written beside it, synced, renamed, the directory synced, in this order; the old copy stays where the disk is full."""
    settings, done = load(file), []
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}"))
    replace = os.replace

    def renamed(new: Path, old: Path) -> None:
        done.append(f"rename {new.name} {old.name}")
        replace(new, old)

    monkeypatch.setattr(os, "replace", renamed)
    assert lastgood.keep(file, settings) == Exit.DONE
    assert done == ["sync last-good.toml.new", "rename last-good.toml.new last-good.toml", "sync state"]
    before = settings.paths.last_good.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert lastgood.keep(file, settings) == Exit.IO
    assert settings.paths.last_good.read_text() == before
    assert [path.name for path in settings.paths.state.iterdir()] == ["last-good.toml"]


def test_what_changed_meanwhile_is_not_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Between loading and keeping somebody edits the file: what does not run is not kept as what works."""
    settings = load(file)
    file.write_text(file.read_text().replace("ttyUSB0", "ttyUSB7"))
    assert lastgood.keep(file, settings) != Exit.DONE
    assert not settings.paths.last_good.exists()
    assert "the files have changed since they were loaded" in capsys.readouterr().err


def test_the_copy_is_named_for_its_own_file_only(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the broken file cannot say any more where its state is; another gateway's copy is no advice."""
    settings = load(file)
    lastgood.keep(file, settings)
    copy = settings.paths.last_good
    assert f"{copy} (of " in lastgood.advice(file)
    file.write_text("[[[")
    assert lastgood.advice(file) == ""
    monkeypatch.setenv("STATE_DIRECTORY", str(copy.parent))
    assert lastgood.advice(file).endswith(f"edgegw start -c {copy}")
    other = tmp_path / "other.toml"
    other.write_text("[[[")
    assert lastgood.advice(other) == ""


def changed(file: Path, *edits: tuple[str, str]) -> list[str]:
    """Which processes have another fingerprint after these edits of the file."""
    before = {spec.name: spec.fingerprint for spec in plan(load(file), None).specs}
    text = file.read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)
    after = {spec.name: spec.fingerprint for spec in plan(load(file), None).specs}
    assert set(before) == set(after)
    return [name for name in before if before[name] != after[name]]


@pytest.mark.parametrize(
    ("old", "new", "whom"),
    [
        ("", "", []),
        ("[gateway]", "# a remark\n[gateway]", []),
        ("ttyUSB0", "ttyUSB5", ["front"]),
        ("bus = 1", "bus = 2", ["slow"]),
        ("ttyUSB1", "ttyUSB6", ["slow"]),
        ("[sensors.front]", "[sensors.front]\nwindow = 100", ["front"]),
        ("/edge", "/other", ["bridge"]),
        ("[gateway]", "[gateway]\nlinger_s = 0.3", ["bridge"]),
        ("[gateway]", "[spool]\nmax_bytes = 5_000_000\n[gateway]", ["bridge"]),
        ('id = "pi-7"', 'id = "pi-8"', ["bridge", "front", "slow"]),
        ("[gateway]", '[gateway]\nlog_level = "debug"', ["bridge", "front", "slow"]),
        ("[sensors.front]", '[sensors.front]\nspool_full = "drop_oldest"', ["bridge"]),
        ("[sensors.front]", "[sensors.front]\nspool_max_bytes = 5_000_000", ["bridge"]),
        ("secrets/mysql", "secrets/other", ["bridge"]),
    ],
)
def test_whom_a_change_concerns(file: Path, old: str, new: str, whom: list[str]) -> None:
    """A sensor's keys its own process, sinks and spool the bridge, id and log level everybody, a remark nobody."""
    (file.parent / "secrets" / "other").write_text("else")
    assert changed(file, (old, new)) == whom


def test_what_a_sensor_has_when_nobody_says() -> None:
    """The keys that only the bridge looks at have the defaults that the configuration gives them: a new sensor does not restart it."""
    fields = {field.name: field.default for field in msgspec.structs.fields(SensorPolicy)}
    assert {key: fields[key] for key in SHARE} == SHARE


def test_a_device_and_a_sensor_are_claimed(file: Path) -> None:
    """By every process that reads them, under one name, so that no second one opens them; a virtual device is nobody's."""
    file.write_text(file.read_text().replace("bus = 1", 'bus = "virtual"'))
    claims = {spec.name: spec.claims for spec in plan(load(file), None).specs}
    assert claims["bridge"] == frozenset()
    assert claims["front"] == {"sensor front", "port=/dev/ttyUSB0"}
    assert claims["slow"] == {"sensor imu", "sensor side", "port=/dev/ttyUSB1"}

"""A wrong configuration at start: exit code 78, every fault named at its key, nothing started and nothing made."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edgegw import driver, supervisor
from edgegw.cli.commands import main
from edgegw.errors import Exit
from tests.config_cases import options_of
from tests.test_config_mutations import MUTATIONS, RIGHT, Mutation
from tests.typed import REPOSITORY, command, environment

FIFTY = MUTATIONS[:: max(1, len(MUTATIONS) // 50)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that RIGHT refers to, its drivers, and a supervisor that must not be reached."""
    (tmp_path / "password").write_text("x")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    monkeypatch.setattr(driver, "find", lambda name: SimpleNamespace(options=options_of(name), fields={}))
    monkeypatch.setattr(supervisor, "run", lambda *_, **__: pytest.fail("it was started"))
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def mutated(mutation: Mutation, place: Path) -> Path:
    """RIGHT with that fault, its directories in `place`."""
    lines = RIGHT.splitlines()
    lines[mutation.line - 1] = mutation.text
    file = place / "edgegw.toml"
    file.write_text("\n".join(lines).replace("/run/edgegw", f"{place}/run").replace("/var/lib/edgegw", f"{place}/state"))
    file.chmod(0o600)
    return file


def test_there_are_fifty() -> None:
    """As many mutated files as the fault matrix asks for, at the least."""
    assert len(FIFTY) >= 50


@pytest.mark.parametrize("mutation", FIFTY, ids=str)
def test_a_wrong_file_starts_nothing(place: Path, mutation: Mutation) -> None:
    """`start --foreground` ends with 78, names file, line and key, and no directory has come into being."""
    file = mutated(mutation, place)
    done = CliRunner().invoke(main, ["start", "--foreground", "-c", str(file)])
    assert done.exit_code == Exit.CONFIG, done.output
    assert f"{file}:{mutation.line}: {mutation.key}: " in done.output
    assert "in the configuration, nothing was started" in done.output
    assert sorted(path.name for path in place.iterdir()) == ["ca.pem", "edgegw.toml", "password"]


REAL = """\
[gateway]
runtime_dir = "{place}/run"
state_dir = "{place}/state"
[sensors.front]
driver = "tfluna"
port = "/dev/nothing"
{fault}
"""


@pytest.mark.parametrize(
    ("fault", "key"),
    [("rate_hz = 9999", "sensors.front.rate_hz"), ("rat_hz = 50", "sensors.front.rat_hz"), ("[sinks.rabbitmq]", "sinks.rabbitmq.url")],
)
def test_the_same_through_the_real_command(tmp_path: Path, fault: str, key: str) -> None:
    """In a process of its own, in the background form as well as in systemd's: 78 soon, the key, and nothing left behind."""
    file = tmp_path / "edgegw.toml"
    file.write_text(REAL.format(place=tmp_path, fault=fault))
    for form in (["start"], ["start", "--foreground"]):
        begun = time.monotonic()
        words = command(*form, "-c", str(file))
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=environment(), check=False)
        print(f"{' '.join(form)}: {time.monotonic() - begun:.2f} s")
        assert done.returncode == Exit.CONFIG, done.stderr
        assert f" {key}: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["edgegw.toml"]

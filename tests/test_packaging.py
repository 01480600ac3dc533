"""What an installation gets: the wheel's contents, the lock, the lower bounds, and the scripts that set an environment up."""

from __future__ import annotations

import configparser
import email
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.services.base import need

ROOT = Path(__file__).parent.parent
PACKAGES = ("edgegw", "workers")
LOCKS = ("requirements.txt", "requirements-test.txt", "requirements-build.txt")
BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.*?))?( \\)?$", re.MULTILINE)


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    """.ci/setup.py, which is no module of any package."""
    spec = importlib.util.spec_from_file_location("ci_setup", ROOT / ".ci" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from a copy: setuptools leaves files where it builds."""
    tree = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignore, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "out", "."]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next((tree / "out").glob("edgegw-*.whl"))) as archive:
        yield archive


def requirements() -> dict[str, list[str]]:
    """Every requirement line of setup.cfg, by extra; those of edgegw itself under ""."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    extras = {name: value.split() for name, value in config["options.extras_require"].items()}
    return {"": config["options"]["install_requires"].split("\n")[1:], **extras}


def pinned(lock: str) -> dict[str, set[str]]:
    """The versions of each package in a lock; more than one where they differ by Python version."""
    versions: dict[str, set[str]] = {}
    for name, version, *_ in PIN.findall((ROOT / ".ci" / lock).read_text()):
        versions.setdefault(name, set()).add(version)
    return versions


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def test_the_wheel_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """All of edgegw and workers, with the mark that edgegw is typed; no tests."""
    code = {name for name in wheel.namelist() if not re.match(r"edgegw-[^/]*\.(dist-info|data)/", name)}
    expected = {str(file.relative_to(ROOT)) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert code == expected | {"edgegw/py.typed"}


def test_the_wheel_brings_configurations_and_unit(wheel: zipfile.ZipFile) -> None:
    """Sample configurations and the unit lie under share/edgegw of the prefix."""
    shared = {name.partition(".data/data/")[2] for name in wheel.namelist()} - {""}
    files = [*(ROOT / "config").glob("*.toml"), *(ROOT / "systemd").glob("*.service")]
    assert shared == {f"share/edgegw/{file.relative_to(ROOT)}" for file in files}


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    """Linux only, Python 3.11 on, the command, and the extras that the documentation names."""
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Operating System :: POSIX :: Linux" in metadata.get_all("Classifier", [])
    assert {"camera", "face", "findface", "ble", "web", "fusion", "demo"} <= set(metadata.get_all("Provides-Extra", []))
    assert "edgegw = edgegw.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert any(name.endswith("LICENSE") for name in wheel.namelist())


def test_every_run_time_requirement_has_a_tested_lower_bound() -> None:
    """name>=version and no more: no upper bound that blocks others, none without a bound that `make test-lowest` could test."""
    wanted = requirements()
    lines = [line for extra in ("", "camera", "face", "findface", "ble", "web", "fusion", "demo") for line in wanted[extra]]
    assert lines
    assert not [line for line in lines if not BOUND.fullmatch(line)]


def test_the_lock_satisfies_setup_cfg() -> None:
    """Each requirement is pinned, at or above its bound; after a change to setup.cfg, `make lock`."""
    run, test = pinned("requirements.txt"), pinned("requirements-test.txt")
    for extra, lines in requirements().items():
        for line in lines:
            name, _, bound = line.partition(">=")
            versions = (test if extra else run).get(name.lower(), set())
            assert versions, f"{line} of [{extra}] is not in the lock: make lock"
            assert all(number(version) >= number(bound) for version in versions), f"{line} is locked at {versions}: make lock"


def test_running_and_testing_use_the_same_versions() -> None:
    """What is tested is what runs."""
    run, test = pinned("requirements.txt"), pinned("requirements-test.txt")
    assert {name: test.get(name) for name in run} == run


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_index(lock: str) -> None:
    """Whatever index a machine uses, it can only give the files that were locked."""
    text = (ROOT / ".ci" / lock).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2].partition("\n")[2])
    assert [entry for entry in entries if "--hash=sha256:" in entry] == entries
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)


def test_pins_keep_versions_and_drop_hashes(setup: ModuleType) -> None:
    """The form for systems whose wheels the lock cannot know."""
    lock = "# made by\nclick==8.1 ; sys_platform == 'linux' \\\n    --hash=sha256:00\nrich==15 \\\n    --hash=sha256:22\n"
    assert setup.pins(lock) == ["click==8.1 ; sys_platform == 'linux'", "rich==15"]


def test_lowest_is_exactly_the_lower_bounds(setup: ModuleType) -> None:
    """`make test-lowest` installs each requirement of setup.cfg, extras included, at its bound."""
    wanted = requirements()
    extras = ("", "camera", "face", "findface", "ble", "web", "fusion", "demo")
    bounds = [line.replace(">=", "==") for extra in extras for line in wanted[extra]]
    assert setup.lowest() == bounds


NOW = {"run": "r", "test": "t", "lowest": "l", "project": "p"}


@pytest.mark.parametrize(
    ("kind", "noted", "ready", "stale"),
    [
        ("run", {}, False, True),  # nothing there, or cut short
        ("run", {"run": "r", "project": "p"}, True, False),
        ("run", {"test": "t", "project": "p"}, True, False),  # what suffices to test suffices to run
        ("test", {"run": "r", "project": "p"}, False, False),  # more is needed, nothing is wrong
        ("test", {"run": "r", "test": "t", "project": "p"}, True, False),
        ("run", {"run": "older", "project": "p"}, False, True),
        ("test", {"run": "older", "test": "older", "project": "p"}, False, True),
        ("run", {"run": "r", "project": "older"}, True, False),  # only edgegw itself is to be installed again
    ],
)
def test_what_an_environment_still_needs(setup: ModuleType, kind: str, noted: dict[str, str], ready: bool, stale: bool) -> None:
    """An environment that fits is left alone, one that lacks something gets it, one made for something else is made anew."""
    assert setup.is_ready(kind, noted, NOW) is ready
    if not ready:
        assert setup.is_stale(noted, NOW) is stale


def test_an_unfinished_environment_counts_as_none(setup: ModuleType, tmp_path: Path) -> None:
    """Without its note, with half a note, or without its Python, nothing is believed of it."""
    assert setup.read_note(tmp_path) == {}
    (tmp_path / setup.NOTE).write_text('{"run": "r"')
    assert setup.read_note(tmp_path) == {}
    (tmp_path / setup.NOTE).write_text('{"run": "r"}')
    assert setup.read_note(tmp_path) == {}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert setup.read_note(tmp_path) == {"run": "r"}


def pythons(folder: Path, **versions: bool) -> dict[str, str]:
    """An environment whose PATH has nothing but these Pythons, each of which fits or does not."""
    for name, fits in versions.items():
        file = folder / name.replace("_", ".")
        answer = "echo Python 3.9.2; " if not fits else ""
        file.write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ {answer}exit 0; }}\nexit {0 if fits else 1}\n')
        file.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("there", "named", "chosen"),
    [
        ({"python3": True, "python3_12": True}, "", "python3"),
        ({"python3": False, "python3_12": True, "python3_11": True}, "", "python3.12"),
        ({"python3": True, "python3_12": True}, "python3.12", "python3.12"),
    ],
)
def test_a_python_that_fits_is_found(there: dict[str, bool], named: str, chosen: str, tmp_path: Path) -> None:
    """python3 where it fits, else the newest that does; the one that was named, where one was."""
    environ = {**pythons(tmp_path, **there), "PYTHON": named}
    done = subprocess.run([ROOT / ".ci" / "python"], env=environ, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == str(tmp_path / chosen)


@pytest.mark.parametrize(
    ("there", "named", "said"),
    [
        ({"python3": False}, "", "python3 is Python 3.9.2"),
        ({"python3": True}, "python9", "python9 is missing"),
        ({}, "", "python3 is missing"),
    ],
)
def test_no_python_that_fits_is_said_plainly(there: dict[str, bool], named: str, said: str, tmp_path: Path) -> None:
    """One line: what is needed, what was found, what to do. Another than the one that was named is not taken."""
    environ = {**pythons(tmp_path, **there), "PYTHON": named}
    done = subprocess.run([ROOT / ".ci" / "python"], env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def make(*arguments: str) -> str:
    """What make prints, free of what a make around the tests was told."""
    command = [need("make", "make"), "--no-print-directory", *arguments]
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "T", "SECONDS")}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["demo"], ".venv/bin/edgegw demo"),
        (["demo", "SECONDS=300"], ".venv/bin/edgegw demo --seconds 300"),
        (["test", "T=tests/test_codec.py -x"], ".venv/bin/pytest tests/test_codec.py -x"),
    ],
)
def test_make_hands_its_words_on(arguments: list[str], command: str) -> None:
    """What is written after make reaches the command."""
    shown = make("--dry-run", *arguments)
    assert command in [line.strip().removeprefix("exec ") for line in shown.splitlines()]


def test_make_alone_lists_the_targets() -> None:
    """Every target is explained."""
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    assert re.findall(r"make (\S+)", make()) == targets[1].split()

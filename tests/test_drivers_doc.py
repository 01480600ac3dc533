"""docs/drivers.md, done as it says: its three files in a copy of the tree, and nothing else, make a sensor that reads and is stored."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.services.base import die_with_parent, end, need, service_dir, until

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "tests" / "services" / "i2c_registers.py"
PAGE = (ROOT / "docs" / "drivers.md").read_text()
FILES = dict(re.findall(r"^### `([^`]+)`[^\n]*\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
DRIVER, TEST, SECTION = "workers/bme280.py", "tests/workers/test_bme280.py", "conf.d/attic.toml"
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "acme-sensors"
version = "1.0"
"""
IGNORED = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build")
SLIPS = [("h5 << 4", "h5 << 3"), ("p5 * 2", "p5"), ("faults += 1", "pass"), ("!= 0x60", "== 0"), ("[:3]", "[1:3]")]


class Tree:
    """A copy of the tree with the page's files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "edgegw.toml"
        shutil.copytree(ROOT, root, ignore=IGNORED, dirs_exist_ok=True)
        shutil.copy(ROOT / "config" / "demo.toml", self.config)
        self.environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(root / "home")}
        self.before = self.contents()
        for name, text in FILES.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)

    def contents(self) -> dict[str, bytes]:
        files = (path for path in self.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def run(self, command: Sequence[str], folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **more}
        return subprocess.run(command, cwd=folder or self.root, env=environment, capture_output=True, text=True, check=False, timeout=200)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, *arguments])

    def with_chip(self, *arguments: str) -> list[str]:
        """`edgegw` with those arguments, on a machine that has an I2C bus with a BME280 on it."""
        need("umockdev-wrapper", "umockdev gir1.2-umockdev-1.0 python3-gi")
        low, high, data = re.findall(r'bytes\.fromhex\("([0-9a-f]+)"\)', FILES[TEST])[:3]  # what the page's test has from a real chip
        registers = json.dumps({"0xD0": "60", "0x88": low, "0xE1": high, "0xF7": data})
        return ["/usr/bin/python3", str(BENCH), "0x76", registers, sys.executable, "-m", "edgegw", *arguments]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


def test_three_files_and_no_more(tree: Tree) -> None:
    """The page has a driver, its test and a section; with them in place nothing else is new, and nothing is changed."""
    assert list(FILES) == [DRIVER, TEST, SECTION]
    after = tree.contents()
    assert set(after) - set(tree.before) == {DRIVER, TEST, SECTION}
    assert {name: after[name] for name in tree.before} == tree.before


def test_the_page_is_one_page() -> None:
    """It is read in one go: no longer than 245 lines, and the driver on it no longer than 95."""
    assert len(PAGE.splitlines()) <= 245
    assert len(FILES[DRIVER].splitlines()) <= 95


def test_its_test_passes_and_so_does_every_other_that_meets_it(tree: Tree) -> None:
    """The page's own test with the contract suite, and whatever in the house's tests asks each driver there is."""
    done = tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-k", "bme280", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TestOurs::test_the_gateway_finds_it[bme280]" in done.stdout
    assert "TestBME280::test_it_leaves_nothing_behind" in done.stdout


@pytest.mark.parametrize(("old", "new"), SLIPS)
def test_its_test_finds_a_slip(tree: Tree, old: str, new: str) -> None:
    """In a formula, in the sign of a bit field, in the count, in the chip's id: whoever copies the page has a test that means something."""
    assert FILES[DRIVER].count(old) == 1
    try:
        (tree.root / DRIVER).write_text(FILES[DRIVER].replace(old, new))
        done = tree.python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", TEST)
    finally:
        (tree.root / DRIVER).write_text(FILES[DRIVER])
    assert done.returncode == 1, done.stdout + done.stderr


def test_its_code_is_as_clean_as_ours(tree: Tree) -> None:
    """ruff with the rules of the house, and mypy --strict; both come with the extra dev."""
    if not (importlib.util.find_spec("ruff") and importlib.util.find_spec("mypy")):
        pytest.skip("ruff and mypy are not installed here")
    for command in (["ruff", "check", "--no-cache"], ["mypy", "--cache-dir", os.devnull]):
        done = tree.python("-m", *command, DRIVER, TEST)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_imports_keep_to_the_plan(tree: Tree) -> None:
    """lint-imports has nothing to say against it."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.argv[0] = 'lint-imports'; lint_imports_command()"
    done = tree.python("-c", code, "--no-cache", "--config", "setup.cfg")
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_takes_its_section(tree: Tree, tmp_path: Path) -> None:
    """And explains a wrong key in it as it does for any driver."""
    done = tree.python("-m", "edgegw", "check", "-c", str(tree.config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "attic" in done.stdout
    misspelt = tmp_path / "edgegw.toml"
    misspelt.write_text(FILES[SECTION].replace("interval_s", "intervall_s"))
    done = tree.python("-m", "edgegw", "check", "-c", str(misspelt))
    assert done.returncode == 78
    assert "did you mean interval_s?" in done.stderr


def test_try_reads_it(tree: Tree) -> None:
    """Through smbus2 from a device node; without a bus it says what to do."""
    done = tree.python("-m", "edgegw", "try", "bme280", "bus=97", "-n", "1")
    assert done.returncode == 74
    assert "there is no I2C bus /dev/i2c-97" in done.stderr
    done = tree.run(tree.with_chip("try", "bme280", "bus=1", "-n", "2"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("temperature_degC=23.72") == 2, done.stdout


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path, for the sockets."""
    folder = service_dir("doc")
    yield folder
    shutil.rmtree(folder)


def test_its_readings_arrive_in_the_store_and_on_the_tap(tree: Tree, home: Path) -> None:
    """A kind that edgegw has never heard of: its table is made with the first reading."""
    section = home / "conf.d" / "attic.toml"
    section.parent.mkdir()
    section.write_text(FILES[SECTION].replace("interval_s = 10", "interval_s = 1"))
    config = home / "edgegw.toml"
    config.write_text(f'[gateway]\nid = "doc"\nruntime_dir = "{home}/run"\nstate_dir = "{home}/state"\n')
    command = die_with_parent(tree.with_chip("start", "--foreground", "-c", str(config)))
    with (home / "log").open("wb") as log:
        gateway = subprocess.Popen(command, cwd=tree.root, env=tree.environment, stdout=log, stderr=log)
    try:
        until(lambda: (home / "run" / "tap.sock").exists(), 60, "the gateway to be up")
        tap = tree.python("-m", "edgegw", "tap", "climate/attic", "--json", "-n", "2", "--seconds", "60", "-c", str(config))
        heard = [json.loads(line) for line in tap.stdout.splitlines()]
        assert len(heard) == 2, tap.stderr + (home / "log").read_text()
        assert {round(reading["values"]["temperature_degC"], 2) for reading in heard} == {23.72}
        until(lambda: _stored(home / "state" / "store.db") >= 2, 60, "two rows in the store")
    finally:
        end(gateway)


def _stored(store: Path) -> int:
    if not store.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as reader, contextlib.suppress(sqlite3.OperationalError):
        found = reader.execute("SELECT COUNT(*) FROM climate WHERE temperature_degC BETWEEN 23 AND 24 AND quality = 'good'").fetchone()
        return int(found[0])
    return 0


def test_it_works_from_a_package_of_ones_own(tree: Tree, tmp_path: Path) -> None:
    """Installed by pip with the entry point of the page, into a place where edgegw has no such module."""
    package = tmp_path / "acme" / "acme_sensors"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "bme280.py").write_text(FILES[DRIVER])
    (point,) = re.findall(r"^```toml\n(\[project\.entry-points.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "acme" / "pyproject.toml").write_text(PYPROJECT + point)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--root-user-action", "ignore"]
    done = tree.python("-m", "pip", "install", *offline, "--target", str(tmp_path / "site"), str(tmp_path / "acme"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = "import acme_sensors.bme280 as ours; from edgegw import driver; assert driver.find('bme280').options is ours.Options"
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    done = tree.run([sys.executable, "-P", "-c", found], tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "test_bme280.py").write_text(FILES[TEST].replace("from workers import bme280", "from acme_sensors import bme280"))
    some = ["-k", "another_driver or finds_it or is_cheap or nothing_behind", "test_bme280.py"]
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path), *some]
    done = tree.run(command, tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout

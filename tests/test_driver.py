"""Drivers: found by name, bound to their options, plugged into a virtual device; and what is said when that cannot be."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from edgegw import driver
from edgegw.driver import DriverError, available, bind, find, plugged
from edgegw.errors import Exit

SOUND = """
    import msgspec

    class Options(msgspec.Struct, frozen=True):
        port: str
        rate_hz: float = 100.0
        address: int = 0x68
        fusion: bool = False

    FIELDS = {"scale": {"mass_kg": float, "count": int, "label": str}, "door": {"open": int}}

    def read(options):
        yield None
"""


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts a module among those that come with edgegw."""
    package = importlib.import_module("workers")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

    def written(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, f"workers.{name}", raising=False)

    yield written
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"workers.{path.stem}", None)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package with one module `acme_scale` and entry points; gone after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(source: str, points: str) -> None:
        (tmp_path / "acme_scale.py").write_text(textwrap.dedent(source))
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[edgegw.drivers]\n{points}\n")
        importlib.invalidate_caches()

    yield written
    sys.modules.pop("acme_scale", None)


def test_a_driver_of_ours_is_found_by_its_name(ours: Callable[[str, str], None]) -> None:
    """With its options, its fields as words in the driver's order, and no simulator unless it names one."""
    ours("scale", SOUND)
    found = find("scale")
    assert (found.name, found.simulator) == ("scale", "")
    assert found.options.__struct_fields__ == ("port", "rate_hz", "address", "fusion")
    assert found.field_names() == {"scale": {"mass_kg": "float", "count": "int", "label": "text"}, "door": {"open": "int"}}
    assert list(found.read(None)) == [None]
    assert "scale" in available()


def test_the_virtual_devices_are_no_drivers() -> None:
    """They live beside the drivers; nobody reads a sensor with them."""
    assert "virtual" not in available()
    with pytest.raises(DriverError, match="there is no driver 'virtual'"):
        find("virtual")


def test_a_driver_of_another_package_is_found_when_it_is_named(installed: Callable[[str, str], None]) -> None:
    """By its entry point; it is not imported before that."""
    installed(SOUND, "scale = acme_scale")
    assert "scale" not in available()
    assert "acme_scale" not in sys.modules
    assert find("scale").options.__module__ == "acme_scale"


def test_ours_wins_over_an_installed_one_of_the_same_name(ours: Callable[[str, str], None], installed: Callable[[str, str], None]) -> None:
    """Another package cannot take the place of a driver of ours."""
    ours("scale", SOUND)
    installed(SOUND, "scale = acme_scale")
    assert find("scale").options.__module__ == "workers.scale"


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("scale = acme_scale:Options", "entry point scale of edgegw.drivers is not a module"),
        ("scale = acme_scale:Absent", "driver scale cannot be loaded: .*Absent"),
        ("scale = acme_gone", "driver scale cannot be loaded: No module named 'acme_gone'"),
    ],
)
def test_an_entry_point_that_leads_nowhere(installed: Callable[[str, str], None], points: str, message: str) -> None:
    """A half-installed package is the operator's business, not a bug of ours."""
    installed(SOUND, points)
    with pytest.raises(DriverError, match=message):
        find("scale")


@pytest.mark.parametrize("name", ["", "../etc", "a.b", "os.path", "sc ale", "1st", "virtual?x"])
def test_a_name_that_is_none_is_refused_before_any_import(name: str) -> None:
    """It comes from a file, and must not reach the import system."""
    with pytest.raises(DriverError, match=re.escape(f"{name!r} is not a driver's name")):
        find(name)


def test_a_misspelt_driver_gets_a_suggestion(ours: Callable[[str, str], None]) -> None:
    """The nearest name, else all of them."""
    ours("scale", SOUND)
    with pytest.raises(DriverError, match=re.escape("there is no driver 'skale' (did you mean scale?)")):
        find("skale")
    with pytest.raises(DriverError, match=r"there is no driver 'qqqqqq' \(there are .*scale.*\)"):
        find("qqqqqq")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Options = None", "workers.broken is not a driver: it lacks FIELDS, read"),
        ("FIELDS = {}", "workers.broken is not a driver: it lacks Options, read"),
        ("Options, FIELDS, read = dict, {}, None", "workers.broken is not a driver: its Options is not a msgspec.Struct"),
        (SOUND + "    FIELDS = {'door': {'open': bool}}", "not a driver: the types in its FIELDS must be float, int or str"),
        ("import surely_not_installed", "driver broken cannot be loaded: No module named 'surely_not_installed'"),
    ],
    ids=["fields", "options", "no struct", "type", "import"],
)
def test_a_module_that_is_no_driver(ours: Callable[[str, str], None], source: str, message: str) -> None:
    """What it lacks is named, and the exit code is that of a configuration that cannot be used."""
    ours("broken", source)
    with pytest.raises(DriverError, match=re.escape(message)) as refused:
        find("broken")
    assert refused.value.exit_code == Exit.CONFIG


def test_a_bug_in_a_driver_is_not_hidden(ours: Callable[[str, str], None]) -> None:
    """Its traceback is what helps."""
    ours("broken", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        find("broken")


@pytest.fixture
def scale(ours: Callable[[str, str], None]) -> driver.Driver:
    ours("scale", SOUND)
    return find("scale")


def test_options_are_bound_with_their_defaults_and_text_is_converted(scale: driver.Driver) -> None:
    """From a command line everything is text."""
    from_file = bind(scale, {"port": "/dev/x", "rate_hz": 50})
    from_line = bind(scale, {"port": "/dev/x", "rate_hz": "50", "address": "104", "fusion": "false"})
    assert msgspec.structs.astuple(from_file) == msgspec.structs.astuple(from_line) == ("/dev/x", 50.0, 0x68, False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": "x", "rate": 5}, "scale has no option 'rate' (did you mean rate_hz?)"),
        ({"port": "x", "zzz": 5}, "scale has no option 'zzz' (it has port, rate_hz, address, fusion)"),
        ({"zzz": 5, "aaa": 1}, "scale has no option 'aaa'"),
        ({}, "scale: Object missing required field `port`"),
        ({"port": 5}, "scale: Expected `str`, got `int` - at `$.port`"),
        ({"port": "x", "rate_hz": "fast"}, "scale: Expected `float`, got `str` - at `$.rate_hz`"),
    ],
)
def test_a_wrong_option_is_named(scale: driver.Driver, values: dict[str, object], message: str) -> None:
    """With the option that was probably meant."""
    with pytest.raises(DriverError, match=re.escape(message)):
        bind(scale, values)


class Socket(msgspec.Struct, frozen=True):
    """Options of a device that may be virtual."""

    port: str
    rate_hz: float = 1.0


class Simulator(ModuleType):
    """A module whose virtual device notes when it is there."""

    def __init__(self) -> None:
        super().__init__("acme_simulator")
        self.alive: list[str] = []
        self.asked: list[Any] = []

    @contextlib.contextmanager
    def plug(self, options: Socket) -> Iterator[Socket]:
        self.asked.append(options)
        self.alive.append("plugged")
        try:
            yield msgspec.structs.replace(options, port="/dev/pts/9")
        finally:
            self.alive.append("gone")


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Simulator:
    module = Simulator()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def _driver(simulator: str = "") -> driver.Driver:
    return driver.Driver("sock", Socket, {}, lambda _options: iter(()), simulator)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("port", ["virtual", "virtual?noise=0.1&seed=7", "virtual?"])
def test_virtual_is_replaced_by_a_device_that_lives_as_long_as_the_block(simulator: Simulator, port: str) -> None:
    """It gets the options as they were, with what stands behind the question mark; it ends with the block, however that ends."""
    options = Socket(port)
    with pytest.raises(KeyError), plugged(_driver("acme_simulator"), options) as real:
        assert (real.port, simulator.alive) == ("/dev/pts/9", ["plugged"])
        raise KeyError
    assert simulator.alive == ["plugged", "gone"]
    assert simulator.asked == [options]


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "virtually", "/dev/virtual", ""])
def test_a_real_device_is_left_as_it_is(simulator: Simulator, port: str) -> None:
    """The simulator is not even imported."""
    options = Socket(port)
    with plugged(_driver("acme_simulator"), options) as real:
        assert real is options
    assert simulator.asked == []


def test_a_driver_without_a_virtual_device_says_so() -> None:
    """Before anything is opened."""
    with pytest.raises(DriverError, match="sock has no virtual device"), plugged(_driver(), Socket("virtual")):
        pytest.fail("went on")

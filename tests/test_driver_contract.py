"""The contract suite for drivers finds each fault that it is there for: one wrong driver for every promise, and a right one."""

from __future__ import annotations

import contextlib
import importlib
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw import driver
from edgegw.driver import DriverError
from edgegw.errors import EdgegwError
from edgegw.testing import devices
from edgegw.testing.drivers import DriverContract

SOUND = '''
import os
import threading
from typing import Annotated

import msgspec
from msgspec import Meta

from edgegw.clock import every
from edgegw.driver import Shown
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample

LEFT, END = [], threading.Event()

class Calibration(msgspec.Struct, frozen=True):
    zero_kg: float = 0.0

class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: Annotated[str, Meta(description="A file that stands for a device.", examples=["/dev/scale"])]
    calibration: Annotated[Calibration | None, Meta(description="What calibrating has found.")] = None

FIELDS = {"scale": {"mass_kg": float, "count": int}}
PARTS = {"zero": "with nothing on it"}

def read(options):
    try:
        port = open(options.port)
    except OSError as error:
        raise DeviceError(f"there is no scale at {options.port}: is it plugged in?") from error
    with port:
        for turn, _ in enumerate(every(0.005)):
            if not os.path.exists(options.port):
                raise DeviceError("the scale was unplugged")
            yield Sample({"mass_kg": 1.5, "count": 3})

def reset(options):
    yield None

def preview(options, clear):
    yield None
    yield Shown(sought=1, found=1, drawn=drawn)

def drawn(media):
    return {"image/jpeg": b"\\xff\\xd8\\xff...", "image/png": b"\\x89PNG\\r\\n\\x1a\\n..."}[media], "a scale"

def calibrate(options, part):
    yield "take everything off it"
    return Calibration()
'''
PROMISES = [name for name in vars(DriverContract) if name.startswith("test_")]
SAMPLE = 'Sample({"mass_kg": 1.5, "count": 3})'
ABSENT = 'raise DeviceError(f"there is no scale at {options.port}: is it plugged in?") from error'
UNPLUGGED = 'raise DeviceError("the scale was unplugged")'
ENTER, OPEN = "def read(options):\n", "    with port:\n"  # lines that others are put before or behind
RESET = "def reset(options):\n    yield None\n"
SLOWLY = "threading.Event().wait(1.2)\n"
PUMP = "    threading.Thread(target=END.wait, name='pump').start()\n"
CHILD = "    import subprocess\n    LEFT.append(subprocess.Popen(['sleep', '99']))\n"
HESITANT = f"    try:\n        yield None\n    finally:\n        {SLOWLY}"
CLINGING = f"[(yield {SAMPLE})]\n            try:\n                yield None\n            finally:\n                {SLOWLY}"

# The promise that is broken → what of the sound driver is written otherwise, and how; what is then said of it.
WRONG = {
    "the_gateway_finds_it": [
        (ENTER, f"{ENTER}    return iter([])\ndef other(options):\n", "read .* not a generator"),
        (RESET, "def reset(options):\n    return iter([])\n", "reset .* not a generator"),
        ("    yield None\n    yield Shown", "    return Shown", "preview .* not a generator"),
        ('{"scale": {"mass_kg": float, "count": int}}', "{}", "FIELDS of scale is empty"),
        ("FIELDS", "FIELD", "lacks FIELDS"),
    ],
    "options_are_frozen_and_explain_themselves": [
        ("Options(msgspec.Struct, frozen=True, ", "Options(msgspec.Struct, ", "frozen"),
        ("kw_only=True, ", "", "kw_only"),
        (", forbid_unknown_fields=True", "", "forbid_unknown_fields"),
        ('description="What calibrating has found."', 'title="x"', "calibration .* no description"),
        (', examples=["/dev/scale"]', "", "port .* no example"),
    ],
    "fields_are_typed_and_carry_their_unit": [
        ("mass_kg", "mass", "mass of scale does not end with its unit"),
        ('{"scale":', '{"Scale":', "small letters"),
        ('{"scale":', '{"a scale":', "not a word"),
        ('{"mass_kg": float, "count": int}', "{}", "no fields"),
    ],
    "the_stores_have_room_for_its_kinds": [
        ('{"scale":', '{"sensor":', "cannot be a table"),
        ("mass_kg", "time", "cannot have a column"),
        ('{"scale":', '{"lidar":', "a kind of edgegw's own"),
        ('{"scale": {"mass_kg": float', '{"lidar": {"distance_m": int', "of type float in edgegw, and of type int"),
    ],
    "optional_names_go_together": [
        ('PARTS = {"zero": "with nothing on it"}', "", "no PARTS"),
        ("def calibrate", "def other", "Calibration and no calibrate"),
        ("Calibration(msgspec.Struct, frozen=True)", "Calibration(msgspec.Struct)", "lacks frozen"),
        ("    calibration: Ann", "    zero: Ann", "lacks calibration"),
        ("PARTS", "SIMULATOR = 'edgegw.errors'\nPARTS", "edgegw.errors of scale has no plug"),
    ],
    "importing_it_is_cheap": [("import os", "import os, asyncio", "loads asyncio")],
    "samples_are_as_the_fields_say": [
        ("1.5", "float('nan')", "mass_kg of scale is nan"),
        ("1.5", "float('inf')", "mass_kg of scale is inf"),
        ("1.5", "2", "is 2; FIELDS says float"),
        ('"count": 3', '"count": True', "is True; FIELDS says int"),
        (', "count": 3', "", "FIELDS says"),
        (SAMPLE, 'Sample({"count": 3, "mass_kg": 1.5})', "FIELDS says"),
        ('"count": 3}', '"count": 3, "more": 1}', "FIELDS says"),
        ('"count": 3}', '"count": 3}, kind="door"', "kind 'door'"),
        ('"count": 3}', '"count": 3}, age_ns=-1', "age_ns of scale is -1"),
        ('"count": 3}', '"count": 3}, faults=0.5', "faults of scale is 0.5"),
        ('"count": 3}', '"count": 3}, "well"', "a quality 'well'"),
        (SAMPLE, 'Sample({"mass_kg": None, "count": None})', "good that has no value"),
        (SAMPLE, f"{SAMPLE}\n            break", "ended by itself"),
        (SAMPLE, "None", "no sample of scale within"),
        (SAMPLE, '{"mass_kg": 1.5, "count": 3}', "which is not a Sample"),
        (ENTER, f"{ENTER}    LEFT.append(1)\n    if len(LEFT) > 1: raise DeviceError('only once')\n", "only once"),
    ],
    "it_gives_a_sign_of_life_every_second": [
        (ENTER, f"{ENTER}    {SLOWLY}", "yielded nothing for"),
        (SAMPLE, f"{SAMPLE}\n            {SLOWLY}", "yielded nothing for"),
    ],
    "closing_it_is_prompt": [
        (ENTER, f"{ENTER}{HESITANT}", "closing scale took"),
        (f"yield {SAMPLE}", CLINGING, "closing scale took"),
    ],
    "it_leaves_nothing_behind": [
        (OPEN, f"    LEFT.append(open(options.port))\n{OPEN}", "open file"),
        (OPEN, f"{PUMP}{OPEN}", "thread pump"),
        (OPEN, f"{CHILD}{OPEN}", "child process"),
    ],
    "an_absent_device_is_told_in_a_sentence": [
        (ABSENT, "raise", "plain words"),
        (ABSENT, "raise DeviceError('no scale')", "say what is missing"),
        (ABSENT, "return", "ended without an error"),
        (ABSENT, f"yield {SAMPLE}", "of a device that is not there"),
        (ABSENT, "\n        while True: yield None", "has not noticed within"),
        (ABSENT, f"\n        LEFT.append(open(os.devnull))\n        {ABSENT}", "left behind: open file"),
    ],
    "an_unplugged_device_is_noticed": [
        (UNPLUGGED, "pass", "goes on giving samples"),
        (UNPLUGGED, "return", "ended without an error"),
        (UNPLUGGED, "\n                while True: yield None", "has not noticed within"),
    ],
    "reset_gives_back_a_device_that_reads": [
        (RESET, RESET.replace("    ", f"    {SLOWLY}    ", 1), "yielded nothing for"),
        (RESET, RESET.replace("    ", "    os.unlink(options.port)\n    ", 1), "there is no scale"),
    ],
    "a_preview_can_be_looked_at": [
        ("found=1", "found=2", "shows 2 of 1"),
        ("\\xd8\\xff", "\\xd8", "image/jpeg begins with"),
        ("PNG", "GIF", "image/png begins with"),
        ('"a scale"', '""', "no words"),
        ("    yield Shown", "    Shown", "ended by itself"),
        ("    yield Shown", "    while True: yield None\n    yield Shown", "showed nothing within"),
    ],
}
FAULTS = [pytest.param(promise, *fault, id=f"{promise}-{fault[2]}") for promise, faults in WRONG.items() for fault in faults]


class OnScale(DriverContract):
    """The suite as somebody else would use it, with a file in the place of a device."""

    driver = "scale"

    def __init__(self, folder: Path) -> None:
        self._port = folder / "port"
        self.absent = {"port": str(folder / "absent")}

    @contextlib.contextmanager
    def device(self) -> Iterator[Any]:
        self._port.touch()
        yield driver.bind(driver.find("scale"), {"port": str(self._port)})

    def unplug(self) -> None:
        self._port.unlink()


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], OnScale]]:
    """Installs a driver called scale, as a package would, and gives the suite for it; what its faults leave behind is put away."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, limit_s in (("BEAT_s", 0.6), ("CLOSE_s", 0.6), ("FIRST_s", 1.0), ("GONE_s", 0.3), ("ENOUGH_s", 0.8)):
        monkeypatch.setattr(devices, name, limit_s)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgegw.drivers]\nscale = acme_scale\n")

    def installed(source: str) -> OnScale:
        (tmp_path / "acme_scale.py").write_text(source)
        importlib.invalidate_caches()
        return OnScale(tmp_path)

    yield installed
    module = sys.modules.pop("acme_scale", None)
    if module is not None:
        module.END.set()
        for left in module.LEFT:
            for clear_up in ("kill", "wait", "close"):
                getattr(left, clear_up, int)()


@pytest.mark.parametrize("promise", PROMISES)
def test_a_sound_driver_keeps_every_promise(scale: Callable[[str], OnScale], promise: str) -> None:
    """What the table below changes is the only thing that is wrong with its drivers."""
    getattr(scale(SOUND), promise)()


@pytest.mark.parametrize(("promise", "old", "new", "message"), FAULTS)
def test_a_wrong_driver_is_found_out(scale: Callable[[str], OnScale], promise: str, old: str, new: str, message: str) -> None:
    """By the check that is there for it, in a sentence that names what is wrong."""
    assert old in SOUND
    suite = scale(SOUND.replace(old, new))
    with pytest.raises((AssertionError, EdgegwError), match=message):
        getattr(suite, f"test_{promise}")()


def test_every_promise_has_its_fault() -> None:
    """No check that cannot fail: each of the suite stands in the table."""
    assert {f"test_{promise}" for promise in WRONG} == set(PROMISES)


def test_a_bug_in_a_driver_is_not_taken_for_an_absent_device(scale: Callable[[str], OnScale]) -> None:
    """Its traceback is what helps."""
    with pytest.raises(ZeroDivisionError):
        scale(SOUND.replace(ABSENT, "1 / 0")).test_an_absent_device_is_told_in_a_sentence()


def test_what_was_not_given_is_skipped_and_said(scale: Callable[[str], OnScale]) -> None:
    """A suite without a device, without options of an absent one or without a reset says what is missing."""
    scale(SOUND.replace("def reset", "def _reset"))

    class Bare(DriverContract):
        driver = "scale"

    for promise, said in {
        "test_samples_are_as_the_fields_say": "no device for scale: give options",
        "test_an_absent_device_is_told_in_a_sentence": "give Bare.absent",
        "test_reset_gives_back_a_device_that_reads": "scale has no reset",
    }.items():
        with pytest.raises(unittest.SkipTest, match=said):
            getattr(Bare(), promise)()
    with pytest.raises(unittest.SkipTest, match="override unplug"):
        Bare().unplug()


def test_options_say_where_the_device_is(scale: Callable[[str], OnScale], tmp_path: Path) -> None:
    """As in a configuration's section, without a line of code; a name that the driver does not know is told."""
    scale(SOUND)
    (tmp_path / "port").touch()

    class Given(DriverContract):
        driver = "scale"

    Given.options = {"port": str(tmp_path / "port")}
    Given().test_samples_are_as_the_fields_say()
    Given.options = {"prot": "x"}
    with pytest.raises(DriverError, match="did you mean port"):
        Given().test_samples_are_as_the_fields_say()


def test_a_driver_that_nobody_finds_fails_everything() -> None:
    """Half an entry point is none."""

    class Lost(DriverContract):
        driver = "nowhere_to_be_found"

    with pytest.raises(DriverError, match="there is no driver"):
        Lost().test_the_gateway_finds_it()

"""What a driver promises, as functions that raise AssertionError with a sentence: what is wrong with which name, and what would be right.

Sentences, because pytest explains a bare assert only in test files, and these are read by whoever writes a driver elsewhere.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import subprocess
import sys
from collections.abc import Collection
from typing import Any

import msgspec

from edgegw.driver import Driver, Options, Shown, bind
from edgegw.reading import Quality, Sample
from edgegw.sinks import schema as tables

HEAVY = ("serial", "smbus2", "bleak", "numpy", "cv2", "asyncio")  # 1 to 31 MiB each, and most workers need none of them
# The units a name may end with. A quotient is spelled out (m_s2 for m/s²); percent, ppm, px and the decibels are what instruments say.
UNITS = (
    *("m", "mm", "m2", "m3", "s", "ms", "kg", "g", "A", "mA", "K", "degC", "mol", "cd", "rad", "deg"),
    *("Hz", "kHz", "N", "Nm", "Pa", "hPa", "kPa", "J", "Wh", "kWh", "W", "kW", "VA", "C", "Ah", "V", "mV", "F", "Ohm", "S", "H"),
    *("T", "uT", "Wb", "lm", "lx", "Bq", "Gy", "Sv", "m_s", "m_s2", "rad_s", "deg_s", "m3_s", "m3_h", "l_min", "kg_m3", "g_m3"),
    *("ug_m3", "W_m2", "S_m", "Sv_h", "percent", "ppm", "ppb", "dB", "dBA", "dBm", "px"),
)
PICTURES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
_MODULES = """
import sys
from edgegw import driver
driver.find(sys.argv[1])
print(*sorted({module.partition(".")[0] for module in sys.modules}))
"""


def has_its_names(found: Driver) -> None:
    """The rest is seen to by edgegw.driver.find, which raises DriverError."""
    assert found.fields, f"FIELDS of {found.name} is empty: kind → field → float, int or str"
    generators = {"read": found.read, "reset": found.reset, "calibrate": found.calibrate, "preview": found.preview}
    for name, generate in generators.items():
        assert generate is None or inspect.isgeneratorfunction(generate), (
            f"{name} of {found.name} is not a generator function: entering it takes the device, leaving it gives it back"
        )


def options_explain_themselves(found: Driver) -> None:
    """They are the configuration's keys, and their description is its documentation."""
    options, config = found.options, found.options.__struct_config__
    keyword_only = {parameter.kind for parameter in inspect.signature(options).parameters.values()} <= {inspect.Parameter.KEYWORD_ONLY}
    for done, word in ((config.frozen, "frozen"), (keyword_only, "kw_only"), (config.forbid_unknown_fields, "forbid_unknown_fields")):
        assert done, f"Options of {found.name} lacks {word}=True"
    described = options_schema(found)
    fields = described["properties"]
    for name, field in fields.items():
        assert len(_told(field, "description", "")) >= 10, f"option {name} of {found.name} has no description: Meta(description=…)"
    for name in described.get("required", ()):
        assert _told(fields[name], "examples", ()), f"option {name} of {found.name} is required and has no example: Meta(examples=[…])"


def fields_carry_their_unit(found: Driver, plain: Collection[str] = ()) -> None:
    """A number that is a count, a score or a ratio has none: it is an int, or named in `plain`."""
    for kind, fields in found.fields.items():
        assert kind.isidentifier(), f"kind {kind!r} of {found.name} is not a word"
        assert kind.islower(), f"kind {kind!r} of {found.name} is not in small letters"
        assert fields, f"kind {kind} of {found.name} has no fields"
        for field, of in fields.items():
            assert of in (float, int, str), f"{kind}.{field} of {found.name} is {of}: float, int or str"
            told = of is not float or field in plain or any(field.endswith(f"_{unit}") for unit in UNITS)
            assert told, f"{kind}.{field} of {found.name} does not end with its unit, as distance_m does; without one, name it in plain"


def fields_fit_the_stores(found: Driver) -> None:
    """The stores make a table of any kind; the house's own kinds are fixed, so that all drivers of one kind fill the same columns."""
    for kind, fields in found.field_names().items():
        try:
            tables.check(kind, fields)
        except ValueError as error:
            raise AssertionError(f"{found.name}: {error}") from error
        ours = tables.KINDS.get(kind, {})
        for field, of in fields.items():
            assert field in ours or not ours, f"{kind} is a kind of edgegw's own, and {field} of {found.name} is none of its fields"
            assert ours.get(field, of) == of, f"{kind}.{field} is of type {ours[field]} in edgegw, and of type {of} in {found.name}"


def optional_names_agree(found: Driver) -> None:
    """Half of what calibrating or simulating takes is a mistake."""
    if found.simulator:
        plug = getattr(importlib.import_module(found.simulator), "plug", None)
        assert callable(plug), f"SIMULATOR {found.simulator} of {found.name} has no plug(options)"
    if found.calibrate is None:
        assert found.calibration is None, f"{found.name} has Calibration and no calibrate"
        assert not found.parts, f"{found.name} has PARTS and no calibrate"
        return
    assert found.calibration is not None, f"{found.name} has calibrate and no Calibration"
    assert found.calibration.__struct_config__.frozen, f"Calibration of {found.name} lacks frozen=True"
    assert found.parts, f"{found.name} has calibrate and no PARTS"
    defaults = {field.name: field.default for field in msgspec.structs.fields(found.options)}
    assert defaults.get("calibration", "") is None, f"Options of {found.name} lacks calibration: Calibration | None = None"


def import_is_light(found: Driver) -> None:
    """Looked at in a fresh interpreter, which has to find it too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", _MODULES, found.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, f"importing {found.name} fails in a fresh interpreter: {done.stderr}"
    heavy = sorted(set(HEAVY).intersection(done.stdout.split()))
    assert not heavy, f"importing {found.name} loads {', '.join(heavy)}: import inside the function that needs it"


def sample_fits(sample: object, found: Driver) -> None:
    """Raises AssertionError for what a store, a message or a table could not take."""
    assert isinstance(sample, Sample), f"{found.name} gave {sample!r}, which is not a Sample"
    known = sample.kind in found.fields or (not sample.kind and len(found.fields) == 1)
    assert known, f"{found.name} gave a sample of kind {sample.kind!r}; FIELDS has {', '.join(found.fields)}"
    fields = found.fields[sample.kind or next(iter(found.fields))]
    assert list(sample.values) == list(fields), f"{found.name} gave {list(sample.values)}; FIELDS says {list(fields)}"
    for name, value in sample.values.items():
        wanted = fields[name]
        assert type(value) in (wanted, type(None)), f"{name} of {found.name} is {value!r}; FIELDS says {wanted.__name__}"
        assert not isinstance(value, float) or math.isfinite(value), f"{name} of {found.name} is {value}: what cannot be told is None"
    assert isinstance(sample.quality, Quality), f"{found.name} gave a quality {sample.quality!r}"
    assert sample.quality is not Quality.GOOD or any(value is not None for value in sample.values.values()), (
        f"{found.name} called a sample good that has no value: uncertain or bad"
    )
    for name, number in (("age_ns", sample.age_ns), ("faults", sample.faults)):
        assert type(number) is int, f"{name} of {found.name} is {number!r}, not an int"
        assert number >= 0, f"{name} of {found.name} is {number}"
    assert type(sample.at_ns) in (int, type(None)), f"at_ns of {found.name} is {sample.at_ns!r}, not an int"


def shown_can_be_looked_at(shown: Shown, found: Driver) -> None:
    """As a JPEG and as a PNG, with words for it; what is in it is part of what was looked for."""
    assert 0 <= shown.found <= shown.sought, f"a preview of {found.name} shows {shown.found} of {shown.sought} things that are sought"
    for media, begins in PICTURES.items():
        data, words = shown.drawn(media)
        assert data.startswith(begins), f"a preview of {found.name} as {media} begins with {data[:8]!r}"
        assert words, f"a preview of {found.name} as {media} has no words for what it shows"


def is_a_sentence(error: Exception) -> None:
    """What went wrong, where, and what to do: an errno alone helps nobody at three in the morning."""
    text = str(error)
    assert not text.startswith("[Errno"), f"an absent device is told as {text!r}: raise DeviceError in plain words"
    assert len(text.split()) >= 4, f"an absent device is told as {text!r}: say what is missing, where, and what to do"


def options_schema(found: Driver) -> dict[str, Any]:
    """Options as JSON Schema, which carries the descriptions."""
    _, components = msgspec.json.schema_components([found.options])
    described: dict[str, Any] = components[found.options.__name__]
    return described


def virtual_options(found: Driver) -> Options:
    """Options that ask for the virtual device: required ones from their examples, "virtual" wherever that is an example."""
    described = options_schema(found)
    wanted = {
        name: "virtual" if "virtual" in _told(field, "examples", ()) else _told(field, "examples", ())[0]
        for name, field in described["properties"].items()
        if name in described.get("required", ()) or "virtual" in _told(field, "examples", ())
    }
    return bind(found, wanted)


def _told(field: dict[str, Any], word: str, default: Any) -> Any:
    """What Meta says of an option, or of one of the types that it may have: Annotated[float, Meta(…)] | None."""
    return next((place[word] for place in (field, *field.get("anyOf", ())) if word in place), default)

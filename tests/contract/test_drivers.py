"""What every driver promises, whatever its sensor: this suite finds them all, so a new one needs no test here."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgegw import driver
from edgegw.reading import Quality, Sample

ROOT = Path(__file__).parents[2]
HEAVY = ("serial", "smbus2", "bleak", "numpy", "cv2", "asyncio")  # 1 to 31 MiB each, and most workers need none of them
# The units of the contract, as names end with them; a quotient is spelled out (m_s2 for m/s2).
UNITS = ("m", "px", "s", "V", "Hz", "hPa", "rad", "degC", "dBm", "m_s2", "rad_s")
# Numbers of dimension one by definition: a unit would be invented.
PLAIN = {"luminosity", "sharpness", "score", "fps"}

every_driver = pytest.mark.parametrize("name", driver.available())


def options_schema(found: driver.Driver) -> dict[str, Any]:
    """Options as JSON Schema, which carries the descriptions."""
    _, components = msgspec.json.schema_components([found.options])
    schema: dict[str, Any] = components[found.options.__name__]
    return schema


def virtual_options(found: driver.Driver) -> Any:
    """Options that ask for the virtual device: required ones from their examples, "virtual" wherever that is an example."""
    schema = options_schema(found)
    wanted = {
        name: "virtual" if "virtual" in field.get("examples", ()) else field["examples"][0]
        for name, field in schema["properties"].items()
        if name in schema.get("required", ()) or "virtual" in field.get("examples", ())
    }
    return driver.bind(found, wanted)


def test_there_are_drivers() -> None:
    """The suite has something to check."""
    assert "tfluna" in driver.available()


@every_driver
def test_a_driver_has_its_three_names(name: str) -> None:
    """Options, FIELDS and read, of the right sort; read is a generator, so entering it acquires the device and leaving it lets go."""
    found = driver.find(name)
    assert issubclass(found.options, msgspec.Struct)
    assert found.fields
    assert inspect.isgeneratorfunction(found.read) or inspect.isasyncgenfunction(found.read)


@every_driver
def test_options_are_frozen_and_explain_themselves(name: str) -> None:
    """Every option has a description, every required one an example; nothing unknown is taken."""
    options = driver.find(name).options
    assert options.__struct_config__.frozen
    assert {parameter.kind for parameter in inspect.signature(options).parameters.values()} <= {inspect.Parameter.KEYWORD_ONLY}
    assert options.__struct_config__.forbid_unknown_fields
    schema = options_schema(driver.find(name))
    fields = schema["properties"]
    assert [option for option, field in fields.items() if len(field.get("description", "")) < 10] == []
    assert [option for option in schema.get("required", ()) if not fields[option].get("examples")] == []


@every_driver
def test_fields_are_typed_and_carry_their_unit(name: str) -> None:
    """Kinds are lower-case words; a field is float, int or str; what is measured in a unit ends with it."""
    found = driver.find(name)
    for kind, fields in found.fields.items():
        assert kind.isidentifier()
        assert kind.islower()
        assert fields
        assert set(fields.values()) <= {float, int, str}
        assert [field for field, of in fields.items() if of is float and not _says_its_unit(field)] == []
    assert found.field_names().keys() == found.fields.keys()


def _says_its_unit(field: str) -> bool:
    return field in PLAIN or any(field.endswith(f"_{unit}") for unit in UNITS)


@every_driver
def test_importing_a_driver_is_cheap(name: str) -> None:
    """The supervisor may import a driver to check options: that loads no device library and nothing heavy."""
    script = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, f"workers.{name}"], capture_output=True, check=True, timeout=120, env=environment
    )
    loaded = {module.partition(".")[0] for module in json.loads(done.stdout)}
    assert f"workers.{name}" in json.loads(done.stdout)
    assert loaded.isdisjoint(HEAVY)


@every_driver
def test_a_virtual_device_is_read_as_the_fields_say(name: str) -> None:
    """Samples have exactly the fields of their kind, each of its type or null; and the device can be opened again after it was closed."""
    found = driver.find(name)
    if not found.simulator:
        pytest.skip(f"{name} has no virtual device")
    with driver.plugged(found, virtual_options(found)) as options:
        for _ in range(2):
            with contextlib.closing(found.read(options)) as samples:
                got = list(itertools.islice(filter(None, samples), 20))
            assert len(got) == 20
            for sample in got:
                _check(sample, found)


def _check(sample: Sample, found: driver.Driver) -> None:
    (only, *others) = found.fields
    assert sample.kind in found.fields or (sample.kind == "" and not others)
    fields = found.fields[sample.kind or only]
    assert list(sample.values) == list(fields)
    assert [field for field, value in sample.values.items() if type(value) not in (fields[field], type(None))] == []
    assert isinstance(sample.quality, Quality)
    assert sample.quality is not Quality.GOOD or any(value is not None for value in sample.values.values())
    assert sample.age_ns >= 0

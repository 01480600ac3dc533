"""The contract suite for drivers, for any package to import: name the driver and give it a device, and pytest does the rest.

    class TestScale(DriverContract):
        driver = "scale"
        options = {"port": "virtual"}
        absent = {"port": "/dev/not-there"}

It is a class, not one function, so that each promise is a test of its own, with its name in the report and its own place to be
selected or overridden. What each test asks is a plain function of `promises`; this module needs no pytest either.
"""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from edgegw import driver as drivers
from edgegw.driver import Driver, Options
from edgegw.testing import devices, promises

Given = Mapping[str, object] | msgspec.Struct | None  # as in a configuration's section, or the driver's own Options


class DriverContract:
    """What every driver promises. `driver` must be said; what the other names leave out is skipped, and the skip says so."""

    driver: str  # by the name that a configuration gives it
    options: Given = None  # of a device that is there; without it the virtual one, where the driver has a simulator
    absent: Given = None  # of a device that is not; a virtual one may play that
    plain: Collection[str] = ()  # fields that are numbers without a unit, such as a score

    @contextlib.contextmanager
    def device(self) -> Iterator[Options]:
        """Options of a device that is there for as long as the block. Override it to build one: a virtual chip, a pty."""
        found = self._found
        if self.options is None and not found.simulator:
            raise unittest.SkipTest(f"no device for {found.name}: give options, or override device()")
        given = self.options if self.options is not None else promises.virtual_options(found)
        with drivers.plugged(found, _bound(found, given)) as real:
            yield real

    def unplug(self) -> None:
        """Override it to take the device of the innermost device() block away, as if a hand had pulled the cable."""
        raise unittest.SkipTest(f"no way to unplug {self.driver}: override unplug()")

    def test_the_gateway_finds_it(self) -> None:
        """Under its name, with Options, FIELDS and read; read, and reset and preview where there are such, are generator functions."""
        promises.has_its_names(self._found)

    def test_options_are_frozen_and_explain_themselves(self) -> None:
        """Keyword-only, nothing unknown taken; every option has a description, every required one an example."""
        promises.options_explain_themselves(self._found)

    def test_fields_are_typed_and_carry_their_unit(self) -> None:
        """Kinds are lower-case words; a field is float, int or str; what is measured in a unit ends with it."""
        promises.fields_carry_their_unit(self._found, self.plain)

    def test_the_stores_have_room_for_its_kinds(self) -> None:
        """Kinds and fields can be tables and columns; one of the house's own kinds has the house's own columns."""
        promises.fields_fit_the_stores(self._found)

    def test_optional_names_go_together(self) -> None:
        """A simulator has plug; calibrate has Calibration, PARTS and the option `calibration`."""
        promises.optional_names_agree(self._found)

    def test_importing_it_is_cheap(self) -> None:
        """The supervisor imports a driver to check options: that loads no device library and nothing heavy."""
        promises.import_is_light(self._found)

    def test_samples_are_as_the_fields_say(self) -> None:
        """Exactly the fields of their kind, in their order, each of its type or null, never NaN; and again after closing."""
        with self.device() as options:
            for enough in (devices.ENOUGH_samples, 1):
                for sample in devices.samples(self._found, options, enough):
                    promises.sample_fits(sample, self._found)

    def test_it_gives_a_sign_of_life_every_second(self) -> None:
        """A sample, or None where there is nothing to say, from the opening on."""
        with self.device() as options:
            silence_s = devices.longest_silence_s(self._found, options)
        assert silence_s <= devices.BEAT_s, f"{self.driver} yielded nothing for {silence_s:.1f} s: yield None at least once a second"

    def test_closing_it_is_prompt(self) -> None:
        """After the very first yield, and in the middle of reading: a stop must not wait for a sensor."""
        with self.device() as options:
            for amid in (False, True):
                took_s = devices.closing_takes_s(self._found, options, amid=amid)
                assert took_s <= devices.CLOSE_s, f"closing {self.driver} took {took_s:.1f} s"

    def test_it_leaves_nothing_behind(self) -> None:
        """Opened and closed time and again, no file, thread or child process stays: a worker reopens for years."""
        with self.device() as options:
            left = devices.left_behind(self._found, options)
        assert not left, f"{self.driver} left behind: {', '.join(left)}"

    def test_an_absent_device_is_told_in_a_sentence(self) -> None:
        """OSError or DeviceError, in words that say what and where; nothing stays open."""
        if self.absent is None:
            raise unittest.SkipTest(f"no options of an absent device: give {type(self).__name__}.absent")
        with drivers.plugged(self._found, _bound(self._found, self.absent)) as options:
            promises.is_a_sentence(devices.trouble(self._found, options))
            before = devices.held()
            devices.trouble(self._found, options)
            left = devices.lasting(before)
        assert not left, f"a failed opening of {self.driver} left behind: {', '.join(left)}"

    def test_an_unplugged_device_is_noticed(self) -> None:
        """In the middle of reading: OSError or DeviceError, and no further sample."""
        with self.device() as options:
            devices.trouble_after(self._found, options, self.unplug)

    def test_reset_gives_back_a_device_that_reads(self) -> None:
        """Where there is a reset: it ends, with a sign of life every second, and the device reads afterwards."""
        if self._found.reset is None:
            raise unittest.SkipTest(f"{self.driver} has no reset")
        with self.device() as options:
            silence_s = devices.reset_silence_s(self._found, options)
            assert silence_s <= devices.BEAT_s, f"the reset of {self.driver} yielded nothing for {silence_s:.1f} s"
            for sample in devices.samples(self._found, options, 1):
                promises.sample_fits(sample, self._found)

    def test_a_preview_can_be_looked_at(self) -> None:
        """Where there is a preview: a moment comes that can be drawn, as JPEG and as PNG."""
        if self._found.preview is None:
            raise unittest.SkipTest(f"{self.driver} has no preview")
        with self.device() as options:
            promises.shown_can_be_looked_at(devices.shown(self._found, options), self._found)

    @property
    def _found(self) -> Driver:
        return drivers.find(self.driver)


def _bound(found: Driver, given: Any) -> Options:
    return given if isinstance(given, msgspec.Struct) else drivers.bind(found, given)

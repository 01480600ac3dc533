"""The device's own settings: read back, changed where the options say otherwise, and written to its flash where they ask for that.

What is changed acts at once and is gone with the power.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from edgegw.errors import DeviceError
from workers.tfluna.commands import Format, Id, ask, nearest_hz, put, request, rounds_to
from workers.tfluna.frames import CM, MM
from workers.tfluna.options import Options
from workers.tfluna.session import Session

SAVING_ms = 1000  # flash is written in several hundred
_UNITS = {Format.CM: CM, Format.MM: MM}
_WORDS = {Id.FORMAT: "output format", Id.RATE: "frame rate", Id.LOW_POWER: "low-power rate"}
_log = logging.getLogger("workers.tfluna")


class Settings:
    """The settings of a device that answers. All methods raise DeviceError when the port is gone, or when the device refuses."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session = session
        self._options = options
        self._tells = True  # whether this firmware can be asked for its settings

    def unit(self) -> Generator[None, None, int]:
        """Units of distance in a metre; a reply proves them, for the frames of the two formats look alike."""
        options, session = self._options, self._session
        wanted = None if options.format == "keep" else Format[options.format.upper()]
        number = yield from self._settled(Id.FORMAT, wanted, lambda got: got == wanted)
        if session.changed:
            session.forget()  # what came around the change could be in either unit
        if number is not None and number not in _UNITS:
            raise DeviceError(f'the sensor at {session.name} sends its output format {number}, which is not read here: set format = "cm"')
        return _UNITS[Format(number)] if number is not None else CM

    def rate(self) -> Generator[None, None, float | None]:
        """Frames a second in force, in low-power mode or out of it; None where the device does not say."""
        options, session = self._options, self._session
        asked_hz = options.rate_hz
        number = yield from self._settled(Id.RATE, round(asked_hz) if asked_hz else None, lambda got: rounds_to(asked_hz or got, got))
        low_hz = yield from self._settled(Id.LOW_POWER, options.low_power_hz, lambda got: got == options.low_power_hz)
        if low_hz:
            return float(low_hz)
        if number == 0:
            raise DeviceError(f"the sensor at {session.name} measures only when it is triggered (its frame rate is 0): set rate_hz")
        if number is None:
            return None
        rate_hz = nearest_hz(number)
        if asked_hz and abs(rate_hz - asked_hz) > 0.01 * asked_hz:
            _log.warning("the sensor at %s sends %.4g frames a second: it has 500/n only, and no %g", session.name, rate_hz, asked_hz)
        return rate_hz

    def save(self) -> Generator[None, None, None]:
        """Write all settings to flash."""
        reply = yield from self._session.ask(request(Id.SAVE), tries=2, wait_ms=SAVING_ms)
        if reply is None or reply.number:
            said = "says that it failed" if reply else "does not answer"
            raise DeviceError(f"the settings of the sensor at {self._session.name} could not be saved: it {said}")

    def _settled(self, id: Id, wanted: int | None, fits: Callable[[int], bool]) -> Generator[None, None, int | None]:
        """The setting in force, changed to `wanted` where it does not fit; None where nothing is wanted and the device does not say."""
        number = yield from self._told(id)
        if wanted is None or (number is not None and fits(number)):
            return number
        reply = yield from self._session.ask(put(id, wanted))
        number = reply.number if reply else None
        if number is None or not fits(number):  # perhaps it was a late reply to the question before
            told = yield from self._told(id)
            number = number if told is None else told
        if number is None or not fits(number):
            found = "does not answer" if number is None else f"stays at {number}"
            raise DeviceError(f"the sensor at {self._session.name} was told to set its {_WORDS[id]} to {wanted}, and {found}")
        self._session.changed = True
        return number

    def _told(self, id: Id) -> Generator[None, None, int | None]:
        if not self._tells:
            return None
        reply = yield from self._session.ask(ask(id), tries=2)
        self._tells = reply is not None
        return reply.number if reply else None

"""The device's own reset: it starts again with the settings in its flash, and must send frames after."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from workers.buses import uart
from workers.tfluna.commands import Id, put, request
from workers.tfluna.options import Options
from workers.tfluna.session import BEAT_ms, Session
from workers.tfluna.startup import identified
from workers.tfluna.stream import SILENCE_s

BOOT_tries = 10  # of a tenth of a second and more each


def reset(options: Options) -> Generator[None, None, None]:
    """Restart the device and switch its output on; None meanwhile. Raises DeviceError when it does not answer, or sends no frames after.

    What was set without being saved is lost, the speed too; the next read sets it again.
    """
    with contextlib.closing(uart.opened(options.port, options.baud)) as port:
        session = Session(port, options.port)
        yield from identified(session, options)
        reply = yield from session.ask(request(Id.RESET))
        if reply is None or reply.number:
            said = "says that it failed" if reply else "does not answer: is its RX wired?"
            raise DeviceError(f"the sensor at {options.port} could not be reset: it {said}")
        yield from _streaming(session, options)


def _streaming(session: Session, options: Options) -> Generator[None, None, None]:
    session.retune(options.baud)
    version = yield from session.ask(request(Id.VERSION), tries=BOOT_tries)
    if version is None:
        yield from identified(session, options)
    yield from session.ask(put(Id.OUTPUT, 1))
    end_ns = SystemClock.monotonic_ns() + SILENCE_s * NS_PER_S
    while not session.locked:
        if SystemClock.monotonic_ns() > end_ns:
            raise DeviceError(f"the sensor at {options.port} was reset and answers, but sends no frames")
        session.hear(BEAT_ms)
        yield None

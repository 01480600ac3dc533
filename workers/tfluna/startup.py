"""Meeting the device: that it is a TF-Luna, at which speed, what it has been set to; and setting it as the options say.

A device that does not answer (many people connect its TX only) is read as delivered: cm, and a rate to be measured.
"""

from __future__ import annotations

import logging
from collections.abc import Generator

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from workers.tfluna.commands import Id, Reply, SPEEDS_baud, put, request
from workers.tfluna.options import Options
from workers.tfluna.session import BEAT_ms, Session
from workers.tfluna.settings import Settings
from workers.tfluna.stream import Terms, patience_ns, silence

GARBLED_ns = 1 * NS_PER_S  # of bytes without a frame, before other speeds are tried
_log = logging.getLogger("workers.tfluna")

Talk = Generator[None, None, "Reply | None"]


def introduced(session: Session, options: Options) -> Generator[None, None, Terms]:
    """The terms on which the device is to be read. Raises DeviceError: nothing understood, or it refuses what is configured."""
    version = yield from identified(session, options)
    terms = Terms(session.name, session.baud, version=version.version if version else "")
    if version is None:
        if options.format == "mm":
            raise DeviceError(f"the sensor at {session.name} does not answer, so nothing says that it sends mm: is its RX wired?")
        return terms._replace(rate_hz=options.expected_hz)
    settings = Settings(session, options)
    per_m = yield from settings.unit()
    rate_hz = yield from settings.rate()
    if options.save and session.changed:
        yield from settings.save()
    return terms._replace(per_m=per_m, rate_hz=rate_hz)


def identified(session: Session, options: Options) -> Talk:
    """The device's version, or None where it sends frames but does not answer. Raises DeviceError when there is neither."""
    version = yield from session.ask(request(Id.VERSION))
    if version is None and not session.locked:
        version = yield from _waited_for(session, options)
    if session.baud != options.baud:
        if options.set_baud and version:
            return (yield from _at_speed(session, options.baud))
        _log.warning("the sensor at %s speaks at %d baud, not at %d, and is read so", session.name, session.baud, options.baud)
    return version


def _waited_for(session: Session, options: Options) -> Talk:
    """Wait for frames, half of the time at other speeds, too; a device may also be switched on after its port was opened."""
    began_ns, patience = SystemClock.monotonic_ns(), patience_ns(options.expected_hz)
    searched = False
    while not session.locked:
        waited_ns = SystemClock.monotonic_ns() - began_ns
        if waited_ns > patience:
            raise DeviceError(silence(Terms(session.name, options.baud, rate_hz=options.expected_hz), session.strays_bytes))
        if not searched and waited_ns > (min(GARBLED_ns, patience // 2) if session.strays_bytes else patience // 2):
            searched = True
            found, version = yield from _searched(session, options)
            if found:
                return version
        session.hear(BEAT_ms)
        yield None
    return (yield from session.ask(request(Id.VERSION)))


def _searched(session: Session, options: Options) -> Generator[None, None, tuple[bool, Reply | None]]:
    """Whether there is a speed at which the device is understood, and its version there; left at that speed, else at the one asked for."""
    for baud in SPEEDS_baud:
        if baud == options.baud:
            continue
        try:
            session.retune(baud)
        except DeviceError:
            continue  # not every adapter has every speed
        version = yield from session.ask(request(Id.VERSION), tries=1)
        if version or session.locked:
            return True, version
    session.retune(options.baud)
    return False, None


def _at_speed(session: Session, baud: int) -> Talk:
    """Change the device's speed; it answers at the old one, or at the new one, or not at all, and only the version proves it."""
    before = session.baud
    yield from session.ask(put(Id.BAUD, baud), tries=1)
    session.retune(baud)
    version = yield from session.ask(request(Id.VERSION))
    if version is None:
        raise DeviceError(f"the sensor at {session.name} speaks at {before} baud and does not change to {baud}: set baud = {before}")
    session.changed = True
    return version

"""Benewake TF-Luna LiDAR on a serial port: the 9-byte frames that it streams by itself from power-up.

What a frame says of its echo decides what is reported; the first row that fits counts:

    strength 65535            SATURATED  the receiver is over-exposed      distance null  bad
    strength from 32768       AMBIENT    blinded by sunlight               distance null  bad
    strength below 100        WEAK       an echo too weak to measure by    distance null  uncertain
    distance 0, the dummy
      or from 32768           NONE       nothing in range                  distance null  uncertain
    distance below 0.20 m     NEAR       in the blind zone                 distance kept  uncertain
    distance above 8.00 m     FAR        beyond the rated range            distance kept  uncertain
    anything else             VALID                                        distance kept  good
    no frame for 3 periods                                                 all null       bad

Bad means that the sensor could not see. One that looks into the open sees well, and "no echo" is its answer; it is uncertain,
not good, because a dark surface nearby answers the same. Near and far numbers are what the device says beyond what it promises.
The rows can be told apart in what is stored: bad with a strength is light (65535, or less), bad without one is a silent sensor;
uncertain without a distance is weak with a strength below 100 and out of range with more.

By default the device is asked and not changed: its version, format and rate. `rate_hz`, `format`, `low_power_hz` and `set_baud`
change it, where it differs. A device that does not answer is read all the same, as delivered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.buses import uart
from workers.tfluna.frames import FIELDS, Parser
from workers.tfluna.options import Options
from workers.tfluna.restart import reset
from workers.tfluna.session import Session
from workers.tfluna.startup import introduced
from workers.tfluna.stream import Stream

__all__ = ["FIELDS", "SIMULATOR", "Options", "read", "reset"]

SIMULATOR = "workers.virtual.tfluna"
MEASURING_s, MEASURING_frames = 2.0, 10  # whichever is longer
TOLERANCE = 1.5  # a rate is another one beyond this ratio; steps of 500/n are smaller, but so is a USB adapter's sense of time


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Samples as they come; None after 0.25 s without one. Raises DeviceError when the port or the device is gone, or refuses its settings.

    What comes while the device is asked is kept and yielded first, dated back: nothing is lost by asking.
    """
    with contextlib.closing(uart.opened(options.port, options.baud)) as port:
        session = Session(port, options.port)
        terms = yield from introduced(session, options)
        stream = Stream(session.poller, Parser(options.dummy_distance_cm, terms.per_m), terms)
        yield from stream.backlog(session.taken())
        if terms.rate_hz is None or not terms.version:
            stream.rate_hz = yield from _checked(stream, options)
        yield from stream.samples()


def _checked(stream: Stream, options: Options) -> Generator[Sample | None, None, float]:
    """The rate at which frames come, of a device that does not say. Raises DeviceError when it is twice not the one asked for."""
    wanted_hz = options.expected_hz
    for_s = max(MEASURING_s, MEASURING_frames / wanted_hz) if wanted_hz else MEASURING_s
    rate_hz = 0.0
    for _ in range(2):  # for once the device, or this process, may have had a pause
        rate_hz = yield from stream.measured(for_s)
        if wanted_hz is None:
            return rate_hz
        if wanted_hz / TOLERANCE < rate_hz < wanted_hz * TOLERANCE:
            return wanted_hz
    raise DeviceError(f"frames come from {options.port} at {rate_hz:.3g} Hz, not at {wanted_hz:g} Hz: is the sensor's RX wired?")

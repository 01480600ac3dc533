"""A chip from opening to giving up: who it is, how it is set up and read, and that it is started anew once when it lost its settings."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from edgegw.clock import NS_PER_S, Clock, every
from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.buses import i2c
from workers.buses.i2c import Bus
from workers.mpu6050 import guide
from workers.mpu6050 import registers as reg
from workers.mpu6050.burst import Polling
from workers.mpu6050.calibration import Calibration
from workers.mpu6050.chip import Chip, SettingsLost, identify, restart, set_up
from workers.mpu6050.decode import Decoder
from workers.mpu6050.fifo import Collecting
from workers.mpu6050.fusion import Fusion
from workers.mpu6050.options import Options
from workers.mpu6050.selftest import self_test
from workers.mpu6050.setting import Setting, carried_hz, setting_of

STEADY_ns = 60 * NS_PER_S  # a second loss within this is the worker's affair: such a supply needs more than new settings
PARTS = {
    "rest": "the gyroscope's bias: the sensor lies still",
    "six": "the accelerometer's offset and scale: the sensor is laid on each of its six sides",
}


def samples(bus: Bus, options: Options, clock: Clock) -> Generator[Sample | None, None, None]:
    """All that a chip gives, and None while it is set up. Raises DeviceError."""
    chip = Chip(bus, options, clock)
    setting = setting_of(options, identify(chip, options.identities))
    _check_speed(options, setting)
    _check_calibration(chip, options)
    decoder = Decoder(options, setting, Fusion(options, setting) if options.fusion else None)
    stream = _stream(chip, setting, decoder)
    if options.self_test:
        yield from self_test(chip, setting.part)
    lost_ns = -STEADY_ns
    while True:
        yield from set_up(chip, setting)
        decoder.forget()
        try:
            yield from stream.samples()
        except SettingsLost:
            if clock.monotonic_ns() - lost_ns < STEADY_ns:
                raise
            lost_ns = clock.monotonic_ns()
            chip.faults += 1


def resetting(bus: Bus, options: Options, clock: Clock) -> Generator[None, None, None]:
    """Reset the chip by its own command, and look whether it did. Raises DeviceError when it does not answer, or did not."""
    chip = Chip(bus, options, clock)
    identify(chip, options.identities)
    yield from restart(chip)
    if chip.read(reg.PWR_MGMT_1, 1)[0] & reg.DEVICE_RESET or any(chip.read(reg.GYRO_CONFIG, 2)):
        raise DeviceError(f"the chip at {chip.where} does not come out of its reset: switch its power off and on")


def calibrating(bus: Bus, options: Options, part: str, clock: Clock) -> Generator[str | None, None, Calibration]:
    """Sentences for the person beside the sensor, and at last what was found, beside what was known before. Raises DeviceError."""
    if part not in PARTS:
        raise DeviceError(f"an mpu6050 has no calibration {part!r}: it has {', '.join(PARTS)}")
    chip = Chip(bus, options, clock)
    identify(chip, options.identities)
    known = Calibration(trim=_trim(chip))
    if options.calibration and options.calibration.trim == known.trim:
        known = options.calibration
    elif options.calibration:
        yield "The calibration there is belongs to another chip; nothing of it is kept."
    plain = msgspec.structs.replace(
        options, rate_hz=guide.RATE_hz, mode="burst", bandwidth_hz=None, self_test=False, fusion=False, calibration=None
    )
    steps = guide.rest if part == "rest" else guide.six
    return (yield from steps(samples(bus, plain, clock), known))


def _stream(chip: Chip, setting: Setting, decoder: Decoder) -> Polling | Collecting:
    if setting.fifo:
        return Collecting(chip, setting, decoder)
    return Polling(chip, setting, decoder, every(setting.period_ns / NS_PER_S, chip.clock))


def _trim(chip: Chip) -> tuple[int, int, int, int]:
    x, y, z, low = chip.read(reg.SELF_TEST_X, 4)
    return x, y, z, low


def _check_calibration(chip: Chip, options: Options) -> None:
    if options.calibration and options.calibration.trim != _trim(chip):
        raise DeviceError(f"the calibration is not that of the chip at {chip.where} (another trim): calibrate again, or remove its file")


def _check_speed(options: Options, setting: Setting) -> None:
    bus_hz = i2c.clock_hz(options.bus)
    if bus_hz and NS_PER_S / setting.period_ns > (most_hz := carried_hz(bus_hz, setting)):
        raise DeviceError(
            f"{i2c.path_of(options.bus)} is clocked at {bus_hz // 1000} kHz, which carries {most_hz} samples a second at most: "
            "set dtparam=i2c_arm_baudrate=400000 in config.txt, or a lower rate_hz"
        )

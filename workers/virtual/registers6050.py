"""The MPU6050's registers by name, as RM-MPU-6000A-00 rev 4.2 has them, and what the virtual chip's factory wrote into them."""

from __future__ import annotations

SELF_TEST_X, SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_CONFIG_2 = 0x0D, 0x19, 0x1A, 0x1B, 0x1C, 0x1D
FIFO_EN, INT_PIN_CFG, INT_ENABLE, INT_STATUS = 0x23, 0x37, 0x38, 0x3A
ACCEL_XOUT_H, GYRO_ZOUT_L, EXT_SENS_DATA_23, SIGNAL_PATH_RESET = 0x3B, 0x48, 0x60, 0x68
USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x6A, 0x6B, 0x6C
FIFO_COUNT_H, FIFO_COUNT_L, FIFO_R_W, WHO_AM_I = 0x72, 0x73, 0x74, 0x75

DEVICE_RESET, SLEEP, TEMP_DIS, CLKSEL, CLOCK_STOPPED = 0x80, 0x40, 0x08, 0x07, 7  # PWR_MGMT_1
FIFO_ON, FIFO_RESET, SELF_CLEARING, I2C_IF_DIS = 0x40, 0x04, 0x07, 0x10  # USER_CTRL
FIFO_ACCEL, FIFO_TEMP, FIFO_GYRO_X = 0x08, 0x80, 0x40  # FIFO_EN; Y and Z are the bits below X
OVERFLOW, DATA_READY = 0x10, 0x01  # INT_STATUS and INT_ENABLE
ANY_READ_CLEARS = 0x10  # INT_PIN_CFG

_MEASURED = range(INT_STATUS, EXT_SENS_DATA_23 + 1)
READ_ONLY = frozenset((*range(SELF_TEST_X, SELF_TEST_X + 4), *_MEASURED, FIFO_COUNT_H, FIFO_COUNT_L, WHO_AM_I))
SELF_CLEARED = frozenset((SIGNAL_PATH_RESET,))

ACCEL_TRIM, GYRO_TRIM = (11, 15, 9), (17, 12, 20)  # what the factory noted about this specimen, five bits each
FIFO_bytes = {"68": 1024, "72": 1024, "70": 512, "98": 512}  # by WHO_AM_I, after a reset
AWAKE_AFTER_RESET = frozenset(("70",))  # the MPU6500 comes up with PWR_MGMT_1 = 01


def reset_values(identity: str, trimmed: bool) -> bytearray:
    """All registers as after power-up: zeros but for four (RM 3), and the factory's notes."""
    registers = bytearray(128)
    registers[PWR_MGMT_1] = 0x01 if identity in AWAKE_AFTER_RESET else SLEEP
    registers[WHO_AM_I] = int(identity, 16)
    if trimmed and identity == "68":  # the clones keep theirs elsewhere, in another form
        registers[SELF_TEST_X : SELF_TEST_X + 4] = trim_registers()
    return registers


def fifo_bytes(identity: str, registers: bytearray) -> int:
    """How much the FIFO holds: on an ICM-20689 that is chosen in ACCEL_CONFIG_2, 512 bytes to 4 kB."""
    return FIFO_bytes[identity] << (registers[ACCEL_CONFIG_2] >> 6 if identity == "98" else 0)


def trim_registers() -> bytes:
    """SELF_TEST_X to SELF_TEST_A: the gyro's five bits below the upper three of the accelerometer, whose lower two share the last."""
    first = [accel >> 2 << 5 | gyro for accel, gyro in zip(ACCEL_TRIM, GYRO_TRIM, strict=True)]
    x, y, z = (code & 3 for code in ACCEL_TRIM)
    return bytes([*first, x << 4 | y << 2 | z])


def accel_trim_g(code: int) -> float:
    """What a five-bit code promises of the accelerometer's self-test; 0 where the factory noted nothing."""
    return 0.34 * (0.92 / 0.34) ** ((code - 1) / 30) if code else 0.0


def gyro_trim_dps(axis: int, code: int) -> float:
    """The same of the gyroscope, whose Y turns the other way."""
    return (-25 if axis == 1 else 25) * 1.046 ** (code - 1) if code else 0.0

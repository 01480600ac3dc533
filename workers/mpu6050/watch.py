"""Keeps an eye on a chip that answers: whether it still is set up as it was, and whether it measures at all."""

from __future__ import annotations

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from workers.mpu6050.chip import UNSTEADY, Chip, SettingsLost, fingerprint, mismatch
from workers.mpu6050.decode import Decoder
from workers.mpu6050.setting import Setting

CHECK_ns = 1 * NS_PER_S


class Watch:
    """Looks whenever it is asked to, but asks the chip only once a second."""

    def __init__(self, chip: Chip, setting: Setting, decoder: Decoder) -> None:
        self._chip = chip
        self._setting = setting
        self._decoder = decoder
        self._checked_ns = chip.clock.monotonic_ns()

    def look(self) -> None:
        """Raises SettingsLost when the chip has started anew by itself, or has stopped measuring."""
        if self._decoder.dead:
            raise SettingsLost(f"the chip at {self._chip.where} answers, but does not measure (it sleeps, or stands still): {UNSTEADY}")
        if self._chip.clock.monotonic_ns() - self._checked_ns >= CHECK_ns:
            self.check()

    def check(self) -> None:
        """Compare now. A check that cannot be made says nothing, but its failed transfers are counted."""
        self._checked_ns = self._chip.clock.monotonic_ns()
        try:
            held = fingerprint(self._chip)
        except DeviceError:
            return
        if wrong := mismatch(held, self._setting):
            raise SettingsLost(f"the chip at {self._chip.where} has lost its settings ({wrong}): {UNSTEADY}")

"""The virtual TF-Luna as a device: it measures at its own rate, obeys commands at its own speed, and remembers what was saved."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from workers.virtual.lunascene import KILLERS, Behaviour, Scene, encoded, summed
from workers.virtual.serialport import SerialPort

START, DONE, VERSION = 0x5A, b"\0", bytes([8, 0, 3])  # 3.0.8, lowest first
FORMATS = {1, 2, 6, 7, 8, 9, 10}
SPEEDS_baud = range(9600, 921601)
BOOT_s = 0.1
CATCH_UP_s = 0.05  # ticks may be rarer than frames; beyond this the time did not pass, it was skipped


class Settings(msgspec.Struct):
    """What a command changes at once, and `save` for good."""

    rate_hz: float = 100.0
    format: int = 1
    baud: int = 115200
    output: bool = True
    low_power_hz: int = 0


class Luna:
    """One virtual device. `behaviour` may be replaced at any moment; `port` can be unplugged and plugged.

    Its journal: `sent` whole frames that arrived, `damaged` ones that arrived otherwise, `dropped` ones that did not arrive whole
    because nobody read, or because the line was too slow for them. `on_frame` is called with every frame sent whole; `obeyed` are
    the ids of the commands that it understood.
    """

    def __init__(
        self,
        link: Path | None = None,
        behaviour: Behaviour | None = None,
        on_frame: Callable[[bytes], None] | None = None,
        hz: float = 100.0,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.saved = Settings(hz, self.behaviour.format, self.behaviour.baud)
        self.settings = msgspec.structs.replace(self.saved)
        self.port = SerialPort(link, self.settings.baud)
        self.on_frame = on_frame
        self.sent = self.damaged = self.dropped = 0
        self.obeyed: list[int] = []
        self._scene = Scene(self.behaviour.seed)
        self._random = random.Random(self.behaviour.seed)
        self._held: list[tuple[bytes, bytes]] = []  # what was measured, what goes out instead
        self._heard = b""
        self._answer = b""
        self._at_s = float("inf")
        self._busy_until_s = self._line_free_s = self._due_s = self._well_since_s = 0.0

    def tick(self, at_s: float) -> None:
        """Time has come to `at_s`: obey, answer, and measure as often as is due, unless the device is busy or silent."""
        behaviour = self.behaviour
        if at_s < self._at_s:  # powered up, or on another bench, whose time begins anew
            self._busy_until_s = self._line_free_s = self._due_s = self._well_since_s = at_s
        self._at_s = at_s
        if at_s < self._busy_until_s:
            return
        self._say(at_s)
        if behaviour.silence_every_s and at_s % behaviour.silence_every_s >= behaviour.silence_every_s - behaviour.silence_s:
            return
        if behaviour.hang_after_s and at_s - self._well_since_s >= behaviour.hang_after_s:
            self.settings.output = False
        self._listen(at_s)
        if at_s >= self._busy_until_s:
            self._say(at_s)
            for _ in range(self._due(at_s)):
                self._measure(at_s)

    def close(self) -> None:
        """Unplug for good."""
        self.port.unplug()

    def _due(self, at_s: float) -> int:
        """How many frames the rate asks for since the tick before."""
        settings = self.settings
        rate_hz = settings.low_power_hz or settings.rate_hz
        if not rate_hz or not settings.output:
            return 0
        if at_s - self._due_s > CATCH_UP_s:
            self._due_s = at_s
        count = 0
        while self._due_s <= at_s + 0.01 / rate_hz:
            self._due_s += 1 / rate_hz
            count += 1
        return count

    def _measure(self, at_s: float) -> None:
        behaviour = self.behaviour
        measured = self._scene.measured(at_s, behaviour)
        if 0 < behaviour.silent_beyond_cm < measured.distance_cm:
            return
        raw = KILLERS[behaviour.killer] if behaviour.killer else encoded(measured, self.settings.format)
        if not self._has_time_for(raw, at_s):
            self.dropped += 1
            return
        self._held.append((raw, self._on_the_wire(raw)))
        if len(self._held) >= behaviour.burst:
            self._send()

    def _send(self) -> None:
        room = self.port.write(b"".join([actual for _, actual in self._held]))
        for measured, actual in self._held:
            room -= len(actual)
            if room < 0:
                self.dropped += 1
            elif measured not in actual:  # noise before a frame leaves it whole
                self.damaged += 1
            else:
                self.sent += 1
                if self.on_frame:
                    self.on_frame(measured)
        self._held.clear()

    def _has_time_for(self, raw: bytes, at_s: float) -> bool:
        """Whether the line is free, or will be before the next frame: ten bits a byte. At 9600 baud that is all but full at 100 Hz."""
        if self._line_free_s > at_s + 1 / (self.settings.rate_hz or 1):
            return False
        self._line_free_s = max(self._line_free_s, at_s) + 10 * len(raw) / self.settings.baud
        return True

    def _listen(self, at_s: float) -> None:
        """Take commands out of what arrives; anything that is none is passed over, and a sum is not checked, as delivered."""
        heard = self.port.read()
        if not heard or self.behaviour.deaf or self.port.baud != self.settings.baud:
            return
        self._heard += heard
        while (at := self._heard.find(START)) >= 0:
            raw = self._heard[at:]
            if len(raw) < 2 or len(raw) < raw[1] <= 16:
                break
            self._heard = raw[raw[1] :] if 4 <= raw[1] <= 16 else raw[1:]
            if 4 <= raw[1] <= 16 and (answer := self._obey(raw[2], raw[3 : raw[1] - 1], at_s)):
                self._answer += self._reply(raw[3] if raw[2] == 0x3F else raw[2], answer)
        self._heard = self._heard[at:] if at >= 0 else b""

    def _obey(self, command: int, payload: bytes, at_s: float) -> bytes:
        """The payload of the answer; empty where a command is not known, or not with that payload."""
        self.obeyed.append(command)
        match command, len(payload):
            case 0x01, 0:
                return VERSION
            case 0x02, 0:
                self._restart(at_s)
            case 0x11, 0:
                self.saved, self._busy_until_s = msgspec.structs.replace(self.settings), at_s + self.behaviour.saving_s
                return DONE
            case 0x3F, 1:
                return self._setting(payload[0]) if self.behaviour.reads_back else b""
            case _:
                if not self.behaviour.stubborn:
                    self._set(command, int.from_bytes(payload, "little"))
                return self._setting(command)
        return b""

    def _set(self, command: int, number: int) -> None:
        settings = self.settings
        match command:
            case 0x03:
                settings.rate_hz = 500 / max(2, round(500 / number)) if number else 0
            case 0x05:
                settings.format = number if number in FORMATS else settings.format
            case 0x06:
                settings.baud = number if number in SPEEDS_baud else settings.baud
            case 0x07:
                settings.output = bool(number)
            case 0x35:
                settings.low_power_hz = min(number, 10)

    def _setting(self, command: int) -> bytes:
        settings = self.settings
        values = {0x03: (round(settings.rate_hz), 2), 0x05: (settings.format, 1), 0x06: (settings.baud, 4)}
        values |= {0x07: (int(settings.output), 1), 0x35: (settings.low_power_hz, 2)}
        number, size = values.get(command, (0, 0))
        return number.to_bytes(size, "little")

    def _restart(self, at_s: float) -> None:
        self._answer += self._reply(0x02, DONE)  # before it goes, at the speed that it had
        self._say(at_s)
        self.settings = msgspec.structs.replace(self.saved)
        self._well_since_s, self._busy_until_s = at_s, at_s + BOOT_s
        self._held.clear()

    def _reply(self, command: int, payload: bytes) -> bytes:
        raw = summed(bytes([START, len(payload) + 4, command]) + payload)
        if self.behaviour.old_sums and command in (0x02, 0x11):
            raw = raw[:-1] + bytes([raw[-1] - 1])
        return self._on_the_wire(raw)

    def _say(self, at_s: float) -> None:
        """Answer between two frames; what is said of settings that are saved comes when they are."""
        if self._answer:
            self._line_free_s = max(self._line_free_s, at_s) + 10 * len(self._answer) / self.settings.baud
            self.port.write(self._answer)
            self._answer = b""

    def _on_the_wire(self, raw: bytes) -> bytes:
        """What becomes of a message on the way; at another speed than the listener's nothing of it is left."""
        if self.port.baud != self.settings.baud:
            return self._random.randbytes(len(raw))
        behaviour, chance = self.behaviour, self._random.random
        if behaviour.bad_sum and chance() < behaviour.bad_sum:
            raw = raw[:-1] + bytes([raw[-1] ^ self._random.randrange(1, 256)])
        if behaviour.lost and chance() < behaviour.lost:
            at = self._random.randrange(len(raw))
            raw = raw[:at] + raw[at + 1 :]
        if behaviour.doubled and chance() < behaviour.doubled:
            at = self._random.randrange(len(raw))
            raw = raw[:at] + raw[at : at + 1] + raw[at:]
        if behaviour.noise and chance() < behaviour.noise:
            raw = self._random.randbytes(self._random.randint(1, 20)) + raw
        return raw

"""The MPU6050 itself, as seen from its I2C pins: registers, FIFO and the pace of its samples. Standard library only.

It has no thread: at the start of every transfer it catches up with the clock it was given. PS is the product specification
PS-MPU-6000A-00 rev 3.4, RM the register map RM-MPU-6000A-00 rev 4.2, with the register's number. Not modelled: the auxiliary
bus, the motion detectors, cycle mode, the DMP.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable
from dataclasses import dataclass

from workers.virtual import registers6050 as r
from workers.virtual.fifo6050 import Fifo
from workers.virtual.scene6050 import Behaviour, Body, Settings

NS_PER_S = 1_000_000_000
RESETS_ns = 50_000_000  # RM 6B only says that the bit clears itself once the reset is done; 100 ms is the usual advice
ALARMS = ("brown_out", "freeze", "silence")


@dataclass
class Journal:
    """What happened to the chip since power-up."""

    samples: int = 0
    overflows: int = 0  # times that a FIFO that had room was overrun
    brown_outs: int = 0
    resets: int = 0  # by DEVICE_RESET
    transfers: int = 0
    failures: int = 0  # transfers that were made to fail


class Chip:
    """One chip, powered up when it is made. `now_ns` is its sense of time; `behaviour` may be replaced at any moment."""

    def __init__(self, behaviour: Behaviour, now_ns: Callable[[], int]) -> None:
        self.journal = Journal()
        self.body = Body(behaviour)
        self._now_ns = now_ns
        self._born_ns = self._next_ns = self._awake_ns = now_ns()
        self._busy_until_ns = self._silent_until_ns = 0  # the end of a reset, of a silence
        self.newest_ns = self._born_ns  # when the newest sample was made
        self._pointer = 0
        self._alarms: list[tuple[int, str]] = []  # what will happen to it by itself, and when
        self._set_back()
        for name in ALARMS:
            self._set_alarm(name, self._born_ns)

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves; a new one counts its periods from the moment that it is set."""
        return self.body.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        now_ns = self._catch_up()
        self.body.behaviour = behaviour
        self._alarms.clear()
        for name in ALARMS:
            self._set_alarm(name, now_ns)

    def write(self, data: bytes) -> None:
        """A write transfer: the register's number, then what goes there and behind it."""
        now_ns = self._catch_up()
        self._pointer = data[0] & 0x7F if data else self._pointer
        for value in data[1:]:
            if now_ns >= self._busy_until_ns:
                self._store(self._pointer, value, now_ns)
            self._advance()

    def read(self, count: int) -> bytes:
        """A read transfer. All of it shows one moment: the chip keeps what a burst has begun with (RM 3B)."""
        now_ns = self._catch_up()
        out = bytearray()
        for _ in range(count):
            out.append(self._load(self._pointer, now_ns))
            self._advance()
        return bytes(out)

    def suffer(self, what: str) -> None:
        """Now: "brown_out" (every register at its reset value, and nothing says so), "freeze" or "silence"."""
        self._befall(what, self._catch_up())

    # -- registers

    def _set_back(self) -> None:
        """All that a reset resets."""
        self._regs = r.reset_values(self.behaviour.identity, self.behaviour.trimmed)
        self._data = bytes(14)
        self._fifo = Fifo(self._fifo_bytes())
        self._status = 0
        self._latched_bytes = 0
        self._frozen = False

    def _advance(self) -> None:
        if self._pointer != r.FIFO_R_W:  # a burst there empties the FIFO
            self._pointer = (self._pointer + 1) & 0x7F

    def _load(self, register: int, now_ns: int) -> int:
        if now_ns < self._busy_until_ns and register == r.PWR_MGMT_1:
            return r.DEVICE_RESET
        value = self._regs[register]
        if r.ACCEL_XOUT_H <= register <= r.GYRO_ZOUT_L:
            value = self._data[register - r.ACCEL_XOUT_H]
        elif register == r.INT_STATUS:
            value = self._status & (self._regs[r.INT_ENABLE] if self.behaviour.status_gated else 0xFF)
        elif register == r.FIFO_COUNT_H:
            self._latched_bytes = self._counted_bytes()  # RM 72: reading the high byte holds both
            value = self._latched_bytes >> 8
        elif register == r.FIFO_COUNT_L:
            value = self._latched_bytes & 0xFF
        elif register == r.FIFO_R_W:
            value = self._fifo.take()
        if register == r.INT_STATUS or self._regs[r.INT_PIN_CFG] & r.ANY_READ_CLEARS:
            self._status = 0
        return value

    def _fifo_bytes(self) -> int:
        return self.behaviour.fifo_bytes or r.fifo_bytes(self.behaviour.identity, self._regs)

    def _counted_bytes(self) -> int:
        held = len(self._fifo.held)
        return max(0, held - 6) if self.behaviour.torn and self.body.chance(self.behaviour.torn) else held

    def _store(self, register: int, value: int, now_ns: int) -> None:
        if register == r.PWR_MGMT_1 and value & r.DEVICE_RESET:
            self.journal.resets += 1
            self._set_back()
            self._busy_until_ns, self._awake_ns = now_ns + RESETS_ns, now_ns
        elif register == r.FIFO_R_W:
            self._push(bytes([value]))
        elif register == r.USER_CTRL:
            self._command(value)
        elif register not in r.READ_ONLY | r.SELF_CLEARED:
            was, self._regs[register] = self._regs[register], value
            self._changed(register, was, now_ns)

    def _command(self, value: int) -> None:
        """RM 6A: the FIFO is emptied only while it is off, the resets clear themselves, and I2C_IF_DIS does nothing on this part."""
        if value & r.FIFO_RESET and not (value | self._regs[r.USER_CTRL]) & r.FIFO_ON:
            self._fifo.clear()
        self._regs[r.USER_CTRL] = value & ~(r.SELF_CLEARING | r.I2C_IF_DIS)

    def _changed(self, register: int, was: int, now_ns: int) -> None:
        if register == r.PWR_MGMT_1 and not self._awake():
            self._data = bytes(14)
        elif register == r.PWR_MGMT_1 and was & r.SLEEP:
            self._awake_ns = now_ns
        elif register == r.ACCEL_CONFIG_2:
            self._fifo.size_bytes = self._fifo_bytes()
        if register in (r.SMPLRT_DIV, r.CONFIG, r.PWR_MGMT_1) and was != self._regs[register]:
            self._next_ns = now_ns + self.period_ns()

    # -- the pace

    def _awake(self) -> bool:
        power = self._regs[r.PWR_MGMT_1]
        return not power & r.SLEEP and power & r.CLKSEL != r.CLOCK_STOPPED

    def period_ns(self) -> int:
        """Of the samples: the gyroscope's 8 kHz, or 1 kHz behind its filter, divided (RM 19); and no oscillator is exact (PS 6.6)."""
        filtered = self._regs[r.CONFIG] & 7 not in (0, 7)
        rate_hz = (1000 if filtered else 8000) / (1 + self._regs[r.SMPLRT_DIV])
        return round(NS_PER_S / (rate_hz * (1 + self.behaviour.clock_error)))

    def _catch_up(self) -> int:
        now_ns = self._now_ns()
        while self._alarms and self._alarms[0][0] <= now_ns:
            at_ns, name = heapq.heappop(self._alarms)
            self._produce(at_ns)
            self._befall(name, at_ns)
            self._set_alarm(name, at_ns)
        self._produce(now_ns)
        return now_ns

    def _set_alarm(self, name: str, from_ns: int) -> None:
        every_s: float = getattr(self.behaviour, f"{name}_every_s")
        if every_s:
            heapq.heappush(self._alarms, (from_ns + round(every_s * NS_PER_S), name))

    def _befall(self, name: str, at_ns: int) -> None:
        if name == "brown_out":
            self.journal.brown_outs += 1
            self._set_back()
        elif name == "freeze":
            self._frozen = self._awake()
        else:
            self._silent_until_ns = at_ns + round(self.behaviour.silence_s * NS_PER_S)

    def _produce(self, until_ns: int) -> None:
        """Every sample due by then; those that no FIFO would still hold are counted, but not worked out."""
        period_ns = self.period_ns()
        stopped_ns = max(self._silent_until_ns, self._busy_until_ns)
        if not self._awake() or until_ns < stopped_ns:
            self._next_ns = until_ns + period_ns
            return
        self._next_ns = max(self._next_ns, stopped_ns)
        due = (until_ns - self._next_ns) // period_ns + 1
        if due <= 0:
            return
        packet_bytes = len(self._packet())
        kept = min(due, self._fifo.size_bytes // packet_bytes + 1) if packet_bytes else 1
        for i in range(due - kept, due):
            self._measure(self.journal.samples + i, self._next_ns + i * period_ns)
            self._push(self._packet())
        self.journal.samples += due
        self._next_ns += due * period_ns
        self.newest_ns = self._next_ns - period_ns
        self._status |= r.DATA_READY

    def _measure(self, number: int, at_ns: int) -> None:
        if self._frozen:
            return
        regs = self._regs
        accel, gyro = regs[r.ACCEL_CONFIG], regs[r.GYRO_CONFIG]
        settings = Settings(accel >> 3 & 3, gyro >> 3 & 3, regs[r.CONFIG] & 7, accel >> 5, gyro >> 5)
        words = self.body.words(number, (at_ns - self._born_ns) / NS_PER_S, (at_ns - self._awake_ns) / NS_PER_S, settings)
        standby = [not regs[r.PWR_MGMT_2] >> bit & 1 for bit in range(5, -1, -1)]  # RM 6C: accelerometer X first
        lit = [*standby[:3], not regs[r.PWR_MGMT_1] & r.TEMP_DIS, *standby[3:]]
        self._data = struct.pack(">7h", *(word if on else 0 for word, on in zip(words, lit, strict=True)))

    def _packet(self) -> bytes:
        """What FIFO_EN picks of a sample, in the order of the registers (RM 23)."""
        if not self._regs[r.USER_CTRL] & r.FIFO_ON:
            return b""
        picked, data = self._regs[r.FIFO_EN], self._data
        packet = data[0:6] if picked & r.FIFO_ACCEL else b""
        packet += data[6:8] if picked & r.FIFO_TEMP else b""
        return packet + b"".join(data[8 + 2 * i : 10 + 2 * i] for i in range(3) if picked & r.FIFO_GYRO_X >> i)

    def _push(self, data: bytes) -> None:
        had_room = not self._fifo.overrun
        if self._fifo.push(data):
            self._status |= r.OVERFLOW
            self.journal.overflows += had_room

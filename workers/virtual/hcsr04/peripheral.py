"""One virtual peripheral as its radio sees it: what it sends while a link is up, and how links fail. No Bluetooth stack is in here."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from typing import Any, Protocol

from edgegw.clock import NS_PER_S, SystemClock
from workers.virtual.hcsr04.behaviour import Behaviour
from workers.virtual.hcsr04.payload import BATTERY, Chunks, profile_of
from workers.virtual.hcsr04.scene import Scene

SETUP_s = 0.02
CONNECT_s = 0.05

Note = Callable[[str, dict[str, Any]], None]


class Central(Protocol):
    """The other end of a link, which a peripheral tells what happens on it."""

    def heard(self, payload: bytes) -> None:
        """A notification; it is for the central to know whether anybody asked for it."""

    def ended(self) -> None:
        """The link is gone."""

    def deaf(self) -> None:
        """The notify socket has been closed, though the link is up."""


class ConnectRefused(Exception):
    """The peripheral does not want to."""


class Link:
    """One connection: born by connect, over when `up` is False, dead but undetected while `zombie`."""

    def __init__(self, central: Central) -> None:
        self.central = central
        self.up = True
        self.zombie = False
        self.loop = asyncio.get_running_loop()


class Peripheral:
    """A sensor with a radio. `behaviour` may be replaced at any moment. `note` is told what happens, for the journal."""

    def __init__(self, behaviour: Behaviour, note: Note | None = None) -> None:
        self.behaviour = behaviour
        self.profile = profile_of(behaviour)
        self.stale = behaviour.stale
        self.held = behaviour.held
        self.link: Link | None = None
        self.note: Note = note or (lambda what, more: None)
        self._value = b""  # as last sent
        self.sent = self.measured = self._attempts = 0
        self._scene = Scene(behaviour.seed)
        self._chunks = Chunks(behaviour.seed)
        self._random = random.Random(behaviour.seed)
        self._born_ns = SystemClock.monotonic_ns()
        self._beating: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly

    @property
    def audible(self) -> bool:
        """Whether a scan finds it: it advertises, and not while it has a link."""
        return self.behaviour.advertising and not self.stale and not self.held and self.link is None

    @property
    def abandoned(self) -> bool:
        """Whether it has a link that nobody can use any more."""
        return self.held or (self.link is not None and self.link.loop.is_closed())

    def characteristics(self) -> dict[str, frozenset[str]]:
        """UUID → what can be done with it, in the order of their handles."""
        battery = {BATTERY: frozenset({"read"})} if self.behaviour.battery_V else {}
        return {self.profile.characteristic: frozenset({"read", "notify"}), **battery}

    def value(self, characteristic: str) -> bytes:
        """What reading it gives."""
        return struct.pack("<H", round(self.behaviour.battery_V * 64)) if characteristic == BATTERY else self._value

    def tell(self, what: str, **more: object) -> None:
        """Into the journal, with the address."""
        self.note(what, {"device": self.behaviour.address, **more})

    async def connect(self, central: Central) -> Link:
        """A link, in a while, or never. Raises ConnectRefused."""
        self._attempts += 1
        behaviour = self.behaviour
        fault = behaviour.connect if not behaviour.connect_times or self._attempts <= behaviour.connect_times else "works"
        self.tell("connect", attempt=self._attempts, fault=fault)
        await asyncio.sleep(CONNECT_s)
        if fault == "refused":
            raise ConnectRefused
        if fault == "hangs" or not self.audible:
            await asyncio.Event().wait()
        link = self.link = Link(central)
        if fault == "lost":
            link.loop.call_later(SETUP_s / 2, self.drop)
        else:
            self._start(link)
        return link

    def drop(self) -> None:
        """End the link, for whatever reason; the central hears of it at once, or `late_s` later. Nothing happens without one."""
        link, self.link = self.link, None
        if link is None:
            return
        self.tell("unlink", sent=self.sent)
        if self.behaviour.late_s:
            link.loop.call_later(self.behaviour.late_s, self._end, link)
        else:
            self._end(link)

    def disconnect(self) -> None:
        """The central wants no more; there is nothing late about that."""
        link, self.link = self.link, None
        self.held = False
        if link is not None:
            self.tell("disconnect", sent=self.sent)
            self._end(link)

    def zombie(self) -> None:
        """From now on the link carries nothing, and nobody is told."""
        if self.link is not None:
            self.link.zombie = True
            self.tell("zombie", sent=self.sent)

    def eof(self) -> None:
        """Close the notify socket."""
        if self.link is not None:
            self.tell("eof", sent=self.sent)
            self.link.central.deaf()

    def _end(self, link: Link) -> None:
        if link.up:
            link.up = False
            link.central.ended()

    def _start(self, link: Link) -> None:
        task = asyncio.ensure_future(self._beat(link))
        self._beating.add(task)
        task.add_done_callback(self._beating.discard)
        for after_s, happens in (
            (self.behaviour.lost_after_s, self.drop),
            (self.behaviour.zombie_after_s, self.zombie),
            (self.behaviour.eof_after_s, self.eof),
        ):
            if after_s:
                link.loop.call_later(after_s, self._if_still, link, happens)

    def _if_still(self, link: Link, happens: Callable[[], None]) -> None:
        if self.link is link:
            happens()

    async def _beat(self, link: Link) -> None:
        """Measure and send, until the link is gone."""
        while self.link is link:
            await asyncio.sleep(self._scene.pause_s(self.behaviour))
            at_s = (SystemClock.monotonic_ns() - self._born_ns) / NS_PER_S
            if self.link is link and not link.zombie and not self._silent(at_s):
                for payload in self._payloads(at_s):
                    self._send(link, payload)

    def _silent(self, at_s: float) -> bool:
        every_s, lasts_s = self.behaviour.silence_every_s, self.behaviour.silence_s
        return every_s > 0 and at_s % every_s >= every_s - lasts_s

    def _payloads(self, at_s: float) -> list[bytes]:
        distance_m = self._scene.measure(at_s, self.behaviour)
        self.measured += 1
        self.tell("measure", number=self.measured, distance_m=distance_m)
        payload = self.profile.encode(distance_m, at_s)
        return self._chunks.cut(payload) if self.profile.chunked else [payload]

    def _send(self, link: Link, payload: bytes) -> None:
        if self._random.random() < self.behaviour.garbage:
            payload = self._random.randbytes(self._random.randint(1, 20))
        if self._random.random() < self.behaviour.dropped:
            self.tell("dropped", payload=payload.hex())
            return
        self.sent += 1
        self._value = payload
        self.tell("notify", number=self.sent, payload=payload.hex())
        link.central.heard(payload)

"""Virtual peripherals and the adapter that hears them, their journal, and orders that change them while they run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgegw.clock import SystemClock
from edgegw.errors import DeviceError
from workers.virtual.hcsr04.adapter import Adapter
from workers.virtual.hcsr04.behaviour import Behaviour, behaviour_of
from workers.virtual.hcsr04.peripheral import Peripheral

Do = Literal["", "drop", "zombie", "eof", "on", "off"]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change: of a device, or of the adapter where none is named."""

    device: Annotated[str, Meta(description="address or name")] = ""
    set: Annotated[dict[str, Any], Meta(description="fields of its behaviour")] = {}
    do: Annotated[Do, Meta(description="what happens to its link, or to the adapter's power")] = ""
    refuse: Annotated[int, Meta(ge=0, description="how many of the next scans the adapter refuses as in progress")] = 0


class Air:
    """`note` gets every event, with its time: JSON text of one line."""

    def __init__(self, behaviours: Sequence[Behaviour], note: Callable[[str], None] | None = None) -> None:
        self._note = note
        self.peripherals = [Peripheral(behaviour, note=self.tell) for behaviour in behaviours]
        self.adapter = Adapter(self.peripherals, self.tell)
        self.power: Callable[[bool], None] = self.adapter.power

    def tell(self, what: str, more: dict[str, Any]) -> None:
        """Into the journal."""
        if self._note:
            self._note(json.dumps({"what": what, "at_ns": SystemClock.monotonic_ns(), **more}))

    def obey(self, order: Order) -> None:
        """Change something. Raises DeviceError for a device that is not here, DriverError for a behaviour that cannot be."""
        self.adapter.refusals += order.refuse
        if order.do in ("on", "off"):
            self.power(order.do == "on")
            return
        for peripheral in self._named(order.device):
            peripheral.behaviour = behaviour_of({**msgspec.structs.asdict(peripheral.behaviour), **order.set})
            peripheral.stale = bool(order.set.get("stale", peripheral.stale))
            if order.do:
                getattr(peripheral, order.do)()

    def _named(self, device: str) -> list[Peripheral]:
        if not device:
            return []
        found = [each for each in self.peripherals if device in (each.behaviour.address, each.behaviour.name)]
        if not found:
            raise DeviceError(f"there is no virtual device {device}")
        return found

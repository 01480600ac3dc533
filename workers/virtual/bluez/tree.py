"""Objects on a D-Bus: their properties, their signals, and the calls that come for them. What BlueZ and its like are made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
DBUS = "org.freedesktop.DBus"

Properties = Mapping[str, Variant]


class Refusal(Exception):
    """An error to answer with: its D-Bus name, and what it says."""

    def __init__(self, name: str, what: str = "") -> None:
        self.name = name
        self.what = what
        super().__init__(f"{name}: {what}")


class Call(NamedTuple):
    """What came: for which object, from whom, with what."""

    path: str
    sender: str
    body: list[Any]


class Answer(NamedTuple):
    """What goes back; the file descriptors are closed as soon as they are sent."""

    signature: str = ""
    body: tuple[Any, ...] = ()
    unix_fds: tuple[int, ...] = ()


Handler = Callable[[Call], Awaitable[Answer]]
NOTHING = Answer()


class Tree:
    """All objects of one name on the bus. Calls are answered each in a task of its own, so a slow one holds up no other."""

    def __init__(self, bus: MessageBus, calls: Mapping[tuple[str, str], Handler], gone: Callable[[str], None]) -> None:
        """`calls`: (interface, member) → what answers it; `gone` is told the name of every client that left the bus."""
        self._bus = bus
        own = {(OBJECT_MANAGER, "GetManagedObjects"): self._managed, (PROPERTIES, "Get"): self._get, (PROPERTIES, "GetAll"): self._all}
        self._calls: dict[tuple[str, str], Handler] = {**calls, **own}
        self._gone = gone
        self._objects: dict[str, dict[str, dict[str, Variant]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_set: Callable[[str, str, Any], None] = _read_only
        bus.add_message_handler(self._arrived)

    async def own(self, name: str) -> None:
        """Take the name: from now on we can be called."""
        for member, arguments in (("AddMatch", "s"), ("RequestName", "su")):
            rule = f"type='signal',sender='{DBUS}',member='NameOwnerChanged'"
            body = [rule] if member == "AddMatch" else [name, 0]
            reply = await self._bus.call(
                Message(destination=DBUS, path="/org/freedesktop/DBus", interface=DBUS, member=member, signature=arguments, body=body)
            )
            if reply.message_type is MessageType.ERROR:
                raise ConnectionError(f"the bus refuses {member}")

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        return path in self._objects

    def add(self, path: str, interfaces: Mapping[str, Properties]) -> None:
        """A new object, announced as InterfacesAdded."""
        self._objects[path] = {interface: dict(properties) for interface, properties in interfaces.items()}
        self._signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self._objects[path]])

    def remove(self, path: str) -> None:
        """With everything below it; announced as InterfacesRemoved, the innermost first."""
        for inner in sorted(self._objects, reverse=True):
            if inner == path or inner.startswith(f"{path}/"):
                interfaces = list(self._objects.pop(inner))
                self._signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [inner, interfaces])

    def change(self, path: str, interface: str, changed: Properties, invalidated: tuple[str, ...] = ()) -> None:
        """New values, announced as PropertiesChanged; nothing happens where there is no such object."""
        properties = self._objects.get(path, {}).get(interface)
        if properties is None:
            return
        properties.update(changed)
        for name in invalidated:
            properties.pop(name, None)
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, dict(changed), list(invalidated)])

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _arrived(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, owner = message.body
            if not owner:
                self._gone(name)
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        task = asyncio.ensure_future(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, message: Message) -> None:
        try:
            signature, body, unix_fds = await self._called(message)
            reply = Message.new_method_return(message, signature, list(body), list(unix_fds))
        except Refusal as refusal:
            reply, unix_fds = Message.new_error(message, refusal.name, refusal.what), ()
        await self._bus.send(reply)
        for fd in unix_fds:
            os.close(fd)

    async def _called(self, message: Message) -> Answer:
        path, interface, member = message.path or "", message.interface or "", message.member or ""
        if path != "/" and path not in self._objects:
            raise Refusal(f"{DBUS}.Error.UnknownObject", f"no object {path}")
        if (interface, member) == (PROPERTIES, "Set"):
            _, name, value = message.body
            self.on_set(path, name, value.value)
            return NOTHING
        answer = self._calls.get((interface, member))
        if answer is None:
            raise Refusal(f"{DBUS}.Error.UnknownMethod", f"no {interface}.{member} at {path}")
        return await answer(Call(path, message.sender or "", message.body))

    async def _managed(self, _: Call) -> Answer:
        return Answer("a{oa{sa{sv}}}", (self._objects,))

    async def _get(self, call: Call) -> Answer:
        of, name = call.body
        value = self._objects[call.path].get(of, {}).get(name)
        if value is None:
            raise Refusal(f"{DBUS}.Error.InvalidArgs", f"no property {name} of {of}")
        return Answer("v", (value,))

    async def _all(self, call: Call) -> Answer:
        return Answer("a{sv}", (self._objects[call.path].get(call.body[0], {}),))


def _read_only(path: str, name: str, _: object) -> None:
    raise Refusal(f"{DBUS}.Error.PropertyReadOnly", f"{name} of {path} cannot be set")

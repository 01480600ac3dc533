"""BlueZ's daemon on the system bus, for what bleak has no call for: the adapter's power, and links that nobody owns any more.

Also the sentences for what bluetoothd, the bus and bleak may answer. Loads asyncio and bleak, so drivers import it where they use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from bleak.exc import BleakError
from dbus_fast import BusType, DBusError, Message, MessageType, Variant, unpack_variants
from dbus_fast.aio import MessageBus

from edgegw.errors import DeviceAbsent, DeviceError

T = TypeVar("T")
Properties = Mapping[str, Any]

BLUEZ = "org.bluez"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
PROPERTIES, OBJECT_MANAGER = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"

ANSWER_s = 5.0  # bluetoothd answers at once, or after it has waited some 2 s for a controller
GRACE_s = 0.3
POLL_s = 0.1

# What to say → which errors mean it, by the names that `_name` finds.
_WORDS = {
    "this machine has no Bluetooth adapter for Low Energy: plug one in, or see whether its driver is loaded (dmesg)": {
        "NO_BLUETOOTH",
        "NO_BLE_CENTRAL_ROLE",
    },
    "Bluetooth adapter {adapter} is switched off: `rfkill unblock bluetooth`, then `bluetoothctl power on`": {"POWERED_OFF", "NotReady"},
    "Bluetooth adapter {adapter} is blocked by rfkill: `rfkill unblock bluetooth`": {"Blocked"},
    "no permission to use Bluetooth: add the user that the gateway runs as to the group bluetooth": {
        *("DENIED_BY_SYSTEM", "DENIED_BY_USER", "DENIED_BY_UNKNOWN"),
        *("AccessDenied", "NotAuthorized", "AuthError", "EACCES"),
    },
    "another program keeps Bluetooth adapter {adapter} busy (bluetoothctl, a desktop?): end its scan": {"InProgress"},
    "{doing}: no answer in time": {"TimeoutError"},
}
# Nothing there to be reset: whoever starts them again waits for readings, not for the ladder. That is DeviceAbsent.
_ABSENT = {
    "bluetoothd does not run: `systemctl start bluetooth`": {"ServiceUnknown", "NameHasNoOwner", "NoReply"},
    "there is no D-Bus to reach Bluetooth by: does dbus run, and is there a socket /run/dbus/system_bus_socket?": {
        *("ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE", "EOFError", "BrokenPipeError"),
    },
}


async def within(timeout_s: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives, or TimeoutError; over after `timeout_s` and twice GRACE_s, whatever happens.

    asyncio.timeout would wait for as long as the work takes to be cancelled. bleak, when cancelled, asks bluetoothd to disconnect,
    and one that hangs never answers; cancelled a second time, bleak no longer asks.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        for _ in range(2):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=GRACE_s)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, or asyncio would complain that nobody did


class Daemon:
    """A connection to it."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: object) -> Any:
        """The first value of the answer, None where there is none. Raises DBusError, OSError or TimeoutError."""
        message = Message(destination=BLUEZ, path=path, interface=interface, member=member, signature=signature, body=list(body))
        reply = await within(ANSWER_s, self._bus.call(message))
        if reply.message_type is MessageType.ERROR:
            raise DBusError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return reply.body[0] if reply.body else None

    async def devices(self, adapter: str) -> dict[str, Properties]:
        """All that BlueZ knows of on that adapter: object path → properties. Raises DeviceError where there is no such adapter."""
        objects = unpack_variants(await self.call("/", OBJECT_MANAGER, "GetManagedObjects"))
        mine = f"/org/bluez/{adapter}/"
        if mine.rstrip("/") not in objects:
            raise DeviceError(_no_adapter(adapter, [path.rpartition("/")[2] for path, has in objects.items() if ADAPTER in has]))
        return {path: interfaces[DEVICE] for path, interfaces in objects.items() if path.startswith(mine) and DEVICE in interfaces}

    async def disconnect(self, path: str, timeout_s: float) -> bool:
        """End a device's link, whoever made it; whether it is gone after `timeout_s`."""
        with contextlib.suppress(DBusError):  # it may have gone just now
            await self.call(path, DEVICE, "Disconnect")
        try:
            await within(timeout_s, self._comes(path, DEVICE, "Connected", wanted=False))
        except TimeoutError:
            return False
        return True

    async def forget(self, adapter: str, path: str) -> None:
        """Remove what BlueZ remembers of a device (services, address type), so that it is looked at afresh; not of one that is bonded."""
        with contextlib.suppress(DBusError):
            if not (await self.devices(adapter)).get(path, {}).get("Paired", True):
                await self.call(f"/org/bluez/{adapter}", ADAPTER, "RemoveDevice", "o", path)

    async def off_and_on(self, adapter: str) -> None:
        """Switch the adapter, and see that it obeys. Raises DBusError; it is for the caller to set a limit."""
        for on in (False, True):
            await self._power(f"/org/bluez/{adapter}", on)
            await self._comes(f"/org/bluez/{adapter}", ADAPTER, "Powered", wanted=on)

    async def _power(self, path: str, on: bool) -> None:
        while True:
            try:
                await self.call(path, PROPERTIES, "Set", "ssv", ADAPTER, "Powered", Variant("b", on))
                return
            except DBusError as error:  # the last order is still being carried out
                if error.type not in ("org.bluez.Error.Busy", "org.bluez.Error.InProgress"):
                    raise
            await asyncio.sleep(POLL_s)

    async def _comes(self, path: str, interface: str, name: str, *, wanted: bool) -> None:
        """Return when the property is as wanted; an object that has gone is neither connected nor powered."""
        while True:
            try:
                if unpack_variants(await self.call(path, PROPERTIES, "Get", "ss", interface, name)) == wanted:
                    return
            except DBusError:
                if wanted:
                    raise
                return
            await asyncio.sleep(POLL_s)


@contextlib.asynccontextmanager
async def reached() -> AsyncIterator[Daemon]:
    """A connection for the length of the block. Raises OSError or AuthError where there is no bus, or none for us."""
    bus = MessageBus(bus_type=BusType.SYSTEM)
    await within(ANSWER_s, bus.connect())  # where this fails it has closed all it opened
    try:
        yield Daemon(bus)
    finally:
        bus.disconnect()
        with contextlib.suppress(Exception):  # it repeats what ended the connection, if something did
            await within(GRACE_s, _disconnected(bus))


async def _disconnected(bus: MessageBus) -> None:
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast has types for nearly all of itself


@contextlib.contextmanager
def in_plain_words(adapter: str, doing: str) -> Iterator[None]:
    """Whatever bleak, the bus or bluetoothd raises within the block leaves it as DeviceError."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:  # bleak lets KeyErrors, AttributeErrors and AssertionErrors of its own pass
        said = sentence(error, adapter, doing)
        raise (DeviceAbsent if said in _ABSENT else DeviceError)(said) from error


def sentence(error: BaseException, adapter: str, doing: str) -> str:
    """What went wrong, and what to do about it."""
    while isinstance(error, BleakError) and error.__cause__:  # bleak-retry-connector tells of its attempts; what failed is below
        error = error.__cause__
    if isinstance(error, BleakError) and re.match(r"adapter '\w+' not found", str(error)):
        return _no_adapter(adapter)
    words = next((words for words, names in {**_WORDS, **_ABSENT}.items() if _name(error) in names), "{doing}: {error}")
    return words.format(adapter=adapter, doing=doing, error=str(error) or type(error).__name__)


def _no_adapter(adapter: str, others: Sequence[str] = ()) -> str:
    instead = f"there is {', '.join(others)}" if others else "was it unplugged, or is its driver not loaded (dmesg)"
    return f"there is no Bluetooth adapter {adapter}: {instead}"


def _name(error: BaseException) -> str:
    """What tells most: bleak's reason, the last part of a D-Bus error's name, errno, or the class."""
    if reason := getattr(error, "reason", None):
        return str(getattr(reason, "name", reason))
    if name := getattr(error, "dbus_error", None) or getattr(error, "type", None):
        return str(name).rpartition(".")[2]
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, "")
    return type(error).__name__

"""One connection: who it is, its heartbeats, its channels."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from functools import partial
from typing import Any, TypeVar

from pamqp import base, commands, frame
from pamqp.exceptions import PAMQPException
from pamqp.frame import FrameTypes
from pamqp.heartbeat import Heartbeat

from edgegw.testing.broker.channel import Channel, Unfit
from edgegw.testing.broker.desk import Desk
from edgegw.testing.broker.house import Objection

GREETING = b"AMQP\x00\x00\x09\x01"
FRAME_MAX_bytes, CHANNEL_MAX, HEARTBEAT_s = 131_072, 2047, 60
ACCESS_REFUSED, FRAME_ERROR, NOT_ALLOWED, CHANNEL_ERROR = 403, 501, 530, 504
LOGIN_s = 10.0
_HEAD = struct.Struct(">BHI")
_Method = TypeVar("_Method", bound=base.Frame)
_CAPABILITIES = ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "authentication_failure_close", "connection.blocked")


class Session:
    """`login` is user and password."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, desk: Desk, login: tuple[str, str]) -> None:
        self._reader = reader
        self._writer = writer
        self._desk = desk
        self._login = login
        self._channels: dict[int, Channel] = {}
        self._heartbeat_s = HEARTBEAT_s

    async def run(self) -> None:
        """Until either side has enough of it."""
        try:
            async with asyncio.timeout(LOGIN_s):
                await self._greet()
            await self._serve()
        except Unfit as fault:
            code, text = fault.args
            self._send(0, commands.Connection.Close(code, text, 0, 0))
            with contextlib.suppress(TimeoutError, OSError, EOFError):
                await self._farewell()
        except (OSError, EOFError, TimeoutError):
            pass  # it is gone
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _greet(self) -> None:
        if await self._reader.readexactly(len(GREETING)) != GREETING:
            self._writer.write(GREETING)  # what it should have said
            raise ConnectionAbortedError
        properties: dict[str, Any] = {"product": "edgegw.testing.broker", "capabilities": dict.fromkeys(_CAPABILITIES, True)}
        self._send(0, commands.Connection.Start(0, 9, properties, "PLAIN", "en_US"))
        start = await self._expected(commands.Connection.StartOk)
        if tuple(str(start.response).split("\0")[1:]) != self._login:
            raise Unfit(ACCESS_REFUSED, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.")
        self._send(0, commands.Connection.Tune(CHANNEL_MAX, FRAME_MAX_bytes, HEARTBEAT_s))
        self._heartbeat_s = (await self._expected(commands.Connection.TuneOk)).heartbeat
        opened = await self._expected(commands.Connection.Open)
        if opened.virtual_host != "/":
            raise Unfit(NOT_ALLOWED, f"NOT_ALLOWED - vhost {opened.virtual_host} not found")
        self._send(0, commands.Connection.OpenOk())

    async def _serve(self) -> None:
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                async with asyncio.timeout(2 * self._heartbeat_s or None):
                    number, value = await self._read()
                if isinstance(value, commands.Connection.Close):
                    self._send(0, commands.Connection.CloseOk())
                    return await self._writer.drain()
                self._take(number, value)
                await self._writer.drain()
        finally:
            beating.cancel()

    def _take(self, number: int, value: FrameTypes) -> None:
        if isinstance(value, Heartbeat):
            return
        if isinstance(value, commands.Channel.Open):
            self._channels[number] = Channel(self._desk, partial(self._send, number))
            self._send(number, commands.Channel.OpenOk())
        elif isinstance(value, commands.Channel.Close):
            self._channels.pop(number, None)
            self._send(number, commands.Channel.CloseOk())
        elif isinstance(value, commands.Channel.CloseOk):
            pass
        elif number in self._channels:
            self._give(number, value)
        elif number == 0:
            raise Unfit(CHANNEL_ERROR, f"CHANNEL_ERROR - {value.name} on channel 0")
        # else: what was on its way when the channel ended

    def _give(self, number: int, value: FrameTypes) -> None:
        try:
            self._channels[number].take(value)
        except Objection as objection:
            del self._channels[number]
            self._send(number, commands.Channel.Close(objection.code, objection.text, 0, 0))

    async def _read(self) -> tuple[int, FrameTypes]:
        head = await self._reader.readexactly(_HEAD.size)
        _, _, size = _HEAD.unpack(head)
        if size > FRAME_MAX_bytes:
            raise Unfit(FRAME_ERROR, f"FRAME_ERROR - a frame of {size} bytes")
        data = head + await self._reader.readexactly(size + 1)
        try:
            _, number, value = frame.unmarshal(data)
        except PAMQPException as error:
            raise Unfit(FRAME_ERROR, f"FRAME_ERROR - {error}") from error
        return number, value

    async def _expected(self, kind: type[_Method]) -> _Method:
        _, value = await self._read()
        if not isinstance(value, kind):
            raise Unfit(CHANNEL_ERROR, f"CHANNEL_ERROR - {value.name} instead of {kind.name}")
        return value

    async def _farewell(self) -> None:
        async with asyncio.timeout(LOGIN_s):
            while not isinstance((await self._read())[1], commands.Connection.CloseOk):
                pass

    async def _beat(self) -> None:
        while self._heartbeat_s:
            await asyncio.sleep(self._heartbeat_s / 2)
            self._send(0, Heartbeat())

    def _send(self, number: int, value: FrameTypes) -> None:
        """In order; a session that is over is nobody's concern."""
        if not self._writer.is_closing():
            self._writer.write(frame.marshal(value, number))

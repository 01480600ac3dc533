"""One channel: declarations, publishes with their confirms and returns, and gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pamqp import base, body, commands, header
from pamqp.frame import FrameTypes

from edgegw.testing.broker.desk import Desk
from edgegw.testing.broker.house import NO_ROUTE
from edgegw.testing.broker.journal import Message, Record, Taken

NOT_IMPLEMENTED, UNEXPECTED_FRAME = 540, 505
PIECE_bytes = 131_072 - 8  # of a body, in one frame

Send = Callable[[FrameTypes], None]


class Unfit(Exception):
    """The broker ends the connection for it: code and text."""


class Channel:
    """Takes frames, and sends frames."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk = desk
        self._send = send
        self._confirms = False
        self._tag = 0
        self._publish: commands.Basic.Publish | None = None  # whose content is coming
        self._header: header.ContentHeader | None = None
        self._parts: list[bytes] = []

    def take(self, frame: FrameTypes) -> None:
        """Raises Objection, which ends the channel, or Unfit."""
        if isinstance(frame, header.ContentHeader):
            self._header = frame
            self._whole()
        elif isinstance(frame, body.ContentBody):
            self._parts.append(frame.value)
            self._whole()
        elif isinstance(frame, commands.Basic.Publish):
            self._publish, self._header, self._parts = frame, None, []
        else:
            self._method(frame)

    def _method(self, frame: FrameTypes) -> None:
        match frame:
            case commands.Confirm.Select():
                self._confirms = True
                self._send(commands.Confirm.SelectOk())
            case commands.Exchange.Declare() | commands.Exchange.Delete():
                self._exchange(frame)
            case commands.Queue.Declare() | commands.Queue.Delete() | commands.Queue.Bind():
                self._queue(frame)
            case commands.Basic.Qos():
                self._send(commands.Basic.QosOk())
            case commands.Basic.Get():
                self._get(frame)
            case commands.Basic.Ack():
                pass  # of a get without no_ack: it was taken when it was handed out
            case _:
                raise Unfit(NOT_IMPLEMENTED, f"NOT_IMPLEMENTED - {frame.name} is nothing that this broker knows")

    def _exchange(self, frame: commands.Exchange.Declare | commands.Exchange.Delete) -> None:
        house, name = self._desk.house, frame.exchange
        if isinstance(frame, commands.Exchange.Delete):
            self._answer(house.deletion("exchange", name), commands.Exchange.DeleteOk())
            return
        records = house.exchange(name, frame.exchange_type, durable=frame.durable, passive=frame.passive)
        self._answer(records, commands.Exchange.DeclareOk())

    def _queue(self, frame: commands.Queue.Declare | commands.Queue.Delete | commands.Queue.Bind) -> None:
        house, name = self._desk.house, frame.queue
        match frame:
            case commands.Queue.Declare():
                records = house.queue(name, frame.arguments or {}, durable=frame.durable, passive=frame.passive)
                count = 0 if records else house.lying(name)
                self._answer(records, commands.Queue.DeclareOk(name, count, 0))
            case commands.Queue.Bind():
                self._answer(house.binding(name, frame.exchange, frame.routing_key), commands.Queue.BindOk())
            case commands.Queue.Delete():
                gone = house.deletion("queue", name)
                self._answer(gone, commands.Queue.DeleteOk(house.lying(name) if gone else 0))

    def _answer(self, records: Sequence[Record], answer: base.Frame) -> None:
        self._desk.write(records, partial(self._send, answer))

    def _get(self, frame: commands.Basic.Get) -> None:
        message = self._desk.house.oldest(frame.queue)
        if message is None:
            self._send(commands.Basic.GetEmpty())
            return
        left = self._desk.house.lying(frame.queue) - 1
        answer = commands.Basic.GetOk(1, False, message.exchange, message.key, left)
        self._desk.write([Taken(frame.queue)], partial(self._send_content, answer, message.header, message.body))

    def _whole(self) -> None:
        """The message, once all of it is there."""
        if self._publish is None or self._header is None:
            raise Unfit(UNEXPECTED_FRAME, "UNEXPECTED_FRAME - content without a publish")
        content = b"".join(self._parts)
        if len(content) < self._header.body_size:
            return
        publish, self._publish, raw = self._publish, None, self._header.marshal()
        self._tag += self._confirms
        queues = self._desk.house.route(publish.exchange, publish.routing_key)
        if not queues and publish.mandatory:
            returned = commands.Basic.Return(NO_ROUTE, "NO_ROUTE", publish.exchange, publish.routing_key)
            self._send_content(returned, raw, content)
        records = [Message(queues, publish.exchange, publish.routing_key, raw, content)] if queues else []
        self._desk.write(records, partial(self._send, commands.Basic.Ack(self._tag, False)) if self._confirms else _nobody)

    def _send_content(self, method: base.Frame, raw: bytes, content: bytes) -> None:
        self._send(method)
        head = header.ContentHeader()
        head.unmarshal(raw)
        self._send(head)
        for begin in range(0, len(content), PIECE_bytes):
            self._send(body.ContentBody(content[begin : begin + PIECE_bytes]))


def _nobody() -> None:
    """Nobody waits for it."""

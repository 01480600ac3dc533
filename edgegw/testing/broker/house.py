"""Exchanges, queues and bindings of the broker, and what lies in the queues: pure, but that it says what has to be written down."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgegw.testing.broker.journal import Binding, Deleted, Exchange, Message, Queue, Record, Taken

NOT_FOUND, PRECONDITION_FAILED, NO_ROUTE = 404, 406, 312
_IMPLIED = {"": "direct", "amq.topic": "topic", "amq.direct": "direct", "amq.fanout": "fanout"}  # every broker has these


class Objection(Exception):
    """The broker ends the channel for it, with that code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(code, text)


class House:
    """As told by the records so far."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._exchanges = {name: Exchange(name, kind, durable=True) for name, kind in _IMPLIED.items()}
        self._queues: dict[str, Queue] = {}
        self._bindings: dict[Binding, None] = {}
        self._lying: dict[str, deque[Message]] = {}
        for record in records:
            self.note(record)

    def note(self, record: Record) -> None:
        """It has happened."""
        match record:
            case Exchange():
                self._exchanges[record.name] = record
            case Queue():
                self._queues[record.name] = record
                self._lying.setdefault(record.name, deque())
            case Binding():
                self._bindings[record] = None
            case Deleted():
                self._delete(record)
            case Message():
                for queue in record.queues:
                    if queue in self._lying:
                        self._lying[queue].append(record)
            case Taken():
                self._lying[record.queue].popleft()

    def exchange(self, name: str, kind: str, *, durable: bool, passive: bool) -> list[Record]:
        """What a declaration adds. Raises Objection."""
        there = self._exchanges.get(name)
        if passive:
            self._must(there, "exchange", name)
            return []
        wanted = Exchange(name, kind, durable)
        if there is None:
            return [wanted]
        _same(f"exchange '{name}'", {"type": there.kind, "durable": there.durable}, {"type": kind, "durable": durable})
        return []

    def queue(self, name: str, arguments: Mapping[str, Any], *, durable: bool, passive: bool) -> list[Record]:
        """What a declaration adds. Raises Objection."""
        there = self._queues.get(name)
        if passive:
            self._must(there, "queue", name)
            return []
        if there is None:
            return [Queue(name, durable, dict(arguments))]
        _same(f"queue '{name}'", {"durable": there.durable, **there.arguments}, {"durable": durable, **arguments})
        return []

    def binding(self, queue: str, exchange: str, key: str) -> list[Record]:
        """What a binding adds. Raises Objection."""
        self._must(self._queues.get(queue), "queue", queue)
        self._must(self._exchanges.get(exchange), "exchange", exchange)
        made = Binding(queue, exchange, key)
        return [] if made in self._bindings else [made]

    def deletion(self, kind: str, name: str) -> list[Record]:
        """What a deletion changes; of what is not there nothing."""
        there: Mapping[str, object] = self._queues if kind == "queue" else self._exchanges
        return [Deleted(kind, name)] if name in there else []

    def route(self, exchange: str, key: str) -> Sequence[str]:
        """The queues that a message reaches. Raises Objection where there is no such exchange."""
        found = self._exchanges.get(exchange)
        self._must(found, "exchange", exchange)
        assert found is not None
        if exchange == "":
            return [key] if key in self._queues else []
        hit = {binding.queue: None for binding in self._bindings if binding.exchange == exchange and _fits(found.kind, binding.key, key)}
        return list(hit)

    def lying(self, queue: str) -> int:
        """How many messages lie in that queue. Raises Objection."""
        self._must(self._queues.get(queue), "queue", queue)
        return len(self._lying[queue])

    def oldest(self, queue: str) -> Message | None:
        """Of that queue. Raises Objection."""
        return self._lying[queue][0] if self.lying(queue) else None

    def _delete(self, record: Deleted) -> None:
        if record.kind == "queue":
            self._queues.pop(record.name, None)
            self._lying.pop(record.name, None)
        else:
            self._exchanges.pop(record.name, None)
        gone = [binding for binding in self._bindings if getattr(binding, record.kind) == record.name]
        for binding in gone:
            del self._bindings[binding]

    @staticmethod
    def _must(there: object, kind: str, name: str) -> None:
        if there is None:
            raise Objection(NOT_FOUND, f"NOT_FOUND - no {kind} '{name}' in vhost '/'")


def _same(what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in [*wanted, *there]:
        if there.get(name) != wanted.get(name):
            text = f"inequivalent arg '{name}' for {what} in vhost '/': received '{wanted.get(name)}' but current is '{there.get(name)}'"
            raise Objection(PRECONDITION_FAILED, f"PRECONDITION_FAILED - {text}")


def _fits(kind: str, pattern: str, key: str) -> bool:
    if kind == "fanout":
        return True
    return pattern == key if kind != "topic" else topic(pattern.split("."), key.split("."))


def topic(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """* is a word, # any number of them, none included."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return topic(pattern[1:], words) or (bool(words) and topic(pattern, words[1:]))
    return bool(words) and pattern[0] in ("*", words[0]) and topic(pattern[1:], words[1:])

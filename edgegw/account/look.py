"""Reads the account from the disk and from the stores; a gateway that runs goes on meanwhile, and nobody waits for us."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from edgegw import tally
from edgegw.account.line import Line, Taken, lines
from edgegw.errors import SinkError
from edgegw.paths import Paths
from edgegw.reading import Stored
from edgegw.spool import Reader


class Askable(Protocol):
    """What this needs of a Store."""

    name: str

    def open(self) -> None: ...
    def stored(self) -> dict[tuple[str, str], Stored]: ...
    def close(self) -> None: ...


class Account(msgspec.Struct, frozen=True):
    """All runs, and what could not be asked."""

    lines: tuple[Line, ...]
    sinks: tuple[str, ...]  # that take everything
    outboxes: tuple[str, ...]
    unasked: Mapping[str, str]  # store → why it was not asked
    strangers: Mapping[str, int]  # store → runs in it that the spool does not remember


def look(paths: Paths, stores: Sequence[Askable], sensors: Collection[str] = ()) -> Account:
    """The account of `sensors` (of all, when there are none), with what `stores` hold. Raises SpoolError."""
    before = tally.counts(paths.tally)
    delivered: Mapping[tuple[str, str], int] = {}
    stored: dict[str, dict[str, Stored]] = {}
    unasked: dict[str, str] = {}
    with contextlib.closing(Reader(paths.spool)) as reader:
        if stores:
            delivered = _delivered(reader)
            stored, unasked = _ask(stores)
        ledger = reader.whole_ledger()
    tallies = tally.counts(paths.tally)
    found = lines(Taken(before, delivered), ledger, tallies, stored)
    runs = {book.run.id for book in ledger.books}
    return Account(
        lines=tuple(line for line in found if not sensors or line.sensor in sensors),
        sinks=ledger.sinks,
        outboxes=ledger.outboxes,
        unasked=unasked,
        strangers={sink: len(of.keys() - runs) for sink, of in stored.items()},
    )


def _delivered(reader: Reader) -> dict[tuple[str, str], int]:
    return {(book.run.id, sink): at.delivered for book in reader.whole_ledger().books for sink, at in book.sinks.items()}


def _ask(stores: Sequence[Askable]) -> tuple[dict[str, dict[str, Stored]], dict[str, str]]:
    """What they hold, by run; and why some did not say."""
    stored: dict[str, dict[str, Stored]] = {}
    unasked: dict[str, str] = {}
    for store in stores:
        try:
            store.open()
            stored[store.name] = {run: held for (_, run), held in store.stored().items()}
        except SinkError as error:
            unasked[store.name] = str(error)
        finally:
            store.close()
    return stored, unasked

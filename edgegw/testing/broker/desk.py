"""The broker's one writer: collects what sessions want written, puts it on the disk in one go, and then tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edgegw.testing.broker.house import House
from edgegw.testing.broker.journal import Journal, Record

Told = Callable[[], None]


class Desk:
    """`write` returns at once, and calls `told` when it is durable; the house knows it at once, as nobody is told before."""

    def __init__(self, journal: Journal) -> None:
        self.house = House(journal.records)
        self._journal = journal
        self._waiting: list[tuple[Sequence[Record], Told]] = []
        self._some = asyncio.Event()

    def write(self, records: Sequence[Record], told: Told) -> None:
        """Also with no records: then `told` comes after all that was wanted before."""
        for record in records:
            self.house.note(record)
        self._waiting.append((records, told))
        self._some.set()

    async def run(self) -> None:
        """For ever; ends with the OSError of a disk that takes nothing, and the broker with it."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, []
            records = [record for each, _ in batch for record in each]
            if records:
                await asyncio.to_thread(self._journal.append, records)
            for _, told in batch:
                told()

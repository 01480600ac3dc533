"""The account in a terminal."""

from __future__ import annotations

from rich.table import Table

from edgegw.account import Account, account
from edgegw.config import Settings
from edgegw.sinks import Outbox
from edgegw.sinks.configured import configured
from edgegw.spool import Reader

ELSEWHERE = {"waiting": "waiting", "filtered": "filtered", "rejected": "dead"}  # neither stored nor lost


def accounts(settings: Settings) -> list[Account]:
    """One account a sink, from the spool's books and from what the stores hold. Raises SpoolError or SinkError."""
    reader = Reader(settings.paths.spool)
    try:
        books = reader.books()
    finally:
        reader.close()
    found: list[Account] = []
    for sink in configured(settings):
        if isinstance(sink, Outbox):  # it is given a few readings of many, and keeps none
            continue
        stored = None
        if hasattr(sink, "stored"):
            sink.open()
            stored = sink.stored()
        sink.close()
        found.append(account(books, sink.name, stored))
    return found


def table(closed: Account) -> Table:
    """A row a run."""
    grid = Table(title=f"account: {closed.store}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("SENSOR", "RUN", "PRODUCED", "STORED", "WAITING", "FILTERED", "DROPPED", "REJECTED", "DAMAGED", "LOST"):
        grid.add_column(heading, justify="left" if heading in ("SENSOR", "RUN") else "right", no_wrap=True)
    for line in closed.lines:
        counts = (line.produced, line.stored, line.waiting, line.filtered, line.dropped, line.dead, line.damaged, line.lost)
        grid.add_row(line.sensor, line.run[:13] + ("" if line.closed else " (open)"), *map(str, counts))
    return grid


def verdict(closed: Account) -> str:
    """The account in one line."""
    elsewhere = {word: sum(getattr(line, field) for line in closed.lines) for word, field in ELSEWHERE.items()}
    rest = "".join(f", {word} {count}" for word, count in elsewhere.items() if count)
    return f"{closed.store}: produced {closed.produced}, stored {closed.stored}, lost {closed.lost}{rest}"

"""`edgegw spool status`: how full it is, what waits in it, and what became of what was damaged."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from edgegw.cli import show
from edgegw.cli.settings import load
from edgegw.cli.spoolfile import spool_file
from edgegw.clock import NS_PER_S
from edgegw.config import Settings
from edgegw.spool import card
from edgegw.spool.state import State, look
from edgegw.spool.wear import DAY_ns

DAYS = 7  # of wear, before today


class Holdings(msgspec.Struct, frozen=True):
    """What is in a spool, and what it may hold."""

    file: Path
    state: State
    quota_bytes: int | None  # None: of a copy nobody knows
    disk_bytes: int  # that its disk has left
    day_bytes: int  # written on a day; 0: nobody knows

    @property
    def room_bytes(self) -> int:
        """Before it is full."""
        left = self.disk_bytes if self.quota_bytes is None else self.quota_bytes - self.state.used_bytes
        return max(0, min(left, self.disk_bytes))

    @property
    def lasts_s(self) -> float | None:
        """Until that is used up, if no sink took anything; None: nobody knows."""
        return self.room_bytes / self.state.growth_bytes if self.state.growth_bytes else None


def run(config: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Print it. Raises ConfigError, NoSpool, NotAllowed or SpoolError."""
    settings = None if given else load(config)
    found = holdings(spool_file(config, given), settings)
    if as_json:
        sys.stdout.write(msgspec.json.encode(_document(found)).decode() + "\n")
        return
    console = show.console()
    for each in _tables(found):
        console.print(each)
    for sentence in sentences(found, settings):
        console.print(sentence, soft_wrap=True)


def holdings(path: Path, settings: Settings | None) -> Holdings:
    """Of the spool at `path`. Raises SpoolError."""
    state = look(path)
    disk = os.statvfs(path.parent)
    quota = settings.spool.max_bytes if settings else None
    today = time.time_ns() // DAY_ns
    days = [count for day, count in state.written.items() if today - DAYS <= day < today and day]
    known = quota - quota // 16 if quota else None  # the rest is for letters and books
    return Holdings(path, state, known, disk.f_bavail * disk.f_frsize, round(sum(days) / len(days)) if days else 0)


def sentences(found: Holdings, settings: Settings | None) -> Iterator[str]:
    """What no table has."""
    state = found.state
    used = f"{show.size(state.used_bytes)} used"
    of = f" of {show.size(found.quota_bytes)}" if found.quota_bytes is not None else ""
    lasts = f", enough for {show.span(found.lasts_s)} at the present rate if no sink takes anything" if found.lasts_s is not None else ""
    holds = f"{show.many(state.readings, 'reading')} in {show.many(state.records, 'record')}"
    yield f"\nspool: {used}{of}, {holds}; room for {show.size(found.room_bytes)}{lasts}"
    if state.set_aside:
        yield f"set aside: {state.set_aside} readings whose record was damaged; `edgegw audit` says of which sensor"
    for one in state.salvaged:
        name = f"{found.file.name}.damaged-{one.number}"
        if not one.done:
            yield f"salvage: {name} is being read, {one.readings} readings are taken over so far; until then nothing older is delivered"
            continue
        missing = f", {one.missing} could not be read and are counted as damaged" if one.missing else ", none is missing"
        yield f"salvage: the structure of {name} was broken; {one.readings} readings of it were taken over{missing}"
    if found.day_bytes and settings:
        yield f"card: {card.sentence(found.day_bytes, settings.spool.card_bytes, settings.spool.card_cycles)}"


def _tables(found: Holdings) -> Iterator[Table]:
    sinks = _table("SINK", "WAITING", "OLDEST")
    for one in found.state.backlog:
        sinks.add_row(one.sink, f"{one.readings}{' pictures' if one.outbox else ''}", _age(one.oldest_ns))
    yield sinks
    if found.state.letters:
        letters = _table("REJECTED BY", "CODE", "READINGS", "FOR EXAMPLE")
        for each in found.state.letters:
            letters.add_row(each.sink, each.code, str(each.readings), each.example)
        yield letters


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("WAITING", "READINGS") else "left", no_wrap=heading != "FOR EXAMPLE")
    return table


def _age(time_ns: int) -> str:
    """How long ago that was by this clock, which may be another one's."""
    return f"{show.span(max(0, time.time_ns() - time_ns) / NS_PER_S)} old" if time_ns else "-"


def _document(found: Holdings) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.to_builtins(found.state)
    state["written_bytes_by_day"] = state.pop("written")
    limits = {"quota_bytes": found.quota_bytes, "room_bytes": found.room_bytes, "lasts_s": found.lasts_s}
    return {"file": str(found.file), **state, **limits, "written_day_bytes": found.day_bytes}

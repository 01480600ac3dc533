"""The account in a terminal: a table a sink, what is missing and why, and the verdict. The demo closes with it, `edgegw audit` is it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from rich.table import Table

from edgegw.account import Account, AtSink, Line, look
from edgegw.config import Settings
from edgegw.reading import Stored
from edgegw.sinks import Outbox, Store
from edgegw.sinks.configured import configured

THERE_s = 10.0  # for a database to show that it is there
COUNT_s = 300.0  # and to count the rows of one table

# What became of the readings that were produced, in the order of their way. Columns of nothing but zeros are left out, but for these:
_ALWAYS = ("PRODUCED", "STORED", "WAITING", "LOST")
_COLUMNS = (
    "PRODUCED",
    "STORED",
    "WAITING",
    "IN FLIGHT",
    "FILTERED",
    "DROPPED",
    "REFUSED",
    "REJECTED",
    "DAMAGED",
    "EVICTED",
    "DISCARDED",
    "MISSED",
    "LOST",
)
_MEANING = {
    "STORED": "in the store's tables, or confirmed by the broker",
    "WAITING": "in the spool",
    "IN FLIGHT": "not in the spool yet",
    "FILTERED": "held back as configured",
    "DROPPED": "given up by a full window",
    "REFUSED": "turned away by the full spool",
    "REJECTED": "among the dead letters",
    "DAMAGED": "damaged in the spool",
    "EVICTED": "given up by the full spool",
    "DISCARDED": "dead letters that were given up",
    "MISSED": "let go of before this sink was configured",
    "LOST": "gone with a worker",
}


class _Patient:
    """A store that is asked to count all of its rows: it has to be there at once, and may then take its time.

    MariaDB 10.11 counts a million rows in 0.7 s and five in 5.6 s, and a sensor of 1 Hz fills 31 million in a year.
    """

    def __init__(self, quick: Store, slow: Store) -> None:
        self.name = quick.name
        self._quick, self._slow = quick, slow

    def open(self) -> None:
        """Raises Unavailable or Refused."""
        self._quick.open()
        self._quick.close()
        self._slow.open()

    def stored(self) -> dict[tuple[str, str], Stored]:
        """As Store says."""
        return self._slow.stored()

    def close(self) -> None:
        """As Sink says."""
        self._quick.close()
        self._slow.close()


def accounts(settings: Settings, *, ask: bool = True, sensors: Sequence[str] = ()) -> Account:
    """From the spool's books, and, with `ask`, from what the stores hold. Raises SpoolError."""
    stores = zip(_stores(settings, THERE_s), _stores(settings, COUNT_s), strict=True) if ask else ()
    return look(settings.paths, [_Patient(quick, slow) for quick, slow in stores], sensors)


def _stores(settings: Settings, timeout_s: float) -> list[Store]:
    every = configured(settings, mysql_timeout_s=timeout_s)
    return [cast("Store", sink) for sink in every if hasattr(sink, "stored") and not isinstance(sink, Outbox)]


def columns(line: Line, at: AtSink) -> Counter[str]:
    """One run against one sink: produced is the sum of all others, when it balances."""
    return Counter(
        {
            "PRODUCED": line.produced,
            "STORED": at.there,
            "WAITING": at.waiting,
            "IN FLIGHT": line.in_flight,
            "FILTERED": line.filtered,
            "DROPPED": line.dropped,
            "REFUSED": line.refused,
            "REJECTED": at.outcome.dead,
            "DAMAGED": at.outcome.damaged,
            "EVICTED": at.outcome.evicted,
            "DISCARDED": at.outcome.discarded,
            "MISSED": at.outcome.missed,
            "LOST": line.lost,
        }
    )


def table(account: Account, sink: str, *, runs: bool) -> Table:
    """A row a run, or a row a sensor."""
    rows = _rows(account, sink, runs=runs)
    used = [name for name in _COLUMNS if name in _ALWAYS or any(row[name] for _, row in rows)]
    grid = Table(title=f"account: {sink}", title_justify="left", box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for heading in ("SENSOR", "RUN" if runs else "RUNS"):
        grid.add_column(heading, justify="left" if runs or heading == "SENSOR" else "right", no_wrap=True)
    for heading in used:
        grid.add_column(heading, justify="right", no_wrap=True)
    for (sensor, run), row in rows:
        grid.add_row(sensor or "?", run, *(str(row[name]) for name in used))
    return grid


def legend(account: Account) -> str:
    """What the columns mean, of those that are there."""
    every = [row for sink in account.sinks for _, row in _rows(account, sink, runs=False)]
    used = [name for name in _COLUMNS[1:] if name in _ALWAYS or any(row[name] for row in every)]
    return "PRODUCED = " + " + ".join(f"{name} ({_MEANING[name]})" for name in used)


def verdict(account: Account, sink: str) -> str:
    """One sink in one line; what nobody has any more is lost, whatever the cause."""
    total = totals(account, sink)
    lost = sum(total[name] for name in ("LOST", "DROPPED", "REFUSED", "DAMAGED", "EVICTED", "DISCARDED"))
    elsewhere = ("WAITING", "IN FLIGHT", "FILTERED", "REJECTED", "MISSED")
    rest = "".join(f", {name.lower()} {total[name]}" for name in elsewhere if total[name])
    return f"{sink}: produced {total['PRODUCED']}, stored {total['STORED']}, lost {lost}{rest}"


def totals(account: Account, sink: str) -> Counter[str]:
    """All runs together. A run of which too much is stored does not make up for another of which something is lost."""
    total: Counter[str] = Counter()
    for _, row in _rows(account, sink, runs=False):
        total += row
    return total


def complete(account: Account) -> bool:
    """Every reading that was not filtered is in every store, and every book is closed."""
    return all(
        line.closed and at.there == line.produced - line.filtered for line in account.lines for at in line.sinks if not at.outbox
    )


def _rows(account: Account, sink: str, *, runs: bool) -> list[tuple[tuple[str, str], Counter[str]]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    number: Counter[str] = Counter()
    for line in account.lines:
        for at in (at for at in line.sinks if at.sink == sink):
            number[line.sensor] += 1
            key = (line.sensor, line.run[:13] + ("" if line.closed else " (open)") if runs else "")
            row = columns(line, at) if runs else +columns(line, at)  # without those below zero, which would make up for others
            found[key] = found[key] + row if key in found else row
    return [((sensor, run or str(number[sensor])), row) for (sensor, run), row in found.items()]

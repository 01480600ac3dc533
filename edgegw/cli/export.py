"""`edgegw spool export`: the readings that are in the spool, a line each."""

from __future__ import annotations

import contextlib
import csv
import datetime
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from edgegw import codec
from edgegw.cli.spoolfile import Bar, spool_file
from edgegw.clock import NS_PER_S
from edgegw.errors import Exit
from edgegw.reading import Reading, Run
from edgegw.spool.extract import Extract

_COLUMNS = ("gateway", "sensor", "kind", "run", "seq", "time", "time_ns", "boot_ns", "clock", "quality")
_LETTER = ("sink", "code", "reason", "rejected")


class Wish(msgspec.Struct, frozen=True):
    """What to write, and how."""

    form: str = "jsonl"  # or csv
    sensor: str = ""
    run: str = ""  # an id, or the beginning of one
    since: datetime.datetime | None = None
    letters: bool = False  # the dead letters instead
    out: Path | None = None  # None: standard output

    def wants(self, run: Run) -> bool:
        """Whether anything of that run is asked for."""
        return (not self.sensor or run.sensor == self.sensor) and run.id.startswith(self.run)

    @property
    def since_ns(self) -> int:
        """Wall clock; 0: from the beginning."""
        if self.since is None:
            return 0
        at = self.since if self.since.tzinfo else self.since.replace(tzinfo=datetime.UTC)
        return round(at.timestamp()) * NS_PER_S


class Line(msgspec.Struct, frozen=True):
    """One reading; with what its sink said of it, where it is a dead letter."""

    run: Run
    kind: str
    reading: Reading
    rejected: tuple[str, str, str, str] | None = None  # in the order of _LETTER

    def mapping(self) -> dict[str, Any]:
        """As the tap and HTTP show a reading."""
        found: dict[str, Any] = msgspec.json.decode(codec.reading_json(self.run, self.kind, self.reading))
        return {**found, **dict(zip(_LETTER, self.rejected or (), strict=False))}


def run(config: Path | None, given: Path | None, wish: Wish) -> int:
    """Returns the exit code: 1 where something could not be read. Raises NoSpool, NotAllowed or SpoolError."""
    path = spool_file(config, given)
    with Bar() as bar:
        extract = Extract(path, bar.seen)
        with _output(wish.out) as out:
            written = _write(out, extract, wish)
    told = f"{written} reading{'' if written == 1 else 's'}"
    if extract.broken:
        click.echo(f"the structure of {path} is broken ({extract.broken}): it was read page by page, in no order", err=True)
    if extract.damaged:
        what = "dead letter" if wish.letters else "record"
        click.echo(f"{told} written; {extract.damaged} damaged {what}{'' if extract.damaged == 1 else 's'} passed by", err=True)
        return Exit.FAILED
    if wish.out:
        click.echo(f"{told} written to {wish.out}", err=True)
    return Exit.FAILED if extract.broken else Exit.DONE


def _write(out: IO[str], extract: Extract, wish: Wish) -> int:
    lines = _lines(extract, wish)
    if wish.form == "csv":
        return _csv(out, lines, _fields(extract, wish), wish)
    written = 0
    for line in lines:
        data = codec.reading_json(line.run, line.kind, line.reading) if line.rejected is None else msgspec.json.encode(line.mapping())
        out.write(data.decode() + "\n")
        written += 1
    return written


def _csv(out: IO[str], lines: Iterator[Line], fields: Sequence[str], wish: Wish) -> int:
    """A column for every field of every kind; empty where a kind has no such field, or the reading no value."""
    columns = [*_COLUMNS, *(_LETTER if wish.letters else ())]
    table = csv.writer(out)
    table.writerow([*columns, *fields])
    written = 0
    for line in lines:
        found = line.mapping()
        table.writerow([*(found[name] for name in columns), *(found["values"].get(name) for name in fields)])
        written += 1
    return written


def _lines(extract: Extract, wish: Wish) -> Iterator[Line]:
    since_ns = wish.since_ns
    if wish.letters:
        for letter in extract.letters():
            if wish.wants(letter.run) and letter.reading.time_ns >= since_ns:
                why = (letter.sink, letter.code, letter.reason, codec.rfc3339(letter.time_ns))
                yield Line(letter.run, letter.kind, letter.reading, why)
        return
    for record in extract.records():
        if wish.wants(record.run):
            yield from (Line(record.run, record.batch.kind, one) for one in record.batch.readings if one.time_ns >= since_ns)


def _fields(extract: Extract, wish: Wish) -> list[str]:
    every = [field for run in extract.runs.values() if wish.wants(run) for fields in run.fields.values() for field in fields]
    return list(dict.fromkeys(every))


@contextlib.contextmanager
def _output(to: Path | None) -> Iterator[IO[str]]:
    """A file gets its name when all is in it. Raises OSError."""
    if to is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    descriptor, fresh = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    try:
        with open(descriptor, "w", newline="") as out:
            yield out
        os.replace(fresh, to)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise

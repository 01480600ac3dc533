"""A real spool with a real MariaDB behind it, and one sink more that must not mind what MariaDB does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.bridge import pace
from edgegw.bridge.forwarder import Forwarder
from edgegw.reading import Run
from edgegw.sinks import Sink
from edgegw.sinks.mysql import MySQLSink
from edgegw.spool import Commit, Handed, Reach, Spool
from edgegw.testing import ListSink
from tests.records import a_run, lidar
from tests.rig import Rig
from tests.services.base import until
from tests.services.mariadb import Database

__all__ = ["line", "troubles"]

PATIENCE_s = 60
PAUSE_s = 0.02
RUN = a_run(1)


class Line:
    """Worker's batches go in at one end; at the other, MySQL and a list get them, each from a forwarder of its own."""

    def __init__(self, directory: Path, database: Database, sink: MySQLSink) -> None:
        self.database = database
        self.other = ListSink("two")
        self.made = 0  # readings
        self._batches = 0
        self._rig = Rig()
        self._path = directory / "spool.db"
        self._spool = Spool(self._path, ["mysql", "two"])
        self._forwarders: list[Forwarder] = []
        self.mysql = self.forward(sink)
        self.forward(self.other)

    def forward(self, sink: Sink) -> Forwarder:
        """Deliver to this one, too, from the beginning."""
        one = Forwarder(sink, self._path, Reach(0), self._rig.process.log, self._rig.clock, lambda: 0.5)
        self._forwarders.append(one)
        one.start()
        return one

    def fill(self, batches: int, each: int = 10, run: Run = RUN) -> None:
        """Commit so many batches of lidar readings, of one run unless another is given."""
        for _ in range(batches):
            batch = lidar(run, range(self.made, self.made + each)).batch
            self._spool.commit(Commit(handed=[Handed(run, self._batches, batch)]))
            self.made += each
            self._batches += 1
        for forwarder in self._forwarders:
            forwarder.wake()

    def complete(self) -> None:
        """All of it is there, once, nothing was set aside, and the other sink has it all, too."""
        until(lambda: self.rows() == self.made, PATIENCE_s, f"all rows ({self.mysql.health(0)})")
        assert self.database.lidar() == (self.made, self.made, 0, self.made - 1)
        assert (self.mysql.health(0).dead, self.letters()) == (0, 0)
        until(lambda: self.others() == self.made, PATIENCE_s, "the other sink to have it all")
        until(lambda: self.mysql.health(0).why == "", PATIENCE_s, "all to be well")

    def rows(self) -> int:
        """Rows in MySQL."""
        return int(self.database.sql("SELECT COUNT(*) FROM lidar")[0][0])

    def letters(self) -> int:
        """Dead letters in MySQL."""
        return int(self.database.sql("SELECT COUNT(*) FROM dead_letter")[0][0])

    def others(self) -> int:
        """Readings that the other sink has."""
        return sum(len(record.batch.readings) for record in self.other.records)

    def close(self) -> None:
        """End the forwarders."""
        for one in self._forwarders:
            one.stop_soon()
        stuck = [one.sink.name for one in self._forwarders if not one.ended(PATIENCE_s)]
        self._spool.close()
        self._rig.close()
        assert stuck == []


@contextlib.contextmanager
def joined(directory: Path, database: Database, sink: MySQLSink) -> Iterator[Line]:
    """A line at work, with something delivered."""
    with contextlib.closing(Line(directory, database, sink)) as made:
        made.fill(1)
        made.complete()
        yield made


@pytest.fixture
def line(tmp_path: Path, database: Database) -> Iterator[Line]:
    with joined(tmp_path, database, MySQLSink(database.gateway, timeout_s=5)) as made:
        yield made


@pytest.fixture
def troubles(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """No long pauses after trouble; gives what it was, each time."""
    errors: list[Exception] = []

    def pause_s(error: Exception, *_: object) -> float:
        errors.append(error)
        return PAUSE_s

    monkeypatch.setattr(pace, "pause_s", pause_s)
    return errors

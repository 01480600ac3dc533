"""The closing account against a real MariaDB: what it holds is compared, and what it does not say is said, in bounded time."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgegw.cli import audit, books
from edgegw.errors import Exit
from edgegw.reading import Attachment, Counts
from edgegw.sinks.mysql import MySQLSink
from edgegw.spool import Closed, Commit, Handed, Reader, Spool
from tests.records import a_run, lidar
from tests.services.base import until
from tests.services.mariadb import Database

RUN = a_run(1)
MADE = 100
PATIENCE_s = 60


class Desk:
    """A gateway's configuration and its spool, whose only sink is the database; nothing runs."""

    def __init__(self, directory: Path, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
        server = database.gateway
        url = f"mysql://{server.user}:{server.password()}@{server.host}:{server.port}/{server.database}"
        self.config = directory / "edgegw.toml"
        self.config.touch(mode=0o600)
        self.config.write_text(
            f'[gateway]\nid = "pi-7"\nruntime_dir = "{directory}/run"\nstate_dir = "{directory}/state"\n'
            f'[sinks.mysql]\nurl = "{url}"\ntls = "off"\n[sensors.front]\ndriver = "tfluna"\nport = "/dev/null"\n'
        )
        self.spool = directory / "state" / "spool.db"
        self._capsys = capsys
        with contextlib.closing(MySQLSink(server)) as sink:
            sink.open()
            sink.deliver([lidar(RUN, range(MADE))])

    def keep(self, delivered: int, evicted: int = 0) -> None:
        """The books of a run of MADE readings that is over, of which so many are noted as delivered and as given up."""
        with contextlib.closing(Spool(self.spool, ["mysql"])) as spool:
            spool.commit(Commit(handed=[Handed(RUN, 0, lidar(RUN, range(MADE)).batch)]))
            closed = [Closed(RUN, Counts(MADE), held=0)]
            spool.commit(Commit(cursors={"mysql": 1}, delivered={(RUN.id, "mysql"): delivered}, closed=closed))
            spool._db.execute("UPDATE delivery SET evicted = ?", (evicted,))

    def audit(self) -> tuple[int, Mapping[str, Any]]:
        self._capsys.readouterr()
        code = audit.run(self.config, audit.Wish(as_json=True))
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def desk(tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, database, capsys)


def test_what_was_given_up_after_it_was_delivered_is_no_surplus(desk: Desk, database: Database) -> None:
    """A bridge that dies before it notes a delivery may give the same readings up for want of room. One row gone is missed all the same."""
    desk.keep(60, evicted=40)
    code, found = desk.audit()
    assert (code, found["imbalances"], found["runs"][0]["sinks"]["mysql"]["stored"]) == (Exit.DONE, [], MADE)
    database.sql("DELETE FROM lidar WHERE seq >= 59")
    code, found = desk.audit()
    assert (code, [(one["sink"], one["by"]) for one in found["imbalances"]]) == (Exit.FAILED, [("mysql", 1)])


def test_a_database_that_counts_for_long_is_waited_for(desk: Desk, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than it may take to show that it is there, which is a second here."""
    monkeypatch.setattr(books, "THERE_s", 1.0)
    desk.keep(MADE)
    answers: list[tuple[int, Mapping[str, Any]]] = []
    waiting = (
        "SELECT MAX(time_ms) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
        f" AND user = '{database.gateway.user}'"
    )
    with database.mariadb.session(database.gateway.database) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES lidar WRITE")
        asking = threading.Thread(target=lambda: answers.append(desk.audit()))
        asking.start()
        until(lambda: (database.mariadb.sql(waiting)[0][0] or 0) > 2000, PATIENCE_s, "the count to have waited for two seconds")
        cursor.execute("UNLOCK TABLES")
        asking.join(PATIENCE_s)
    ((code, found),) = answers
    assert (code, found["unasked"], found["runs"][0]["sinks"]["mysql"]["stored"]) == (Exit.DONE, {}, MADE)


@pytest.mark.parametrize(("trouble", "says"), [("pause", "no answer in time"), ("kill", "cannot be reached: Connection refused")])
def test_a_database_that_is_not_there_is_named_and_soon(
    desk: Desk, database: Database, monkeypatch: pytest.MonkeyPatch, trouble: str, says: str
) -> None:
    """Hung or down: exit 69, which store was not asked and why, and not as late as a count may take; the books themselves are closed."""
    monkeypatch.setattr(books, "THERE_s", 1.0)
    desk.keep(MADE)
    try:
        getattr(database.mariadb, trouble)()
        began_s = time.monotonic()
        code, found = desk.audit()
        took_s = time.monotonic() - began_s
    finally:
        database.mariadb.ensure()
    assert (code, found["balanced"], list(found["unasked"])) == (Exit.UNAVAILABLE, True, ["mysql"])
    assert says in found["unasked"]["mysql"]
    assert took_s < books.COUNT_s / 10


def test_what_is_attached_to_a_damaged_record_is_counted_as_waiting(tmp_path: Path) -> None:
    """One sink has set it aside; the outbox, which is behind, has still to pass it."""
    path = tmp_path / "spool.db"
    with contextlib.closing(Spool(path, ["one", "out"], outboxes=["out"])) as spool:
        batch = lidar(RUN, range(3)).batch
        spool.commit(Commit(handed=[Handed(RUN, 0, batch, {1: Attachment("image/jpeg", b"face")})]))
        with contextlib.closing(Reader(path)) as reader:
            assert reader.books()[0].sinks["out"].waiting == 1
            spool._db.execute("UPDATE record SET payload = zeroblob(length(payload))")
            spool.commit(Commit(cursors={"one": 1}, damaged=[("one", 1)]))
            assert (reader.books()[0].sinks["out"].waiting, reader.books()[0].sinks["one"].damaged) == (1, 3)
            spool.commit(Commit(cursors={"out": 1}, damaged=[("out", 1)]))
            assert (reader.books()[0].sinks["out"].waiting, reader.books()[0].sinks["out"].damaged) == (0, 1)

"""Pictures in files that were set aside: taken over with their readings, and gone when their time is over or somebody says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.reading import Attachment
from edgegw.spool import Commit, Handed, Moment, Reader, Spool, purge
from tests.records import a_run
from tests.spooling import batch

RUN = a_run(1)
HOUR_ns = 3_600_000_000_000
NOW = Moment("boot", 10 * HOUR_ns, 1_000_000 * HOUR_ns)
MARK = b"a face, as pixels"
PICTURE = Attachment("image/jpeg", b"\xff\xd8" + MARK * 1000 + b"\xff\xd9", 5, {"left_px": 1.5})
TTL_ns = 24 * HOUR_ns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a spool with pictures in it, whose first bytes are gone."""
    made = tmp_path / "spool.db"
    with closing(Spool(made, ["store", "box"], outboxes=["box"])) as spool:
        for number in range(20):
            spool.commit(Commit(handed=[Handed(RUN, number, batch(RUN, number, 1), {number: PICTURE})], now=NOW))
    with made.open("r+b") as held:
        held.write(bytes(16))
    return made


def opened(path: Path, *, whole: bool = True) -> Spool:
    """The spool that replaces it, with all that could be read of the old one."""
    spool = Spool(path, ["store", "box"], outboxes=["box"])
    while whole and spool.salvor.at_work:
        spool.salvage()
    return spool


def pictures(path: Path) -> list[str]:
    """What became of each that an outbox is to be given; "" for one that is there."""
    with closing(Reader(path)) as reader:
        found = reader.outgoing(0, 1 << 30).records
        return [one.gone for record in found for one in record.attachments.values()]


def files(path: Path) -> Iterator[Path]:
    """All that is left with a picture in it."""
    return (each for each in sorted(path.parent.iterdir()) if MARK in each.read_bytes())


def test_pictures_are_taken_over(path: Path) -> None:
    """Each with its reading; and as long as their time is not over the old file stays, for whoever wants to look into it."""
    with closing(opened(path)) as spool:
        spool.expire(Moment("boot", 11 * HOUR_ns, 1).before(TTL_ns))
        assert pictures(path) == [""] * 20
    assert path.with_name("spool.db.damaged-1") in files(path)


def test_their_time_ends_in_both_files(path: Path) -> None:
    """A day after the old file was read to its end nothing of a picture is on the disk, by a clock that can be believed."""
    with closing(opened(path)) as spool:
        aside = path.with_name("spool.db.damaged-1")
        done_ns = aside.with_name(f"{aside.name}.salvaged").stat().st_mtime_ns
        spool.expire(Moment("boot", 40 * HOUR_ns, done_ns + TTL_ns + 1).before(TTL_ns))
        assert pictures(path) == ["expired"] * 20
    assert list(files(path)) == []
    assert aside.exists()  # or the next ruined file would get its number


def test_purged_is_purged(path: Path) -> None:
    """At once, in the old file too; by the gateway, or where none runs."""
    with closing(opened(path)) as spool:
        assert spool.purge() == 20
        assert list(files(path)) == []
    with closing(opened(path)):
        assert pictures(path) == ["purged"] * 20


def test_purged_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not taken over yet comes without its picture, and the old file is overwritten as soon as all else of it is here."""
    monkeypatch.setattr("edgegw.spool.salvage._PIECE_pages", 1)
    with closing(opened(path, whole=False)) as spool:
        while not pictures_of_rows(path):
            spool.salvage()
    assert len(pictures_of_rows(path)) < 20
    purge(path)
    with closing(opened(path)) as spool:
        spool.expire(Moment("boot", 0, 0).before(TTL_ns))
        assert pictures(path) == ["purged"] * 20
    assert list(files(path)) == []


def pictures_of_rows(path: Path) -> list[int]:
    """Bytes of each that was taken over so far."""
    with closing(sqlite3.connect(path)) as db:
        return [size for (size,) in db.execute("SELECT length(data) FROM attachment")]


def test_without_pictures_the_old_file_stays(tmp_path: Path, path: Path) -> None:
    """Where there is no outbox it is evidence, and nobody's picture."""
    with closing(Spool(path, ["store"])) as spool:
        while spool.salvor.at_work:
            spool.salvage()
        spool.expire(Moment("boot", 40 * HOUR_ns, 1 << 62).before(TTL_ns))
    assert path.with_name("spool.db.damaged-1").stat().st_size > 0

"""A spool whose structure is damaged: set aside, read page by page, and the books of the new one balance."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from edgegw import codec
from edgegw.account import Taken, imbalances, lines
from edgegw.reading import Batch, Counts
from edgegw.spool import Closed, Commit, Handed, Ledger, Reader, Salvaged, Spool, file, salvage
from edgegw.spool.pages import INDEX, TABLE, Pages
from tests.lab.place import workplace
from tests.records import a_run
from tests.spooling import ALL, batch, handed, letter

PLACES = 200
SINKS = ["mysql", "rabbitmq"]
RUNS = [msgspec.structs.replace(a_run(number, sensor), window=4096) for number, sensor in enumerate(["front", "rear", "imu"])]
DAMAGE = ("zeros", "noise", "bit", "another page")


class Sound(NamedTuple):
    """A spool that is well."""

    path: Path  # closed
    killed: Path  # as kill -9 leaves it: with a WAL
    records: dict[int, Batch]  # of which some sink has not got each
    ledger: Ledger
    slices: dict[int, list[bytes]]  # of the records' payloads


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Records of all sizes; mysql is done with the first 40 and some in between, rabbitmq with the first 10; letters, a closed run."""
    path = tmp_path_factory.mktemp("sound") / "spool.db"
    spool = Spool(path, SINKS)
    batches: dict[int, Batch] = {}
    numbers = [0, 0, 0]
    for number in range(90):
        run = number % 3
        one = batch(RUNS[run], numbers[run], 1 + (number % 13) ** 2)
        batches[spool.commit(_done(number, Handed(RUNS[run], number, one), batches))] = one
        numbers[run] += len(one.readings)
    spool.commit(Commit(closed=[Closed(RUNS[2], Counts(numbers[2] + 7), held=7)]))
    killed = tmp_path_factory.mktemp("killed") / "spool.db"
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{killed}{end}")
    with closing(Reader(path)) as reader:
        ledger = reader.whole_ledger()
    spool.close()
    slices = {at: [payload[start : start + 512] for start in range(0, len(payload), 512)] for at, payload in _payloads(batches)}
    return Sound(path, killed, {at: one for at, one in batches.items() if at > 10}, ledger, slices)


def _payloads(batches: dict[int, Batch]) -> list[tuple[int, bytes]]:
    return [(at, codec.encode_batch(one)) for at, one in batches.items()]


def _done(number: int, handed: Handed, batches: dict[int, Batch]) -> Commit:
    """What comes in, and what the sinks have done by then."""
    if number == 50:
        delivered = _counted("mysql", batches, range(1, 41), but=1)
        return Commit([handed], cursors={"mysql": 40}, delivered=delivered, letters=[letter("mysql", RUNS[0], 0)])
    if number == 60:
        return Commit([handed], cursors={"rabbitmq": 10}, delivered=_counted("rabbitmq", batches, range(1, 11)), trim=True)
    if number == 70:
        return Commit([handed], cursors={"mysql": 40}, spans={"mysql": [(45, 50)]}, delivered=_counted("mysql", batches, range(45, 51)))
    return Commit([handed])


def _counted(sink: str, batches: dict[int, Batch], positions: range, but: int = 0) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for position in positions:
        of = (batches[position].run, sink)
        counts[of] = counts.get(of, 0) + len(batches[position].readings)
    counts[RUNS[0].id, sink] -= but
    return counts


@pytest.fixture
def copy(sound: Sound, tmp_path: Path) -> Path:
    return _laid(sound.killed, tmp_path / "spool.db")


def test_a_sound_file_is_taken_over_as_it_is(copy: Path, sound: Sound) -> None:
    """Were it set aside without a reason: the same records at the same positions, the same books, and the sinks go on where they were."""
    done = _salvaged(copy)
    assert done == [Salvaged(1, True, len(sound.records), sum(len(one.readings) for one in sound.records.values()), 0)]
    with closing(Reader(copy)) as reader:
        assert _read(reader) == sound.records
        assert reader.whole_ledger() == sound.ledger
        assert (reader.reach("mysql").cursor, reader.reach("mysql").ahead) == (40, ((45, 50),))
        assert reader.reach("rabbitmq").cursor == 10
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT count(*) FROM dead_letter").fetchone() == (1,)


def test_damage_at_any_place_costs_what_it_hit(sound: Sound) -> None:
    """200 places, pages of the structure among them: no wrong batch, what lies elsewhere is there, the books balance, no opening fails."""
    rng, lost = random.Random(30), 0
    with workplace() as directory:
        for number in range(PLACES):
            path = _laid(sound.killed if number % 4 == 0 else sound.path, directory / "spool.db")
            pages = path.stat().st_size // file.PAGE_bytes
            page, way = number % pages if number % 2 else rng.randrange(pages), DAMAGE[number % len(DAMAGE)]
            owned = _damage(path, sound, page, way, rng)
            missing = sum(one.missing for one in _salvaged(path))
            with closing(Reader(path)) as reader:
                found, what = _read(reader), f"{way} in page {page + 1}"
                assert {at: one for at, one in found.items() if sound.records.get(at) != one} == {}, what
                gone = sound.records.keys() - found.keys()
                assert gone <= owned, what
                with closing(sqlite3.connect(path)) as db:
                    there = {at for (at,) in db.execute("SELECT position FROM record")}  # and wait for somebody to say what their run is
                assert missing >= sum(len(sound.records[at].readings) for at in gone - there if at > 50), what
                assert _wrong(reader.whole_ledger()) == [], what
            lost += len(gone)
            for each in directory.iterdir():
                each.unlink()
    print(f"{PLACES * len(sound.records) - lost} of {PLACES * len(sound.records)} records taken over")


def test_an_interrupted_salvage_goes_on_where_it_was(copy: Path, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after every piece: nothing is taken twice, the books balance all the way, and the sinks see nothing of it too early."""
    monkeypatch.setattr(salvage, "_PIECE_pages", 3)
    file.set_aside(copy)
    lives, newest, live = 0, 0, a_run(9, "live")
    while True:
        spool = Spool(copy, SINKS)
        lives += 1
        with closing(Reader(copy)) as reader:
            assert _wrong(reader.whole_ledger()) == []
            if not spool.salvor.at_work:
                break
            assert reader.piece(1, None, ALL) == ([], [], 0)
            newest = spool.commit(Commit([handed(live, lives, lives * 3)]))
            assert [record.position for record in reader.piece(reader.floor() + 1, None, ALL).records][-1] == newest
        spool.close()
    spool.close()
    assert lives > 10
    with closing(Reader(copy)) as reader:
        found = _read(reader)
        assert {at: one for at, one in found.items() if at < 1 << 40} == sound.records
        assert len(found) == len(sound.records) + lives - 1


def test_a_file_is_never_read_twice(copy: Path, sound: Sound) -> None:
    """Not by the next life, nor by a spool that is begun because somebody has removed the one that had read it."""
    _salvaged(copy)
    for held in (sound.records, {}):
        spool = Spool(copy, SINKS)
        assert (spool.salvor.at_work, spool.salvage()) == (False, [])
        spool.close()
        with closing(Reader(copy)) as reader:
            assert _read(reader) == held
        copy.unlink()


def test_what_a_file_leaves_unread_the_next_one_takes_over(copy: Path, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ruined again before the salvage was over: what was still to be read of the first is read with the second."""
    monkeypatch.setattr(salvage, "_PIECE_pages", 3)
    file.set_aside(copy)
    Spool(copy, SINKS).close()
    monkeypatch.undo()
    _salvaged(copy)
    with closing(Reader(copy)) as reader:
        assert _read(reader) == sound.records
        assert _wrong(reader.whole_ledger()) == []


def test_a_run_whose_books_are_gone_is_declared_as_damaged(tmp_path: Path) -> None:
    """Nothing could be read, and its worker goes on: what it had handed over before is said to be lost to damage, and the books balance."""
    (tmp_path / "spool.db").write_bytes(b"not a database any more" * 999)
    spool = Spool(tmp_path / "spool.db", SINKS)
    spool.commit(Commit([handed(RUNS[0], 70, 210), handed(RUNS[1], 0, 0)]))
    spool.commit(Commit([handed(RUNS[0], 71, 213)]))
    spool.close()
    with closing(Reader(tmp_path / "spool.db")) as reader:
        books = {book.run.id: book for book in reader.books()}
        assert _wrong(reader.whole_ledger()) == []
    assert [(book.kept, book.sinks["mysql"].damaged) for book in books.values()] == [(216, 210), (3, 0)]


def test_records_wait_for_their_run_to_be_known_again(sound: Sound, tmp_path: Path) -> None:
    """The page of the runs is gone: a worker that lives says with its next batch what its records are, a dead one's tally says it, too."""
    path = _laid(sound.path, tmp_path / "spool.db")
    with closing(Pages(path)) as pages:
        page = next(n for n in range(1, pages.count + 1) if any(len(row) == 13 for _, _, row in pages.rows(n, INDEX)))
    content = bytearray(path.read_bytes())
    content[(page - 1) * file.PAGE_bytes : page * file.PAGE_bytes] = bytes(file.PAGE_bytes)
    path.write_bytes(content)
    _salvaged(path)
    spool = Spool(path, SINKS)
    with closing(Reader(path)) as reader:
        assert reader.after(0, ALL) == ([], [])
        newest = spool.commit(Commit([handed(RUNS[0], 100, 10_000)], closed=[Closed(RUNS[1], Counts(), cut=True)]))
        spool.commit(Commit(closed=[Closed(msgspec.structs.replace(RUNS[2], fields={}), Counts(), cut=True)]))
        records, damaged = reader.after(0, ALL)
        assert {record.position for record in records} == {at for at, one in sound.records.items() if one.run != RUNS[2].id} | {newest}
        assert damaged == [at for at, one in sound.records.items() if one.run == RUNS[2].id]
        assert _wrong(reader.whole_ledger()) == []
    spool.close()


def _laid(source: Path, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    for each in source.parent.glob("spool.db*"):
        shutil.copy(each, path.with_name(each.name))
    return path


def _salvaged(path: Path) -> list[Salvaged]:
    """Set aside, and read to its end."""
    file.set_aside(path)
    spool = Spool(path, SINKS)
    ended = spool.salvage()
    while spool.salvor.at_work:
        ended += spool.salvage()
    assert spool.acked("nobody") == -1
    spool.close()
    return ended


def _read(reader: Reader) -> dict[int, Batch]:
    records, _ = reader.after(0, ALL)
    return {record.position: record.batch for record in records}


def _wrong(ledger: Ledger) -> list[str]:
    return [one.what for line in lines(Taken({}, {}), ledger, {}, {}) for one in imbalances(line)]


def _damage(path: Path, sound: Sound, page: int, way: str, rng: random.Random) -> set[int]:
    """Do it; the positions of the records that had something there, in the database or in a page that the WAL has newer."""
    content = bytearray(path.read_bytes())
    at = page * file.PAGE_bytes
    before = bytes(content[at : at + file.PAGE_bytes])
    if way == "bit":
        content[at + rng.randrange(file.PAGE_bytes)] ^= 1 << rng.randrange(8)
    else:
        other = rng.randrange(len(content) // file.PAGE_bytes) * file.PAGE_bytes
        copied = content[other : other + file.PAGE_bytes]
        of = {"zeros": bytes(file.PAGE_bytes), "noise": rng.randbytes(file.PAGE_bytes), "another page": copied}
        content[at : at + file.PAGE_bytes] = of[way]
    path.write_bytes(content)
    return _owners(before, page, sound)


def _owners(page: bytes, number: int, sound: Sound) -> set[int]:
    with closing(Pages(sound.path)) as pages:
        first = {rowid for _, rowid, row in pages.rows(number + 1, TABLE) if len(row) == 6}
    rest = {at for at, slices in sound.slices.items() if any(slice_ in page for slice_ in slices)}
    runs = {run.id for run in RUNS if codec.encode_run(run) in page}  # without it nobody knows what its records are
    return first | rest | {at for at, one in sound.records.items() if one.run in runs}

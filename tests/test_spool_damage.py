"""The spool when the file is not what it should be: flipped bits, foreign files, broken structure."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw import codec
from edgegw.errors import CodecError, SpoolError
from edgegw.reading import Batch, Record
from edgegw.spool import Commit, Reader, Spool, file
from tests.records import a_run
from tests.spooling import ALL, batch, filled, handed, held

RUN, OTHER = a_run(1), a_run(2, sensor="imu")
FLIPS = 200
SLICE_bytes = 24  # of a payload: enough to be found only once, less than what is left in front of an overflow page


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Batch]]:
    """A checkpointed spool, closed; and what is in it. Records are of all sizes: some fill many pages, some share one."""
    path = tmp_path_factory.mktemp("sound") / "spool.db"
    spool = Spool(path, ["mysql"])
    batches = {}
    for number in range(40):
        one = batch(RUN if number % 3 else OTHER, number * 1000, 1 + number**2 // 10)
        batches[spool.commit(Commit(handed=[handed(RUN if number % 3 else OTHER, number, one.first_seq, len(one.readings))]))] = one
    spool.close()
    assert not path.with_name("spool.db-wal").exists()
    return path, batches


@pytest.fixture
def copy(sound: tuple[Path, dict[int, Batch]], tmp_path: Path) -> Path:
    return Path(shutil.copy(sound[0], tmp_path / "spool.db"))


def test_every_flipped_bit_in_a_payload_is_found(sound: tuple[Path, dict[int, Batch]], copy: Path) -> None:
    """200 random bits: the record is reported as damaged, it alone, and all others come back as they were."""
    _, batches = sound
    rng = random.Random(2026)
    clean = copy.read_bytes()
    places = [(position, at) for position, one in batches.items() for at in _payload_bytes(clean, one)]
    assert len({position for position, _ in places}) > 30
    for position, at in rng.sample(places, FLIPS):
        bit = rng.randrange(8)
        _flip(copy, clean, at, bit)
        records, damaged = _read(copy)
        assert damaged == [position], f"bit {bit} of byte {at}"
        assert {r.position: r.batch for r in records} == {p: b for p, b in batches.items() if p != position}


def test_a_flipped_bit_anywhere_never_gives_a_wrong_batch(sound: tuple[Path, dict[int, Batch]], copy: Path) -> None:
    """200 random bits of the whole file, pages' own structure too: right batches, damaged ones or a SpoolError; never anything else."""
    _, batches = sound
    rng = random.Random(2027)
    clean = copy.read_bytes()
    good = 0
    for _ in range(FLIPS):
        at, bit = rng.randrange(len(clean)), rng.randrange(8)
        _flip(copy, clean, at, bit)
        try:
            records, _damaged = _read(copy)
        except SpoolError:
            continue
        wrong = [r.position for r in records if r.batch not in batches.values()]
        assert not wrong, f"bit {bit} of byte {at}"
        good += len(records)
    assert good > FLIPS * len(batches) * 0.8  # most bits lie in a payload, and cost one record


def test_a_spool_with_any_flipped_bit_opens_or_says_why(sound: tuple[Path, dict[int, Batch]], tmp_path: Path) -> None:
    """The writer takes it, sets it aside, or raises SpoolError; nothing else comes out, and what it then takes in comes back."""
    clean = sound[0].read_bytes()
    rng = random.Random(2028)
    for number in range(FLIPS // 2):
        path = tmp_path / str(number) / "spool.db"
        path.parent.mkdir()
        at, bit = rng.randrange(100 if number % 2 else len(clean)), rng.randrange(8)  # half of them in the file's header
        _flip(path, clean, at, bit)
        try:
            spool = Spool(path, ["mysql"])
        except SpoolError:
            continue
        try:
            newest = spool.commit(Commit(handed=[handed(RUN, 99, 99_000)], cursors={"mysql": 1}, trim=True))
            assert [b.first_seq for b in held(path, newest - 1)] == [99_000], f"bit {bit} of byte {at}"
        except SpoolError:
            continue
        finally:
            spool.close()


def test_a_damaged_record_is_set_aside_and_the_next_ones_go_on(copy: Path, sound: tuple[Path, dict[int, Batch]]) -> None:
    """Quarantine takes it out of the way of every sink, keeps its bytes, and counts its readings in the book of its run."""
    batches = sound[1]
    clean = copy.read_bytes()
    _flip(copy, clean, next(iter(_payload_bytes(clean, batches[20]))), 3)
    spool = Spool(copy, ["mysql"])
    spool.commit(Commit(damaged=[("mysql", 20)], cursors={"mysql": 20}, trim=True))
    spool.close()
    records, damaged = _read(copy)
    assert (min(record.position for record in records), damaged) == (21, [20])
    reader = Reader(copy)
    counted = {book.run.id: book.sinks["mysql"].damaged for book in reader.books()}
    assert counted == {RUN.id: len(batches[20].readings), OTHER.id: 0}
    reader.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE record SET run = CAST(x'ff00fe' AS TEXT) WHERE position = 2",
        "UPDATE record SET run = 5 WHERE position = 2",
        "UPDATE record SET payload = CAST(x'ff00fe' AS TEXT) WHERE position = 2",
        "UPDATE record SET payload = 7, crc = 'x' WHERE position = 2",
        "UPDATE record SET count = 'x', crc = -1 WHERE position = 2",
        "UPDATE record SET count = 70000, crc = -1 WHERE position = 2",
        "UPDATE record SET count = 2, total = -9, crc = -1 WHERE position = 2",
        "UPDATE record SET total = x'00', crc = -1 WHERE position = 2",
        "UPDATE record SET payload = x'' WHERE position = 2",
        "UPDATE record SET run = '0198c0de-0000-7000-8000-000000000009' WHERE position = 2",
        "UPDATE record SET run = '0198c0de-0000-7000-8000-000000000009', payload = x'00' WHERE position = 2",
    ],
    ids=lambda change: change.split("SET ")[1].split(" WHERE")[0],
)
def test_a_column_of_another_type_is_a_damaged_record(tmp_path: Path, change: str) -> None:
    """A bit of a record's header decides its columns' types; a query that failed for ever would stop the sink for ever."""
    spool = Spool(tmp_path / "spool.db", ["mysql"])
    filled(spool, RUN, records=3)
    filled(spool, OTHER, records=1)
    with spool._transaction():
        spool._db.execute(change)
    records, damaged = _read(spool.path)
    assert ([r.position for r in records], damaged) == ([1, 3, 4], [2])
    before = Commit(cursors={"mysql": 2}, delivered={(RUN.id, "mysql"): 3}, damaged=[("mysql", 2)], trim=True)
    assert spool.commit(before) == 4
    assert _read(spool.path)[1] == [2]  # for whoever has not passed it yet
    reader = Reader(spool.path)
    assert [book.sinks["mysql"].damaged for book in reader.books()] == [3, 0]  # whatever the row itself says of run and count
    assert reader.undone("mysql") == 6
    reader.close()
    spool.close()


def test_a_damaged_run_takes_its_own_records_only(tmp_path: Path) -> None:
    """Without its run nobody knows whose the readings are: they count as damaged, audit says which it is, and its next batch heals it."""
    spool = Spool(tmp_path / "spool.db", ["mysql"])
    filled(spool, RUN, records=2)
    filled(spool, OTHER, records=1)
    with spool._transaction():
        spool._db.execute("UPDATE run SET body = substr(body, 1, 9) || x'00' || substr(body, 11) WHERE id = ?", (RUN.id,))
    records, damaged = _read(spool.path)
    assert ([r.run for r in records], damaged) == ([OTHER], [1, 2])
    reader = Reader(spool.path)
    with pytest.raises(CodecError, match=RUN.id):
        reader.books()
    spool.commit(Commit(handed=[handed(RUN, 2, 6)]))
    assert ([b.first_seq for b in held(spool.path)], len(reader.books())) == ([0, 3, 0, 6], 2)
    reader.close()
    spool.close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be taken for one" * 99, b"x" * 4096], ids=["text", "page"])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """The gateway must start: the file and its WAL are kept under another name, and positions go on far beyond its own."""
    path = tmp_path / "spool.db"
    for number in (1, 2):
        path.write_bytes(content)
        spool = Spool(path, ["mysql"])
        aside = path.with_name(f"spool.db.damaged-{number}")
        assert spool.set_aside == aside
        assert aside.read_bytes() == content
        assert spool.commit(Commit(handed=[handed(RUN, 0, 0)])) == (number << 40) + 1
        spool.close()
        assert Spool(path, ["mysql"]).close() is None  # type: ignore[func-returns-value] # and it is sound


def test_the_wal_of_a_ruined_file_goes_with_it(tmp_path: Path) -> None:
    """It may hold readings; under its old name SQLite would take it for the new file's."""
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"spool.db{end}").write_text(f"old{end}")
    assert file.set_aside(tmp_path / "spool.db") == tmp_path / "spool.db.damaged-1"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"spool.db.damaged-1": "old", "spool.db.damaged-1-wal": "old-wal"}


def test_a_broken_structure_is_set_aside_when_it_is_met_at_the_start(copy: Path) -> None:
    """A page of zeros at the root of the records: every commit would fail, so a new spool begins, with all records."""
    root = sqlite3.connect(copy)
    (page,) = root.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()
    root.close()
    broken = bytearray(copy.read_bytes())
    broken[(page - 1) * file.PAGE_bytes : page * file.PAGE_bytes] = bytes(file.PAGE_bytes)
    copy.write_bytes(broken)
    spool = Spool(copy, ["mysql"])
    assert spool.set_aside is not None
    assert spool.set_aside.read_bytes() == broken
    spool.commit(Commit(handed=[handed(RUN, 0, 0)]))
    spool.close()
    assert len(held(copy)) == 41


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("PRAGMA user_version = 9", "it has format 9, this edgegw reads 3: drain it with the version that wrote it"),
        ("CREATE TABLE recipes (title)", "it is the database of another program"),
    ],
)
def test_a_database_that_is_not_a_spool_is_left_alone(tmp_path: Path, prepare: str, message: str) -> None:
    """Another format, another program's: neither writer nor reader takes it, and not a byte of it changes."""
    path = tmp_path / "spool.db"
    db = sqlite3.connect(path)
    db.execute(prepare)
    db.close()
    before = path.read_bytes()
    for opened in (lambda: Spool(path, ["mysql"]), lambda: Reader(path)):
        with pytest.raises(SpoolError, match=message):
            opened()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["spool.db"]


def _cases(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory.db").mkdir()
    (tmp_path / "text.db").write_text("no database" * 1000)
    (tmp_path / "empty.db").write_text("")
    yield from (tmp_path / name for name in ("nothing.db", "directory.db", "text.db", "empty.db", "file/spool.db"))


def test_what_cannot_be_opened_is_a_spool_error(tmp_path: Path) -> None:
    """No traceback of SQLite or the file system reaches an operator who looks in the wrong place."""
    for path in _cases(tmp_path):
        with pytest.raises(SpoolError, match="cannot read the spool"):
            Reader(path)
    for name in ("directory.db", "file/spool.db"):
        with pytest.raises(SpoolError, match="cannot use the spool"):
            Spool(tmp_path / name, ["mysql"])


def _payload_bytes(content: bytes, one: Batch) -> list[int]:
    """Where bytes of this batch stand in the file; a large one is spread over pages, so it is looked for slice by slice.

    What stands there twice is left out: a page that was split keeps a copy, and a flip in that one would prove nothing.
    """
    payload = codec.encode_batch(one)
    if content.count(payload) == 1:
        return list(range(content.index(payload), content.index(payload) + len(payload)))
    slices = (payload[at : at + SLICE_bytes] for at in range(0, len(payload) - SLICE_bytes + 1, SLICE_bytes))
    found = [content.find(piece) for piece in slices if content.count(piece) == 1]
    return [at + offset for at in found for offset in range(SLICE_bytes)]


def _flip(path: Path, clean: bytes, at: int, bit: int) -> None:
    changed = bytearray(clean)
    changed[at] ^= 1 << bit
    path.write_bytes(changed)


def _read(path: Path) -> tuple[list[Record], list[int]]:
    reader = Reader(path)
    try:
        return reader.after(0, ALL)
    finally:
        reader.close()

"""`edgegw spool verify` and `status`: what is wrong is said in a sentence, what is well is not suspected."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.errors import Exit
from edgegw.spool import Commit, Reader, Spool, file, salvage
from edgegw.spool.state import look
from edgegw.spool.verify import verify
from tests.records import a_run
from tests.spooling import filled, handed, letter
from tests.typed import Told, invoked

RUN, OTHER = a_run(1), a_run(2, "rear")
SINKS = ["mysql", "rabbitmq"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spool = Spool(tmp_path_factory.mktemp("sound") / "spool.db", SINKS)
    filled(spool, RUN, records=20)
    filled(spool, OTHER, records=5)
    delivered = {(RUN.id, "mysql"): 29, (RUN.id, "rabbitmq"): 30}
    cursors, spans = dict.fromkeys(SINKS, 10), {"rabbitmq": [(15, 16)]}
    spool.commit(Commit(cursors=cursors, delivered=delivered, letters=[letter("mysql", RUN, 3)]))
    spool.commit(Commit(cursors={"rabbitmq": 10}, spans=spans, delivered={(RUN.id, "rabbitmq"): 6}))
    spool.close()
    return spool.path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "spool.db"))


def run(*arguments: str) -> Told:
    return invoked("spool", *arguments)


def test_what_is_well_is_sound(copy: Path) -> None:
    """Exit 0, the counts in one line; the file is as it was, to the byte."""
    before = copy.read_bytes()
    told = run("verify", str(copy))
    assert told.exit_code == Exit.DONE
    assert told.stdout.startswith(f"sound: {copy}, 25 records, 75 readings, 2 runs, 1 dead letter, looked at in")
    answer = json.loads(run("verify", "--json", str(copy)).stdout)
    assert (answer["sound"], answer["records"], answer["faults"]) == (True, 25, [])
    assert copy.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "part", "said"),
    [
        ("UPDATE record SET payload = zeroblob(9) WHERE position = 3", "record", "record 3"),
        ("UPDATE record SET count = 9 WHERE position = 4", "record", "it says 9 readings and holds 3"),
        ("UPDATE record SET total = 1 WHERE position = 5", "record", "its running total is 1"),
        ("UPDATE record SET run = 'x' WHERE position = 5", "record", "its checksum does not hold"),
        ("UPDATE run SET body = x'00'", "run", "what it is a run of is damaged"),
        ("UPDATE dead_letter SET reading = x'00'", "letter", "reading 3 of run"),
        ("UPDATE cursor SET position = 99 WHERE sink = 'mysql'", "progress", "the newest is 25"),
        ("UPDATE span SET first = 5", "progress", "positions 5 to 16"),
        ("UPDATE delivery SET delivered = delivered + 1 WHERE sink = 'mysql'", "books", "1 too many"),
        ("INSERT INTO attachment VALUES (999, 1, '', 0, 0, '', x'00', 0, x'00')", "attachment", "belongs to no record"),
    ],
)
def test_what_is_wrong_is_said(copy: Path, change: str, part: str, said: str) -> None:
    """Exit 1; each fault once, with its part and a sentence for people, which --json has, too."""
    with closing(file.connect(copy, "rw")) as db:
        db.execute(change)
    told = run("verify", str(copy))
    assert (told.exit_code, said in told.stdout, "NOT SOUND" in told.stdout) == (Exit.FAILED, True, True)
    answer = json.loads(run("verify", "--json", str(copy)).stdout)
    assert (answer["sound"], part in answer["wrong"]) == (False, True)


def test_a_broken_page_is_said_and_no_traceback(copy: Path) -> None:
    """At every page in turn: an answer of 0 or 1, and where it is 0 every record is as it was."""
    content, pages = copy.read_bytes(), copy.stat().st_size // file.PAGE_bytes
    for page in range(pages):
        at = page * file.PAGE_bytes
        copy.write_bytes(content[:at] + b"\xff" * file.PAGE_bytes + content[at + file.PAGE_bytes :])
        told = run("verify", str(copy))
        assert told.exit_code == Exit.FAILED, (page, told.stdout)
    assert pages > 10


def test_many_faults_of_a_kind_are_counted_and_not_all_told(tmp_path: Path) -> None:
    """A hundred sentences are enough for anybody."""
    spool = Spool(tmp_path / "spool.db", SINKS)
    filled(spool, RUN, records=150)
    spool.close()
    with closing(file.connect(spool.path, "rw")) as db:
        db.execute("UPDATE record SET crc = crc + 1")
    assert (verify(spool.path).wrong["record"], len(verify(spool.path).faults)) == (150, 100)
    assert "… and 50 more like these" in run("verify", str(spool.path)).stdout


def test_status_has_all_of_it(copy: Path) -> None:
    """What waits for whom by count and age, what was rejected, how much room a copy's disk has; --json the same."""
    told = run("status", str(copy))
    assert told.exit_code == Exit.DONE, told.stderr
    rows = [line.split()[:2] for line in told.stdout.splitlines()]
    assert ["mysql", "45"] in rows
    assert ["rabbitmq", "39"] in rows
    assert "75 readings in 25 records" in told.stdout
    answer = json.loads(run("status", "--json", str(copy)).stdout)
    assert answer["letters"] == [{"sink": "mysql", "code": "1406", "readings": 1, "example": "too long"}]
    assert answer["backlog"][0]["oldest_ns"] == 1_795_228_291_123_456_789 + 30 * 10_000_000


def test_the_rate_is_that_of_the_last_records(tmp_path: Path) -> None:
    """100 readings a second for 5 s: so many bytes a second, and the room divided by that."""
    spool = Spool(tmp_path / "spool.db", SINKS)
    for number in range(50):
        spool.commit(Commit([handed(RUN, number, number * 10, 10)]))
    spool.close()
    state = look(spool.path)
    assert state.rate_hz == pytest.approx(100)
    assert state.growth_bytes == pytest.approx(100 * state.used_bytes / 500)


def test_what_is_no_spool_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Nothing there, a directory, somebody else's database."""
    (tmp_path / "empty").touch()
    for command in ("verify", "status", "export"):
        assert run(command, str(tmp_path / "nothing")).exit_code == Exit.IO
        assert "is a directory: name the file itself" in run(command, str(tmp_path)).stderr
        told = run(command, str(tmp_path / "empty"))
        assert (told.exit_code, "Traceback" in told.stderr + told.stdout) == (Exit.IO, False)


def test_a_salvaged_file_is_sound_again(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals of records begin anew with each file, and that is no fault."""
    monkeypatch.setattr(salvage, "_PIECE_pages", 1)
    file.set_aside(copy)
    spool = Spool(copy, SINKS)
    spool.commit(Commit([handed(RUN, 20, 60)]))
    while spool.salvor.at_work:
        spool.salvage()
    spool.close()
    with closing(Reader(copy)) as reader:
        assert reader.newest() == (1 << 40) + 1
    assert run("verify", str(copy)).exit_code == Exit.DONE
    assert "spool.db.damaged-1 was broken; 45 readings of it were taken over, none is missing" in run("status", str(copy)).stdout

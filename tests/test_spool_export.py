"""`edgegw spool export`: every reading a line, whatever has become of the file."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgegw.errors import Exit
from edgegw.spool import Commit, Spool, file
from tests.records import a_run
from tests.spooling import filled, handed, letter
from tests.typed import Told, invoked

RUN, OTHER = a_run(1), a_run(2, "rear")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Open: a gateway is at work on it."""
    made = Spool(tmp_path / "spool.db", ["mysql"])
    filled(made, RUN, records=60)
    filled(made, OTHER, records=5)
    made.commit(Commit(letters=[letter("mysql", RUN, 3), letter("mysql", OTHER, 4)]))
    yield made
    made.close()


def run(*arguments: str | Path) -> Told:
    return invoked("spool", "export", *map(str, arguments))


def lines(told: Told) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def keys(told: Told) -> set[tuple[str, int]]:
    return {(line["run"], line["seq"]) for line in lines(told)}


def test_every_reading_is_a_line(spool: Spool) -> None:
    """With all that a reading has, its fields by name; while the writer has the file open, some of it in the WAL alone."""
    told = run(spool.path)
    assert (told.exit_code, told.stderr) == (Exit.DONE, "")
    assert [(line["run"], line["seq"]) for line in lines(told)] == [(RUN.id, n) for n in range(180)] + [(OTHER.id, n) for n in range(15)]
    assert lines(told)[7] == {
        "gateway": "pi-7",
        "sensor": "front",
        "kind": "lidar",
        "run": RUN.id,
        "seq": 7,
        "time": "2026-11-21T02:31:31.193456Z",
        "time_ns": 1795228291193456789,
        "boot_ns": 81304567890,
        "clock": "synced",
        "quality": "good",
        "values": {"distance_m": 1.0, "strength": 7, "temperature_degC": f"{RUN.id}/7"},
    }


@pytest.mark.parametrize(
    ("wish", "count"),
    [
        (["--sensor", "rear"], 15),
        (["--sensor", "nobody"], 0),
        (["--run", RUN.id], 180),
        (["--run", RUN.id[:8]], 195),
        (["--since", "2026-11-21T02:31:32Z"], 180 - 88),
        (["--since", "2026-11-21T03:31:32+01:00", "--sensor", "front"], 180 - 88),
        (["--since", "2026-11-22"], 0),
        (["--dead-letters"], 2),
        (["--dead-letters", "--sensor", "rear"], 1),
    ],
)
def test_only_what_is_asked_for(spool: Spool, wish: list[str], count: int) -> None:
    """By sensor, run, time; dead letters instead."""
    assert len(lines(run(spool.path, *wish))) == count


def test_a_time_that_is_none_is_a_usage_error(spool: Spool) -> None:
    """2, and how to write it."""
    told = run(spool.path, "--since", "yesterday")
    assert (told.exit_code, "write it as 2026-11-21 or" in told.stderr) == (2, True)


def test_a_dead_letter_says_who_rejected_it_and_why(spool: Spool) -> None:
    """Beside all that the reading has."""
    (found,) = lines(run(spool.path, "--dead-letters", "--sensor", "front"))
    assert (found["seq"], found["sink"], found["code"], found["reason"]) == (3, "mysql", "1406", "too long")


def test_a_table_has_a_column_for_each_field(spool: Spool, tmp_path: Path) -> None:
    """csv, into a file; a kind without that field leaves it empty."""
    spool.commit(Commit([handed(a_run(3, "air", kinds={"lidar": {"co2_ppm": "float", "b": "int", "distance_m": "float"}}), 0, 0)]))
    told = run(spool.path, "--format", "csv", "-o", tmp_path / "out.csv")
    assert (told.exit_code, told.stdout, "198 readings written" in told.stderr) == (Exit.DONE, "", True)
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == 198
    assert (rows[0]["sensor"], rows[0]["strength"], rows[0]["co2_ppm"]) == ("front", "0", "")
    assert (rows[-1]["sensor"], rows[-1]["strength"], rows[-1]["b"]) == ("air", "", "2")
    assert sorted(os.listdir(tmp_path))[:2] == ["out.csv", "spool.db"]  # and nothing half written


def test_a_damaged_record_is_passed_by_and_counted(spool: Spool) -> None:
    """Exit 1, all others are there."""
    with closing(sqlite3.connect(spool.path)) as db, db:
        db.execute("UPDATE record SET payload = x'00' WHERE position = 9")
    told = run(spool.path)
    assert (told.exit_code, len(lines(told))) == (Exit.FAILED, 192)
    assert told.stderr == "192 readings written; 1 damaged record passed by\n"


def test_a_letter_that_is_damaged_is_passed_by_and_counted(spool: Spool) -> None:
    """As records are."""
    with closing(sqlite3.connect(spool.path)) as db, db:
        db.execute("UPDATE dead_letter SET reading = x'00' WHERE seq = 3")
    told = run(spool.path, "--dead-letters")
    assert (told.exit_code, len(lines(told)), told.stderr) == (Exit.FAILED, 1, "1 reading written; 1 damaged dead letter passed by\n")


@pytest.mark.parametrize("by", ["zeros", "the page before", "zeros, and old pages behind"])
def test_a_broken_structure_is_read_page_by_page(spool: Spool, by: str) -> None:
    """At every page in turn: no traceback, nothing twice, nothing that was never there; only what lay in that page may be missing."""
    spool.close()
    content, everything = spool.path.read_bytes(), keys(run(spool.path))
    pages, got = len(content) // file.PAGE_bytes, 0
    for page in range(pages):
        at = page * file.PAGE_bytes
        instead = content[at - file.PAGE_bytes : at] if by == "the page before" and page else bytes(file.PAGE_bytes)
        old = content if by.endswith("behind") else b""
        spool.path.write_bytes(content[:at] + instead + content[at + file.PAGE_bytes :] + old)
        told = run(spool.path)
        found = keys(told)
        assert len(found) == len(lines(told)), page
        assert found <= everything, page
        assert told.exit_code in (Exit.DONE, Exit.FAILED), (page, told.stderr)
        got += len(found)
    assert got >= (pages - 3) * len(everything)  # one page has all runs, and the records fill some two

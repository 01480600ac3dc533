"""What a metronome notes is what the checker reads; what was kept of a failure can be judged again."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.history import Books, Case, Life, Row, check, from_table, journals, keep, recall
from edgegw.history.expected import content
from tests.histories import RUN, SENSOR, History
from workers import metronome

WORD = st.integers(0, (1 << 64) - 1)


@given(WORD, WORD)
def test_checker_and_sensor_agree_on_every_tick(life: int, tick: int) -> None:
    """Both work out the same value and text from the page of the driver, each with its own code; the value is in [0, 1)."""
    values = metronome.sample(life, tick).values
    assert (values["value"], values["text"]) == content(life, tick)
    assert 0 <= content(life, tick)[0] < 1


def test_every_tick_that_came_out_was_noted_before(tmp_path: Path) -> None:
    """Two openings are two lives, in their order; a life noted what it gave, and no more than that."""
    given_ = []
    for count in (30, 7):
        with contextlib.closing(metronome.read(metronome.Options(rate_hz=1000, journal=str(tmp_path)))) as samples:
            given_.append(list(itertools.islice(filter(None, samples), count)))
    lives = journals(tmp_path, SENSOR)
    assert [life.ticks for life in lives] == [30, 7]
    assert [life.life for life in lives] == [samples[0].values["life"] for samples in given_]
    rows = [(SENSOR, RUN, seq, *sample.values.values()) for seq, sample in enumerate(itertools.chain(*given_))]
    verdict = check(lives, [Books(SENSOR, RUN, 37, kept=37)], from_table("mysql", rows))
    assert verdict.ok, verdict.report()
    assert verdict.found == 37


def journal_of(directory: Path, ticks: int) -> Path:
    path = directory / f"{7:016x}"
    path.write_bytes(b"".join(metronome.record(7, tick, 5) for tick in range(ticks)))
    return path


def test_half_a_record_was_never_given(tmp_path: Path) -> None:
    """A disk that was full leaves a torn tail, which is no tick and no damage."""
    os.truncate(journal_of(tmp_path, 10), 10 * 32 - 1)
    assert journals(tmp_path, SENSOR) == [Life(SENSOR, 7, 9)]


@pytest.mark.parametrize("byte", range(32))
def test_a_spoilt_record_is_seen(tmp_path: Path, byte: int) -> None:
    """Whichever byte of it is another one."""
    path = journal_of(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[32 + byte] ^= 1
    path.write_bytes(data)
    assert journals(tmp_path, SENSOR) == [Life(SENSOR, 7, 3, damaged=1)]


def test_a_record_that_is_missing_is_seen(tmp_path: Path) -> None:
    """Ticks are consecutive: the sound records behind a hole stand in the wrong place."""
    path = journal_of(tmp_path, 4)
    data = path.read_bytes()
    path.write_bytes(data[:32] + data[64:])
    assert journals(tmp_path, SENSOR) == [Life(SENSOR, 7, 3, damaged=2)]


def test_what_is_kept_is_judged_the_same(tmp_path: Path) -> None:
    """Seed, verdict, histories and the directories that were named are there; the cases read back give the same verdict."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "spool.db").write_bytes(b"spool")
    (state / "spool.db-wal").write_bytes(b"wal")
    history = History([20], [9])
    history.take(3)
    history.rows.append(Row(SENSOR, RUN, 3, None, 2.5, "x", None))
    seen = from_table("mysql", [row[:7] for row in history.rows])
    case = Case(tuple(history.lives), tuple(history.books), seen)
    verdict = check(*case.arguments())
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(state / "bus.sock"))
        kept = keep(tmp_path / "kept", "seed 42", verdict, [case], {"state": state})
    assert sorted(path.name for path in (kept / "state").iterdir()) == ["spool.db", "spool.db-wal"]
    assert (kept / "seed.txt").read_text() == "seed 42\n"
    assert (kept / "verdict.txt").read_text() == f"{verdict.report()}\n"
    (again,) = recall(kept)
    assert check(*again.arguments()) == verdict
    assert not verdict.ok

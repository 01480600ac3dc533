"""Reading logs back: merged by time, across rotations, following, whatever is in the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.log import Entry, FileSink, read, render
from edgegw.log.entry import json_line
from edgegw.log.file import numbered


def entry(process: str, second: int, **fields: object) -> Entry:
    return {"time": f"2026-11-21T02:31:{second:02d}.000000Z", "level": "info", "process": process, "event": f"{process} {second}", **fields}


def events(found: Iterator[Entry]) -> list[str]:
    return [str(each.get("event", each.get("raw"))) for each in found]


def test_files_of_all_processes_are_merged_by_time(tmp_path: Path) -> None:
    """Lines of several processes come in order of time, rotated files first; one process can be asked for alone."""
    for process, seconds in {"front": range(0, 40, 2), "imu": range(1, 40, 2)}.items():
        with closing(FileSink(tmp_path / f"{process}.log", max_bytes=700)) as sink:
            for second in seconds:
                sink.write(entry(process, second))
    assert numbered(tmp_path / "imu.log", 2).exists()
    assert events(read(tmp_path)) == [f"{'imu' if second % 2 else 'front'} {second}" for second in range(40)]
    assert events(read(tmp_path, "imu")) == [f"imu {second}" for second in range(1, 40, 2)]
    assert events(read(tmp_path, "door")) == []


def test_nothing_there_is_nothing_to_read(tmp_path: Path) -> None:
    """Without a directory, or with other things in it, there are simply no entries."""
    assert list(read(tmp_path / "none")) == []
    (tmp_path / "notes.txt").write_text("mine")
    assert list(read(tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        b"Segmentation fault",
        b'{"time": 3}',
        b"[1]",
        b"{",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"time":"t","level":3,"process":"p","event":"e"}',
        b"\x1b[2J",
    ],
)
def test_lines_that_are_no_entries_are_shown_as_they_are(tmp_path: Path, line: bytes) -> None:
    """A torn or foreign line keeps its place among its neighbours and cannot end the reading, nor steer the terminal."""
    (tmp_path / "front.log").write_bytes(json_line(entry("front", 1)) + line + b"\n" + json_line(entry("front", 3)))
    (tmp_path / "imu.log").write_bytes(json_line(entry("imu", 2)))
    found = list(read(tmp_path))
    assert [each.get("event") for each in found] == ["front 1", None, "imu 2", "front 3"]
    assert found[1] == {"time": found[0]["time"], "process": "front", "raw": line.decode(errors="replace")}
    assert render(found[1], colour=False).isprintable()


def test_line_without_an_end_is_shown_last(tmp_path: Path) -> None:
    """What a crash left of the last line is still worth seeing."""
    (tmp_path / "front.log").write_bytes(json_line(entry("front", 1)) + b'{"time":"2026')
    assert events(read(tmp_path)) == ["front 1", '{"time":"2026']


def test_following_goes_on_through_rotations_and_new_processes(tmp_path: Path) -> None:
    """Nothing is lost or doubled while files turn over between two looks, a process joins, and a line comes in two parts."""
    sink = FileSink(tmp_path / "front.log", max_bytes=1000)
    written = [entry("front", 0)]
    sink.write(written[0])

    def turns() -> Iterator[None]:
        for second in range(1, 50):  # up to two rotations in one turn
            for part in range(1 + 10 * (second % 10 == 0)):
                written.append(entry("front", second, part=part))
                assert sink.write(written[-1])
            yield
        written.append(entry("late", 55))
        line = json_line(written[-1])
        (tmp_path / "late.log").write_bytes(line[:30])
        yield
        with (tmp_path / "late.log").open("ab") as file:
            file.write(line[30:])
        yield

    turn = turns()
    with closing(sink):
        found = list(read(tmp_path, wait=lambda: next(turn, True) is None))
    assert found == written


def test_follower_that_is_outrun_goes_on_with_the_oldest_there_is(tmp_path: Path) -> None:
    """When more is written between two looks than is kept, the follower goes on, in order, without repeating."""
    sink = FileSink(tmp_path / "front.log", max_bytes=500)
    sink.write(entry("front", 0))
    looks = iter([range(1, 59), range(59, 60)])

    def wait() -> bool:
        seconds = next(looks, None)
        return seconds is not None and all(sink.write(entry("front", second)) for second in seconds)

    with closing(sink):
        found = events(read(tmp_path, wait=wait))
    gap = found.index("(lines may be missing here: files turned over, or were removed, before they were read)")
    assert found[:gap] == [f"front {second}" for second in range(gap)]
    kept = len(found) - gap - 1
    assert found[gap + 1 :] == [f"front {second}" for second in range(60 - kept, 60)]
    assert 0 < gap + kept < 30


def test_reader_that_stops_early_leaves_nothing_open(tmp_path: Path) -> None:
    """A generator that is closed in the middle closes its files (a ResourceWarning would fail this)."""
    with closing(FileSink(tmp_path / "front.log", max_bytes=500)) as sink:
        for second in range(20):
            sink.write(entry("front", second))
    found = read(tmp_path, wait=lambda: True)
    assert next(found)["process"] == "front"
    before = len(list(Path("/proc/self/fd").iterdir()))
    found.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 3

"""Log files of a process: bounded, turned over, whole lines, whatever the disk does."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.log import FileSink, destination
from edgegw.log.entry import json_line
from tests.log_fakes import ENTRY, entry


def test_files_turn_over_and_stay_bounded(tmp_path: Path) -> None:
    """However much is written, there are three files of bounded size, private, whole lines, the newest kept without a gap."""
    with closing(FileSink(tmp_path / "logs" / "front.log", max_bytes=2000)) as sink:
        assert all(sink.write(entry(f"{number}")) for number in range(200))
    files = sorted((tmp_path / "logs").iterdir(), reverse=True)
    assert [file.name for file in files] == ["front.log.2", "front.log.1", "front.log"]
    assert all(file.stat().st_size <= 2000 and file.stat().st_mode & 0o77 == 0 for file in files)
    events = [int(json.loads(line)["event"]) for file in files for line in file.read_bytes().splitlines()]
    assert events == list(range(events[0], 200))
    assert sum(file.stat().st_size for file in files) > 2 * 2000 - 200


def test_file_goes_on_where_the_last_life_ended(tmp_path: Path) -> None:
    """A new process appends; the line that a crash tore is ended, so that it spoils only itself; a full file turns over."""
    path = tmp_path / "front.log"
    path.write_bytes(b'{"torn')
    for event in ("one", "two"):
        with closing(FileSink(path, max_bytes=300)) as sink:
            sink.write(entry(event))
    assert path.read_bytes() == b'{"torn\n' + json_line(entry("one")) + json_line(entry("two"))
    with closing(FileSink(path, max_bytes=300)) as sink:
        sink.write(entry("three"))
    assert path.read_bytes() == json_line(entry("three"))


def test_removed_file_is_made_anew(tmp_path: Path) -> None:
    """When somebody deletes the log directory under us, the next line makes it again."""
    path = tmp_path / "logs" / "front.log"
    with closing(FileSink(path)) as sink:
        sink.write(entry("one"))
        path.unlink()
        path.parent.rmdir()
        assert sink.write(entry("two"))
    assert path.read_bytes() == json_line(entry("two"))


def test_full_disk_refuses_until_there_is_room(tmp_path: Path) -> None:
    """On a full disk the line stays with the caller; every attempt is counted; with room again it is written."""
    path = tmp_path / "front.log"
    path.symlink_to("/dev/full")
    with closing(FileSink(path)) as sink:
        assert [sink.write(ENTRY), sink.write(ENTRY)] == [False, False]
        assert sink.trouble == {"ENOSPC": 2}


def test_directory_that_cannot_be_made_is_trouble_later(tmp_path: Path) -> None:
    """A log that cannot be written does not keep the process from starting."""
    (tmp_path / "file").touch()
    sink = destination("front", tmp_path / "file", fd=2, environ={})
    assert not sink.write(ENTRY)
    assert sum(sink.trouble.values()) == 1
    sink.close()


def test_line_torn_by_a_full_disk_is_finished_in_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up in the middle of a line, its rest comes first once there is room, before the file turns over."""
    path, write, room = tmp_path / "front.log", os.write, [10]

    def cramped(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        taken = write(fd, data[: room[0]])
        room[0] -= taken
        return taken

    with monkeypatch.context() as patched, closing(FileSink(path, max_bytes=150)) as sink:
        patched.setattr(os, "write", cramped)
        assert [sink.write(entry("one")), sink.write(entry("two"))] == [True, False]
        room[0] = 1000
        assert sink.write(entry("two"))
    assert (tmp_path / "front.log.1").read_bytes() == json_line(entry("one"))
    assert path.read_bytes() == json_line(entry("two"))

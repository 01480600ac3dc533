"""Where log lines go: streams that are full, files that turn over, journald; and which of them is chosen."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.log import Entry, FileSink, JournalSink, StreamSink, destination
from edgegw.log.entry import json_line
from edgegw.log.lines import Lines

ENTRY: Entry = {"time": "2026-11-21T02:31:31.123456Z", "level": "warning", "process": "front", "event": "device lost", "sensor": "front"}
F_SETPIPE_SZ = 1031


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def entry(event: str, **fields: object) -> Entry:
    return ENTRY | {"event": event} | fields


def fill(write: Callable[[Entry], bool], **fields: object) -> int:
    """Writes numbered entries until one is refused; returns how many were taken."""
    for number in range(1_000_000):
        if not write(entry(f"{number}", **fields)):
            return number
    raise AssertionError("never full")


def test_line_taken_in_part_is_finished_before_the_next() -> None:
    """Whatever portions the other side takes, lines arrive whole and in order, and a refused line leaves no trace."""
    got = b""
    portions = iter([3, 0, 2, 0, 1, 100, 0, 100])

    def send(data: bytes) -> int:
        nonlocal got
        taken = min(next(portions), len(data))
        got += data[:taken]
        return taken

    lines = Lines(send)
    answers = [lines.write(line) for line in (b"first\n", b"second\n", b"second\n", b"third\n", b"third\n")]
    assert (answers, got, lines.flush()) == ([True, False, True, False, True], b"first\nsecond\nthird\n", True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EPIPE])
def test_error_is_counted_and_a_torn_line_finished_when_it_is_over(number: int) -> None:
    """A full disk, a broken one, nobody there: nothing raises, each is counted by name, and the line goes on where it broke."""
    got, answers = b"", iter([2, OSError(number, ""), OSError(number, ""), 100, 100])

    def send(data: bytes) -> int:
        nonlocal got
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        taken = min(answer, len(data))
        got += data[:taken]
        return taken

    lines = Lines(send)
    assert [lines.write(line) for line in (b"first\n", b"second\n", b"second\n")] == [True, False, True]
    assert (got, lines.trouble) == (b"first\nsecond\n", {errno.errorcode[number]: 2})


def test_full_pipe_refuses_and_goes_on_when_read(pipe: tuple[int, int]) -> None:
    """A pipe that nobody reads takes what fits, then refuses at once; the original descriptor stays as it was; read, it goes on."""
    reading, writing = pipe
    with closing(StreamSink(writing, json_line)) as sink:
        taken = fill(sink.write)
        assert os.get_blocking(writing)
        got = os.read(reading, 65536)
        assert sink.write(entry("last"))
        got += os.read(reading, 65536)
    events = [json.loads(line)["event"] for line in got.splitlines()]
    assert events == [*map(str, range(taken)), "last"]
    assert sink.trouble == {}


def test_line_longer_than_the_pipe_arrives_in_turns(pipe: tuple[int, int]) -> None:
    """A line that fills the pipe several times is finished turn by turn, and nothing comes between its parts."""
    reading, writing = pipe
    got = b""
    with closing(StreamSink(writing, json_line)) as sink:
        assert sink.write(entry("long", text="x" * 20_000))
        assert not sink.write(entry("next"))
        while not sink.flush():
            got += os.read(reading, 65536)
        got += os.read(reading, 65536)
    assert [json.loads(line)["event"] for line in got.splitlines()] == ["long"]


def test_reader_that_has_gone_is_trouble_not_an_error() -> None:
    """EPIPE is counted."""
    reading, writing = os.pipe()
    with closing(StreamSink(writing, json_line)) as sink:
        os.close(reading)
        os.close(writing)
        assert not sink.write(ENTRY)
        assert sink.trouble == {"EPIPE": 1}


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_full_socket_refuses_and_goes_on_when_read(kind: int) -> None:
    """Where standard error is a socket, which cannot be opened again, nothing waits either."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs, closing(StreamSink(ours.fileno(), json_line)) as sink:
        taken = fill(sink.write)
        assert taken > 0
        assert ours.getblocking()
        while select.select([theirs], [], [], 0)[0]:
            theirs.recv(1 << 20)
        assert sink.flush()
        assert sink.write(ENTRY)


def test_pipe_that_cannot_be_opened_again_is_asked_first(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a description of its own (a terminal of another user) the sink writes only what surely fits."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "not yours")

    reading, writing = pipe
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        sink = StreamSink(writing, json_line)
    with closing(sink):
        taken = fill(sink.write, text="x" * 1000)
        assert os.read(reading, 65536).count(b"\n") == taken
        assert sink.write(ENTRY)


def test_file_as_standard_error_is_appended_to(tmp_path: Path) -> None:
    """Two users of one descriptor that leads to a file do not overwrite each other."""
    with (tmp_path / "err").open("w+b", buffering=0) as file, closing(StreamSink(file.fileno(), json_line)) as sink:
        file.write(b"before\n")
        sink.write(ENTRY)
        file.write(b"after\n")
        assert (tmp_path / "err").read_bytes() == b"before\n" + json_line(ENTRY) + b"after\n"


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


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes datagrams as journald does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        yield server


def parse(data: bytes) -> dict[str, str]:
    """Fields of a datagram, read as journald reads them."""
    fields = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


def test_journald_gets_fields(journal: socket.socket) -> None:
    """Message, priority, identifier and every field arrive as journald fields of legal names, values of several lines too."""
    with closing(JournalSink(Path(journal.getsockname()))) as sink:
        assert sink.write(ENTRY | {"tries": 3, "odd näme": None, "exception": "Traceback\n  OSError", "x" * 100: True})
    fields = parse(journal.recv(1 << 20))
    assert fields.pop("EDGEGW_" + "X" * 57) == "true"
    assert fields == {
        "MESSAGE": f"front: device lost sensor=front tries=3 odd näme=null {'x' * 100}=true\nTraceback\n  OSError",
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "edgegw", "EDGEGW_TIME": ENTRY["time"], "EDGEGW_LEVEL": "warning", "EDGEGW_PROCESS": "front",
        "EDGEGW_EVENT": "device lost", "EDGEGW_SENSOR": "front", "EDGEGW_TRIES": "3", "EDGEGW_ODD_N_ME": "null",
        "EDGEGW_EXCEPTION": "Traceback\n  OSError",
    }  # fmt: skip
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) for name in fields)


def test_stopped_journald_refuses_and_a_restarted_one_is_found(journal: socket.socket, tmp_path: Path) -> None:
    """A journald that reads nothing, then is away, then new under the old name: refused without waiting, counted, taken."""
    path = Path(journal.getsockname())
    with closing(JournalSink(path)) as sink:
        assert fill(sink.write) > 0
        assert sink.trouble == {}
        path.unlink()
        assert not sink.write(ENTRY)
        assert sink.trouble == {"ENOENT": 1}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
            again.bind(str(path))
            assert sink.write(ENTRY)
            assert parse(again.recv(1 << 20))["EDGEGW_EVENT"] == "device lost"


@pytest.mark.parametrize("fields", [{"text": "x" * 300_000}, {f"field{number}": "y" * 1024 for number in range(300)}])
def test_too_big_for_a_datagram_is_cut_and_says_so(journal: socket.socket, fields: dict[str, str]) -> None:
    """An entry beyond the send buffer arrives in part, with its event, instead of standing in the way of all others."""
    with closing(JournalSink(Path(journal.getsockname()))) as sink:
        assert sink.write(ENTRY | fields)
    shown = parse(journal.recv(1 << 20))
    assert shown["EDGEGW_EVENT"] == "device lost"
    assert "too many for one datagram" in shown["MESSAGE"] or int(shown["EDGEGW_CUT_BYTES"]) > 300_000


def test_destination_is_journald_only_when_the_descriptor_leads_there(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """JOURNAL_STREAM must name the very descriptor; else a directory means a file, and without one it is the stream."""
    status = os.fstat(pipe[1])
    environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    elsewhere = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"}
    chosen = [
        destination("front", tmp_path, pipe[1], environ),
        destination("front", tmp_path, pipe[1], elsewhere),
        destination("front", None, pipe[1], elsewhere),
    ]
    for sink in chosen:
        sink.close()
    assert [type(sink) for sink in chosen] == [JournalSink, FileSink, StreamSink]


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_terminal_gets_text_in_colour_unless_told_otherwise(environ: dict[str, str], coloured: bool) -> None:
    """On a terminal lines are for people; NO_COLOR takes the colour away; anywhere else they are JSON."""
    ours, theirs = pty.openpty()
    try:
        with closing(destination("front", None, theirs, environ)) as sink:
            assert sink.write(ENTRY)
        shown = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (b"\x1b[" in shown, b"device lost" in shown, shown.startswith(b"{")) == (coloured, True, False)


def test_stopped_terminal_refuses() -> None:
    """A terminal held with ^S takes what its buffer has room for and then refuses, without waiting."""
    ours, theirs = pty.openpty()
    try:
        with closing(destination("front", None, theirs, {})) as sink:
            assert fill(sink.write) > 0
    finally:
        os.close(ours)
        os.close(theirs)

"""Where log lines go: streams that are full, files that turn over, journald; and which of them is chosen."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.log import FileSink, JournalSink, StreamSink, destination
from edgegw.log.entry import json_line
from edgegw.log.lines import Lines
from tests.log_fakes import ENTRY, entry, fill

F_SETPIPE_SZ = 1031


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


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
    got = b""
    answers: Iterator[int | OSError] = iter([2, OSError(number, ""), OSError(number, ""), 100, 100])

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


def test_terminal_that_takes_nothing_refuses() -> None:
    """A terminal that nobody reads takes what its buffer has room for and then refuses, without waiting."""
    ours, theirs = pty.openpty()
    try:
        with closing(destination("front", None, theirs, {})) as sink:
            assert fill(sink.write) > 0
    finally:
        os.close(ours)
        os.close(theirs)

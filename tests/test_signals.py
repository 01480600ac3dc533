"""How a process learns that it is to stop: the note that wakes a loop, and the lifeline."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from edgegw.signals import Lifeline, StopNote

PATIENCE_s = 30


@pytest.fixture
def note() -> Iterator[StopNote]:
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    note = StopNote()
    yield note
    for number, handler in before.items():
        signal.signal(number, handler)
    note.close()


def readable(note: StopNote, timeout_s: float = 0) -> bool:
    return bool(select.select([note.fileno()], [], [], timeout_s)[0])


def test_nothing_is_noted_before_it_is_asked(note: StopNote) -> None:
    """A loop that polls sleeps."""
    assert (note.asked, readable(note)) == (0, False)


def test_a_signal_wakes_a_loop_that_sleeps(note: StopNote) -> None:
    """The select call that runs when it comes returns, and the count says how often it came; a second one means now."""
    note.listen(signal.SIGUSR1, signal.SIGUSR2)
    sender = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1))
    sender.start()
    assert readable(note, PATIENCE_s)
    sender.join()
    assert note.asked == 1
    signal.raise_signal(signal.SIGUSR2)
    assert (note.asked, readable(note)) == (2, True)


def test_asking_by_hand_is_as_a_signal(note: StopNote) -> None:
    """A loop that finds its lifeline cut."""
    note.ask()
    assert (note.asked, readable(note)) == (1, True)


def test_a_signal_in_the_middle_of_asking_does_not_lose_the_wake_up(note: StopNote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lifeline is cut and SIGTERM comes at once: a stop that is counted has made the file readable."""
    seen: list[bool] = []
    write = os.write

    def interrupted(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        signal.raise_signal(signal.SIGUSR1)
        seen.append(readable(note))
        return write(file, data)

    note.listen(signal.SIGUSR1)
    monkeypatch.setattr(os, "write", interrupted)
    note.ask()
    assert seen == [True]
    assert (note.asked, readable(note)) == (2, True)


def test_ten_thousand_signals_neither_block_nor_fail(note: StopNote) -> None:
    """More than the pipe holds."""
    for _ in range(70_000):
        note.ask()
    assert (note.asked, readable(note)) == (70_000, True)


def test_a_signal_after_closing_is_harmless(note: StopNote) -> None:
    """It is counted; nothing is written to a file that by then may be somebody else's. Closing twice closes nothing else."""
    note.listen(signal.SIGUSR1)
    number = note.fileno()
    note.close()
    read, write = os.pipe()
    assert number in (read, write)
    signal.raise_signal(signal.SIGUSR1)
    note.close()
    assert note.asked == 1
    assert not select.select([read], [], [], 0)[0]
    os.close(read)
    os.close(write)


def test_the_pipe_is_not_inherited(note: StopNote) -> None:
    """A child that is exec'd has no business with it."""
    assert not os.get_inheritable(note.fileno())


def test_a_lifeline_is_cut_when_the_last_writer_is_gone() -> None:
    """Not before; and it stays cut."""
    read, write = os.pipe()
    other = os.dup(write)
    line = Lifeline(read)
    os.close(write)
    assert line.cut() is False
    os.close(other)
    assert [line.cut(), line.cut()] == [True, True]
    os.close(read)


def test_without_a_supervisor_nothing_is_cut() -> None:
    """A body run by hand."""
    assert Lifeline().cut() is False

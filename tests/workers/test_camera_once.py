"""What cameras of one process have in common is made once, also when all of them ask at the same moment."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from workers.camera.once import Once

CAMERAS = 8


class Thing:
    """As a session: weak references to it are possible."""


def test_it_is_made_once() -> None:
    """By the first of eight threads, while the others ask as well; another key has another one."""
    once: Once[Thing] = Once()
    made: list[Thing] = []
    asking = threading.Semaphore(0)
    all_ask = threading.Event()

    def make() -> Thing:
        assert all_ask.wait(30)
        made.append(Thing())
        return made[-1]

    def ask(_: int) -> Thing:
        asking.release()
        return once.get("key", make)

    with ThreadPoolExecutor(CAMERAS) as threads:
        answers = threads.map(ask, range(CAMERAS))
        for _ in range(CAMERAS):
            assert asking.acquire(timeout=30)
        all_ask.set()
        assert set(answers) == set(made)
    assert len(made) == 1
    assert once.get("other", Thing) not in made


def test_it_goes_with_its_last_user() -> None:
    """And is made anew for the next one."""
    once: Once[Thing] = Once()
    made: list[int] = []

    def make() -> Thing:
        made.append(1)
        return Thing()

    first, second = once.get("key", make), once.get("key", make)
    assert first is second
    assert len(made) == 1
    del first, second
    gc.collect()
    once.get("key", make)
    assert len(made) == 2


def test_what_cannot_be_made_is_tried_again() -> None:
    """The error reaches who asked, and is forgotten."""
    once: Once[Thing] = Once()

    def fail() -> Thing:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once.get("key", fail)
    assert isinstance(once.get("key", Thing), Thing)

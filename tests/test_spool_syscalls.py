"""The spool on a disk that refuses: the N-th system call of a kind fails, for every N, as SQLite tests itself."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab import LONG_FORM, some
from tests.lab.disk import Disk, Fate, lay
from tests.lab.place import workplace
from tests.lab.trace import Call, recorded
from tests.lab.verdict import judge_batches

BATCHES = 20
SAID = "said"
ALIKE = {"fdatasync": "fsync", "unlinkat": "unlink"}
# Imports open files, too, and one more when somebody has just changed a module: only in the long form is it quiet enough to count them.
OPEN = ("openat:error=EIO",) if LONG_FORM else ()
ONCE = ("fsync,fdatasync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "pread64:error=EIO", *OPEN)
SELDOM = ("?unlink,unlinkat:error=EIO", "ftruncate:error=EIO", "fallocate:error=ENOSPC")
FOR_GOOD = ("fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "pread64:error=EIO")


class Ended(NamedTuple):
    """How a process with a spool went on and ended, on a disk that refused something."""

    code: int
    said: int  # batches that it called safe
    why: str


@pytest.fixture
def directory() -> Iterator[Path]:
    with workplace() as made:
        yield made


@pytest.fixture(scope="module")
def alone() -> list[tuple[str, int]]:
    """See _calls."""
    return _calls("")


@pytest.fixture(scope="module")
def kept() -> list[tuple[str, int]]:
    """See _calls."""
    return _calls("keeper")


@pytest.mark.parametrize("fault", ONCE)
def test_nothing_is_promised_that_a_refusing_disk_does_not_hold(directory: Path, alone: list[tuple[str, int]], fault: str) -> None:
    """One call fails: what was called safe is what a power cut would leave; the spool says why in a sentence, and opens again."""
    for when in some(_of(alone, fault), 1):
        _run(directory, f"{fault}:when={when}")


@pytest.mark.parametrize("fault", SELDOM)
def test_what_is_seldom_called_may_fail_as_well(directory: Path, alone: list[tuple[str, int]], fault: str) -> None:
    """Deleting the journal, cutting WAL or file, reserving the ballast: once or for good, and the same holds."""
    for when in some([f"{when}{how}" for when in _of(alone, fault) for how in ("", "+")], 1):
        _run(directory, f"{fault}:when={when}")


@pytest.mark.parametrize("fault", FOR_GOOD)
def test_a_disk_that_refuses_for_good_is_a_sentence(directory: Path, alone: list[tuple[str, int]], fault: str) -> None:
    """From some call on all of that kind fail: nothing more is promised; what was promised before is there."""
    for when in some(_of(alone, fault), 1):
        ended = _run(directory, f"{fault}:when={when}+")
        assert ended.code == 1 or ended.said == BATCHES, f"{fault} {when}: {ended}"


@pytest.mark.parametrize("fault", FOR_GOOD)
def test_the_keeper_gets_over_one_refusal(directory: Path, kept: list[tuple[str, int]], fault: str) -> None:
    """It opens the file anew and tries again: each batch is safe in the end, once, and none was called safe before it was."""
    first = next(number for number, (kind, _) in enumerate(kept) if kind == SAID)  # before that word there is no keeper yet
    for when in some(_of(kept[first:], fault), 1):
        ended = _run(directory, f"{fault}:when={when}", "keeper")
        assert (ended.code, ended.said) == (0, BATCHES), f"{fault} {when}: {ended}"


def test_what_a_failed_sync_has_left_is_not_taken_for_safe(directory: Path, alone: list[tuple[str, int]]) -> None:
    """A sync failed and the process died: its last commit can be read, but is not on the disk. The next process must not build on it."""
    for when in some(_of(alone, ONCE[0])[-16:-6], 2):
        root = directory / "root"
        root.mkdir()
        disk = Disk(root)
        calls, code, _ = recorded(_command(root, ""), directory / "log", f"{ONCE[0]}:when={when}")
        assert code == 1
        for call in calls:
            disk.apply(call)
        disk.reboot()
        _judge_next_life(disk, root, directory, when)


def _judge_next_life(disk: Disk, root: Path, directory: Path, when: int) -> None:
    """Five words of it; then a power cut."""
    calls, code, error = recorded(_command(root, ""), directory / "log")
    assert code == 0, error
    said: list[int] = []
    for call in calls:
        disk.apply(call)
        said += [int(call.said)] if call.said else []
        if len(said) == 5:
            break
    shutil.rmtree(root)
    _judged(lay(disk.cut(Fate.NOTHING, random.Random(1)), directory / "cut"), said[-1], f"sync {when} failed, in the life before")


def test_a_directory_that_cannot_be_synced_is_not_passed_over(directory: Path, alone: list[tuple[str, int]]) -> None:
    """Or the WAL has no name on the disk, and is lost with all that was committed to it."""
    when = [number for found, number in alone if found == "fsync of a directory"][-1]
    _run(directory, f"{ONCE[0]}:when={when}")


def _calls(who: str) -> list[tuple[str, int]]:
    """What a life without a fault calls that concerns the spool's files: each call's name, and its number among all of that name.

    Of fsync and fdatasync, unlink and unlinkat, a machine's SQLite uses one: both go by one name here. What was said stands between
    them, as SAID.
    """
    with workplace() as directory:
        root = directory / "root"
        root.mkdir()
        calls, code, error = recorded(_command(root, who), directory / "log")
        assert code == 0, error
        disk, counts, found = Disk(root), Counter[str](), []
        for call in calls:
            kind = ALIKE.get(call.name, call.name)
            counts[kind] += 1
            if call.said or disk.concerned(call):
                of = " of a directory" if disk.is_of_directory(call) else ""
                found.append((SAID, 0) if call.said else (f"{kind}{of}", counts[kind]))
            disk.apply(call)
        return found


def _of(calls: Sequence[tuple[str, int]], fault: str) -> list[int]:
    """The numbers of those that `fault` can strike."""
    found = [number for kind, number in calls if kind == fault.partition(":")[0].partition(",")[0].removeprefix("?")]
    assert found, f"nothing that {fault} could strike"
    return found


def _run(directory: Path, inject: str, who: str = "") -> Ended:
    """A life on that disk: what was promised must be on it, the spool must open, and what ended it must be a sentence."""
    root = directory / "root"
    root.mkdir()
    disk = Disk(root)
    calls, code, error = recorded(_command(root, who), directory / "log", inject)
    words = [int(call.said) for call in calls if call.said]
    for number, call in enumerate(calls):
        disk.apply(call)
        if call.said and _is_telling(calls, number):
            _judged(lay(disk.cut(Fate.NOTHING, random.Random(1)), directory / "cut"), int(call.said), inject)
    _judged(root, words[-1] if words else 0, inject)
    sentence = error.startswith(("cannot use the spool", "cannot write to the spool", "cannot read the spool"))
    assert code == 0 or sentence, f"{inject}: {error}"
    assert "Traceback" not in error, f"{inject}: {error}"
    return Ended(code, words[-1] if words else 0, error)


def _is_telling(calls: Sequence[Call], number: int) -> bool:
    """Whether something failed since the word before, or this is the last one."""
    before = [at for at in range(number) if calls[at].said]
    failed = any(call.result < 0 for call in calls[before[-1] if before else 0 : number])
    return failed or not any(call.said for call in calls[number + 1 :])


def _judged(root: Path, safe: int, what: str) -> None:
    """As judge_batches; then the files are removed."""
    judge_batches(root, safe, what)
    shutil.rmtree(root)


def _command(root: Path, who: str) -> list[str]:
    return ["-m", "tests.lab.kept", str(root), str(BATCHES), who]

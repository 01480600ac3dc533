"""Power cuts: at any moment, with any part of what was not synced lost, what the bridge has promised is on the disk. See tests/lab."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from edgegw import codec
from edgegw.spool import Spool, file
from edgegw.spool.ballast import SIZE_bytes
from tests.lab import LONG_FORM, some
from tests.lab.disk import Disk, Fate, Image, lay
from tests.lab.kept import EACH, RUN
from tests.lab.load import FAULTS, RUNS, Promise
from tests.lab.place import workplace
from tests.lab.trace import Call, recorded
from tests.lab.verdict import judge, judge_batches, merged
from tests.spooling import handed
from tests.test_calibration import Offset

CUTS = LONG_FORM or 12
CUTS_A_LIFE = 6
COMMITS = 45  # a life: enough for the WAL to be checkpointed and begun anew
NOTHING = Promise(dict.fromkeys([run.id for run in RUNS], -1), dict.fromkeys([run.id for run in RUNS], -1), 0)


class Cut(NamedTuple):
    """What a cut left, what had been promised before it, and which states of the spool may be found."""

    image: Image
    promised: Promise
    allowed: set[int]
    what: str


class Lives:
    """A bridge that lives again and again on what the last power cut has left."""

    def __init__(self, directory: Path, seed: int, fault: str = "") -> None:
        self.root, self.log = directory / "root", directory / "log"
        self.seed, self.rng, self.fault = seed, random.Random(seed), fault
        self.promised, self.number = NOTHING, 0
        self.image: Image = {"state": None}

    def cuts(self, count: int) -> Iterator[Cut]:
        """`count` of them, in order, in one more life; the next one goes on from the last of them."""
        self.number += 1
        disk = Disk(lay(self.image, self.root))
        calls, promises = self._lived()
        begin = next(number for number, call in enumerate(calls) if disk.concerned(call))
        yield from self._played(calls, disk, promises, sorted(self.rng.choices(range(begin, len(calls)), k=count)))
        left = {str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None for path in self.root.rglob("*")}
        assert disk.seen() == {name: content for name, content in left.items() if not name.endswith("-shm")}, "the recording is incomplete"
        shutil.rmtree(self.root)

    def _lived(self) -> tuple[list[Call], list[Promise]]:
        seed = self.rng.randrange(1 << 32)
        command = ["-m", "tests.lab.load", str(self.root), str(seed), str(COMMITS), self.fault]
        calls, code, error = recorded(command, self.log)
        assert code == 0, error
        return calls, [msgspec.json.decode(call.said, type=Promise) for call in calls if call.said]

    def _played(self, calls: list[Call], disk: Disk, promises: list[Promise], moments: list[int]) -> Iterator[Cut]:
        before, said = self.promised, 0
        for number, call in enumerate(calls):
            for _ in range(moments.count(number)):
                fate = self.rng.choice(list(Fate))
                self.image = disk.cut(fate, self.rng)
                self.promised = merged(before, promises[said - 1]) if said else before
                allowed = {self.promised.fingerprint, promises[min(said, len(promises) - 1)].fingerprint}
                yield Cut(self.image, self.promised, allowed, f"life {self.number}, before call {number} ({call.name}): {fate.value}")
            disk.apply(call)
            said += bool(call.said)


@pytest.fixture
def directory() -> Iterator[Path]:
    with workplace() as made:
        yield made


def test_what_was_promised_survives_every_power_cut(directory: Path, tmp_path: Path) -> None:
    """Readings that a worker was told are safe, cursors, letters, books and pictures, and what the embedded store said it has."""
    lives = Lives(directory, random.randrange(1 << 32))
    opened_s = _survived(lives, tmp_path, CUTS)
    print(f"{len(opened_s)} of {len(opened_s)} power cuts survived, seed {lives.seed}; the slowest opening took {max(opened_s):.3f} s")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_laboratory_finds_what_it_is_for(directory: Path, tmp_path: Path, fault: str) -> None:
    """Commits that are not synced, of the spool or of the store, and an acknowledgement before the commit: each costs what was promised."""
    with pytest.raises(AssertionError, match=r"is lost|holds neither"):
        _survived(Lives(directory, 1, fault), tmp_path, 40)


@pytest.mark.parametrize("before", ["new", "format-1", "ruined"])
def test_the_first_moments_of_a_spool_survive_a_power_cut(directory: Path, before: str) -> None:
    """While it is made, taken over from an older edgegw, or put in the place of a ruined file: what was there, and what was said safe."""
    there: Image = {"new": {}, "format-1": {"spool.db": _of_format_1(directory)}, "ruined": RUINED}[before]
    safe = OLD if before == "format-1" else 0
    for image, said, what in _moments(["-m", "tests.lab.kept", "ROOT", "3"], there, directory, 12):
        found = lay(image, directory / "cut")
        is_safe = max([safe, *map(int, said)])
        judge_batches(found, is_safe, what, may_be_ruined=before == "ruined")
        kept = [content for path in found.iterdir() for content in [path.read_bytes()] if "-shm" not in path.name]
        assert before != "ruined" or RUINED["spool.db"] in kept, what
        shutil.rmtree(found)


def test_a_ballast_that_a_cut_has_left_empty_is_filled_again(directory: Path) -> None:
    """Its name may be on the disk without its length; a full disk could then not be drained."""
    (directory / "spool.db.ballast").touch()
    Spool(directory / "spool.db", ["mysql"]).close()
    assert (directory / "spool.db.ballast").stat().st_size == SIZE_bytes


def test_a_spool_whose_directory_was_made_for_it_survives_a_power_cut(directory: Path) -> None:
    """What is on the disk in a directory that is not is nowhere."""
    for image, said, what in _moments(["-m", "tests.lab.kept", "ROOT/state", "3"], {}, directory, 3, [Fate.NOTHING], after=b"3\n"):
        found = lay(image, directory / "cut")
        (found / "state").mkdir(exist_ok=True)
        judge_batches(found / "state", int(said[-1]), what)
        shutil.rmtree(found)


KEEP = """
import os, sys
from pathlib import Path
from edgegw import calibration
from tests.test_calibration import Offset
for number in range(4):
    calibration.keep(Path(sys.argv[1]), "front", Offset(number / 2))
    os.write(1, b"%d\\n" % number)
"""


def test_a_calibration_is_the_old_one_or_the_new_one(directory: Path) -> None:
    """At no moment a half of one, and never one from before the last but one that was said to be kept."""
    for image, _, what in _moments(["-c", KEEP, "ROOT"], {}, directory, 40):
        content = image.get("front.json")
        assert content is None or msgspec.json.decode(content, type=Offset).offset_m in (0, 0.5, 1, 1.5), what


def test_a_calibration_that_was_kept_is_there(directory: Path) -> None:
    """keep() says durably."""
    for image, said, what in _moments(["-c", KEEP, "ROOT"], {}, directory, 40, [Fate.NOTHING]):
        content = image.get("front.json")
        assert not said or (content and msgspec.json.decode(content, type=Offset).offset_m >= int(said[-1]) / 2), what


RUINED: Image = {"spool.db": b"not a database" * 999, "spool.db-wal": b"nor a log of one" * 99}
OLD = 5  # batches in a spool of an older format


def _of_format_1(directory: Path) -> bytes:
    """A spool as the first edgegw made it, with some batches."""
    path = directory / "old.db"
    with closing(file.connect(path)) as db:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN; {file._TABLES} PRAGMA user_version=1; COMMIT;")
        body = codec.encode_run(RUN)
        row = (RUN.id, body, file.checksum(RUN.id, body), OLD - 1, OLD * EACH)
        db.execute("INSERT INTO run (id, body, crc, acked, kept) VALUES (?,?,?,?,?)", row)
        db.execute("INSERT INTO cursor VALUES ('mysql', 0)")
        for number in range(OLD):
            payload = codec.encode_batch(handed(RUN, number, number * EACH, EACH).batch)
            record = (RUN.id, EACH, (number + 1) * EACH, file.checksum(RUN.id, payload), payload)
            db.execute("INSERT INTO record (run, count, total, crc, payload) VALUES (?,?,?,?,?)", record)
    return path.read_bytes()


def _moments(
    command: list[str], before: Image, directory: Path, short: int, fates: Sequence[Fate] = tuple(Fate), after: bytes = b""
) -> Iterator[tuple[Image, list[bytes], str]]:
    """A life of `command`, cut at every moment (about `short` of them in the everyday form); with all that was said before."""
    root = lay(before, directory / "root")
    disk, said, seed = Disk(root), list[bytes](), random.randrange(1 << 32)
    calls, code, error = recorded([part.replace("ROOT", str(root)) for part in command], directory / "log")
    assert code == 0, error
    begin = next(number for number, call in enumerate(calls) if (call.said == after if after else disk.concerned(call)))
    chosen = set(some(range(begin, len(calls) + 1), short))
    for number, call in enumerate([*calls, None]):
        for fate in fates if number in chosen else ():
            yield disk.cut(fate, random.Random(seed)), said, f"seed {seed}, before call {number} of {len(calls)}: {fate.value}"
        if call is not None:
            disk.apply(call)
            said += [call.said] if call.said else []


def _survived(lives: Lives, keep: Path, count: int) -> list[float]:
    """`count` cuts; how long each opening took, in seconds. The files of one that was not survived are left in `keep`."""
    opened_s: list[float] = []
    found = lives.root.with_name("cut")
    while len(opened_s) < count:
        for cut in lives.cuts(min(CUTS_A_LIFE, count - len(opened_s))):
            try:
                opened_s.append(judge(lay(cut.image, found), cut.promised, cut.allowed))
            except AssertionError as error:
                kept = lay(cut.image, keep / f"cut-{lives.seed}")
                raise AssertionError(f"seed {lives.seed}, {cut.what}: {error}; the files as the cut left them: {kept}") from error
            shutil.rmtree(found)
    shutil.rmtree(lives.root, ignore_errors=True)
    return opened_s

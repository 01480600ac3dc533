"""A spool in a process of its own whose disk may fail: batches one after the other, by the Keeper or by nobody's help.

`python -m tests.lab.kept ROOT COMMITS [keeper]`: says on stdout the number of the first batch that is still to come, as a worker that
connects is told; then the number of each batch once it is safe; and on stderr, in the spool's own words, why one is not. Without the
Keeper it ends there, as if it were killed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgegw.bridge.keeper import Keeper
from edgegw.errors import SpoolError
from edgegw.spool import Commit, Reader, Spool
from edgegw.spool.attached import NEVER
from tests.records import a_run
from tests.rig import Rig
from tests.spooling import handed

RUN = a_run(1)
EACH = 40  # readings: some pages a commit, so that a checkpoint comes within a few dozen
TRIES = 60


def say(number: int) -> None:
    """All batches below `number` are safe."""
    os.write(1, b"%d\n" % number)


def alone(path: Path, commits: int) -> None:
    """Ends at the first failure. Raises SpoolError."""
    spool = Spool(path, ["mysql"])
    first = spool.acked(RUN.id) + 1
    say(first)
    reader = Reader(path)
    for number in range(first, first + commits):
        spool.commit(Commit([handed(RUN, number, number * EACH, EACH)], _cursors(reader), trim=True))
        say(number + 1)
    reader.close()
    spool.close()


def with_keeper(path: Path, commits: int) -> None:
    """Tries each batch until the keeper has it."""
    rig = Rig()
    tallies = path.parent / "tally"
    tallies.mkdir(exist_ok=True)
    keeper = Keeper(lambda: Spool(path, ["mysql"]), tallies, rig.process.log, lambda: NEVER, 1)
    first = keeper.acked(RUN.id) + 1
    say(first)
    tries = TRIES
    for number in range(first, first + commits):
        while not keeper.commit([handed(RUN, number, number * EACH, EACH)]):
            os.write(2, f"{keeper.why}\n".encode())
            tries -= 1
            if not tries:
                raise SpoolError(keeper.why)
        say(number + 1)
    keeper.close()
    rig.close()


def _cursors(reader: Reader) -> dict[str, int]:
    """All but the last ten batches have been delivered."""
    return {"mysql": reader.newest() - 10}


def main(root: str, commits: str, who: str = "") -> None:
    """See above."""
    try:
        (with_keeper if who else alone)(Path(root) / "spool.db", int(commits))
    except SpoolError as error:
        os.write(2, f"{error}\n".encode())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

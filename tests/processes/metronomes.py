"""A gateway of metronomes on the embedded store, for proofs: armed with failpoints, and judged by what its sensors noted themselves."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgegw import failpoint, history
from edgegw.history import Books, Case, Verdict
from edgegw.paths import Paths
from edgegw.spool import Reader
from edgegw.testing import witness
from tests.processes.typed import Typed
from tests.services.base import until

KEPT = "EDGEGW_KEEP"  # directory in which failed proofs are kept
SINK = "sqlite"
BEHIND = 200  # readings that the store lacks, more than a moment's


class Gateway(Typed):
    """In a short temporary directory, its journals outside of what it owns; close() leaves nothing of it."""

    def __init__(self, sensors: int, hz: int, points: str = "", more: str = "") -> None:
        """`points` as EDGEGW_FAILPOINTS; `more`: further lines of the configuration."""
        self.home = Path(tempfile.mkdtemp(prefix="eg-", dir="/tmp"))
        self.paths = Paths(self.home / "run", self.home / "state")
        self.sensors = [f"m{number}" for number in range(sensors)]
        self.journals, self.struck_in = self.home / "journals", self.home / "struck"
        self.struck_in.mkdir()
        self.points = points
        super().__init__(self.home / "edgegw.toml", {failpoint.SPEC: points, failpoint.DIRECTORY: str(self.struck_in)})
        blocks = [f'[gateway]\nid = "proof"\nruntime_dir = "{self.paths.runtime}"\nstate_dir = "{self.paths.state}"', more]
        for name in self.sensors:
            (self.journals / name).mkdir(parents=True)
            blocks.append(f'[sensors.{name}]\ndriver = "metronome"\nrate_hz = {hz}\njournal = "{self.journals / name}"')
        self.config.write_text("\n".join(blocks) + "\n")

    def struck(self) -> Mapping[str, int]:
        """Failpoint → how often."""
        return failpoint.struck(self.struck_in)

    def rows(self) -> list[tuple[Any, ...]]:
        """What the store holds, asked by somebody else."""
        return witness.rows_of_file(self.paths.store, history.ROWS)

    def strikes(self, points: Iterable[str], timeout_s: float = 120) -> None:
        """Wait until each of these failpoints has struck, as often as it may: what is left would strike when nobody expects it."""
        wanted = {str(point): max(1, point.limit) for point in failpoint.parse(";".join(points))}
        self._until(lambda: all(self.struck().get(name, 0) >= often for name, often in wanted.items()), timeout_s, "every strike")

    def well(self, timeout_s: float = 90) -> None:
        """Wait until every process runs, readings arrive that are newer than this call, and the store is not behind."""
        before = len(self.rows())

        def well() -> bool:
            children = self.status()["children"]
            lags = [sink["lag"] for child in children if child["name"] == "bridge" for sink in (child["health"] or {}).get("sinks", ())]
            running = all(child["state"] == "RUNNING" for child in children)
            return running and max(lags, default=BEHIND) < BEHIND and len(self.rows()) >= before + 30 * len(self.sensors)

        self._until(well, timeout_s, "the gateway to be well again")

    def _until(self, reached: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            until(reached, timeout_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; of {self.points} struck {self.struck()}; the log:\n{self.logs()}") from error

    def case(self) -> Case:
        """Journals, books and rows; of a gateway that has stopped."""
        lives = [life for name in self.sensors for life in history.journals(self.journals / name, name)]
        with contextlib.closing(Reader(self.paths.spool)) as reader:
            books: list[Books] = history.from_books(reader.books(), SINK, self.sensors)
        return Case(tuple(lives), tuple(books), history.from_table(SINK, self.rows()))

    def verdict(self) -> Verdict:
        """Of a gateway that has stopped; what is not well is kept, where the environment names a directory for that."""
        case = self.case()
        verdict = history.check(*case.arguments())
        if not verdict.ok and (kept := os.environ.get(KEPT)):
            folders = {"journals": self.journals, "state": self.paths.state}
            history.keep(Path(kept) / self.home.name, self.points, verdict, [case], folders)
        return verdict

    def close(self) -> None:
        """End everything and remove the directory."""
        self.environment.pop(failpoint.SPEC)
        if self.paths.lock.exists():
            self.run("stop", "--timeout", "30")
        shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def gateway(sensors: int, hz: int, points: str = "", more: str = "") -> Iterator[Gateway]:
    """One that is cleared away."""
    made = Gateway(sensors, hz, points, more)
    try:
        yield made
    finally:
        made.close()

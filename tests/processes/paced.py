"""A gateway of metronomes in the foreground, and windows of its life: did the sensors keep their pace, how soon were readings stored."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.control import NoAnswer, ask
from edgegw.errors import NotRunning
from tests.processes import chatterbox
from tests.processes.metronomes import Gateway, gateway
from tests.processes.typed import REPOSITORY
from tests.services.base import end, until
from tests.typed import command

PATIENCE_s = 60
RECORD_bytes = 32  # of a journal, one a tick
# The first tick of each burst.
BEATS = "SELECT `sensor_id`, `boot_ns` FROM `metronome` WHERE `tick` % ? = 0 ORDER BY `sensor_id`, `boot_ns`"


class Window(NamedTuple):
    """A stretch of time, and how long after it until all that the sensors gave in it was stored."""

    begin_ns: int
    end_ns: int
    late_s: float


class Paced:
    """Metronomes that give `burst` ticks at a time: a busy machine delays a burst, but makes none be left out."""

    def __init__(self, made: Gateway, hz: int, burst: int, driver: str) -> None:
        self.gateway = made
        self._hz, self._burst = hz, burst
        text = made.config.read_text().replace('driver = "metronome"', f'driver = "{driver}"\nburst = {burst}')
        made.config.write_text(text)
        chatterbox.install(made.home / "drivers")
        made.environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(made.home / "drivers")])

    @contextlib.contextmanager
    def running(
        self, *wrapped: str, logs: Path | None = None, stderr: int = subprocess.DEVNULL, meanwhile: Callable[[], object] = lambda: None
    ) -> Iterator[int]:
        """`edgegw start --foreground`, its pid, once every sensor's readings are stored. The end is in order.

        `wrapped`: what runs it; `meanwhile`: called again and again while it ends.
        """
        words = command("start", "--foreground", "-c", str(self.gateway.config), *(("--logs", str(logs)) if logs else ()))
        process = subprocess.Popen([*wrapped, *words], stdout=stderr, stderr=stderr, cwd=REPOSITORY, env=self.gateway.whole_environment())
        try:
            until(lambda: len(self.beats()) > 2 * len(self.gateway.sensors) and self.status(), PATIENCE_s, "readings in the store")
            yield process.pid
            process.terminate()
            until(lambda: (meanwhile(), process.poll() is not None)[1], PATIENCE_s, "its end")
        finally:
            end(process, patience_s=30)
        assert process.returncode == 0

    def status(self) -> dict[str, Any]:
        """What the supervisor says; {} while it does not."""
        try:
            return ask(self.gateway.paths.control, "status")
        except (NotRunning, NoAnswer):
            return {}

    def pids(self) -> dict[str, int]:
        """Of every child: another one where a child was started again."""
        return {child["name"]: child["pid"] for child in self.status()["children"]}

    def given(self, sensor: str = "*") -> int:
        """How many ticks the sensors, or one of them, noted so far."""
        return sum(file.stat().st_size for file in self.gateway.journals.glob(f"{sensor}/*")) // RECORD_bytes

    def stored(self) -> int:
        """How many readings are in the store."""
        return int(self._asked("SELECT COUNT(*) FROM `metronome`", ())[0][0])

    def beats(self) -> Sequence[tuple[int, int]]:
        """(sensor, time by the boot clock) of the bursts in the store."""
        return self._asked(BEATS, (self._burst,))

    def _asked(self, query: str, arguments: tuple[int, ...]) -> list[Any]:
        if not self.gateway.paths.store.exists():
            return [(0,)]
        with contextlib.closing(sqlite3.connect(f"file:{self.gateway.paths.store}?mode=ro", uri=True, timeout=30)) as reader:
            try:
                return reader.execute(query, arguments).fetchall()
            except sqlite3.OperationalError:  # the table is made with the first reading
                return [(0,)]

    def window(self, length_s: float, meanwhile: Callable[[], object] = lambda: None) -> Window:
        """From now until the sensors have given so many seconds' readings; `meanwhile` is called again and again."""

        def come_to(count: Callable[[], int], goal: int) -> Callable[[], bool]:
            return lambda: (meanwhile(), count() >= goal)[1]

        begin_ns, goal = SystemClock.boot_ns(), self.given() + round(length_s * self._hz * len(self.gateway.sensors))
        until(come_to(self.given, goal), length_s + PATIENCE_s, f"{goal} readings")
        end_ns, goal = SystemClock.boot_ns(), self.given()
        until(come_to(self.stored, goal), PATIENCE_s, f"{goal} readings in the store")
        return Window(begin_ns, end_ns, (SystemClock.boot_ns() - end_ns) / NS_PER_S)

    def pace(self, window: Window) -> float:
        """The share of the bursts due in that window that were given: who is held up for longer than a period leaves out what he missed."""
        period_ns = NS_PER_S * self._burst / self._hz
        pairs = [(mine, next_) for (one, mine), (other, next_) in itertools.pairwise(self.beats()) if one == other]
        gaps_ns = [next_ - mine for mine, next_ in pairs if window.begin_ns <= mine < window.end_ns]
        return len(gaps_ns) / sum(max(1, round(gap_ns / period_ns)) for gap_ns in gaps_ns)

    def nothing_lost(self) -> None:
        """Of a gateway that has stopped: every reading that was given is stored, once, as it was given."""
        verdict = self.gateway.verdict()
        assert verdict.ok, verdict.report()
        assert not any(verdict.declared.values()), verdict.report()


@contextlib.contextmanager
def paced(sensors: int, hz: int, burst: int, driver: str = "metronome", more: str = "") -> Iterator[Paced]:
    """One that is cleared away. `more`: further lines of its section gateway."""
    with gateway(sensors, hz, more=more) as made:
        yield Paced(made, hz, burst, driver)

"""Where things lie in the runtime and the state directory; the names are part of the contract."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Paths(msgspec.Struct, frozen=True):
    """Every file and socket of one gateway."""

    runtime: Path  # gone after a reboot: sockets, the lock, the tallies of running workers
    state: Path  # survives: spool, embedded store, logs, last good configuration

    @property
    def lock(self) -> Path:
        """flock'ed by the supervisor; holds its pid for people to read, never for signalling."""
        return self.runtime / "lock"

    @property
    def control(self) -> Path:
        """The supervisor's control socket."""
        return self.runtime / "control.sock"

    @property
    def notify(self) -> Path:
        """Where children say READY and WATCHDOG."""
        return self.runtime / "notify.sock"

    @property
    def bus(self) -> Path:
        """Workers → bridge."""
        return self.runtime / "bus.sock"

    @property
    def tap(self) -> Path:
        """Bridge → whoever looks."""
        return self.runtime / "tap.sock"

    @property
    def tally(self) -> Path:
        """Directory of the counts that outlive their process."""
        return self.runtime / "tally"

    @property
    def receipts(self) -> Path:
        """Directory of what the workers' recovery ladders have achieved, a file a sensor."""
        return self.runtime / "receipts"

    @property
    def findface_sent(self) -> Path:
        """Which pictures were sent to FindFace, and may be in doubt after a crash: keys only."""
        return self.runtime / "findface.sent"

    @property
    def calibration(self) -> Path:
        """Directory of what `edgegw calibrate` found, a file a sensor."""
        return self.state / "calibration"

    @property
    def spool(self) -> Path:
        """The spool's database."""
        return self.state / "spool.db"

    @property
    def store(self) -> Path:
        """The embedded store's database, unless the configuration names another."""
        return self.state / "store.db"

    @property
    def last_good(self) -> Path:
        """The last configuration that worked, as one file."""
        return self.state / "last-good.toml"

    @property
    def logs(self) -> Path:
        """Directory of the log files of a gateway started in the background without journald."""
        return self.state / "log"


def sync_names(directory: Path) -> None:
    """Make the names in `directory` outlast a power cut: a file's own fsync says nothing of its name. Raises OSError."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

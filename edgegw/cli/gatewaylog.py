"""The supervisor's own log, made anew when a reload changes how much it tells or what it must not tell."""

from __future__ import annotations

from pathlib import Path

from edgegw.config import Settings
from edgegw.log import Log, Logger, destination

FLUSH_s = 0.2  # the supervisor waits for no sink; what one that is stuck has not taken by then is counted


class GatewayLog:
    """As the supervisor's Log. A logger is good until the next renew()."""

    def __init__(self, settings: Settings, logs: Path | None) -> None:
        self._logs = logs
        self._settings = settings
        self._log = self._made(settings)

    def logger(self, **fields: object) -> Logger:
        """One that adds these fields to every line."""
        return self._log.logger(**fields)

    def drain(self) -> int:
        """Once a turn of the supervisor's loop; never waits."""
        return self._log.drain()

    def renew(self, settings: Settings) -> None:
        """From now on with the level and the secrets of these; the last ones' secrets may still turn up and stay secret."""
        before, self._settings = self._settings, settings
        if (before.gateway.log_level, *before.secrets()) == (settings.gateway.log_level, *settings.secrets()):
            return
        left = self._log.stop(FLUSH_s)
        self._log = self._made(settings, *before.secrets())
        if left:
            self._log.logger().warning("log records dropped", count=left)

    def stop(self) -> int:
        """Write what is left and close; how many records could not be written."""
        return self._log.stop()

    def _made(self, settings: Settings, *more: str) -> Log:
        return Log("supervisor", destination("supervisor", self._logs), settings.gateway.log_level, secrets=(*settings.secrets(), *more))

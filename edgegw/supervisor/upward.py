"""What systemd (or whoever started the gateway) is told about it."""

from __future__ import annotations

from edgegw.notify import Notifier
from edgegw.supervisor.family import Family, Phase


class Upward:
    """READY once start-up is over, a beat only from a turn that has just looked at the children, STOPPING at the end."""

    def __init__(self, notifier: Notifier, family: Family) -> None:
        self._notifier = notifier
        self._family = family
        self._phase = Phase.STARTING
        self._text = ""
        self._beat_due = 0.0

    def turn(self, now: float) -> None:
        """Say what is news; `now` is monotonic seconds."""
        if self._phase is not self._family.phase:
            self._phase = self._family.phase
            self._announce()
        if self._text != (text := self._family.summary()):
            self._text = text
            self._notifier.status(text)
        # Without the bridge nothing is delivered: a gateway whose bridge stays silent is one for systemd to start afresh.
        interval_s = self._notifier.interval_s
        if interval_s and now >= self._beat_due and (self._phase is Phase.STOPPING or self._family.bridge_heard(now)):
            self._beat_due = now + interval_s
            self._notifier.beat()

    def _announce(self) -> None:
        if self._phase is Phase.RUNNING:
            self._notifier.ready()
        elif self._phase is Phase.STOPPING:
            self._notifier.stopping()

"""What the log says of strangers on the bus: at once, and then not more than once a minute."""

from __future__ import annotations

from edgegw.bridge.refusals import EVERY_ns, Refusals
from tests.log_fakes import ListSink, make_log


def test_a_flood_is_a_line_a_minute() -> None:
    """The first is told at once, a thousand more a minute later with their number, none again; a quiet minute has no line."""
    sink = ListSink()
    log = make_log(sink)
    refusals = Refusals(log.logger())
    refusals.look(0, "", 0)
    for at in range(1, 1002):
        refusals.look(at, f"reason {at}", at)
    refusals.look(1001, "reason 1001", EVERY_ns + 1)
    refusals.look(1001, "reason 1001", 3 * EVERY_ns)
    log.drain()
    told = [(entry["count"], entry["why"]) for entry in sink.entries]
    assert told == [(1, "reason 1"), (1000, "reason 1001")]

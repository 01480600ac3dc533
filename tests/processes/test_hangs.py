"""A child that hangs, one that is only slow, and a machine that was paused: told apart with real processes and real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
from pathlib import Path

from edgegw.control import ask
from tests.processes.rig import load_s
from tests.processes.stand import Gateway, Held, Told, a_gateway, bridge, worker
from tests.services.base import until

HUNG = ("stopped", "spins", "holds_gil")
LONG = load_s(0) > 0


def at(gateway: Gateway, name: str, event: str) -> float:
    """When that was first logged of that child; monotonic seconds."""
    return next(float(line["at"]) for line in gateway.log(name) if line["event"] == event)


def answers_s(gateway: Gateway, end: float) -> list[float]:
    """How long the supervisor took to answer, again and again until that monotonic second: no less than its loop was late."""
    took: list[float] = []

    def asked() -> bool:
        begun = time.monotonic()
        ask(gateway.paths.control, "status", timeout_s=30)
        took.append(time.monotonic() - begun)
        return begun > end and len(took) > 20

    until(asked, 60, "answers")
    return took


def test_a_hang_is_found_whatever_hangs(tmp_path: Path) -> None:
    """SIGSTOP, an endless loop, the interpreter's lock held in C: each is replaced, and the last two show their stack each time.

    Meanwhile the supervisor answers, and the neighbour is not touched.
    """
    children = [worker("stopped"), worker("spins", "spins"), worker("holds_gil", "holds_gil"), worker("imu")]
    with a_gateway(tmp_path, bridge(), *children) as gateway:
        gateway.await_state("spins", "RUNNING")
        before = gateway.running().pids()
        stopped_at = time.monotonic()
        os.kill(before["stopped"], signal.SIGSTOP)
        took = answers_s(gateway, stopped_at + 5)
        for name in HUNG:
            gateway.await_state(name, "RUNNING", restarts=1)
        for name in HUNG:
            whys = [line["why"] for line in gateway.log(name) if line["event"] == "child_backoff"]
            assert set(whys) == {"did not answer for 3 s (stack dump in the log)"}, name
        assert gateway.pids()["imu"] == before["imu"]
        restarts = sum(gateway.child(name)["restarts"] for name in HUNG[1:])
        text = gateway.log_text()
        # These two hang again in time, and may be between their dump and their restart. They write to one file at once, piece by piece.
        later = sum(gateway.child(name)["restarts"] for name in HUNG[1:])
        assert restarts <= text.count("Aborted") <= later + 2, text
        assert ("spins" in text.partition("Fatal")[2], "holds_gil" in text.partition("Fatal")[2]) == (True, True)
        assert "in beats" not in text  # what is stopped by SIGSTOP cannot handle SIGABRT
        found_s, back_s = at(gateway, "stopped", "child_stopping") - stopped_at, at(gateway, "stopped", "child_backoff") - stopped_at
        print(f"SIGSTOP found after {found_s:.2f} s, ended after {back_s:.2f} s; answers: {told(took)}")
        assert found_s <= 8
        assert back_s <= 12
        assert statistics.quantiles(took, n=100)[98] < 1.0
        assert gateway.stop() == 0


def told(took: list[float]) -> str:
    """Answer times for people."""
    return f"{len(took)}, median {statistics.median(took) * 1e3:.1f} ms, 99 % within {statistics.quantiles(took, n=100)[98] * 1e3:.1f} ms"


def continued(gateway: Gateway, pids: dict[str, int], first: str, held: Held) -> None:
    """Everybody of a paused gateway again, the supervisor first or last, and half a second between it and the others."""
    order = [gateway.process.pid, *pids.values()] if first == "supervisor" else [*pids.values(), gateway.process.pid]
    os.kill(order[0], signal.SIGCONT)
    assert held.ended(0.5) == set()
    for pid in order[1:]:
        os.kill(pid, signal.SIGCONT)


def test_a_pause_of_everything_kills_nobody(tmp_path: Path) -> None:
    """All stopped for longer than every watchdog, then continued, the supervisor first or last: the same processes go on."""
    pause_s, watchdog_s = (30.0, 3.0) if LONG else (3.0, 1.5)
    with contextlib.ExitStack() as stack:
        stands: dict[str, tuple[Gateway, dict[str, int], Held]] = {}
        for first in ("supervisor", "children"):
            children = bridge(watchdog_s=watchdog_s), worker("front", watchdog_s=watchdog_s)
            gateway = stack.enter_context(a_gateway(tmp_path / first, *children))
            pids = gateway.running().pids()
            held = Held(pids)
            stack.callback(held.close)
            stands[first] = gateway, pids, held
        for gateway, _, _ in stands.values():
            os.killpg(gateway.process.pid, signal.SIGSTOP)
        assert stands["children"][2].ended(pause_s) == set()
        for first, (gateway, pids, held) in stands.items():
            continued(gateway, pids, first, held)
        assert stands["supervisor"][2].ended(watchdog_s + 1) == set()
        for gateway, pids, _ in stands.values():
            assert gateway.pids() == pids
            assert all(child["restarts"] == 0 for child in gateway.status()["children"])
            assert gateway.stop() == 0


def test_a_stop_shorter_than_the_watchdog_is_slowness(tmp_path: Path) -> None:
    """A child that pauses for a third of its time is left alone."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        pids = gateway.running().pids()
        held = Held({"front": pids["front"]})
        os.kill(pids["front"], signal.SIGSTOP)
        assert held.ended(1.0) == set()
        os.kill(pids["front"], signal.SIGCONT)
        heard(gateway)
        held.close()
        assert gateway.pids() == pids
        assert gateway.stop() == 0


def heard(gateway: Gateway) -> None:
    """Wait for a fresh beat of the worker."""

    def fresh(status: Told) -> bool:
        return any(child["name"] == "front" and (child["beat_age_s"] or 9) < 0.25 for child in status["children"])

    gateway.await_(fresh, "a beat")

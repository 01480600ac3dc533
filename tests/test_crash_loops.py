"""How often what cannot live is started: the state machine under an injected clock, over hours."""

from __future__ import annotations

import errno
import os
from itertools import pairwise

import pytest

from edgegw.retry import RestartPolicy
from edgegw.supervisor import WORKER, ChildSpec
from edgegw.supervisor.child import Child
from edgegw.supervisor.fork import why_not
from edgegw.supervisor.words import Do, State

HOUR_s = 3600.0


def no_body(_lifeline: int) -> int:
    raise AssertionError("a history runs no process")


def starts(uptime_s: float, random: float, until: float, policy: RestartPolicy | None = None) -> list[float]:
    """When a child is started that always ends after `uptime_s`, ready or not."""
    child = Child(ChildSpec("front", WORKER, no_body, policy or RestartPolicy()), lambda: random)
    child.start(0.0)
    found = []
    while (now := child.due) <= until:
        assert child.tick(now) is Do.START
        found.append(now)
        child.started(now)
        child.heard(now, {"READY": "1"})
        child.ended(now + uptime_s, "exited with code 1")
        assert child.due > now
    return found


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("uptime_s", [0.0, 0.3, 1.0, 2.5])
def test_a_crash_loop_costs_little(uptime_s: float, random: float) -> None:
    """At most eight starts in the first minute, at most twelve in any hour after it, for whatever lives that short."""
    found = starts(uptime_s, random, 4 * HOUR_s)
    assert 5 <= sum(at <= 60 for at in found) <= 8
    later = [at for at in found if at > 60]
    assert later
    assert max(sum(begin <= at < begin + HOUR_s for at in later) for begin in later) <= 12


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_a_slow_crash_loop_slows_down_too(random: float) -> None:
    """What lives for twenty seconds each time fills no burst, but its pauses grow: no more than one start a minute."""
    found = starts(20.0, random, 2 * HOUR_s)
    assert sum(HOUR_s <= at < 2 * HOUR_s for at in found) <= 60


def test_the_bridge_is_never_given_up() -> None:
    """It has no quarantine: its pauses end at five seconds, however often it fails."""
    found = starts(0.0, 0.5, HOUR_s, RestartPolicy(quarantines=False, max_s=5.0))
    gaps = [after - before for before, after in pairwise(found[10:])]
    assert 3.0 < min(gaps) <= max(gaps) <= 5.0


def test_a_fork_that_fails_is_tried_for_ever_and_never_quarantined() -> None:
    """The machine is short of something, the sensor is not to blame: pauses of half a second to ten, BACKOFF, and then it runs."""
    child = Child(ChildSpec("front", WORKER, no_body), lambda: 0.5)
    child.start(0.0)
    pauses = []
    for _ in range(50):
        now = child.due
        assert child.tick(now) is Do.START
        child.unstartable(now, "could not be started: Cannot allocate memory")
        pauses.append(child.due - now)
        assert child.state is State.BACKOFF
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert 8.0 < max(pauses) <= 10.0
    assert child.settled
    now = child.due
    assert child.tick(now) is Do.START
    child.started(now)
    child.heard(now, {"READY": "1"})
    child.ended(now + 1, "exited with code 1")
    assert child.due == now + 1.5  # the first failure that is its own


def test_a_child_in_quarantine_gets_a_fresh_history_with_other_settings() -> None:
    """It starts at once with them, and its next failure is its first."""
    child = Child(ChildSpec("front", WORKER, no_body, fingerprint="a"), lambda: 0.5)
    child.start(0.0)
    while child.state is not State.QUARANTINED:
        child.tick(child.due)
        child.started(10.0)
        child.ended(10.0, "exited with code 1")
    assert child.adopt(ChildSpec("front", WORKER, no_body, fingerprint="b"), 50.0) is None
    assert (child.state, child.due, child.spec.fingerprint) == (State.STARTING, 50.0, "b")
    assert child.tick(50.0) is Do.START
    child.started(50.0)
    child.ended(50.0, "exited with code 1")
    assert (child.state, child.due) == (State.BACKOFF, 50.5)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EAGAIN, "this user has as many processes as it may"),
        (errno.ENOMEM, "the machine is short of memory"),
        (errno.EMFILE, "the supervisor has as many files open as it may"),
        (errno.ENFILE, "the machine has as many files open as it may"),
        (errno.ENOSYS, "could not be started: Function not implemented; it is tried again"),
    ],
)
def test_a_fork_that_fails_says_what_to_look_at(number: int, says: str) -> None:
    """What the kernel was short of, and where its limit is set."""
    sentence = why_not(OSError(number, os.strerror(number)))
    assert sentence.startswith(f"could not be started: {os.strerror(number)}")
    assert says in sentence

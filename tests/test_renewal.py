"""What another plan changes, as decisions: who starts, stops, restarts and goes on; no process, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.clock import SystemClock
from edgegw.control import Declined
from edgegw.errors import ConfigError, EdgegwError, Exit, Problem
from edgegw.supervisor import BRIDGE, WORKER, ChildSpec, Plan
from edgegw.supervisor.child import UNKILLABLE, Child
from edgegw.supervisor.family import Family, Phase, Renewal
from edgegw.supervisor.reload import Reloader
from edgegw.supervisor.words import Do, State

READY = {"READY": "1"}


def no_body(_lifeline: int) -> int:
    raise AssertionError("a history runs no process")


def spec(name: str, fingerprint: str = "1", **more: Any) -> ChildSpec:
    """A worker, or the bridge, with settings of that fingerprint."""
    return ChildSpec(name, BRIDGE if name == "bridge" else WORKER, no_body, fingerprint=fingerprint, **more)


def specs(**fingerprints: str) -> list[ChildSpec]:
    """The bridge, unchanged unless it is named, and these."""
    return [spec(name, fingerprint) for name, fingerprint in {"bridge": "1", **fingerprints}.items()]


def hired(what: ChildSpec) -> Child:
    return Child(what, lambda: 0.5)


class House:
    """A family whose processes start and stop at once, unless they are named in `stuck`."""

    def __init__(self, *what: ChildSpec, stuck: tuple[str, ...] = ()) -> None:
        self.family = Family([hired(each) for each in what])
        self.stuck = stuck
        self.done: list[str] = []
        self.family.begin(0.0)

    def renew(self, *what: ChildSpec, now: float = 10.0) -> Renewal:
        renewal, orders = self.family.renew(what, hired, now)
        self.obey(orders, now)
        return renewal

    def turn(self, now: float) -> list[str]:
        """What is done in one turn of the loop, after everybody who runs has given a beat."""
        before = len(self.done)
        for child in self.family.children:
            if child.state is State.RUNNING:
                child.heard(now, READY)
        self.obey(self.family.turn(now), now)
        for child in self.family.children:
            child.changes()
        self.family.part()
        return self.done[before:]

    def obey(self, orders: list[tuple[Child, Do]], now: float) -> None:
        for child, do in orders:
            self.done.append(f"{child.spec.name} {do.name}")
            if do is Do.START:
                child.started(now)
                child.heard(now, READY)
            elif child.spec.name not in self.stuck:
                child.ended(now, "exited with code 0")

    def running(self) -> House:
        """Start-up is over."""
        for _ in range(3):
            self.turn(0.0)
        assert self.family.phase is Phase.RUNNING
        self.done.clear()
        return self

    def states(self) -> dict[str, str]:
        return {child.spec.name: child.state.value for child in self.family.children}

    def child(self, name: str) -> Child:
        return next(child for child in self.family.children if child.spec.name == name)


def test_only_what_changed_is_touched() -> None:
    """One added, one removed, one changed, one as it was: the last and the bridge are not even spoken to."""
    house = House(*specs(front="1", imu="1", old="1")).running()
    renewal = house.renew(*specs(front="1", imu="2", new="1"))
    assert renewal == Renewal(started=["new"], stopped=["old"], restarted=["imu"], unchanged=["bridge", "front"])
    assert house.done == ["imu TERMINATE", "old TERMINATE"]
    assert house.turn(10.0) == ["imu START", "new START"]
    assert house.states() == {"bridge": "RUNNING", "front": "RUNNING", "imu": "RUNNING", "new": "RUNNING"}
    assert house.family.names() == ["bridge", "front", "imu", "new"]


def test_a_change_of_the_bridge_restarts_the_bridge_only() -> None:
    """The workers keep their processes; their windows bridge the gap."""
    house = House(*specs(front="1")).running()
    assert house.renew(*specs(bridge="2", front="1")) == Renewal(restarted=["bridge"], unchanged=["front"])
    assert house.done == ["bridge TERMINATE"]
    assert house.turn(10.0) == ["bridge START"]


def test_the_same_plan_changes_nothing_but_is_what_starts_next() -> None:
    """Nobody is asked for anything; a child that dies later gets the newest settings all the same."""
    house = House(*specs(front="1")).running()
    newest = spec("front", watchdog_s=9.0)
    assert house.renew(spec("bridge"), newest).unchanged == ["bridge", "front"]
    assert house.done == []
    assert house.child("front").spec is newest


@pytest.mark.parametrize("state", [State.BACKOFF, State.QUARANTINED])
def test_a_changed_child_that_waits_starts_at_once(state: State) -> None:
    """In backoff or quarantine: the changed one has a fresh history, the unchanged one waits on."""
    house = House(*specs(front="1", imu="1")).running()
    for name in ("front", "imu"):
        child = house.child(name)
        for _ in range(5 if state is State.QUARANTINED else 1):
            if not child.alive:
                child.tick(child.due)
                child.started(5.0)
            child.ended(5.0, "exited with code 1")
        assert child.state is state
    house.renew(*specs(front="2", imu="1"), now=5.1)
    assert house.turn(5.1) == ["front START"]
    assert house.child("imu").state is state


def test_reload_while_starting() -> None:
    """Workers that still wait for the bridge take the new settings and go on waiting for their turn."""
    house = House(*specs(front="1", imu="1"), stuck=("bridge",))
    assert house.renew(*specs(front="2", new="1"), now=0.5) == Renewal(
        started=["new"], stopped=["imu"], restarted=["front"], unchanged=["bridge"]
    )
    assert house.done == []
    house.child("bridge").started(0.6)
    house.child("bridge").heard(0.7, READY)
    assert house.turn(0.7) == ["front START", "new START"]
    assert house.child("front").spec.fingerprint == "2"


def test_two_reloads_before_the_first_is_through() -> None:
    """A child that is stopping for the first gets the settings of the second; back to the old ones is a change, too."""
    house = House(*specs(front="1"), stuck=("front",)).running()
    house.renew(*specs(front="2"))
    assert house.renew(*specs(front="2")).unchanged == ["bridge", "front"]
    assert house.renew(*specs(front="3")).restarted == ["front"]
    assert house.done == ["front TERMINATE"]
    house.child("front").ended(11.0, "exited with code 0")
    assert house.turn(11.0) == ["front START"]
    assert house.child("front").spec.fingerprint == "3"


def test_removed_and_added_again_before_it_has_gone() -> None:
    """It stays one child: no second process beside the one that is still stopping."""
    house = House(*specs(front="1"), stuck=("front",)).running()
    house.renew(*specs())
    assert house.family.names() == ["bridge"]
    assert house.renew(*specs(front="1")).started == ["front"]
    assert list(house.states()) == ["bridge", "front"]
    house.child("front").ended(11.0, "exited with code 0")
    assert house.turn(11.0) == ["front START"]


def test_a_device_under_another_name_waits_for_its_owner() -> None:
    """The renamed sensor starts when the process of the old one has let go, not before; a stranger does not wait."""
    house = House(spec("bridge"), spec("front", claims=frozenset({"port=/dev/a"})), stuck=("front",)).running()
    house.renew(spec("bridge"), spec("rear", claims=frozenset({"port=/dev/a"})), spec("imu", claims=frozenset({"port=/dev/b"})))
    assert house.turn(10.0) == ["imu START"]
    assert house.child("rear").why == "waits for the process of front, which still has the same device or sensor"
    assert house.turn(10.6) == []
    house.child("front").ended(10.7, "exited with code 0")
    house.turn(10.7)
    assert house.turn(11.2) == ["rear START"]
    assert list(house.states()) == ["bridge", "rear", "imu"]


def test_nothing_starts_on_the_device_of_what_survives_sigkill() -> None:
    """Restarted, changed, removed or renamed: as long as it hangs in the kernel nobody opens its device, and status says why."""
    device = frozenset({"bus=1 address=104"})
    house = House(spec("bridge"), spec("imu", claims=device), stuck=("imu",)).running()
    house.renew(spec("bridge"), spec("imu", "2", claims=device))
    for now in (13.0, 13.3, 13.6, 20.0, 400.0):
        assert "imu START" not in house.turn(now)
    assert (house.child("imu").state, house.child("imu").why) == (State.STOPPING, UNKILLABLE)
    house.renew(spec("bridge"), spec("gyro", claims=device), now=401.0)
    for now in (402.0, 403.0, 404.0):
        assert [done for done in house.turn(now) if done.endswith("START")] == []
    assert house.child("imu").alive
    assert house.child("gyro").why.startswith("waits for the process of imu")
    house.child("imu").ended(404.5, "was killed by SIGKILL")
    assert house.turn(404.5) == ["gyro START"]


PLANS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=3)


@given(st.lists(st.tuples(PLANS, st.sampled_from(["", "a", "b", "c"]), st.booleans()), max_size=12), st.booleans())
def test_any_plans_in_any_order_end_in_the_last(history: list[tuple[dict[str, str], str, bool]], stopped: bool) -> None:
    """Reloads, deaths and turns in any order: no child starts beside a process of its own, and what runs in the end is the last plan."""
    house = House(*specs(), stuck=("a", "b", "c")).running()
    now = 10.0
    for plan, dies, turns in [*history, (history[-1][0] if history else {}, "", True)]:
        now += 0.2
        house.renew(*specs(**plan), now=now)
        for child in house.family.children:
            if child.spec.name == dies and child.alive:
                child.ended(now, "was killed by SIGKILL")
        if turns:
            house.turn(now)
    house.stuck = ()
    if stopped:
        house.obey(house.family.stop(now), now)
    for _ in range(60):
        now += 0.5
        house.turn(now)
    wanted = {"bridge": "1", **(history[-1][0] if history else {})}
    if stopped:
        assert house.family.done
    else:
        assert {child.spec.name: child.spec.fingerprint for child in house.family.children if child.alive} == wanted


class Lines:
    """A log that keeps its lines, and an errand that keeps what it was given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.ran: list[Callable[[int], int]] = []

    def logger(self, **_: object) -> Lines:
        return self

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    warning = error = info

    def drain(self) -> None:
        pass

    def run(self, body: Callable[[int], int]) -> str:
        self.ran.append(body)
        return "" if len(self.ran) == 1 else "was killed by SIGKILL"


def reloader(house: House, load: Callable[[], Plan] | None, log: Lines) -> Reloader:
    plan = Plan(tuple(child.spec for child in house.family.children), {}, no_body)
    return Reloader(plan, house.family, load, hired, log, log, SystemClock())  # type: ignore[arg-type]  # an errand without processes


def failing(error: Exception) -> Callable[[], Plan]:
    def load() -> Plan:
        raise error

    return load


TWO = ConfigError([Problem("e.toml", 3, "a.b", "is wrong"), Problem("e.toml", 5, "c.d", "is wrong, too")])


@pytest.mark.parametrize(
    ("load", "code", "says"),
    [
        (failing(TWO), Exit.CONFIG, "e.toml:3: a.b: is wrong\ne.toml:5: c.d: is wrong, too"),
        (failing(ZeroDivisionError("in a driver")), Exit.INTERNAL, "a bug in loading it: ZeroDivisionError: in a driver; nothing was"),
        (None, Exit.FAILED, "without a configuration that could be read again"),
    ],
)
def test_what_cannot_be_loaded_changes_nothing(load: Callable[[], Plan] | None, code: Exit, says: str) -> None:
    """Every problem is in the answer, in the status and in one line of the log; a driver with a bug does not end the gateway."""
    house, log = House(*specs(front="1")).running(), Lines()
    renewing = reloader(house, load, log)
    before = msgspec.structs.asdict(house.child("front").spec)
    with pytest.raises(EdgegwError) as caught:
        renewing.reload(1.0)
    assert caught.value.exit_code is code
    assert says in str(caught.value)
    assert renewing.outcome is not None
    assert (renewing.outcome["ok"], renewing.outcome["why"]) == (False, str(caught.value))
    assert [event for event, _ in log.lines][-1] == "reload_refused"
    assert (house.done, msgspec.structs.asdict(house.child("front").spec)) == ([], before)


def test_a_gateway_that_stops_takes_no_other_plan() -> None:
    """It says that it is stopping."""
    house = House(*specs(front="1")).running()
    house.family.stop(1.0)
    with pytest.raises(Declined, match="is stopping"):
        reloader(house, failing(AssertionError("not asked")), Lines()).reload(1.0)


def test_a_plan_is_kept_once_when_everybody_in_it_has_settled() -> None:
    """Not before start-up is over, not again in every turn, and again after a reload; a failure is one line."""
    house, log = House(*specs(front="1")), Lines()
    renewing = reloader(house, lambda: Plan(tuple(specs(front="2")), {}, no_body), log)
    renewing.keep()
    assert log.ran == []
    house.running()
    for _ in range(3):
        renewing.keep()
    assert len(log.ran) == 1
    _, orders = renewing.reload(1.0)
    renewing.keep()
    assert len(log.ran) == 1
    house.obey(orders, 1.0)
    house.turn(1.0)
    renewing.keep()
    assert len(log.ran) == 2
    assert [event for event, _ in log.lines] == ["reloaded", "configuration_not_kept"]
    assert renewing.outcome is not None
    assert renewing.outcome["ok"]

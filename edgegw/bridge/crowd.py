"""Which sensors the spool has no room for, since when, and what that costs; told once when it begins and once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgegw.clock import NS_PER_S
from edgegw.health import Crowded
from edgegw.log import Logger
from edgegw.spool import Cause, GivenUp, Handed, Policy, Turn

CALM_ns = 10 * NS_PER_S  # without giving anything up, before it counts as over; a sensor may bring something once in 5 s only
TAKEN_ns = 2 * NS_PER_S  # without being turned away, where something was taken in: a full spool has room for a moment at each trim
_CAUSES: Mapping[Cause, tuple[str, str]] = {
    "share": ("it holds all of the spool that its spool_max_bytes allows", "bring the sinks back, or raise that"),
    "quota": ("the spool holds all that max_bytes in [spool] allows", "bring the sinks back, or raise that"),
    "disk": ("the disk of the spool is full", "make room on it"),
}
_EFFECTS: Mapping[Policy, str] = {
    "block": "its readings wait in its own process, which drops and counts what its window cannot hold",
    "drop_oldest": "its oldest readings are given up for new ones",
    "drop_newest": "its new readings are given up",
}


class _State:
    def __init__(self, policy: Policy, cause: Cause, now_ns: int) -> None:
        self.policy: Policy = policy
        self.why = sentence(policy, cause)
        self.since_ns = self.last_ns = now_ns
        self.readings = 0
        self.taken = False  # something of it was taken in, and nothing turned away since

    def over(self, now_ns: int) -> bool:
        """Whether it may be called well again."""
        return now_ns - self.last_ns > (TAKEN_ns if self.taken else CALM_ns)


class Crowd:
    """`now_ns` is a clock that never jumps."""

    def __init__(self, log: Logger, now_ns: Callable[[], int]) -> None:
        self._log = log
        self._now_ns = now_ns
        self._states: dict[str, _State] = {}

    def note(self, handed: Sequence[Handed], turn: Turn) -> None:
        """What a commit did with what was handed to it."""
        given_up = {each.sensor: each for each in turn.given_up}
        for run in {each.run.id: each.run for each in handed}.values():
            cause = turn.blocked.get(run.id)
            if cause:
                self._suffers(run.sensor, "block", cause)
            elif run.sensor not in given_up and (state := self._states.get(run.sensor)) and state.policy == "block":
                state.taken = True
        self._count(turn.given_up)
        self._calm_down()

    def health(self, waiting: Mapping[str, int]) -> tuple[Crowded, ...]:
        """For status; `waiting` are readings by sensor that the bridge holds until there is room."""
        self._calm_down()
        now = self._now_ns()
        return tuple(
            Crowded(
                sensor=sensor,
                why=state.why,
                for_s=round((now - state.since_ns) / NS_PER_S, 1),
                waiting=waiting.get(sensor, 0),
                given_up=state.readings,
            )
            for sensor, state in sorted(self._states.items())
        )

    def _count(self, given_up: Sequence[GivenUp]) -> None:
        for each in given_up:
            self._suffers(each.sensor, each.policy, each.cause).readings += each.readings

    def _suffers(self, sensor: str, policy: Policy, cause: Cause) -> _State:
        state = self._states.get(sensor)
        if state is None or state.why != sentence(policy, cause):
            given_up = state.readings if state else 0
            state = self._states[sensor] = _State(policy, cause, self._now_ns())
            state.readings = given_up
            self._log.warning("spool_has_no_room", sensor=sensor, why=state.why)
        state.last_ns, state.taken = self._now_ns(), False
        return state

    def _calm_down(self) -> None:
        over = [sensor for sensor, state in self._states.items() if state.over(self._now_ns())]
        for sensor in over:
            self._is_well(sensor)

    def _is_well(self, sensor: str) -> None:
        state = self._states.pop(sensor)
        self._log.info("spool_has_room_again", sensor=sensor, given_up=state.readings)


def sentence(policy: Policy, cause: Cause) -> str:
    """What happens to a sensor's readings, why, and what to do."""
    because, cure = _CAUSES[cause]
    return f"{because}, so {_EFFECTS[policy]}: {cure}"

"""What is done to the gateway and when, worked out from a seed before anything runs: the same seed is the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

# The reference load: name → ticks a second.
SENSORS: Final[Mapping[str, int]] = {**{f"fast{n}": 100 for n in range(4)}, **{f"slow{n}": 1 for n in range(3)}, "event": 10}
VICTIMS = (*SENSORS, *[name for name in SENSORS if name.startswith("fast")] * 2)  # most happens where most is at stake
MINUTE_s = 60.0
PAUSES_s = (0.5, 6.0)  # between two faults of a walk


class Step(msgspec.Struct, frozen=True):
    """One fault: so long after the step before is done, to whom, and for how long."""

    after_s: float
    fault: str
    target: str
    for_s: float = 0.0  # 0: there is nothing to take back

    @property
    def what(self) -> str:
        """Without the pause before it."""
        return f"{self.fault} {self.target}" + (f" for {self.for_s:.1f} s" if self.for_s else "")

    def __str__(self) -> str:
        return f"after {self.after_s:.1f} s: {self.what}"


class Plan(msgspec.Struct, frozen=True):
    """A sequence of faults; `again`: what makes the same once more."""

    name: str
    seed: int
    steps: tuple[Step, ...]
    again: str

    def __str__(self) -> str:
        return "\n".join([self.headline, *map(str, self.steps)])

    @property
    def headline(self) -> str:
        """Without the steps."""
        return f"plan {self.name}, seed {self.seed}: {len(self.steps)} faults of {len({step.fault for step in self.steps})} kinds"


class Kind(msgspec.Struct, frozen=True):
    """How often a fault comes in one round, whom it may hit, and how long it may last."""

    weight: int
    targets: Sequence[str]
    lasts_s: tuple[float, float] = (0.0, 0.0)


_SERVERS = ("rabbitmq", "mariadb")
WALK: Final[Mapping[str, Kind]] = {
    "kill": Kind(8, (*VICTIMS, *["bridge"] * 8)),
    "freeze": Kind(4, (*SENSORS, *["bridge"] * 4), (0.5, 6.0)),
    "pause all": Kind(1, ("gateway",)),
    "no writes": Kind(2, ("bridge",), (0.5, 5.0)),
    "kill supervisor": Kind(2, ("gateway",)),
    "stop": Kind(1, ("gateway",)),
    "failpoint": Kind(4, ("deaths", "errors", "waits", "hangs")),
    "restart": Kind(3, tuple(SENSORS)),
    "reload": Kind(3, tuple(SENSORS), (2.0, 8.0)),
    "misconfigure": Kind(1, ("gateway",)),
    "second start": Kind(1, ("gateway",)),
    "full spool": Kind(1, ("gateway",), (5.0, 12.0)),
    "stranger": Kind(2, ("1", "2", "3")),
    "deaf listener": Kind(1, ("tap",), (5.0, 20.0)),
    "kill server": Kind(3, _SERVERS, (0.5, 8.0)),
    "stop server": Kind(1, _SERVERS, (0.5, 8.0)),
    "freeze server": Kind(2, _SERVERS, (1.0, 10.0)),
    "alarm": Kind(1, ("rabbitmq",), (2.0, 8.0)),
    "full queue": Kind(2, ("rabbitmq",), (2.0, 8.0)),
    "unbind": Kind(1, ("rabbitmq",)),
    "delete exchange": Kind(1, ("rabbitmq",)),
    "kill connection": Kind(3, ("mariadb",)),
    "read only": Kind(1, ("mariadb",), (1.0, 6.0)),
    "lose table": Kind(1, ("mariadb",), (1.0, 6.0)),
    "lock": Kind(2, ("mariadb",), (1.0, 8.0)),
    "cut": Kind(4, _SERVERS, (0.2, 8.0)),
    "reset": Kind(4, _SERVERS),
    "blackhole": Kind(3, _SERVERS, (1.0, 12.0)),
    "deafen": Kind(2, _SERVERS, (1.0, 8.0)),
    "latency": Kind(2, _SERVERS, (2.0, 10.0)),
}
# What is soon over, and what the gateway has recovered from some seconds later.
GLIMPSE: Final[Mapping[str, Kind]] = {
    "kill": Kind(4, (*VICTIMS, "bridge", "bridge")),
    "freeze": Kind(1, ("fast0", "bridge"), (0.3, 1.5)),
    "kill supervisor": Kind(1, ("gateway",)),
    "restart": Kind(1, tuple(SENSORS)),
    "misconfigure": Kind(1, ("gateway",)),
    "stranger": Kind(1, ("1",)),
    "kill server": Kind(1, ("mariadb",), (0.3, 1.0)),
    "unbind": Kind(1, ("rabbitmq",)),
    "kill connection": Kind(1, ("mariadb",)),
    "cut": Kind(1, _SERVERS, (0.2, 1.0)),
    "reset": Kind(1, _SERVERS),
    "blackhole": Kind(1, _SERVERS, (0.5, 2.0)),
}


def walk(seed: int, minutes: float) -> Plan:
    """A random walk over all faults that lasts about so long; a fault is taken back while others strike, of other targets or kinds."""
    steps = _walk(random.Random(seed), minutes * MINUTE_s, WALK, PAUSES_s)
    return Plan("walk", seed, tuple(steps), f"make chaos PLAN=walk SEED={seed} MINUTES={minutes:g}")


def glimpse(seed: int) -> Plan:
    """One round over what takes no time: a walk for every day."""
    steps = tuple(_round(random.Random(seed), GLIMPSE, (0.1, 0.5)))
    return Plan("glimpse", seed, steps, f"make chaos PLAN=glimpse SEED={seed}")


def kills(seed: int, each: int) -> Plan:
    """So many kills of the bridge and as many of workers, in a random order."""
    chance = random.Random(seed)
    targets = ["bridge"] * each + [chance.choice(VICTIMS) for _ in range(each)]
    chance.shuffle(targets)
    steps = tuple(Step(round(chance.uniform(0.1, 1.5), 2), "kill", target) for target in targets)
    return Plan("kills", seed, steps, f"make chaos PLAN=kills SEED={seed} EACH={each}")


def servers(seed: int, minutes: float) -> Plan:
    """RabbitMQ and MariaDB killed, or stopped in order, and started again, by turns and at once."""
    kinds = {"kill server": Kind(3, _SERVERS, (0.5, 10.0)), "stop server": Kind(1, _SERVERS, (0.5, 10.0))}
    steps = _walk(random.Random(seed), minutes * MINUTE_s, kinds, PAUSES_s)
    return Plan("servers", seed, tuple(steps), f"make chaos PLAN=servers SEED={seed} MINUTES={minutes:g}")


def _walk(chance: random.Random, lasts_s: float, kinds: Mapping[str, Kind], pauses_s: tuple[float, float]) -> Iterator[Step]:
    """Round after round, until the time is up."""
    now_s = 0.0
    while True:
        for step in _round(chance, kinds, pauses_s):
            now_s += step.after_s
            if now_s >= lasts_s:
                return
            yield step


def _round(chance: random.Random, kinds: Mapping[str, Kind], pauses_s: tuple[float, float]) -> list[Step]:
    """Every fault as often as its weight says, in a random order: so a walk that lasts for some minutes has them all."""
    names = [name for name, kind in kinds.items() for _ in range(kind.weight)]
    chance.shuffle(names)
    steps = []
    for name in names:
        kind = kinds[name]
        target, for_s = chance.choice(kind.targets), round(chance.uniform(*kind.lasts_s), 1)
        steps.append(Step(round(chance.uniform(*pauses_s), 1), name, target, for_s))
    return steps

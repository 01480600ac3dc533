"""python -m tests.chaos: one plan on one gateway; ends with a table, and with 1 where something in it is bad."""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Callable

from tests.chaos import plan
from tests.chaos.plan import Plan
from tests.chaos.prove import prove
from tests.chaos.run import Run
from tests.chaos.stage import servers, stage
from tests.services.base import sweep


def chosen(arguments: argparse.Namespace) -> Plan:
    """The plan that was asked for."""
    seed = arguments.seed
    plans: dict[str, Callable[[], Plan]] = {
        "walk": lambda: plan.walk(seed, arguments.minutes),
        "glimpse": lambda: plan.glimpse(seed),
        "kills": lambda: plan.kills(seed, arguments.each),
        "servers": lambda: plan.servers(seed, arguments.minutes),
    }
    return plans[arguments.plan]()


def perform(todo: Plan) -> int:
    """Play and judge it on servers of our own; 0 or 1."""
    with servers() as (rabbit, mariadb), stage(rabbit, mariadb) as made:
        return 0 if prove(Run(made, todo, lambda line: print(line, flush=True))).ok else 1


def main() -> int:
    """As typed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--plan", choices=("walk", "glimpse", "kills", "servers"), default="walk")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="the same seed makes the same plan")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to walk, without start and drain")
    parser.add_argument("--each", type=int, default=100, help="kills of the bridge, and as many of workers (plan kills)")
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # the consumer's: a broker that is away is what is wanted
    sweep()
    return perform(chosen(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())

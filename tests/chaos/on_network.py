"""What can be done to the network between the bridge and either server."""

from __future__ import annotations

from tests.chaos.stage import Stage

LATE_s = 0.4


def cut(stage: Stage, server: str) -> None:
    """Every connection breaks, and new ones are refused."""
    stage.servers.proxies[server].down()


def mend(stage: Stage, server: str) -> None:
    """New ones are taken again."""
    stage.servers.proxies[server].up()


def reset(stage: Stage, server: str) -> None:
    """RST on every connection; new ones are well."""
    stage.servers.proxies[server].reset()


def swallow(stage: Stage, server: str) -> None:
    """Packets vanish in both directions, and nothing breaks."""
    stage.servers.proxies[server].blackhole()


def pass_on(stage: Stage, server: str) -> None:
    """They arrive again, and what was held back does, too."""
    stage.servers.proxies[server].blackhole(False)


def deafen(stage: Stage, server: str) -> None:
    """The server hears us; its answers, confirms among them, vanish."""
    stage.servers.proxies[server].half_open()


def delay(stage: Stage, server: str) -> None:
    """Every answer is late."""
    stage.servers.proxies[server].latency_s = LATE_s


def no_delay(stage: Stage, server: str) -> None:
    """None is."""
    stage.servers.proxies[server].latency_s = 0.0

"""What the supervisor is to run: one configuration's children, with what status says of it and how its copy is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from edgegw.supervisor.spec import ChildSpec

About = Mapping[str, str | int | float | None]


class Plan(msgspec.Struct, frozen=True):
    """Raises ValueError where two children have the same name."""

    specs: tuple[ChildSpec, ...]
    about: About = {}  # gateway, version, ...: shown by status
    keep: Callable[[int], int] | None = None  # a body as a child's, run once when the plan is in force; 0: done

    def __post_init__(self) -> None:
        """Two children of one name would answer for each other."""
        if len({spec.name for spec in self.specs}) < len(self.specs):
            raise ValueError("two children have the same name")


Load = Callable[[], Plan]  # raises EdgegwError where there is none to be had

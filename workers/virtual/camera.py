"""A virtual camera: a moving scene with a laser's dot, at a camera's pace and with a camera's faults.

In a configuration: source = "virtual", or with faults "virtual?freeze_every_s=60&freeze_s=5"; the names are those of Behaviour.
It lives in the process that reads it, behind the seam where OpenCV would be.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from edgegw.clock import NS_PER_S, SystemClock
from workers.camera.options import Options
from workers.virtual.asked import behaviour_as, values_of

if TYPE_CHECKING:
    from workers.camera.measure import Pixels
    from workers.virtual.camerascene import Scene

Seconds = Annotated[float, Meta(ge=0)]
SLOWER = 10  # times, when it is slow


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual camera shows and how it fails. A fault fills the end of each period: 3 of every 4 s start after the first."""

    fps: Annotated[float, Meta(ge=0.1, le=120, description="frames a second")] = 15.0
    laser: Annotated[bool, Meta(description="whether there is a laser's dot in the scene: 1 or 0")] = True
    freeze_every_s: Annotated[Seconds, Meta(description="send one and the same picture once in so many seconds; 0: never")] = 0.0
    freeze_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    black_every_s: Annotated[Seconds, Meta(description="see nothing but black once in so many seconds; 0: never")] = 0.0
    black_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    stall_every_s: Annotated[Seconds, Meta(description="hang without a frame once in so many seconds; 0: never")] = 0.0
    stall_s: Annotated[Seconds, Meta(description="for how long")] = 5.0
    slow_every_s: Annotated[Seconds, Meta(description="give ten times fewer frames once in so many seconds; 0: never")] = 0.0
    slow_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    spoilt: Annotated[float, Meta(ge=0, le=1, description="fraction of frames that cannot be read")] = 0.0
    lost_after_s: Annotated[Seconds, Meta(description="so long after each opening no frame can be read any more; 0: never")] = 0.0
    seed: Annotated[int | None, Meta(description="the same seed, the same scene; without it every camera sees its own")] = None

    def suffers(self, fault: str, at_s: float) -> bool:
        """Whether that fault is there `at_s` seconds after power-up."""
        every_s: float = getattr(self, f"{fault}_every_s")
        return every_s > 0 and at_s % every_s >= every_s - getattr(self, f"{fault}_s")


@contextlib.contextmanager
def plug(options: Options) -> Iterator[Options]:
    """`options` with a virtual camera, of the size that they ask for. Raises DriverError for a name it does not understand."""
    _, _, query = options.source.partition("?")
    behaviour = behaviour_of(values_of(query, "freeze_every_s=60&seed=3"))
    camera = Camera(behaviour, options.width_px or 640, options.height_px or 480, options.source)
    try:
        yield msgspec.structs.replace(options, source=camera)
    finally:
        camera.unplug()


def behaviour_of(values: Mapping[str, str]) -> Behaviour:
    """From text. Raises DriverError, with a suggestion for a misspelt name."""
    return behaviour_as(Behaviour, "camera", values)


class Camera:
    """One camera, powered up when it is made; it can be opened time and again. A frame is drawn only when somebody wants to see it."""

    def __init__(self, behaviour: Behaviour, width_px: int, height_px: int, name: str = "virtual") -> None:
        self.behaviour = behaviour
        self.name = name
        self._size = width_px, height_px
        self._born_ns = SystemClock.monotonic_ns()
        self._unplugged = threading.Event()
        self._scene: Scene | None = None

    def open(self) -> Opened:
        """As a driver does."""
        if self._scene is None:
            from workers.virtual.camerascene import Scene  # here, not above: it loads numpy

            self._scene = Scene(*self._size, self.behaviour.laser, self.behaviour.seed)
        return Opened(self.behaviour, self._scene, self._born_ns, self._unplugged)

    def unplug(self) -> None:
        """Let go of whoever hangs in it."""
        self._unplugged.set()


class Opened:
    """The camera, in use by one reader."""

    def __init__(self, behaviour: Behaviour, scene: Scene, born_ns: int, unplugged: threading.Event) -> None:
        self._behaviour = behaviour
        self._scene = scene
        self._born_ns = born_ns
        self._unplugged = unplugged
        self._opened_ns = self._at_ns = SystemClock.monotonic_ns()

    def grab(self) -> int | None:
        """At the next beat of the camera; it hangs here while it stalls."""
        behaviour = self._behaviour
        slower = SLOWER if behaviour.suffers("slow", self._age_s()) else 1
        due_ns = self._at_ns + round(slower * NS_PER_S / behaviour.fps)
        while not self._unplugged.wait(max(0, due_ns - SystemClock.monotonic_ns()) / NS_PER_S):
            if not behaviour.suffers("stall", self._age_s()):
                break
            due_ns = SystemClock.monotonic_ns() + NS_PER_S // 100
        self._at_ns = max(due_ns, SystemClock.monotonic_ns() - NS_PER_S // 10)
        lost = behaviour.lost_after_s and (self._at_ns - self._opened_ns) / NS_PER_S >= behaviour.lost_after_s
        return None if lost or self._unplugged.is_set() or self._scene.chance(behaviour.spoilt) else self._at_ns

    def retrieve(self) -> Pixels | None:
        """The picture at that moment."""
        at_s = self._age_s()
        if self._behaviour.suffers("black", at_s):
            return self._scene.black()
        if self._behaviour.suffers("freeze", at_s):
            return self._scene.last()
        return self._scene.drawn(at_s)

    def close(self) -> None:
        """Nothing is held."""

    def _age_s(self) -> float:
        return (SystemClock.monotonic_ns() - self._born_ns) / NS_PER_S

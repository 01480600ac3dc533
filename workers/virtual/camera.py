"""A virtual camera: a moving scene with a laser's dot, at a camera's pace and with a camera's faults.

In a configuration: source = "virtual", or with faults "virtual?freeze_every_s=60&freeze_s=5"; the names are those of Behaviour.
It lives in the process that reads it, behind the seam where OpenCV would be.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from edgegw.clock import NS_PER_S, Clock, SystemClock
from workers.camera.options import Options
from workers.virtual.asked import behaviour_as, values_of

if TYPE_CHECKING:
    from workers.camera.picture import Picture
    from workers.virtual.camerascene import Scene

Format = Literal["bgr", "yuv420"]
Seconds = Annotated[float, Meta(ge=0)]
SLOWER = 10  # times, when it is slow
BUFFERS = 4  # frames that a driver keeps for a reader who is late, as OpenCV asks V4L2 for; what comes after them is missed


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual camera shows and how it fails. A fault fills the end of each period: 3 of every 4 s start after the first."""

    fps: Annotated[float, Meta(ge=0.1, le=120, description="frames a second")] = 15.0
    laser: Annotated[bool, Meta(description="whether there is a laser's dot in the scene: 1 or 0")] = True
    format: Annotated[Format, Meta(description="what its pictures are: bgr, or the planes of yuv420")] = "bgr"
    box: Annotated[bool, Meta(description="whether a box moves to and fro: 1 or 0")] = True
    faces: Annotated[int, Meta(ge=0, le=16, description="how many people walk through the picture at a time")] = 0
    stay_s: Annotated[float, Meta(ge=0.5, le=3600, description="how long each of them takes")] = 8.0
    switched_s: Annotated[Seconds, Meta(description="period in which the laser goes on and off; 0: always on")] = 0.0
    freeze_every_s: Annotated[Seconds, Meta(description="send one and the same picture once in so many seconds; 0: never")] = 0.0
    freeze_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    black_every_s: Annotated[Seconds, Meta(description="see nothing but black once in so many seconds; 0: never")] = 0.0
    black_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    stall_every_s: Annotated[Seconds, Meta(description="hang without a frame once in so many seconds; 0: never")] = 0.0
    stall_s: Annotated[Seconds, Meta(description="for how long")] = 5.0
    slow_every_s: Annotated[Seconds, Meta(description="give ten times fewer frames once in so many seconds; 0: never")] = 0.0
    slow_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
    resize_every_s: Annotated[Seconds, Meta(description="give pictures of half the size once in so many seconds; 0: never")] = 0.0
    resize_s: Annotated[Seconds, Meta(description="for how long")] = 3.0
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

    def __init__(self, behaviour: Behaviour, width_px: int, height_px: int, name: str = "virtual", clock: Clock | None = None) -> None:
        self.behaviour = behaviour
        self.name = name
        self.clock = clock or SystemClock()
        self.born_ns = self.clock.monotonic_ns()  # a frame's at_ns less this is the time that its scene was drawn for
        self.made = 0  # frames, while it was open
        self.missed = 0  # of these, the ones that were gone before the reader came for them
        self._size = width_px, height_px
        self._unplugged = threading.Event()
        self._scene: Scene | None = None

    def open(self) -> Opened:
        """As a driver does."""
        return Opened(self, self.scene(), self._unplugged)

    def scene(self) -> Scene:
        """What it looks at."""
        if self._scene is None:
            from workers.virtual.camerascene import Scene  # here, not above: it loads numpy

            asked = self.behaviour
            self._scene = Scene(
                *self._size,
                asked.laser,
                asked.seed,
                format=asked.format,
                faces=asked.faces,
                stay_s=asked.stay_s,
                switched_s=asked.switched_s,
                box=asked.box,
            )
        return self._scene

    def unplug(self) -> None:
        """Let go of whoever hangs in it."""
        self._unplugged.set()


class Opened:
    """The camera, in use by one reader."""

    def __init__(self, camera: Camera, scene: Scene, unplugged: threading.Event) -> None:
        self._camera = camera
        self._clock = camera.clock
        self._behaviour = camera.behaviour
        self._scene = scene
        self._unplugged = unplugged
        self._opened_ns = self._at_ns = self._clock.monotonic_ns()

    def grab(self) -> int | None:
        """At the camera's next beat, which comes on time however late the last one was fetched; it hangs here while it stalls."""
        self._at_ns = self._next_ns()
        while not self._unplugged.wait(max(0, self._at_ns - self._clock.monotonic_ns()) / NS_PER_S):
            if not self._suffers("stall"):
                break
            self._at_ns += NS_PER_S // 100
        if self._unplugged.is_set():
            return None
        self._camera.made += 1
        lost_s = self._behaviour.lost_after_s
        lost = lost_s and self._at_ns - self._opened_ns >= lost_s * NS_PER_S
        return None if lost or self._scene.chance(self._behaviour.spoilt) else self._at_ns

    def retrieve(self) -> Picture | None:
        """The picture at that moment."""
        if self._suffers("black"):
            picture = self._scene.black()
        elif self._suffers("freeze"):
            picture = self._scene.last()
        else:
            picture = self._scene.drawn(self._age_s())
        return self._scene.halved(picture) if self._suffers("resize") else picture

    def close(self) -> None:
        """Nothing is held."""

    def _next_ns(self) -> int:
        """When the next frame is there that no other has pushed out by now."""
        period_ns = round(NS_PER_S / self._behaviour.fps) * (SLOWER if self._suffers("slow") else 1)
        waiting = (self._clock.monotonic_ns() - self._at_ns) // period_ns
        missed = max(0, waiting - BUFFERS)
        self._camera.made += missed
        self._camera.missed += missed
        return self._at_ns + (1 + missed) * period_ns

    def _suffers(self, fault: str) -> bool:
        return self._behaviour.suffers(fault, self._age_s())

    def _age_s(self) -> float:
        """Of the camera, when the frame that was grabbed last was taken."""
        return (self._at_ns - self._camera.born_ns) / NS_PER_S

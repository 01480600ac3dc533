"""The sink: synchronous outside, an asyncio loop inside that runs only while something is asked of it.

What FindFace says is final for a face (no face found, a bad picture) is Rejected, and so becomes a dead letter. What it says of a
whole camera (a wrong detector token, an unknown camera, no such address) is held, as Refused, while nothing at all is accepted:
then the set-up is wrong, and as soon as somebody corrects it, everything goes out. Once another camera's faces, or later ones of
the same, are accepted, it is a dead letter, too, so that the trouble of one camera does not hold up the others. A wrong API token
or login stops everything, and is always held. So is what may pass (a dead network, a proxy's error), unless one face fails again and
again while others are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgegw.clock import NS_PER_S, Clock, SystemClock
from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.reading import Letter, Record
from edgegw.sinks.findface.answers import Answer, Fate
from edgegw.sinks.findface.event import Event, events
from edgegw.sinks.findface.journal import Journal
from edgegw.sinks.findface.link import Link
from edgegw.sinks.findface.lookup import Found
from edgegw.sinks.findface.memory import Memory
from edgegw.sinks.findface.server import Camera, Server

if TYPE_CHECKING:
    from edgegw.log import Logger

DELIVERY_s = 30.0  # after this a delivery begins no new request, so that a slow server does not hold up the end of the gateway for ever

NOT_THERE = (Fate.AWAY, Fate.SETUP, Fate.REFUSED)  # a face that was answered so has not been taken
TOLD = {
    Found.THERE: "face_not_sent_again_as_it_is_there",
    Found.ABSENT: "face_sent_again_as_it_was_not_there",
    Found.UNKNOWN: "face_sent_again_and_may_be_there_twice",
}

T = TypeVar("T")


class FindFaceSink:
    """Sends the pictures that ride with readings of faces; each goes out once, as far as that can be known.

    All calls from one thread. `repeated` counts the faces that may be there twice: sent again after an answer was lost, or after
    this process was started anew, without a look-up that showed them to be absent.
    """

    def __init__(self, server: Server, log: Logger | None = None, clock: Clock | None = None, sent: Path | None = None) -> None:
        """`sent`: a file of ours in the runtime directory, for the process after this one; see `journal`."""
        self.repeated = 0
        self._server = server
        self._log = log
        self._clock = clock or SystemClock()
        self._journal = Journal(sent)
        self._memory = Memory(self._journal)
        self._accepted: set[int] = set()  # cameras whose last answer was no refusal of their set-up
        self._not_before_ns = 0  # monotonic: the server asked not to be asked earlier
        self._runner: asyncio.Runner | None = None
        self._link: Link | None = None

    @property
    def name(self) -> str:
        """As in the configuration."""
        return "findface"

    @property
    def kinds(self) -> frozenset[str]:
        """What it is given."""
        return frozenset({"face"})

    def open(self) -> None:
        """See whether the server answers and lets us in. Raises Unavailable or Refused."""
        self._patience()
        self._settle_up(self._run(self._connected().probe()))

    def deliver(self, records: Sequence[Record]) -> None:
        """Return when FindFace has every picture. Raises Unavailable, Refused or Rejected; what is through is not sent again."""
        if not records:
            return
        faces = [event for record in records for event in events(record)]
        self._memory.begin(records, faces)
        waiting = [event for event in faces if self._memory.open(event) and self._can_be_sent(event)]
        if waiting:
            self._patience()
            # What has failed most often comes last: a picture that the server cannot stomach must not starve the others.
            self._run(self._deliver(sorted(waiting, key=self._memory.attempts)))
        for event in faces:
            if rejected := self._memory.verdict(event):
                raise Rejected(rejected.code, rejected.reason)  # a new one: each raise of one and the same lengthens its traceback

    def bury(self, letter: Letter) -> None:
        """Nothing: FindFace has no place for a face that it does not take; the spool keeps the letter, without the picture."""

    def close(self) -> None:
        """Log out and let go of the connections, within about two seconds; never raises."""
        runner, self._runner = self._runner, None
        link, self._link = self._link, None
        self._journal.close()
        if runner is not None:
            try:
                if link is not None:
                    runner.run(link.close())
            finally:
                runner.close()

    def _can_be_sent(self, event: Event) -> bool:
        """Whether there is a picture, and a camera that it is of; if not, that settles it."""
        if event.gone or not event.jpeg:
            why = event.gone or "empty"
            self._memory.settle(event, Rejected(why, f"there is no picture to send to FindFace any more: {why}"))
        elif event.sensor not in self._server.cameras:
            self._memory.settle(event, Rejected("no_camera", f"no [sinks.findface.cameras.{event.sensor}] says which camera this is"))
        return self._memory.open(event)

    async def _deliver(self, faces: Sequence[Event]) -> None:
        """As many requests at once as there are connections; the first trouble ends the delivery, without breaking off the others."""
        delivery = Delivery(faces, asyncio.get_running_loop().time() + DELIVERY_s)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(self._server.connections, len(faces))):
                lanes.create_task(self._lane(delivery))
        self._judge_setup(delivery)
        if delivery.trouble is not None:
            raise delivery.trouble
        if left := delivery.left(self._memory):
            said = f"{left} of {len(faces)} pictures were not sent in {DELIVERY_s:g} s; they follow"
            raise Unavailable(f"{self._server.place} is slow: {said}")

    async def _lane(self, delivery: Delivery) -> None:
        for event in delivery.waiting():
            camera = self._server.cameras[event.sensor]
            doubt = self._memory.doubt(event)
            found = await self._look_up(event, camera) if doubt else Found.ABSENT
            if isinstance(found, Answer):
                self._take(delivery, event, camera, found)
                continue
            there = found is Found.THERE
            answer = Answer(Fate.TAKEN) if there else await self._send(event, camera, "" if found is Found.ABSENT else doubt)
            self._take(delivery, event, camera, answer)
            if doubt and answer.fate not in NOT_THERE:
                self._tell(event, camera, doubt, found)

    async def _look_up(self, event: Event, camera: Camera) -> Found | Answer:
        return await self._connected().find(event, camera) if self._server.look_up else Found.UNKNOWN

    async def _send(self, event: Event, camera: Camera, doubt: str) -> Answer:
        """Send one face; `doubt`: why it may be there already."""
        self._memory.attempt(event)
        answer = await self._connected().add(event, camera)
        if answer.fate in NOT_THERE:
            self._memory.believe(event, doubt)
        return answer

    def _take(self, delivery: Delivery, event: Event, camera: Camera, answer: Answer) -> None:
        if answer.fate is Fate.TAKEN:
            self._accepted.add(camera.id)
            self._memory.settle(event)
        elif answer.fate is Fate.REJECTED:
            self._reject(event, answer)
        elif answer.fate is Fate.UNSURE and self._memory.stubborn(event, delivery.left(self._memory)):
            self._reject(event, answer, f"FindFace has failed over this picture {self._memory.attempts(event)} times, and took others: ")
            return
        elif answer.fate is Fate.SETUP:
            self._accepted.discard(camera.id)
            delivery.refused.append((event, answer))
        try:
            self._settle_up(answer)
        except SinkError as error:
            delivery.trouble = delivery.trouble or error

    def _reject(self, event: Event, answer: Answer, before: str = "") -> None:
        code, said = map(self._server.without_secrets, (answer.code, answer.said))
        self._memory.settle(event, Rejected(code or "failed", f"{before}{said}"))

    def _judge_setup(self, delivery: Delivery) -> None:
        """What was refused for the set-up of its camera is rejected where others are accepted, else held."""
        for event, answer in delivery.refused:
            number = self._server.cameras[event.sensor].id
            if self._accepted:
                self._reject(event, answer, f"camera {number} (sensors.{event.sensor}) was refused: ")
            else:
                said = self._server.without_secrets(answer.said)
                why = f"{self._server.place} refuses camera {number}: {said}"
                advice = f"check url, and camera and token of [sinks.findface.cameras.{event.sensor}]"
                delivery.trouble = delivery.trouble or Refused(f"{why}; {advice}")

    def _settle_up(self, answer: Answer) -> None:
        """Raise what an answer means for all the faces, if it does."""
        said = self._server.without_secrets(answer.said)
        if answer.wait_s:
            self._not_before_ns = self._clock.monotonic_ns() + round(answer.wait_s * NS_PER_S)
        if answer.fate in (Fate.AWAY, Fate.UNSURE):
            raise Unavailable(f"{self._server.place}: {said}")
        if answer.fate is Fate.REFUSED:
            raise Refused(f"{self._server.place}: {said}")

    def _patience(self) -> None:
        left_ns = self._not_before_ns - self._clock.monotonic_ns()
        if left_ns > 0:
            raise Unavailable(f"{self._server.place} asks to be left alone for another {left_ns / NS_PER_S:.0f} s")

    def _tell(self, event: Event, camera: Camera, doubt: str, found: Found) -> None:
        """One line for each face that was in doubt: so every duplicate is explained."""
        self.repeated += found is Found.UNKNOWN
        if self._log is not None:
            attempts = self._memory.attempts(event)
            self._log.warning(TOLD[found], sensor=event.sensor, track=event.track, camera=camera.id, attempts=attempts, why=doubt)

    def _connected(self) -> Link:
        if self._link is None:
            self._link = Link(self._server)
        return self._link

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner.run(work)


class Delivery:
    """A delivery under way: what is left to begin, and what has gone wrong so far."""

    def __init__(self, faces: Sequence[Event], until_s: float) -> None:
        self._all = faces
        self._faces = iter(faces)
        self._until_s = until_s  # by the loop's clock
        self.trouble: SinkError | None = None
        self.refused: list[tuple[Event, Answer]] = []

    def left(self, memory: Memory) -> int:
        """How many faces are neither taken nor rejected."""
        return sum(map(memory.open, self._all))

    def waiting(self) -> Iterator[Event]:
        """One face after the other, shared by all who ask; no more of them after a trouble, or when time is up."""
        while self.trouble is None and asyncio.get_running_loop().time() < self._until_s:
            event = next(self._faces, None)
            if event is None:
                return
            yield event

"""Faces from the frame to the event, with the real detector: who walks through the virtual scene enters once and leaves once."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import cast

import cv2
import msgspec
import numpy as np
import pytest

from edgegw.clock import NS_PER_S
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from workers.camera.blind import Blind
from workers.camera.capture import Frame
from workers.camera.convert import bgr
from workers.camera.detect import Face, open_detector
from workers.camera.options import Options
from workers.camera.people import People, followers
from workers.camera.picture import Picture, size
from workers.virtual.cameracanvas import Format
from workers.virtual.camerascene import Scene

FPS = 15
BORN_ns = itertools.count(0, 1000 * NS_PER_S)  # time goes on from test to test, as in a process whose cameras share a budget
STAY_s = 6.0


class Street:
    """A scene with people in it, seen frame by frame."""

    def __init__(self, people: int = 2, form: Format = "bgr", **options: object) -> None:
        self.born_ns = next(BORN_ns)
        self.clock = FakeClock(self.born_ns)
        self.scene = Scene(640, 360, True, 7, format=form, faces=people, stay_s=STAY_s)
        self.people = People(Options(source="test", faces=True, **options), self.clock, open_detector(None, 320))  # type: ignore[arg-type] # as a configuration has them
        self.at_s = 0.0
        self.told: list[Sample] = []
        self.whole: Counter[int] = Counter()  # frames in which a face was wholly in the picture

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds * FPS)):
            self.at_s += 1 / FPS
            self.show(self.scene.drawn(self.at_s))
            for face in self.scene.faces(self.at_s):
                self.whole[face.number] += face.left > 0 and face.left + face.width < 640

    def show(self, picture: Picture) -> None:
        self.clock.now_ns = self.born_ns + round(self.at_s * NS_PER_S)
        self.told += self.people.seen(Frame(picture, self.clock.now_ns))

    def events(self, what: str) -> list[Sample]:
        return [sample for sample in self.told if sample.values["event"] == what]


@pytest.mark.parametrize("form", ["bgr", "yuv420"])
def test_everybody_enters_once_and_leaves_once(form: Format) -> None:
    """As many as have walked through, each with a number of his own; who is still there is counted, and leaves when the camera is lost."""
    street = Street(form=form)
    street.pass_by(20)
    surely, perhaps = (sum(frames > seconds * FPS for frames in street.whole.values()) for seconds in (2.0, 0.3))
    entered, left = ([sample.values["track"] for sample in street.events(what)] for what in ("enter", "leave"))
    assert len(entered) == len(set(entered))
    assert surely <= len(entered) <= perhaps  # who has just come in may be there already, or not yet
    assert surely >= 5
    still = street.people.told(Sample({"faces": None}, kind="camera")).values["faces"]
    assert len(entered) - len(left) == still
    street.told += street.people.lost()
    assert sorted(cast("int", sample.values["track"]) for sample in street.events("leave")) == sorted(cast("list[int]", entered))


def test_an_update_is_where_the_face_is() -> None:
    """Between two looks, too: the box that is told overlaps the face that was drawn."""
    street = Street(face_every=5, face_update_hz=15)
    near = []
    for _ in range(90):
        street.pass_by(1 / FPS)
        told = [sample for sample in street.told if sample.values["event"] == "update"]
        street.told.clear()
        for sample in told:
            middle = cast("float", sample.values["x_px"]) + cast("float", sample.values["width_px"]) / 2
            whole = [face for face in street.scene.faces(street.at_s) if face.left > 0 and face.left + face.width < 640]
            if whole and 60 < middle < 580:
                near.append(min(abs(middle - face.left - face.width / 2) / face.width for face in whole))
    assert len(near) > 40
    assert float(np.median(near)) < 0.1
    assert float(np.quantile(near, 0.95)) < 0.5


def test_updates_keep_their_rate() -> None:
    """One a second unless more are asked for."""
    street = Street()
    street.pass_by(20)
    tracks = {sample.values["track"]: sample.values["age_s"] for sample in street.events("leave")}
    for track, age_s in tracks.items():
        updates = [sample for sample in street.events("update") if sample.values["track"] == track]
        assert abs(len(updates) - cast("float", age_s)) <= 1.5


def test_the_best_picture_goes_with_the_leaving() -> None:
    """Of each, with a face where the box in it says, and only where it was asked for."""
    street = Street(send_faces=True, purpose="a test")
    street.pass_by(20)
    street.told += street.people.lost()
    assert all(sample.attachment is None for sample in street.told if sample.values["event"] != "leave")
    finder = open_detector(None, 320)
    for sample in street.events("leave"):
        attached = sample.attachment
        assert attached
        assert attached.media == "image/jpeg"
        assert 0 <= attached.before_ns < 10 * NS_PER_S
        pixels = cv2.imdecode(np.frombuffer(attached.data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        (face, *_) = finder.faces(cast("Picture", pixels), 0.7)
        about = attached.about
        assert about["left_px"] < face.left_px + face.width_px / 2 < about["right_px"]
        assert about["top_px"] < face.top_px + face.height_px / 2 < about["bottom_px"]
    quiet = Street()
    quiet.pass_by(12)
    quiet.told += quiet.people.lost()
    assert quiet.events("leave")
    assert all(sample.attachment is None for sample in quiet.told)


def test_an_empty_room_has_nobody() -> None:
    """No event, whatever else moves; and the detector looks about once a second when nothing does."""
    looks: list[int] = []

    class Counting:
        name = "counting"

        def faces(self, picture: Picture, score: float) -> list[Face]:
            looks.append(1)
            return []

    born_ns = next(BORN_ns)
    clock = FakeClock(born_ns)
    scene = Scene(640, 360, False, 7, box=False)
    people = People(Options(source="test", faces=True), clock, Counting())
    for number in range(20 * FPS):
        clock.now_ns = born_ns + number * NS_PER_S // FPS
        assert list(people.seen(Frame(scene.drawn(number / FPS), clock.now_ns))) == []
    assert 18 <= len(looks) <= 26
    assert people.told(Sample({}, kind="camera")).values["faces"] == 0
    assert "faces" not in people.told(Sample({}, Quality.BAD, "camera")).values


def test_a_picture_of_another_size_begins_anew() -> None:
    """Whoever was there has left; who is there now enters."""
    street = Street()
    street.pass_by(4)
    before = {sample.values["track"] for sample in street.events("enter")}
    assert before
    small = [street.scene.halved(street.scene.drawn(street.at_s + number / FPS)) for number in range(FPS * 2)]
    assert size(small[0]) == (320, 180)
    for picture in small:
        street.at_s += 1 / FPS
        street.show(picture)
    assert {sample.values["track"] for sample in street.events("leave")} == before
    assert {sample.values["track"] for sample in street.events("enter")} - before


def test_without_a_detector_the_sensor_says_what_to_install() -> None:
    """It measures on, faces stay null, and the note is for the operator."""
    guest = followers(Options(source="test", faces=True, face_model="/nothing/here.onnx"), FakeClock(1))
    assert isinstance(guest, Blind)
    assert "/nothing/here.onnx" in guest.note
    sample = Sample({"faces": None}, kind="camera")
    assert guest.told(sample) is sample
    assert list(guest.seen(Frame(np.zeros((9, 9, 3), np.uint8), 1))) == list(guest.lost()) == []


def test_what_is_masked_is_followed_by_nobody() -> None:
    """The mask is black before anybody looks; here it covers the whole street."""
    street = Street()
    street.pass_by(4)
    assert street.events("enter")
    blind = Street()
    for number in range(4 * FPS):
        blind.at_s = number / FPS
        blind.show(np.zeros_like(bgr(blind.scene.drawn(blind.at_s))))
    assert blind.told == []
    assert msgspec.structs.asdict(Options(source="test"))["faces"] is False


def test_without_opencv_a_preview_says_what_to_install() -> None:
    """At once, in a sentence."""
    script = """
import sys
sys.modules["cv2"] = None
from edgegw.cli import main
main(["try", "camera", "source=virtual", "--show", "/tmp/edgegw-test-never-written.jpg"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    why = "edgegw: a picture cannot be drawn, cv2 is not there: pip install 'edgegw[camera]'"
    assert (done.returncode, done.stdout, done.stderr.strip().splitlines()[-1]) == (74, "", why)
    assert not Path("/tmp/edgegw-test-never-written.jpg").exists()


def test_without_opencv_too_the_camera_goes_on() -> None:
    """The demo's own environment has numpy and nothing else: it measures, and says what faces would need."""
    script = """
import sys
sys.modules["cv2"] = None
from edgegw import driver
found = driver.find("camera")
with driver.plugged(found, driver.bind(found, {"source": "virtual", "faces": True})) as real:
    print(next(sample for sample in found.read(real) if sample).note)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("faces cannot be looked for, cv2 is not there: pip install 'edgegw[face]'\n", "")

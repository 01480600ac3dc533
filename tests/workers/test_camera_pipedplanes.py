"""Bare planes through a pipe: where a frame begins and ends, told by the notes, or by the board where there are none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgegw.errors import DeviceError
from workers.camera.picture import Planes, Size
from workers.camera.sources import pipedplanes
from workers.camera.sources.layout import aligned
from workers.camera.sources.mjpeg import Cut
from workers.camera.sources.pipedplanes import NOTED, UNNOTED, PipedPlanes

LAYOUT = aligned(64, 48, 64)
S = LAYOUT.frame_bytes


class Pipe:
    """Both ends of it, and how many notes have come."""

    def __init__(self) -> None:
        self.far, self.near = os.pipe2(os.O_NONBLOCK)
        self.planes = PipedPlanes(lambda: Size(64, 48))
        self.notes = self.written = 0

    def write(self, count: int) -> None:
        """So many bytes, each the number of its frame."""
        at = np.arange(self.written, self.written + count) // S
        self.written += os.write(self.near, (at % 256).astype(np.uint8).tobytes())

    def frames(self) -> list[int]:
        """The frames that come of it until the pipe is empty: each by its one number."""
        found: list[int] = []
        while True:
            drained = False
            try:
                self.planes.read(self.far)
            except BlockingIOError:
                drained = True
            if self.planes.cut(self.notes, drained) is Cut.WHOLE:
                planes = self.planes.picture()
                assert isinstance(planes, Planes)
                numbers = {int(each) for plane in planes[:3] for each in np.unique(plane)}
                assert len(numbers) == 1, "a frame is made of one frame"
                found += numbers
            if drained:
                return found


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pipe]:
    """On a board that pads to 64 pixels."""
    monkeypatch.setattr(pipedplanes, "COMPATIBLE", tmp_path / "none")
    made = Pipe()
    yield made
    os.close(made.far)
    os.close(made.near)


def test_two_frames_are_measured(pipe: Pipe) -> None:
    """And those after them handed out, each numbered as the notes number it."""
    for note in (1, 2):
        pipe.write(S)
        pipe.notes = note
        assert pipe.frames() == []
    for note in (3, 4, 5):
        pipe.write(S)
        pipe.notes = note
        assert pipe.frames() == [note - 1]
        assert pipe.planes.number == note


def test_a_piece_of_the_next_frame_does_not_mislead(pipe: Pipe) -> None:
    """With the first note there is as much more as longer rows would have: it is not taken for them."""
    pipe.write(S + 2 * 48 * 3 // 2)
    pipe.notes = 1
    assert pipe.frames() == []
    for note in (2, 3):
        pipe.write(note * S - pipe.written)
        pipe.notes = note
        assert pipe.frames() == []
    pipe.write(2 * S)
    pipe.notes = 5
    assert pipe.frames() == [3, 4]


@pytest.mark.parametrize("notes", [0, 1])
def test_without_punctual_notes_the_board_tells(pipe: Pipe, notes: int) -> None:
    """In the middle of a frame, which is let go; the next one is whole."""
    frames = NOTED if notes else UNNOTED
    pipe.notes = notes
    pipe.write(7)  # so that the note does not measure a frame
    assert pipe.frames() == []
    for _ in range(frames):
        pipe.write(S)
        assert pipe.frames() == []
    pipe.write(3 * S)
    assert pipe.frames() == [frames + 1, frames + 2]


@pytest.mark.parametrize("missing", [1, -1, S // 2])
def test_a_frame_of_another_length_is_an_error(pipe: Pipe, missing: int) -> None:
    """Whether bytes are missing or too many: at the latest when it has happened a few times."""
    for note in (1, 2, 3):
        pipe.write(S)
        pipe.notes = note
        pipe.frames()
    with pytest.raises(DeviceError, match="bytes are missing or too many"):
        for note in range(4, 4 + 3 * S):
            os.write(pipe.near, bytes(S - missing))
            pipe.notes = note
            while True:
                try:
                    pipe.planes.read(pipe.far)
                except BlockingIOError:
                    pipe.planes.cut(pipe.notes, True)
                    break
                pipe.planes.cut(pipe.notes, False)


def test_frames_that_cannot_be_of_that_size(pipe: Pipe) -> None:
    """Say which they are, and what to set."""
    with pytest.raises(DeviceError, match=r"frames of 1000 bytes, which are no 64x48 pixels: set width_px and height_px"):
        for note in (1, 2, 3):
            pipe.write(1000)
            pipe.notes = note
            pipe.frames()

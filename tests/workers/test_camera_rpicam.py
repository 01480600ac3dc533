"""The camera on the ribbon cable, through a real program and real pipes: what comes, and when it was taken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from tests.workers.rpicam_program import install, intact, number, path_with
from workers.camera import opening
from workers.camera.options import Options
from workers.camera.picture import Planes, size
from workers.camera.sources import pipedplanes
from workers.camera.sources.rpicam import LATE_periods, Ribbon, asked, command
from workers.virtual.rpicamvid import LATE_ns

SMALL: dict[str, Any] = {"source": "rpicam", "width_px": 320, "height_px": 240, "fps": 60}


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how the program misbehaves."""
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    return install(tmp_path / "bin")


@contextlib.contextmanager
def camera(**options: Any) -> Iterator[Ribbon]:
    with contextlib.closing(Ribbon(Options(**{**SMALL, **options}))) as opened:
        yield opened


def pictures(opened: Ribbon, count: int) -> list[Any]:
    """So many of its frames; spoilt ones are passed over."""
    found: list[Any] = []
    while len(found) < count:
        if opened.grab() is not None:
            found.append(opened.retrieve())
    return found


def following(numbers: list[int]) -> bool:
    """Whether none is missing between them."""
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize(
    ("width_px", "height_px", "align_px"),
    [(800, 600, 64), (800, 600, 128), (1332, 990, 64), (1332, 990, 128), (1332, 990, 100), (320, 240, 1), (16, 16, 64)],
)
def test_planes_without_their_padding(fault: Path, width_px: int, height_px: int, align_px: int) -> None:
    """Whatever the rows are padded to: every pixel is where it belongs, in every frame, and none is missing between them."""
    fault.write_text(f"align_px={align_px}")
    with camera(width_px=width_px, height_px=height_px) as opened:
        got = pictures(opened, 4)
    assert all(isinstance(planes, Planes) and intact(planes) for planes in got)
    assert {size(planes) for planes in got} == {(width_px, height_px)}
    assert width_px == 16 or following([number(planes) for planes in got])


@pytest.mark.parametrize(("align_px", "board"), [(64, b"raspberrypi,4-model-b\0brcm,bcm2711\0"), (128, b"brcm,bcm2712\0")])
@pytest.mark.parametrize("notes", ["late", "none"])
def test_without_notes_the_board_tells_the_padding(
    fault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, align_px: int, board: bytes, notes: str
) -> None:
    """A program that does not flush its notes, or writes none, is read all the same."""
    monkeypatch.setattr(pipedplanes, "COMPATIBLE", tmp_path / "compatible")
    (tmp_path / "compatible").write_bytes(board)
    fault.write_text(f"align_px={align_px}&notes={notes}")
    with camera(width_px=800, height_px=600) as opened:
        assert all(intact(planes) for planes in pictures(opened, 12))


def test_jpegs(fault: Path) -> None:
    """Decoded to blue, green and red, one after the other."""
    with camera(codec="mjpeg") as opened:
        got = pictures(opened, 4)
    assert [picture.shape for picture in got] == [(240, 320, 3)] * 4
    assert [number(picture) for picture in got] == [0, 1, 2, 3]


def test_what_was_handed_out_stays_as_it_is(fault: Path) -> None:
    """Eight pictures are held while twenty more come, some of which nobody retrieves."""
    with camera() as opened:
        held = pictures(opened, 8)
        for turn in range(20):
            opened.grab()
            if turn % 3:
                opened.retrieve()
    assert following([number(planes) for planes in held])
    assert all(intact(planes) for planes in held)


@pytest.mark.parametrize("codec", ["yuv420", "mjpeg"])
def test_a_frame_is_dated_by_the_sensor(fault: Path, codec: str) -> None:
    """Each by its own note. Four frames a second come: an arrival would be dated back by half a second, and these are not."""
    with camera(codec=codec, fps=4) as opened:
        taken = [(opened.grab() or 0, SystemClock.monotonic_ns()) for _ in range(3)]
    ages_ns = [now_ns - at_ns for at_ns, now_ns in taken]
    assert all(age_ns >= LATE_ns for age_ns in ages_ns)
    assert min(ages_ns) < NS_PER_S // 4


def test_without_notes_a_frame_is_dated_by_its_arrival(fault: Path) -> None:
    """Less two periods, which is what it takes from the sensor to the pipe."""
    fault.write_text("notes=none")
    with camera(codec="mjpeg", fps=10) as opened:
        opened.grab()
        before_ns = SystemClock.monotonic_ns()
        at_ns = opened.grab() or 0
        after_ns = SystemClock.monotonic_ns()
    assert before_ns <= at_ns + LATE_periods * NS_PER_S // 10 <= after_ns


@pytest.mark.parametrize("codec", ["yuv420", "mjpeg"])
def test_bursts(fault: Path, codec: str) -> None:
    """Ten frames at once, then a pause: all of them are there, in their order."""
    fault.write_text("burst=10")
    with camera(codec=codec) as opened:
        assert following([number(picture) for picture in pictures(opened, 25)])


def test_spoilt_jpegs_are_told_and_passed_over(fault: Path) -> None:
    """Half a picture, then what is none, then a whole one, each time from the fourth on; they are still dated by their notes."""
    fault.write_text("fault=garbage&after=3")
    with camera(codec="mjpeg", fps=10) as opened:
        got = [(at_ns, opened.retrieve()) for at_ns in (opened.grab() for _ in range(9))]
    assert [None if at_ns is None else number(picture) for at_ns, picture in got] == [0, 1, 2, None, 3, None, 4, None, 5]
    dated = [at_ns for at_ns, _ in got if at_ns is not None]
    assert dated == sorted(dated)


def test_a_picture_without_end_is_given_up(fault: Path) -> None:
    """40 MB between two halves of one: what is kept is bounded, and the next picture is read."""
    fault.write_text("fault=oversize&after=1&once=1")
    with camera(codec="mjpeg") as opened:
        assert opened.grab()
        assert [opened.grab() is None for _ in range(2)] == [True, False]
        assert number(opened.retrieve()) == 1


def test_the_camera_may_give_another_size(fault: Path) -> None:
    """libcamera says on stderr what it made of the wish; that is what the pictures are cut by."""
    fault.write_text("gives=640x360")
    with camera(width_px=1000, height_px=500) as opened:
        (planes,) = pictures(opened, 1)
    assert size(planes) == (640, 360)
    assert intact(planes)


def test_a_camera_that_restarts_itself_is_waited_for(fault: Path) -> None:
    """rpicam-vid tries a restart on its own after a second without frames; if that helps, nothing is lost but the time."""
    fault.write_text("fault=restart&after=5&once=1")
    with camera() as opened:
        assert following([number(planes) for planes in pictures(opened, 6)])


def test_a_flood_on_stderr_holds_nothing_up(fault: Path) -> None:
    """A megabyte of complaints a frame is read and forgotten, and the frames go on."""
    fault.write_text("fault=flood")
    with camera() as opened:
        assert len(pictures(opened, 5)) == 5
        assert len("".join(opened._child.said)) < 20_000


def test_the_second_camera_is_asked_for(fault: Path) -> None:
    """rpicam:1 has its number from the source's text."""
    second = opening.opener(Options(**{**SMALL, "source": "rpicam:1"}))
    with contextlib.closing(second()) as opened, pytest.raises(DeviceError, match="no camera of that number: see rpicam-hello"):
        opened.grab()


def test_the_older_name_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libcamera-vid, where there is no rpicam-vid."""
    install(tmp_path / "bin", "libcamera-vid")
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    with camera() as opened:
        assert intact(*pictures(opened, 1))


def test_the_command_line() -> None:
    """As rpicam-apps documents it: without preview and end, flushed, to standard output, with notes on each frame."""
    options = Options(source="rpicam", codec="mjpeg", mode="2028:1520:12:P", width_px=640, height_px=480, fps=12.5)
    line = " ".join(command("rpicam-vid", 1, options, "/dev/fd/9"))
    assert line == (
        "rpicam-vid --nopreview --timeout 0 --camera 1 --codec mjpeg --width 640 --height 480 --framerate 12.5 --flush "
        "--metadata /dev/fd/9 --metadata-format txt --output - --quality 80 --mode 2028:1520:12:P"
    )


@pytest.mark.parametrize(
    ("width_px", "height_px", "size_px"),
    [(None, None, (1280, 720)), (640, None, (640, 360)), (None, 480, (852, 480)), (641, 481, (640, 480)), (4056, 3040, (4056, 3040))],
)
def test_the_size_that_is_asked_for(width_px: int | None, height_px: int | None, size_px: tuple[int, int]) -> None:
    """Even in both directions, 16 to 9 where one is left open, and without any one that no board pads."""
    assert asked(Options(source="rpicam", width_px=width_px, height_px=height_px)) == size_px

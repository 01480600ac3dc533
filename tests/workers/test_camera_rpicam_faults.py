"""A program that fails in every way it has: each is found, told in a sentence, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceAbsent, DeviceError
from tests.services.base import living, until
from tests.workers.rpicam_program import ROOT, install, intact, number, path_with, put
from workers.camera import opening
from workers.camera.capture import Capture
from workers.camera.options import Options
from workers.camera.sources import child, complaints, rpicam
from workers.camera.sources.rpicam import Ribbon

PATIENCE_s = 60
SMALL: dict[str, Any] = {"source": "rpicam", "width_px": 320, "height_px": 240, "fps": 40}


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that says how the program misbehaves; whatever is opened here is closed again, pipes and all."""
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    before = len(os.listdir("/proc/self/fd"))
    yield install(tmp_path / "bin")
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter deadlines, so that nobody waits for what is not about how long it takes."""
    monkeypatch.setattr(rpicam, "HANG_s", 1.0)
    monkeypatch.setattr(child, "STEPS", tuple((number, patience_s / 10) for number, patience_s in child.STEPS))


def trouble(**options: Any) -> tuple[str, list[Any]]:
    """What ends it, and the pictures before."""
    got: list[Any] = []
    with contextlib.closing(Ribbon(Options(**{**SMALL, **options}))) as opened, pytest.raises(DeviceError) as raised:
        while True:
            got += [opened.retrieve()] if opened.grab() is not None else []
    assert not isinstance(raised.value, DeviceAbsent), "what costs a process to look for is not looked for twice a second"
    return str(raised.value), got


SENTENCES = {
    "crash": r"^rpicam-vid crashed \(SIGSEGV\): it did not say why; run rpicam-hello to see$",
    "lost": r"^rpicam-vid ended with exit code 255: frames stop coming over the ribbon cable: check its seat and the power$",
    "end": r"^rpicam-vid ended with exit code 255: it said last: something that nobody has heard of$",
    "lose": r"^bytes are missing or too many in what rpicam-vid gives, and nothing says where: it is started anew$",
    "hang": r"^rpicam-vid runs, but gives no whole picture for \d s: it is started anew; if that does not help, check the ribbon cable",
    "deaf": r"^rpicam-vid runs, but gives no whole picture",
}


@pytest.mark.parametrize("what", SENTENCES)
def test_what_ends_it_is_told(fault: Path, impatient: None, what: str) -> None:
    """After the frames that were whole: half a frame is never handed out, and the sentence says what happened and what to do."""
    fault.write_text(f"fault={what}&after=40")
    said, got = trouble()
    with pytest.raises(DeviceError, match=SENTENCES[what]):
        raise DeviceError(said)
    assert got
    before = list(itertools.takewhile(lambda planes: number(planes) < 40, got))
    assert all(intact(planes) for planes in before)
    assert got == before or what == "lose"  # bytes that are missing are noticed when the pipe is empty, in a burst some frames late


@pytest.mark.parametrize("what", ["crash", "hang"])
def test_the_same_with_jpegs(fault: Path, impatient: None, what: str) -> None:
    """Half a JPEG is none."""
    fault.write_text(f"fault={what}&after=3")
    assert [number(picture) for picture in trouble(codec="mjpeg")[1]] == [0, 1, 2]


STARTS = {
    "nocam": r"ended with exit code 255: no camera is found on the ribbon cable: check both ends and reboot; is the user in",
    "in_use": r"ended with exit code 255: another program holds the camera: end it",
}


@pytest.mark.parametrize("what", STARTS)
def test_what_does_not_even_begin_is_told(fault: Path, what: str) -> None:
    """At once, in words that help."""
    fault.write_text(f"fault={what}")
    said, got = trouble()
    with pytest.raises(DeviceError, match=STARTS[what]):
        raise DeviceError(said)
    assert got == []


def test_a_camera_that_is_lost_stays_lost(fault: Path) -> None:
    """The next program says that there is none; when there is one again, it is read."""
    fault.write_text("fault=lost&after=5")
    assert "frames stop coming" in trouble()[0]
    assert "no camera is found" in trouble()[0]
    fault.write_text("")
    with contextlib.closing(Ribbon(Options(**SMALL))) as opened:
        assert opened.grab()


def test_a_hang_is_found_within_its_deadline(fault: Path) -> None:
    """Not before 3 s without a frame; the first one has 10 s, and a slow camera 5 of its periods."""
    fault.write_text("fault=hang&after=20")
    with contextlib.closing(Ribbon(Options(**SMALL))) as opened, pytest.raises(DeviceError, match=r"for 3 s"):
        while True:
            begun_ns = SystemClock.monotonic_ns()
            opened.grab()
    assert SystemClock.monotonic_ns() - begun_ns >= 3 * NS_PER_S
    slow = Ribbon(Options(**{**SMALL, "fps": 0.5}))
    slow.close()
    assert (slow._wait_ns, slow._hang_ns) == (10 * NS_PER_S, 10 * NS_PER_S)


def test_frames_of_another_length_are_no_pictures(fault: Path) -> None:
    """A size that nobody told us of: the sentence says what came, what was expected, and what to set."""
    fault.write_text("fault=lose")
    said = "gives frames of 115199 bytes, which are no 320x240 pixels: set width_px"
    until(lambda: said in trouble()[0], 60, "an idle moment: while we are behind, nothing says where a frame ends")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo \"ERROR: *** unrecognised option '--metadata' ***\" >&2; exit 255", "too old for what is asked of it: sudo apt"),
        ("echo 'some words' >&2; exit 3", "ended with exit code 3: it did not say why"),
        ("exec >&-; while :; do :; done", "gives no more pictures: it did not say why"),
        ("echo 'ERROR: *** failed to allocate capture buffers for stream ***' >&2; exit 255", "ask for a smaller width_px"),
    ],
    ids=["old", "other", "closed", "memory"],
)
def test_programs_of_another_kind(fault: Path, impatient: None, script: str, message: str) -> None:
    """Whatever it is that is called rpicam-vid, it gets a sentence and an end."""
    put(fault.parent / "rpicam-vid", script)
    assert message in trouble(codec="mjpeg")[0]


def test_a_program_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the command that installs it; and so for what ties it to us."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"rpicam-vid, .* is not installed: sudo apt install rpicam-apps-lite"):
        Ribbon(Options(**SMALL))
    install(tmp_path)
    with pytest.raises(DeviceError, match=r"setpriv, .* is not installed: sudo apt install util-linux"):
        Ribbon(Options(**SMALL))


@pytest.mark.parametrize("what", ["none", "hang", "deaf"])
def test_closing_ends_the_program(fault: Path, impatient: None, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """By SIGINT, or SIGTERM at once for one that hangs, or SIGKILL for one that is deaf; it is reaped."""
    monkeypatch.setattr(child, "STEPS", ((signal.SIGINT, 10 * PATIENCE_s), *child.STEPS[1:]))
    fault.write_text(f"fault={what}&after=20")
    opened = Ribbon(Options(**SMALL))
    program = psutil.Process(opened._child._process.pid)
    with contextlib.suppress(DeviceError):
        for _ in range(30):
            opened.grab()
    opened.close()
    assert not living(program)
    assert not program.is_running(), "not even a zombie"
    code = {"none": 0, "hang": -signal.SIGTERM, "deaf": -signal.SIGKILL}
    assert opened._child._process.returncode == code[what]


def test_a_hung_program_holds_up_neither_reading_nor_closing(fault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads is answered while it hangs; leaving the block interrupts the wait, and the program ends, in vain asked by SIGINT."""
    monkeypatch.setattr(child, "STEPS", tuple((number, patience_s / 10) for number, patience_s in child.STEPS))
    monkeypatch.setattr(rpicam, "HANG_s", 10 * PATIENCE_s)
    fault.write_text("fault=hang&after=20")
    with Capture("rpicam", opening.opener(Options(**SMALL))) as capture:
        assert capture.frame(PATIENCE_s)
        while capture.frame(0.5):
            pass
    until(lambda: not any(thread.name.startswith("camera") for thread in threading.enumerate()), PATIENCE_s, "the capture to end")


def test_an_ordinary_end_is_quick(fault: Path) -> None:
    """A camera that gives frames is closed when the block is left, and can be opened again at once."""
    for _ in range(2):
        with Capture("rpicam", opening.opener(Options(**SMALL))) as capture:
            assert capture.frame(PATIENCE_s)
        assert not any(thread.name.startswith("camera") for thread in threading.enumerate())


ORPHAN = """
import sys
from workers.camera.options import Options
from workers.camera.sources.rpicam import Ribbon
camera = Ribbon(Options(source="rpicam", width_px=320, height_px=240, fps=60))
camera.grab()
print(camera._child._process.pid, flush=True)
sys.stdin.read()
"""


def test_it_dies_with_us(fault: Path) -> None:
    """Though it hangs, hears no SIGTERM, and we are killed without a chance to end it: the kernel does."""
    fault.write_text("fault=deaf&after=20")
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        program = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until(lambda: not living(program), PATIENCE_s, "the program to die")


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (["ERROR: *** no cameras available ***"], "no camera is found"),
        (["WARN V4L2: Dequeue timer of 1000000.00us has expired!"], "frames stop coming"),
        (["ERROR RPI: Camera frontend has timed out!", "ERROR: *** failed to acquire camera /base ***"], "another program holds"),
        (["ERROR: *** Invalid mode ***"], "the camera has no such mode or size"),
        (["INFO all is well"], ""),
        ([], ""),
    ],
)
def test_what_is_said_has_a_meaning(said: list[str], meaning: str) -> None:
    """The newest line that is known counts; what is for information only says nothing."""
    assert complaints.meaning(said).startswith(meaning)
    assert bool(complaints.meaning(said)) == bool(meaning)

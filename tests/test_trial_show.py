"""`edgegw try --show`: when it ends, which moment it takes, under which names it writes, and who is told to have asked."""

from __future__ import annotations

import errno
import os
import re
import shlex
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from edgegw import driver
from edgegw.cli import snapshot, trial
from edgegw.cli.snapshot import NotWritable
from edgegw.cli.trial import Best, MOMENT_s
from edgegw.clock import NS_PER_S
from edgegw.driver import Driver, DriverError, Shown
from edgegw.errors import DeviceError, EdgegwError, Exit
from edgegw.log import JournalSink
from edgegw.reading import Sample
from tests.typed import edgegw

JPEG, PNG = b"\xff\xd8\xff\xe0 a picture", b"\x89PNG\r\n\x1a\n a picture"
Beats = Sequence[Sample | Shown | Exception | None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Of a camera that is made up."""

    source: str = "x"
    purpose: str = ""


def moment(found: int = 1, sought: int = 1, name: str = "") -> Shown:
    return Shown(sought, found, lambda media: ({"image/jpeg": JPEG, "image/png": PNG}[media] + name.encode(), f"2×2, {name}"))


def sample(number: float = 1.0, note: str = "") -> Sample:
    return Sample({"distance_m": number}, note=note)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Callable[[Beats], list[bool]]:
    """Installs a camera whose preview gives these beats; with the list of what its preview was called with."""

    def installed(beats: Beats) -> list[bool]:
        asked: list[bool] = []

        def preview(_: object, clear: bool) -> Generator[Sample | Shown | None, None, None]:
            asked.append(clear)
            for beat in beats:
                if isinstance(beat, Exception):
                    raise beat
                yield beat

        def read(_: object) -> Generator[Sample | None, None, None]:
            yield sample(0.5)

        found = Driver("x", Options, {"lidar": {"distance_m": float}}, read, preview=preview)
        monkeypatch.setattr(driver, "find", lambda _: found)
        return asked

    return installed


def tried(file: Path | None, *options: str, count: int | None = None, seconds: float | None = None, clear: bool = False) -> None:
    trial.run("x", options, trial.Wish(json=False, count=count, seconds=seconds, show=file, clear=clear))


def test_the_first_moment_with_all_in_it_is_taken(
    camera: Callable[[Beats], list[bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends the command, after the sample that belongs to it; what was written stands last."""
    file = tmp_path / "out.jpg"
    asked = camera([moment(0, name="early"), sample(1), None, moment(name="right"), sample(2), moment(name="late"), sample(3)])
    tried(file)
    out, err = capsys.readouterr()
    assert asked == [False]
    assert file.read_bytes() == JPEG + b"right"
    assert [line.partition(" ")[0] for line in out.splitlines()] == ["distance_m=1", "distance_m=2"]
    assert err.splitlines()[-1] == f"wrote {file} (2×2, right)"


def test_with_a_count_the_best_moment_is_taken(camera: Callable[[Beats], list[bool]], tmp_path: Path) -> None:
    """The one with most in it, of equal ones the newest; all the samples are waited for."""
    shown = [moment(1, 2, "some"), moment(2, 2, "all"), moment(2, 2, "later"), moment(0, 2, "none"), moment(2, 2, "too late")]
    camera([beat for each in shown for beat in (each, sample())])
    tried(tmp_path / "out.png", count=4)
    assert (tmp_path / "out.png").read_bytes() == PNG + b"later"


def test_after_a_while_any_moment_will_do() -> None:
    """5 s after the first that could be looked at; before there is one, no time is too long."""
    best = Best()
    assert not best.will_do(10**12)
    best.add(moment(0), NS_PER_S)
    assert not best.will_do(NS_PER_S + round(MOMENT_s * NS_PER_S) - 1)
    assert best.will_do(NS_PER_S + round(MOMENT_s * NS_PER_S))
    best.add(moment(1), NS_PER_S)
    assert best.will_do(NS_PER_S)


def test_no_moment_is_an_error(camera: Callable[[Beats], list[bool]], tmp_path: Path) -> None:
    """In a sentence, and without a file; also where the device fails."""
    failing: Beats = [moment(0), sample(), DeviceError("it was unplugged")]
    for beats, said in (([sample()], "no picture came"), (failing, "unplugged")):
        camera(beats)
        with pytest.raises(DeviceError, match=said):
            tried(tmp_path / "out.jpg")
    assert not list(tmp_path.iterdir())


def test_a_note_is_told_once(camera: Callable[[Beats], list[bool]], capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the samples, so that the operator knows why something is missing from them; and again when it has changed."""
    noted = [sample(note="install it")] * 3 + [sample(), sample(note="install that")]
    found = Driver("x", Options, {}, lambda _: (beat for beat in noted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "find", lambda _: found)
        tried(None)
    out, err = capsys.readouterr()
    assert err.splitlines()[:2] == ["install it", "install that"]
    assert len(out.splitlines()) == len(noted)


def test_what_sees_nothing_shows_nothing(tmp_path: Path) -> None:
    """One sentence, before the device is opened."""
    done = edgegw("try", "tfluna", "port=/dev/not-there", "--show", str(tmp_path / "out.jpg"))
    assert (done.returncode, done.stdout) == (Exit.CONFIG, "")
    assert done.stderr == "edgegw: a tfluna has nothing to show: --show is for sensors that see, such as a camera\n"
    with pytest.raises(DriverError, match="nothing to show"):
        trial.run("tfluna", ["port=virtual"], trial.Wish(False, None, None, tmp_path / "out.jpg"))


def test_clear_is_for_a_picture(tmp_path: Path) -> None:
    """Without one it has no meaning."""
    done = edgegw("try", "tfluna", "port=virtual", "--clear")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "--clear is for the picture of --show FILE" in done.stderr


@pytest.mark.parametrize("name", ["out.jpg", "OUT.JPEG", "out.png", ".jpg.png"])
def test_a_picture_is_whole_and_the_owners(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0600 whatever the umask, what its name says, and nothing beside it; over an older picture, too."""
    file = tmp_path / name
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    try:
        for _ in range(2):
            assert snapshot.write(Path(name), moment(name="words")) == f"wrote {name} (2×2, words)"
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == (PNG if name.endswith("png") else JPEG) + b"words"
    assert os.listdir(tmp_path) == [name]


def test_what_cannot_be_drawn_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The older picture stays, and no half one lies about; nor when the disk is full."""
    file = tmp_path / "out.jpg"
    file.write_bytes(JPEG)

    def broken(_: str) -> tuple[bytes, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    def unwritable(_: str) -> tuple[bytes, str]:
        return "no bytes", ""  # type: ignore[return-value] # so that writing fails in the middle

    for drawn in (broken, unwritable):
        with pytest.raises((OSError, TypeError)):
            snapshot.write(file, Shown(0, 0, drawn))
        assert os.listdir(tmp_path) == ["out.jpg"]
        assert file.read_bytes() == JPEG


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.gif", "end it with .jpg or .png"),
        ("out", "end it with .jpg or .png"),
        ("nowhere/out.jpg", "there is no directory"),
        ("text.jpg", "is not a picture: nothing is overwritten"),
        ("folder.jpg", "is not a picture: nothing is overwritten"),
        ("link.jpg", "is not a picture: nothing is overwritten"),
        ("dangling.png", "is not a picture: nothing is overwritten"),
    ],
)
def test_no_picture_goes_there(name: str, said: str, tmp_path: Path, camera: Callable[[Beats], list[bool]]) -> None:
    """What is not a picture's name, or is something else already, is told before the camera is opened, and stays as it is."""
    (tmp_path / "text.jpg").write_text("my only copy")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "real.jpg").write_bytes(JPEG)
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "dangling.png").symlink_to("elsewhere.png")
    before = sorted(tmp_path.iterdir())
    asked = camera([moment(), sample()])
    with pytest.raises(NotWritable, match=said) as caught:
        tried(tmp_path / name)
    assert isinstance(caught.value, EdgegwError)
    assert caught.value.exit_code == Exit.CANNOT_CREATE
    assert asked == []
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "text.jpg").read_text() == "my only copy"


def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    """As mktemp leaves one."""
    (tmp_path / "out.jpg").touch()
    snapshot.write(tmp_path / "out.jpg", moment())
    assert (tmp_path / "out.jpg").read_bytes() == JPEG


def test_who_asks_for_faces_as_they_are_is_told(
    camera: Callable[[Beats], list[bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with time, user, source, purpose and file, also where the camera then fails; and the driver is asked for them."""
    asked = camera([DeviceError("it hangs")])
    with pytest.raises(DeviceError):
        tried(tmp_path / "out.jpg", "source=rtsp://pi:secret@gate/1?key=secret", "purpose=the lens is set up", clear=True)
    line = capsys.readouterr().err.splitlines()[0]
    told = re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ a picture with faces as they are is asked for by (.+?): (.*)", line)
    assert told is not None
    assert asked == [True]
    assert "secret" not in line
    words = ["edgegw", "try", "x", "source=rtsp://gate/1", "purpose=the lens is set up", "--show", str(tmp_path / "out.jpg"), "--clear"]
    assert shlex.split(told[2]) == words


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes datagrams as journald does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        yield server


def test_the_journal_hears_it_too(journal: socket.socket) -> None:
    """As a warning, with the user and the command as fields to search by."""
    snapshot.audited("camera", ["source=/dev/video0"], Path("out.jpg"), JournalSink(Path(journal.getsockname())))
    heard = journal.recv(1 << 16).decode().splitlines()
    assert "PRIORITY=4" in heard
    assert "EDGEGW_COMMAND=edgegw try camera source=/dev/video0 --show out.jpg --clear" in heard
    assert any(line.startswith("EDGEGW_USER=") and len(line) > len("EDGEGW_USER=") for line in heard)


@pytest.mark.parametrize("value", ["http://[bad", "rtsp://pi:s3cret@[::1]:554/x?token=s3cret", "https://s3cret@host?k=s3cret#s3cret"])
def test_no_url_tells_its_secrets(value: str, tmp_path: Path) -> None:
    """Nor one that is none."""
    line = snapshot.audited("camera", [f"source={value}"], tmp_path / "x.png", JournalSink(tmp_path / "nobody"))
    assert "s3cret" not in line
    assert "source=" in line

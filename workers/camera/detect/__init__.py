"""Finds faces in a picture: the network YuNet in onnxruntime, or in OpenCV where that is not installed (which takes twice as long).

A picture is shown to the network at a smaller size, in its own proportions, in the upper left corner of a black one whose sides are
multiples of 32, as the network wants them. It is never enlarged. YuNet was trained on faces of about 10 to 300 pixels: in a smaller
picture large faces are found better, and small ones not at all.
"""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from workers.camera.convert import shrunk
from workers.camera.cv import cv2
from workers.camera.detect import yunet
from workers.camera.detect.model import Model, NoDetector, any_size, found
from workers.camera.detect.yunet import Numbers
from workers.camera.once import Once
from workers.camera.picture import Picture, Pixels, Size, size

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped] # it brings no types

__all__ = ["Detector", "Face", "NoDetector", "open_detector"]

SIDE_px = 32
LEAST_px = 64  # with 32, the grid of the largest cells has one column, and OpenCV 4.14 reads beyond what it has computed: faces of noise
_BLACK = np.zeros((LEAST_px, LEAST_px, 3), np.uint8)  # for a trial: a model of something else may load all the same
_ERRORS_ONLY = 3  # onnxruntime warns that outputs have other shapes than the file says, which is what we want
_SESSIONS: Once[InferenceSession] = Once()  # 4 MiB each; any number of threads may use one


class Face(NamedTuple):
    """One face. Pixels of the picture, counted from the centre of the upper left one; a box may reach beyond the picture."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float
    score: float  # 0 to 1
    landmarks: tuple[tuple[float, float], ...]  # x and y of right eye, left eye, nose, right and left corner of the mouth


class Detector(Protocol):
    """What finds faces, for one camera: to be used in one thread."""

    name: str  # what it is, for the operator: "YuNet in onnxruntime 1.31.1, 320 px"

    def faces(self, picture: Picture, score: float) -> list[Face]:
        """All with at least that score (0 to 1), the surest first."""


class Engine(Protocol):
    """What runs the network."""

    name: str

    def rows(self, pixels: Pixels, score: float) -> Numbers:
        """Of a picture whose sides are multiples of 32, as yunet.decoded gives them."""


def open_detector(model_path: str | None, width_px: int) -> Detector:
    """A detector that looks at pictures `width_px` wide, with the model in that file, or (None) in a package. Raises NoDetector."""
    model = found(model_path)
    try:
        engine: Engine = OnnxRuntime(model)
    except ImportError:
        engine = OpenCV(model)
    return _Detector(engine, width_px)


class Fit(NamedTuple):
    """How a picture is shown to the network."""

    inner: Size  # of the picture, smaller
    outer: Size  # with what is black


def fit(picture: Size, width_px: int) -> Fit:
    """`width_px` wide; a picture that is higher than wide gets no more pixels than a square one."""
    times = min(1.0, width_px / math.sqrt(picture.width_px * max(picture)))
    inner = Size(*(max(1, round(side * times)) for side in picture))
    return Fit(inner, Size(*(max(LEAST_px, -(-side // SIDE_px) * SIDE_px) for side in inner)))


class _Detector:
    def __init__(self, engine: Engine, width_px: int) -> None:
        self.name = f"{engine.name}, {width_px} px"
        self._engine = engine
        self._width_px = width_px

    def faces(self, picture: Picture, score: float) -> list[Face]:
        """In the picture's own pixels, whatever the engine was shown."""
        whole = size(picture)
        inner, outer = fit(whole, self._width_px)
        shown = np.zeros((outer.height_px, outer.width_px, 3), np.uint8)
        shown[: inner.height_px, : inner.width_px] = shrunk(picture, *inner)
        rows = self._engine.rows(shown, score)
        return [_face(row, whole.width_px / inner.width_px, whole.height_px / inner.height_px) for row in rows.tolist()]


def _face(row: list[float], wider: float, higher: float) -> Face:
    """Back in the picture. What is enlarged is counted from the picture's corner, half a pixel from the first one's centre."""
    x = [(at + 0.5) * wider - 0.5 for at in (row[0], *row[4:14:2])]
    y = [(at + 0.5) * higher - 0.5 for at in (row[1], *row[5:14:2])]
    return Face(x[0], y[0], row[2] * wider, row[3] * higher, row[14], tuple(zip(x[1:], y[1:], strict=True)))


class OnnxRuntime:
    """YuNet in onnxruntime, on one processor. Raises ImportError where that is not installed, NoDetector where it cannot use the model."""

    def __init__(self, model: Model) -> None:
        onnxruntime = _discreet()
        self.name = f"{model} in onnxruntime {onnxruntime.__version__}"
        data = any_size(model.data)
        try:
            self._session = _SESSIONS.get(model.sha256, lambda: _session(data))
            self.rows(_BLACK, 1.0)
        except Exception as error:  # onnxruntime has a type for each fault, and none that they share
            raise _no_model(model) from error

    def rows(self, pixels: Pixels, score: float) -> Numbers:
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)[None]
        outputs = self._session.run(list(yunet.OUTPUTS), {self._session.get_inputs()[0].name: planes})
        return yunet.decoded(dict(zip(yunet.OUTPUTS, outputs, strict=True)), pixels.shape[1], score)


def _discreet() -> ModuleType:
    """onnxruntime, kept from telling its makers what it does: from 1.29 on its wheels for Linux do so unless this is set before."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return] # it brings no types


def _session(data: bytes) -> InferenceSession:
    onnxruntime = _discreet()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class OpenCV:
    """YuNet in OpenCV; one for each thread. Raises NoDetector where it cannot use the model."""

    def __init__(self, model: Model) -> None:
        self.name = f"{model} in OpenCV {cv2.__version__}"
        nothing, data = np.empty(0, np.uint8), np.frombuffer(model.data, np.uint8)
        try:
            self._network = cv2.FaceDetectorYN.create("onnx", data, nothing, (LEAST_px, LEAST_px), 1.0, yunet.SAME, yunet.MOST)
            self.rows(_BLACK, 1.0)
        except cv2.error as error:
            raise _no_model(model) from error

    def rows(self, pixels: Pixels, score: float) -> Numbers:
        self._network.setInputSize(pixels.shape[1::-1])
        self._network.setScoreThreshold(score)
        rows: Any = self._network.detect(pixels)[1]  # None where there is no face, which its types do not say
        return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


def _no_model(model: Model) -> NoDetector:
    return NoDetector(f"{model.path} is no model of YuNet in ONNX: name another file in face_model, or leave it out")

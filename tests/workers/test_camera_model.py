"""Where the detector's file comes from, and what is said where it does not come."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.camera.detect.model import FILE, PACKAGE, SHA256, LIMIT_bytes, NoDetector, any_size, found


def packaged(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Path:
    """Another package of that name, installed before the real one; importing it would fail."""
    place = folder / PACKAGE
    place.mkdir()
    for name, data in {"__init__.py": b"raise SystemExit('imported')", **files}.items():
        (place / name).write_bytes(data)
    monkeypatch.syspath_prepend(folder)
    return place


def test_the_package_brings_the_model_that_we_know() -> None:
    """The file is YuNet 2023mar, byte by byte."""
    model = found(None)
    assert hashlib.sha256(model.data).hexdigest() == model.sha256 == SHA256
    assert model.data == Path(model.path).read_bytes()
    assert str(model) == "YuNet"


def test_the_package_is_never_imported() -> None:
    """In a fresh process: its code does not run, and sys.path stays as it was."""
    look = "from workers.camera.detect.model import *; found(None)"
    code = f"import sys; was = list(sys.path); {look}; sys.exit(PACKAGE in sys.modules or sys.path != was)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_without_the_package_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or to name a file."""
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(NoDetector, match=r"pip install 'edgegw\[face\]', or name its file in face_model"):
        found(None)


def test_a_package_that_lost_the_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package of that name, or a later version without it."""
    packaged(tmp_path, monkeypatch, {})
    with pytest.raises(NoDetector, match=f"the package {PACKAGE} that is installed brings no {FILE}"):
        found(None)


def test_a_package_whose_file_was_changed_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a single bit."""
    data = bytearray(found(None).data)
    data[1000] ^= 1
    packaged(tmp_path, monkeypatch, {FILE: bytes(data)})
    with pytest.raises(NoDetector, match=f"is not the file that it should be .SHA-256 {hashlib.sha256(data).hexdigest()}"):
        found(None)


def test_a_file_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    """Its hash says what it is."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"whatever")
    model = found(str(path))
    assert model == (str(path), b"whatever", hashlib.sha256(b"whatever").hexdigest())
    assert str(model) == f"mine.onnx (SHA-256 {model.sha256[:16]}…)"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """A missing one, a folder, and a pipe, which would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(NoDetector, match=f"there is no file {path}: correct face_model"):
            found(str(path))


def test_a_file_that_cannot_be_read_is_told() -> None:
    """With the reason: nothing is mapped where the memory of a process begins."""
    with pytest.raises(NoDetector, match=r"/proc/self/mem cannot be read \(Input/output error\): see ls -l /proc/self/mem"):
        found("/proc/self/mem")


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    """One byte more than the limit is too much; the limit is not."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(LIMIT_bytes)
        assert len(found(str(path)).data) == LIMIT_bytes
        file.truncate(LIMIT_bytes + 1)
    with pytest.raises(NoDetector, match="has more than 32 MiB, and is no face detector"):
        found(str(path))


def test_the_fixed_size_gives_way_to_names() -> None:
    """Nothing else in the file changes, nor does its length; and it is done once."""
    fixed = found(None).data
    free = any_size(fixed)
    changed = [at for at, (before, after) in enumerate(zip(fixed, free, strict=True)) if before != after]
    assert len(changed) == 6
    assert changed[-1] - changed[0] < 10
    assert any_size(free) == free


@given(st.binary(max_size=200), st.integers(128, 16383), st.integers(128, 16383), st.binary(max_size=200))
def test_any_size_of_two_bytes_gives_way(before: bytes, height_px: int, width_px: int, after: bytes) -> None:
    """Whatever stands around the shape stays."""
    high, wide = (bytes((size & 127 | 128, size >> 7)) for size in (height_px, width_px))
    before += b"\n\x02\x08\x01\n\x02\x08\x03"
    assert any_size(before + b"\n\x03\x08" + high + b"\n\x03\x08" + wide + after) == before + b"\n\x03\x12\x01h\n\x03\x12\x01w" + after


@given(st.binary(max_size=500))
def test_what_has_no_such_shape_stays(data: bytes) -> None:
    """It is for the engine to say what is wrong with it."""
    assert any_size(data) == data

"""The ring itself: what is written is what is read, the newest of it, and never a mixture of two pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import DeviceAbsent, DeviceError
from tests.services.base import until
from tests.workers.ring_writer import CYCLE, filled, memory, segments, showing, values
from workers.camera.picture import Pixels, Planes
from workers.camera.share import barrier, ring
from workers.camera.share.packing import Format, Packing, packed, packing
from workers.camera.share.ring import Reader, Writer
from workers.camera.share.segment import SLOTS, clear

PATIENCE_s = 60
LARGE = (1280, 720)


@pytest.fixture
def shm() -> Iterator[Path]:
    with memory() as directory:
        yield directory
        assert segments(directory) == [], "a segment was left behind"


def _noise(packing: Packing) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, packing.bytes, np.uint8)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(Format))
def test_what_is_shown_is_seen(width: int, height: int, form: Format) -> None:
    """Byte by byte, in every format and size, odd ones too, with the time."""
    shown = Packing(width, height, form).picture(_noise(Packing(width, height, form)))
    with memory() as directory, Writer("eye", directory) as writer, Reader("eye", directory) as reader:
        writer.write(shown, 12345)
        assert reader.newest() == 12345
        seen = reader.picture()
    assert seen is not None
    assert packing(seen) == packing(shown)
    assert [bytes(part) for part in packed(seen)] == [bytes(part) for part in packed(shown)]


def test_colours_of_an_odd_size(shm: Path) -> None:
    """Half of it, rounded up."""
    y, u, v = (np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns) for rows, columns in ((3, 5), (2, 3), (2, 3)))
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(Planes(y, u, v + 50), 1)
        reader.newest()
        seen = reader.picture()
    assert isinstance(seen, Planes)
    assert [plane.tolist() for plane in seen[:3]] == [y.tolist(), u.tolist(), (v + 50).tolist()]


def test_padding_is_left_out(shm: Path) -> None:
    """Rows as a camera gives them, longer than what is seen of them."""
    rows = np.arange(64 * 6, dtype=np.uint8).reshape(6, 64)
    shown = Planes(rows[:4, :50], rows[4:, :25], rows[4:, 32:57], full=True)
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(shown, 1)
        reader.newest()
        seen = reader.picture()
    assert isinstance(seen, Planes)
    assert seen.full
    assert all(np.array_equal(was, now) for was, now in zip(shown[:3], seen[:3], strict=True))


def test_the_newest_is_seen_once_and_the_missed_are_counted(shm: Path) -> None:
    """What was shown before a reader came is not missed by it."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        told, missed = [], []
        for count in (3, 0, 1, 2, 9):
            for number in range(count):
                writer.write(filled(count * 10 + number, (4, 4)), count * 10 + number)
            told.append(reader.newest())
            missed.append(reader.missed)
    assert told == [32, None, 10, 21, 98]
    assert missed == [0, 0, 0, 1, 9]


def test_every_reader_sees_every_picture(shm: Path) -> None:
    """Each for itself."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as one, Reader("eye", shm) as two:
        for number in range(10):
            writer.write(filled(number, (4, 4)), number)
            assert (one.newest(), two.newest()) == (number, number)
            assert values(one.picture()) == values(two.picture()) == {number}


def test_an_overwritten_picture_is_not_seen(shm: Path) -> None:
    """As many later ones fit beside it as the ring is long, less one; then it is gone, and that is counted."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(filled(1, (4, 4)), 1)
        assert reader.newest() == 1
        for number in range(2, 1 + SLOTS):
            writer.write(filled(number, (4, 4)), number)
            assert values(reader.picture()) == {1}
        writer.write(filled(9, (4, 4)), 9)
        assert reader.picture() is None
        assert reader.overwritten == 1


def test_a_picture_overwritten_while_it_is_copied_is_not_seen(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its label was right before."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(filled(1, (4, 4)), 1)
        reader.newest()
        real = os.preadv

        def slow(*arguments: Any) -> int:
            for number in range(2, 2 + SLOTS):
                writer.write(filled(number, (4, 4)), number)
            return real(*arguments)

        monkeypatch.setattr(os, "preadv", slow)
        assert reader.picture() is None


def test_a_picture_that_is_being_written_is_not_seen(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while, and never if its writer stops there; the ones before still are."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        for number in range(1, 8):
            writer.write(filled(number, (4, 4)), number)

        def stuck(*_: object) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "pwritev", stuck)
        with pytest.raises(KeyboardInterrupt):
            writer.write(filled(8, (4, 4)), 8)
        assert reader.newest() == 7
        assert values(reader.picture()) == {7}


def test_half_a_label_is_none(shm: Path) -> None:
    """One byte of it wrong, and its picture does not exist."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(filled(1, (4, 4)), 1)
        writer.write(filled(2, (4, 4)), 2)
        with (shm / segments(shm)[0]).open("r+b") as file:
            file.seek(ring._LABELS_at + 2 * ring._LABEL_to_label_bytes + 3)
            file.write(b"\x01")
        assert reader.newest() == 1


def test_the_order_of_the_steps(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the proof has it; on this processor nothing may show that a barrier is missing, so the steps themselves are looked at."""
    steps: list[str] = []

    def noted(name: str, real: Any) -> Any:
        def step(*arguments: Any) -> Any:
            steps.append(name)
            return real(*arguments)

        return step

    real = barrier.opened()
    monkeypatch.setattr(barrier, "opened", lambda: noted("barrier", real))
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        writer.write(filled(1, (4, 4)), 1)
        for name in ("pwrite", "pwritev", "pread", "preadv"):
            monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
        steps.clear()
        writer.write(filled(2, (4, 4)), 2)
        assert steps == ["pwrite", "barrier", "pwritev", "barrier", "pwrite"]
        reader.newest()
        steps.clear()
        reader.picture()
        assert steps == ["barrier", "preadv", "barrier", "pread"]


@pytest.mark.parametrize("form", [Format.BGR, Format.VIDEO], ids=str)
def test_no_torn_picture_is_whole(shm: Path, form: Format) -> None:
    """A writer at full speed, and a reader that looks when its picture is about to be overwritten. Some are lost, none is mixed."""
    wrong: list[tuple[int, set[int]]] = []
    whole = 0
    with showing(shm) as process, Reader("eye", shm) as reader, Reader("eye", shm) as ahead:
        process.flood(LARGE, form)

        def enough() -> bool:
            nonlocal whole
            for lag in (*range(SLOTS),) * 5:
                number = until(reader.newest, PATIENCE_s, "a picture") or 0
                while (ahead.newest() or number) < number + lag:
                    pass
                seen = values(reader.picture())
                whole += bool(seen)
                wrong.extend([(number, seen)] if seen and seen != {number % CYCLE} else [])
            return bool(wrong) or (whole > 50 and reader.overwritten > 50)

        until(enough, PATIENCE_s, "whole pictures and overwritten ones")
        process.kill()
    assert not wrong
    assert clear(shm) == 1


def test_a_reader_follows_to_another_size(shm: Path) -> None:
    """And format; the old segment is gone at once."""
    with Writer("eye", shm) as writer, Reader("eye", shm) as reader:
        for number, (size, form) in enumerate([((8, 6), Format.BGR), ((6, 8), Format.BGR), ((6, 8), Format.LUMA), ((8, 6), Format.BGR)], 1):
            writer.write(filled(number, size, form), number)
            assert len(segments(shm)) == 1
            assert until(reader.newest, PATIENCE_s, "the picture") == number
            seen = reader.picture()
            assert seen is not None
            assert (packing(seen), values(seen)) == (Packing(*size, form), {number})


def test_a_name_belongs_to_one(shm: Path) -> None:
    """The second is told so, whichever process it is in, and may have it when the first has gone, however that went."""
    sentence = "another camera shares its pictures as eye already: give each a name of its own"
    with showing(shm) as process:
        with pytest.raises(DeviceError, match=sentence):
            Writer("eye", shm)
        with Writer("other", shm):
            pass
        process.kill()
        with Writer("eye", shm), pytest.raises(DeviceError, match=sentence):
            Writer("eye", shm)


def test_where_nothing_is_shown(shm: Path) -> None:
    """Before the first picture, and after the last."""
    with Reader("eye", shm) as reader:
        with Writer("eye", shm) as writer:
            with pytest.raises(DeviceAbsent, match=r'nobody shares pictures as eye: is there a camera with share = "eye"'):
                reader.newest()
            writer.write(filled(1, (4, 4)), 1)
            assert reader.newest() == 1
        assert reader.newest() is None
        with pytest.raises(DeviceAbsent, match="nobody shares pictures as eye"):
            reader.newest()
        assert reader.picture() is None

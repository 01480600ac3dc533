"""Motion JPEG: pictures of several makes out of bytes that come in any pieces, with anything in between."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.camera.sources import mjpeg
from workers.camera.sources.mjpeg import Cut, Cutter, decoded, encoded

NOISE = np.random.default_rng(7).integers(0, 256, (16, 24, 3), np.uint8)


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A segment more, right behind SOI."""
    return jpeg[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content + jpeg[2:]


def made(*how: int) -> bytes:
    return bytes(cv2.imencode(".jpg", NOISE, list(how))[1])


PLAIN = encoded(NOISE, 80)
MADE = {
    "plain": PLAIN,
    "grey": encoded(NOISE[..., 0].copy()),
    "progressive": made(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "with marks to restart at": made(cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    "an end in APP1": with_segment(PLAIN, 0xE1, b"Exif\0\0" + b"\xff\xd9" * 3),
    "a picture in APP1": with_segment(PLAIN, 0xE1, PLAIN),
    "a beginning in a comment": with_segment(PLAIN, 0xFE, b"\xff\xd8\xff\xd9\xff"),
    "filled up before a marker": PLAIN[:2] + b"\xff\xff" + PLAIN[2:],
    "1 x 1": encoded(NOISE[:1, :1].copy()),
}
SEGMENT_bytes = 1 << 16  # the longest; the length of one that breaks off may be read out of what follows it
kinds = st.sampled_from(list(MADE))
# Anything that is no JPEG's beginning; an FF or FF D8 at its end would make one with what follows.
garbage = st.binary(max_size=200).filter(lambda data: b"\xff\xd8" not in data and not data.endswith(b"\xff"))


def cuts(data: bytes, pieces: list[int] | None = None) -> tuple[list[bytes], int]:
    """The pictures in it, fed in pieces that end there, and how often something was spoilt."""
    cutter, whole, spoilt = Cutter(), [], 0
    for start, end in itertools.pairwise([0, *sorted(pieces or []), len(data)]):
        cutter.feed(data[start:end])
        while cut := cutter.cut():
            whole += [cutter.jpeg] if cut is Cut.WHOLE else []
            spoilt += cut is Cut.SPOILT
    return whole, spoilt


@pytest.mark.parametrize("kind", MADE)
def test_every_make_of_picture(kind: str) -> None:
    """Three in a row are three, bit by bit the same, and can be decoded."""
    assert cuts(MADE[kind] * 3) == ([MADE[kind]] * 3, 0)
    pixels = decoded(MADE[kind])
    assert pixels is not None
    assert pixels.shape == ((1, 1, 3) if kind == "1 x 1" else (16, 24, 3))


@pytest.mark.parametrize("kind", MADE)
def test_every_boundary(kind: str) -> None:
    """Wherever two pictures are split, they are two."""
    data = MADE[kind] + PLAIN
    for at in range(len(data) + 1):
        assert cuts(data, [at]) == ([MADE[kind], PLAIN], 0)


@given(st.lists(kinds, max_size=5), st.data())
def test_any_pieces(names: list[str], data: st.DataObject) -> None:
    """In however many pieces they come, single bytes included."""
    pictures = [MADE[kind] for kind in names]
    stream = b"".join(pictures)
    assert cuts(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=30))) == (pictures, 0)


@given(st.lists(st.tuples(garbage, kinds), max_size=5), garbage, st.data())
def test_garbage_between_pictures(parts: list[tuple[bytes, str]], last: bytes, data: st.DataObject) -> None:
    """Every picture comes out, in order; each stretch of garbage is told once."""
    stream = b"".join(before + MADE[kind] for before, kind in parts) + last
    whole, spoilt = cuts(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    assert whole == [MADE[kind] for _, kind in parts]
    stretches = sum(bool(before) for before, _ in parts)
    assert stretches <= spoilt <= stretches + 1


@given(kinds, st.data(), kinds)
def test_a_picture_that_breaks_off(kind: str, data: st.DataObject, after: str) -> None:
    """Wherever it does: at the latest behind the longest segment that it may be taken for, all pictures are whole again."""
    broken = MADE[kind][: data.draw(st.integers(1, len(MADE[kind]) - 1))]
    more = SEGMENT_bytes // len(MADE[after]) + 2
    whole, spoilt = cuts(broken + MADE[after] * more + PLAIN * 2)
    assert whole[-2:] == [PLAIN] * 2
    assert spoilt <= 4
    assert broken not in whole


@pytest.mark.parametrize("kind", MADE)
def test_a_picture_that_breaks_off_behind_its_header(kind: str) -> None:
    """The next beginning shows it: only this one is lost."""
    broken = MADE[kind][:-5]
    assert cuts(broken + PLAIN) == ([PLAIN], 1)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_bytes_of_any_kind(data: bytes, pieces: list[int]) -> None:
    """Whatever comes: an answer, and the next picture but one is found."""
    whole, _ = cuts(data + bytes(70_000) + PLAIN * 2, pieces)
    assert whole[-1] == PLAIN


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that does not end is given up; the next one is read."""
    monkeypatch.setattr(mjpeg, "PICTURE_bytes", 1 << 20)
    cutter = Cutter()
    cutter.feed(PLAIN[:-2])
    seen = []
    for _ in range(64):
        cutter.feed(bytes(1 << 16))
        while cut := cutter.cut():
            seen.append(cut)
        assert len(cutter._bytes) <= (1 << 20) + (1 << 16)
    assert seen == [Cut.SPOILT]
    cutter.feed(PLAIN)
    assert cutter.cut() is Cut.WHOLE


def test_a_forged_size_is_refused() -> None:
    """65 535 by 65 535 pixels in a few hundred bytes would ask for 13 GB."""
    at = PLAIN.index(b"\xff\xc0") + 5
    forged = PLAIN[:at] + b"\xff\xff\xff\xff" + PLAIN[at + 4 :]
    whole, spoilt = cuts(forged + PLAIN)
    assert whole == [PLAIN]
    assert spoilt


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", PLAIN[:200], b"no picture at all"], ids=["none", "empty", "half", "text"])
def test_what_cannot_be_decoded_is_none(data: bytes) -> None:
    """Without an exception."""
    assert decoded(data) is None

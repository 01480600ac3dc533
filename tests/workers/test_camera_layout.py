"""How planes lie in a buffer: the sizes that boards are known to give, and what is made of any count of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.camera.sources.layout import ALIGNED_px, PAGE_bytes, aligned, board_aligns_px, fitting

# Width, height; stride and bytes on boards up to Raspberry Pi 4; the same on Raspberry Pi 5. By the two image processors' alignment.
KNOWN = [
    (640, 480, 640, 460_800, 640, 460_800),
    (800, 600, 832, 748_800, 896, 806_400),
    (1280, 720, 1280, 1_382_400, 1280, 1_382_400),
    (1332, 990, 1344, 1_995_840, 1408, 2_090_880),
    (1920, 1080, 1920, 3_110_400, 1920, 3_110_400),
    (2028, 1080, 2048, 3_317_760, 2048, 3_317_760),
    (2028, 1520, 2048, 4_669_440, 2048, 4_669_440),
    (4056, 3040, 4096, 18_677_760, 4096, 18_677_760),
]
even = st.integers(8, 2100).map(lambda half: half * 2)


@pytest.mark.parametrize(("width_px", "height_px", "up_to_4_px", "up_to_4_bytes", "on_5_px", "on_5_bytes"), KNOWN)
def test_known_sizes(width_px: int, height_px: int, up_to_4_px: int, up_to_4_bytes: int, on_5_px: int, on_5_bytes: int) -> None:
    """By the board, and by the count of bytes alone."""
    for board, stride_px, frame_bytes in ((b"brcm,bcm2711", up_to_4_px, up_to_4_bytes), (b"brcm,bcm2712", on_5_px, on_5_bytes)):
        layout = aligned(width_px, height_px, board_aligns_px(board))
        assert (layout.stride_px, layout.frame_bytes) == (stride_px, frame_bytes)
        assert fitting(width_px, height_px, frame_bytes) == layout


@given(even, even, st.sampled_from([2, *ALIGNED_px]))
def test_any_size_is_told_by_its_bytes(width_px: int, height_px: int, to_px: int) -> None:
    """Whatever rows are padded to, up to 256 pixels."""
    layout = aligned(width_px, height_px, to_px)
    assert fitting(width_px, height_px, layout.frame_bytes) == layout


@given(even, even, st.sampled_from(ALIGNED_px[:2]))
def test_planes_are_views_of_what_is_theirs(width_px: int, height_px: int, to_px: int) -> None:
    """Rows by columns, half of both for the colours, nothing copied, nothing of one in another."""
    layout = aligned(min(width_px, 400), min(height_px, 300), to_px)
    buffer = np.zeros(layout.frame_bytes, np.uint8)
    planes = layout.planes(buffer)
    for value, plane in enumerate(planes[:3], start=1):
        plane += value
    assert planes.y.shape == (layout.height_px, layout.width_px)
    assert planes.u.shape == planes.v.shape == (layout.height_px // 2, layout.width_px // 2)
    assert [int((buffer == value).sum()) for value in (1, 2, 3)] == [plane.size for plane in planes[:3]]


def test_a_piece_of_a_page_at_the_end_is_let_go() -> None:
    """A buffer is whole pages; the rows are told all the same."""
    whole = -(-748_800 // PAGE_bytes) * PAGE_bytes
    layout = fitting(800, 600, whole)
    assert layout is not None
    assert (layout.stride_px, layout.frame_bytes) == (832, whole)


@pytest.mark.parametrize(("height_px", "frame_bytes"), [(600, 719_999), (600, 460_800), (600, 1), (600, 2_000_000), (3000, 3_604_500)])
def test_other_counts_fit_nothing(height_px: int, frame_bytes: int) -> None:
    """Less than the pixels have, far more, or rows of 801 bytes, which cannot be halved."""
    assert fitting(800, height_px, frame_bytes) is None

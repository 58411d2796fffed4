"""Parts put into JPEG files: the bytes of the whole picture's own file, and its pixels without markers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from word2mask.annotate import jpeg_cells, views
from word2mask.annotate.jpeg_cells import OutlinedFrame
from word2mask.annotate.views import blocks_of_a_cell, outlined, to_jpeg


def noisy(height: int, width: int) -> np.ndarray:
    """Noise leaves no two blocks alike, so that one in a wrong place shows."""
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pixels(jpeg: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "size", [(360, 640), (100, 33), (96, 250), (40, 368), (16, 16), (17, 31), (7, 5), (1, 70), (400, 9)]
)
def test_a_part_put_in_is_the_whole_file(size: tuple[int, int]) -> None:
    height, width = size
    picture = noisy(height, width)
    frame = OutlinedFrame(picture)
    blocks, masks = blocks_of_a_cell(width), [np.zeros(size, np.uint8) for _ in range(5)]
    masks[0][:] = 1
    masks[1][height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    masks[2][0, 0] = masks[2][-1, -1] = 1
    masks[3][-1, width // 2 :] = 1
    for mask in masks:  # the last one is empty
        whole = outlined(picture, mask)
        assert frame.jpeg(mask) == to_jpeg(whole, blocks)
        assert np.array_equal(pixels(frame.jpeg(mask)), pixels(to_jpeg(whole)))


def test_only_what_the_outline_reaches_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = OutlinedFrame(noisy(160, 320))
    encoded = []

    def to_jpeg(picture: np.ndarray, restart: int) -> bytes:
        encoded.append((picture.shape, restart))
        return views.to_jpeg(picture, restart)

    monkeypatch.setattr(jpeg_cells, "to_jpeg", to_jpeg)
    mask = np.zeros((160, 320), np.uint8)
    mask[70:75, 170:180] = 1
    frame.jpeg(mask)
    # Cells are 10 blocks of 16 pixels wide and one high: a line of 2 pixels around rows 70 … 74 stays within 64 … 79,
    # and around columns 170 … 179 within the second of two.
    assert encoded == [((16, 160, 3), 10)]

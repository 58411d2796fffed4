"""Dynamic tiling; expected grids as InternVL's published preprocessing gives them (worked out by hand)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from word2mask.mllms.tiling import choose_grid, region_cells, tile_count, tile_frames, tile_picture
from word2mask.ops.images import IMAGENET_MEAN, IMAGENET_STD


@pytest.mark.parametrize(
    ("width", "height", "most", "grid"),
    [
        (448, 448, 12, (1, 1)),
        (896, 896, 12, (2, 2)),  # the same ratio as 1x1, and large enough
        (1344, 448, 12, (3, 1)),
        (448, 1344, 12, (1, 3)),
        (1000, 500, 12, (2, 1)),
        (4000, 2000, 12, (4, 2)),
        (4000, 2000, 1, (1, 1)),
        (10000, 10, 6, (6, 1)),
    ],
)
def test_grid(width, height, most, grid):
    assert choose_grid(width, height, most, 448) == grid


def test_tiles_row_by_row_and_thumbnail_last():
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 8:] = 255
    tiles = tile_picture(picture, max_tiles=4, side=8)
    assert tiles.shape == (3, 3, 8, 8)
    assert tile_count(16, 8, 4, 8) == 3
    black, white = (0 - np.array(IMAGENET_MEAN)) / IMAGENET_STD, (1 - np.array(IMAGENET_MEAN)) / IMAGENET_STD
    assert torch.allclose(tiles[0, :, 4, 4], torch.tensor(black, dtype=torch.float32))
    assert torch.allclose(tiles[1, :, 4, 4], torch.tensor(white, dtype=torch.float32))
    assert torch.allclose(tiles[2, :, 4, 0], torch.tensor(black, dtype=torch.float32), atol=0.05)
    assert torch.allclose(tiles[2, :, 4, 7], torch.tensor(white, dtype=torch.float32), atol=0.05)


def test_one_tile_has_no_thumbnail_and_a_frame_one_tile():
    assert tile_picture(np.zeros((8, 8, 3), np.uint8), 12, 8).shape == (1, 3, 8, 8)
    assert tile_frames(np.zeros((5, 6, 20, 3), np.uint8), 8).shape == (5, 3, 8, 8)


def test_region_has_one_cell_at_least():
    regions = np.zeros((2, 8, 8), bool)
    regions[0, :4, :4] = True
    regions[1, 7, 7] = True
    cells = region_cells(regions, (4, 4))
    assert cells[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert cells[1].nonzero().tolist() == [[3, 3]]


def test_nearest_looks_at_the_corner_of_each_cell():
    """As torch's "nearest" does: 8 pixels to 4 cells take the pixels 0, 2, 4, 6."""
    regions = np.zeros((2, 8, 8), bool)
    regions[0, 0, 2] = True  # a corner: one pixel of four is enough
    regions[1, 5, 5] = True  # no corner: the most covered cell
    cells = region_cells(regions, (4, 4), sampling="nearest")
    assert cells[0].nonzero().tolist() == [[0, 1]]
    assert cells[1].nonzero().tolist() == [[2, 2]]
    regions[0] = True
    regions[0, ::2, ::2] = False  # three pixels of four, but no corner: all cells are alike, the first one stands in
    assert region_cells(regions[:1], (4, 4)).all()
    assert region_cells(regions[:1], (4, 4), sampling="nearest").nonzero().tolist() == [[0, 0, 0]]

"""Dynamic tiling: a picture of any shape as square tiles plus a thumbnail (InternVL 1.5, arXiv:2404.16821, §3.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

from word2mask.ops.images import bytes_to_normalized

#: How a region becomes cells; see :func:`region_cells`.
RegionSampling = Literal["coverage", "nearest"]


@lru_cache(maxsize=16)
def tile_grids(max_tiles: int) -> tuple[tuple[int, int], ...]:
    """All ``(columns, rows)`` with at most ``max_tiles`` tiles, the fewest tiles first."""
    grids = [(c, r) for c in range(1, max_tiles + 1) for r in range(1, max_tiles + 1) if c * r <= max_tiles]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))


def choose_grid(width: int, height: int, max_tiles: int, side: int) -> tuple[int, int]:
    """The grid ``(columns, rows)`` whose aspect ratio is nearest to the picture's.

    Of grids equally near, the larger one wins when the picture has more than half of its pixels.

    Args:
        width: W of the picture.
        height: H of the picture.
        max_tiles: most tiles, thumbnail not counted.
        side: side of a tile in pixels.
    """
    ratio = width / height
    best, best_difference = (1, 1), float("inf")
    for columns, rows in tile_grids(max_tiles):
        difference = abs(ratio - columns / rows)
        if difference < best_difference:
            best, best_difference = (columns, rows), difference
        elif difference == best_difference and width * height > 0.5 * side * side * columns * rows:
            best = (columns, rows)
    return best


def tile_count(width: int, height: int, max_tiles: int, side: int) -> int:
    """Number of tiles that :func:`tile_picture` gives, thumbnail included."""
    columns, rows = choose_grid(width, height, max_tiles, side)
    return columns * rows + (1 if columns * rows > 1 else 0)


def tile_picture(picture: np.ndarray, max_tiles: int, side: int) -> torch.Tensor:
    """Cuts a picture into tiles, row by row, with the thumbnail last when there is more than one.

    Args:
        picture: uint8 RGB ``[H,W,3]``.
        max_tiles: most tiles, thumbnail not counted.
        side: side of a tile in pixels.

    Returns:
        Normalised float32 ``[tiles,3,side,side]``.
    """
    height, width = picture.shape[:2]
    columns, rows = choose_grid(width, height, max_tiles, side)
    resized = _resize(picture, columns * side, rows * side)
    tiles = [
        resized[row * side : (row + 1) * side, column * side : (column + 1) * side]
        for row in range(rows)
        for column in range(columns)
    ]
    if len(tiles) > 1:
        tiles.append(_resize(picture, side, side))
    return bytes_to_normalized(tiles)


def tile_frames(frames: np.ndarray, side: int) -> torch.Tensor:
    """One tile for each frame of a video: uint8 ``[T,H,W,3]`` → normalised float32 ``[T,3,side,side]``."""
    return bytes_to_normalized([_resize(frame, side, side) for frame in frames])


def _resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bicubic with antialiasing, as the published preprocessing (PIL)."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def region_cells(regions: np.ndarray, grid: tuple[int, int], sampling: RegionSampling = "coverage") -> torch.Tensor:
    """Marks the cells of a grid that belong to a region.

    Args:
        regions: bool ``[R,H,W]``.
        grid: ``(h, w)`` cells.
        sampling: ``"coverage"`` marks the cells that a region covers by half or more, the most covered one at least.
            ``"nearest"`` looks at the pixel in the upper left corner of each cell, as the published Sa2VA does, and
            falls back on the most covered cell where that finds nothing.

    Returns:
        bool ``[R,h,w]``, every region with one cell or more.
    """
    pixels = torch.from_numpy(regions).float()[None]
    covered = nn.functional.adaptive_avg_pool2d(pixels, grid)[0]
    if sampling == "nearest":
        cells = nn.functional.interpolate(pixels, grid, mode="nearest")[0] > 0
    else:
        cells = covered >= 0.5
    flat, most = cells.view(len(cells), -1), covered.flatten(1).argmax(dim=1)
    rows = torch.arange(len(cells)) if sampling == "coverage" else torch.nonzero(~flat.any(dim=1))[:, 0]
    flat[rows, most[rows]] = True
    return cells

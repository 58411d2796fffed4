"""Pictures at their own aspect ratio, cut into patches (NaViT, arXiv:2307.06304; Qwen2-VL, arXiv:2409.12191, §2.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

#: Channel mean and standard deviation of CLIP's pictures, which Qwen2-VL and Qwen2.5-VL were trained with.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

#: A picture longer than so many times its width can't be fitted.
MAX_ASPECT = 200


def fitted_size(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The size ``(height, width)`` in multiples of ``factor`` that is nearest to the picture's within the limits.

    Args:
        height: H of the picture.
        width: W of the picture.
        factor: side in pixels of one visual token.
        min_pixels: smaller pictures are enlarged.
        max_pixels: larger ones are reduced.

    Raises:
        ValueError: a picture that is more than :data:`MAX_ASPECT` times as long as it is wide.

    >>> fitted_size(480, 640, 28, 512 * 28**2, 2048 * 28**2)
    (560, 756)
    """
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"{width} by {height} pixels is more than {MAX_ASPECT} times as long as wide")
    rows, columns = round(height / factor), round(width / factor)
    area = height * width
    if rows * columns * factor**2 > max_pixels:
        scale = math.sqrt(area / max_pixels)
        rows = max(1, math.floor(height / scale / factor))
        columns = max(1, math.floor(width / scale / factor))
    elif rows * columns * factor**2 < min_pixels:
        scale = math.sqrt(min_pixels / area)
        rows, columns = math.ceil(height * scale / factor), math.ceil(width * scale / factor)
    return rows * factor, columns * factor


def resized_frames(frames: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """uint8 ``[T,H,W,3]`` → uint8 ``[T,3,h,w]``, bicubic with antialiasing."""
    pixels = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)
    if pixels.shape[2:] == size:
        return pixels
    return nn.functional.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)


def patch_rows(
    pixels: torch.Tensor, patch: int, merge: int, repeats: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Frames as rows of patches; those of one visual token stand together.

    Args:
        pixels: uint8 ``[T,3,h,w]``, sides multiples of ``patch * merge``.
        patch: side of a patch in pixels.
        merge: ``merge²`` patches are one visual token.
        repeats: how often a frame stands in the time that a patch spans.
        mean: of each channel, removed.
        std: of each channel, divided by.

    Returns:
        float32 ``[T * h/patch * w/patch, 3 * repeats * patch²]``.
    """
    frames, channels, height, width = pixels.shape
    rows, columns = height // patch // merge, width // patch // merge
    cells = pixels.reshape(frames, channels, rows, merge, patch, columns, merge, patch)
    # Moved as bytes, then widened.
    cells = cells.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(-1, channels, 1, patch, patch)
    means, deviations = (torch.tensor(values).view(-1, 1, 1, 1) for values in (mean, std))
    normal = (cells.float() / 255.0).sub_(means).div_(deviations)
    return normal.expand(-1, -1, repeats, -1, -1).reshape(len(normal), -1)

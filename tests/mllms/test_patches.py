"""Pictures as patches: sizes worked out by hand, pixels as transformers' own processor makes them."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from word2mask.mllms.patches import CLIP_MEAN, CLIP_STD, fitted_size, patch_rows, resized_frames

#: One uint8 level after division by the smallest deviation.
LEVEL = 1 / 255 / min(CLIP_STD)


@pytest.mark.parametrize(
    ("height", "width", "factor", "limits", "expected"),
    [
        (280, 560, 28, (1, 10**6), (280, 560)),  # fits as it is
        (295, 293, 28, (1, 10**6), (308, 280)),  # 10.54 and 10.46 tokens: to the nearest
        (70, 70, 28, (1, 10**6), (56, 56)),  # 2.5 tokens: halves go to the even number
        (100, 200, 10, (1, 5000), (50, 100)),  # four times too many pixels: half the sides
        (100, 210, 10, (1, 5000), (40, 100)),  # 48.8 by 102.5 after reduction: down, to stay below
        (10, 20, 10, (800, 10**6), (20, 40)),  # four times too few: twice the sides
        (11, 20, 10, (800, 10**6), (30, 40)),  # 20.98 by 38.1 after enlargement: up, to stay above
        (10, 1000, 28, (1, 28 * 28), (28, 28)),  # one token at least, whatever the shape
    ],
)
def test_fitted_size(height, width, factor, limits, expected):
    assert fitted_size(height, width, factor, *limits) == expected


def test_too_long_a_picture():
    assert fitted_size(1, 200, 28, 784, 10**6) == (28, 420)
    with pytest.raises(ValueError, match="201 by 1 pixels is more than 200 times as long as wide"):
        fitted_size(1, 201, 28, 784, 10**6)


def test_rows_of_patches():
    """A picture whose pixels are numbered: the four patches of a visual token stand together, channels first."""
    picture = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=3)
    picture = np.concatenate([picture, picture + 100], axis=2)  # 4 by 8: two visual tokens of 2 by 2 patches of 2 by 2
    pixels = resized_frames(picture, (4, 8))
    rows = patch_rows(pixels, patch=2, merge=2, repeats=2, mean=(0, 0, 0), std=(1, 1, 1)) * 255
    assert rows.shape == (8, 3 * 2 * 4)
    first = rows.round().int()[:, :4].tolist()  # first channel, first of the two times
    assert first[:4] == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert first[4:] == [[100 + n for n in patch] for patch in first[:4]]
    assert torch.equal(rows[:, :4], rows[:, 4:8]) and torch.equal(rows[:, :4], rows[:, -4:])


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("size", [(480, 640), (100, 37), (32, 32), (61, 400), (56, 84), (900, 200)])
def test_equal_to_transformers_to_a_rounding_step(size, patch):
    """transformers resizes with PIL, we with torch; both in fixed point, so that single levels differ."""
    limits = (64 * 28**2, 256 * 28**2)
    small = np.random.default_rng(0).integers(0, 255, (size[0] // 8 + 2, size[1] // 8 + 2, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BILINEAR))
    processor = Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=limits[0], max_pixels=limits[1])
    expected = processor(images=[Image.fromarray(picture)], return_tensors="pt")

    height, width = fitted_size(*size, 2 * patch, *limits)
    assert expected["image_grid_thw"].tolist() == [[1, height // patch, width // patch]]
    ours = patch_rows(resized_frames(picture[None], (height, width)), patch, 2, 2, CLIP_MEAN, CLIP_STD)
    difference = (ours - expected["pixel_values"]).abs()
    assert ours.shape == expected["pixel_values"].shape
    assert difference.max() < 2.01 * LEVEL
    assert (difference > 1e-5).float().mean() < 0.02

"""Resizing and normalising, against Pillow and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.ops.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    bytes_to_normalized,
    denormalize,
    frames_to_tensor,
    normalize,
    resize,
    resize_bytes,
)


@pytest.mark.parametrize(("mode", "pillow"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)])
@pytest.mark.parametrize("size", [(20, 31), (90, 64)])
def test_resize_equals_pillow_to_a_rounding_step(mode, pillow, size):
    # Away from 0 and 255, where Pillow also clips between its passes.
    picture = np.random.default_rng(0).integers(70, 186, (48, 57, 3), dtype=np.uint8)
    ours = resize(frames_to_tensor(picture[None]), size, mode)[0].permute(1, 2, 0).numpy() * 255
    expected = np.asarray(Image.fromarray(picture).resize(size[::-1], pillow), dtype=np.float64)
    # Pillow rounds once after each of its two passes.
    assert np.abs(ours - expected).max() < 1.6


def test_resize_to_the_same_size_is_the_input():
    images = torch.rand(2, 3, 8, 9)
    assert resize(images, (8, 9)) is images


def test_shrinking_averages():
    stripes = torch.zeros(1, 1, 8, 8)
    stripes[..., ::2] = 1.0
    assert resize(stripes, (2, 2)).sub(0.5).abs().max() < 0.07


def test_normalize_by_hand():
    white = torch.ones(1, 3, 2, 2)
    expected = [(1 - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    torch.testing.assert_close(normalize(white)[0, :, 0, 0], torch.tensor(expected))
    torch.testing.assert_close(denormalize(normalize(white)), white)


@pytest.mark.parametrize("statistics", [(IMAGENET_MEAN, IMAGENET_STD), ((0.5, 0.4, 0.3), (0.2, 0.3, 0.5))])
def test_bytes_are_normalized_to_the_same_bits(statistics):
    frames = np.random.default_rng(3).integers(0, 256, (2, 33, 45, 3), dtype=np.uint8)
    expected = normalize(frames_to_tensor(frames), *statistics)
    assert torch.equal(bytes_to_normalized(frames, *statistics), expected)
    # Parts of a larger picture, which have gaps between their rows, and an array that can't be written.
    frames.flags.writeable = False
    tiles = [frames[0, 3:19, 5:30], frames[1, :16, 20:]]
    assert torch.equal(bytes_to_normalized(tiles, *statistics)[1], expected[1, :, :16, 20:])


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((1, 3, 4, 4), np.uint8),
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)],
        [],
    ],
)
def test_other_bytes_are_not_normalized(frames):
    with pytest.raises(ValueError, match=r"expected uint8 frames \[H,W,3\] of one size"):
        bytes_to_normalized(frames)


@pytest.mark.parametrize(
    "frames", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 3, 4, 4), np.uint8)]
)
def test_other_arrays_are_refused(frames):
    with pytest.raises(ValueError, match=r"expected uint8 frames \[T,H,W,3\]"):
        frames_to_tensor(frames)


def test_bytes_are_resized_as_pillow_does_and_rounded_once():
    frames = np.random.default_rng(1).integers(0, 256, (2, 21, 34, 3), dtype=np.uint8)
    resized = resize_bytes(frames, (40, 16))
    assert resized.shape == (2, 40, 16, 3) and resized.dtype == np.uint8
    for frame, original in zip(resized, frames, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(Image.fromarray(original).resize((16, 40), Image.BICUBIC)))
    assert resize_bytes(frames, (21, 34)) is frames
    assert resize_bytes(frames[:0], (4, 5)).shape == (0, 4, 5, 3)

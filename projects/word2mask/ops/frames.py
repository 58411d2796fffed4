"""Which frames of a video to look at: sorted distinct indices, fewer than asked when the video has fewer."""

from __future__ import annotations

import numpy as np


def uniform_frames(num_frames: int, count: int) -> np.ndarray:
    """``count`` frames evenly spread from the first to the last; the middle one for ``count = 1``.

    Returns:
        int64 ``[min(count, num_frames)]``.
    """
    _check(num_frames, count)
    if count >= num_frames:
        return np.arange(num_frames)
    if count == 1:
        return np.array([(num_frames - 1) // 2])
    return (np.arange(count) * (num_frames - 1) * 2 + (count - 1)) // (2 * (count - 1))


def first_frames(num_frames: int, count: int) -> np.ndarray:
    """The first ``count`` frames, as the published Sa2VA code takes them: int64 ``[min(count, num_frames)]``."""
    _check(num_frames, count)
    return np.arange(min(count, num_frames))


def random_frames(num_frames: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` frames drawn from the whole video without replacement: int64 ``[min(count, num_frames)]``."""
    _check(num_frames, count)
    return np.sort(rng.choice(num_frames, size=min(count, num_frames), replace=False)).astype(np.int64)


def segment_frames(num_frames: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """One frame drawn from each of ``count`` equal segments of the video: int64 ``[min(count, num_frames)]``."""
    _check(num_frames, count)
    if count >= num_frames:
        return np.arange(num_frames)
    borders = np.arange(count + 1) * num_frames // count
    return rng.integers(borders[:-1], borders[1:]).astype(np.int64)


def _check(num_frames: int, count: int) -> None:
    if num_frames < 1 or count < 1:
        raise ValueError(f"expected one frame or more of a video of one frame or more, got {count} of {num_frames}")

"""Accuracy and robustness of ReVOS: is every pixel right, and does the prediction keep off other objects?

Yan et al., "VISA: Reasoning Video Object Segmentation via Large Language Models", ECCV 2024
(https://arxiv.org/abs/2407.11325), as in its code (cilinyan/VISA, commit ec158fd, ``tools/metrics.py``). That code adds
the masks of an expression's objects, so that where two overlap its true mask is 2; ours is true there. It reports the
mean over frames, then over expressions, for the referring and the reasoning ones; "overall" is the mean of the two.
"""

from __future__ import annotations

import numpy as np


def accuracy(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Share of each frame's pixels that are right, background included.

    Args:
        prediction: bool ``[T,H,W]``.
        target: bool ``[T,H,W]``.

    Returns:
        float64 ``[T]`` in 0…1.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_shapes(prediction=prediction, target=target)
    pairs = zip(prediction.astype(bool, copy=False), target.astype(bool, copy=False), strict=True)
    return np.array([np.count_nonzero(one == other) / other.size for one, other in pairs], dtype=np.float64)


def robustness(prediction: np.ndarray, target: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """1 minus the wrongly predicted pixels as a share of the foreground's, for each frame; 0 where that is negative.

    Args:
        prediction: bool ``[T,H,W]``.
        target: bool ``[T,H,W]``.
        foreground: bool ``[T,H,W]``, all objects of the video (``mask_dict_foreground.json``); counts may stand in for
            true, and then add up, as the published code reads a foreground of several masks.

    Returns:
        float64 ``[T]`` in 0…1.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_shapes(prediction=prediction, target=target, foreground=foreground)
    wrong = [
        np.count_nonzero(one & ~other)
        for one, other in zip(prediction.astype(bool, copy=False), target.astype(bool, copy=False), strict=True)
    ]
    shares = [count / (float(mask.sum()) + 1e-6) for count, mask in zip(wrong, foreground, strict=True)]
    return np.maximum(1.0 - np.array(shares, dtype=np.float64), 0.0)


def _check_shapes(**masks: np.ndarray) -> None:
    """Raise ValueError unless all masks are of one ``[T,H,W]``."""
    shapes = {name: mask.shape for name, mask in masks.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values()):
        raise ValueError(" and ".join(f"{name} {shape}" for name, shape in shapes.items()) + " must be one [T,H,W]")

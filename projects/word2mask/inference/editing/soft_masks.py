"""Masks with soft edges that don't tremble: what the effects blend with.

An edge is a ramp over the signed distance to the mask's border. Over time, the distances of a few frames before and
after are averaged, always the same number on both sides, so that nothing lags behind; frames whose mask is elsewhere (a
cut, a fast move) don't count, nor do they at a pixel where the border is elsewhere (a thin part that moves fast). The
border itself stays where the frame's own mask has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np

__all__ = ["MAX_REACH", "SoftMasks", "signed_distance", "soft_edge"]

#: Frames on either side that are averaged, and their weights beside the frame's own 3.
WEIGHTS = (2.0, 1.0)
OWN_WEIGHT = 3.0
MAX_REACH = len(WEIGHTS)
#: Pixels that a border may lie apart on two frames to be the same one trembling, at least; else the ramp's width.
MIN_TOLERANCE = 2.0
#: Masks that overlap less than this (intersection over union) show another place, not the same one trembling.
MIN_OVERLAP = 0.6
#: Width of the ramp beside the shorter side of the frame; 2 pixels of 480.
FEATHER = 1 / 240


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the mask's border, in pixels: positive inside, negative outside.

    The border lies between pixels: those beside it have 0.5 and -0.5.

    Args:
        mask: bool ``[H,W]``.

    Returns:
        float32 ``[H,W]``; ``±(H + W)`` everywhere where there is no border.
    """
    limit = float(sum(mask.shape))
    if not mask.any() or mask.all():
        return np.full(mask.shape, limit if mask.any() else -limit, np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return inside - outside + np.where(mask, np.float32(-0.5), np.float32(0.5))


def soft_edge(distance: np.ndarray, width: float) -> np.ndarray:
    """A ramp from 0 to 1 that is ``width`` pixels wide, with 0.5 on the border.

    Returns:
        float32 ``[H,W]``, exactly 0 and 1 away from the border; a width below 1 gives the mask itself.
    """
    return np.clip(distance / max(width, 1.0) + 0.5, 0, 1).astype(np.float32)


class SoftMasks(Sequence[np.ndarray]):
    """The soft mask of each frame, made when it is asked for; a handful of frames are kept.

    Args:
        masks: gives the mask bool ``[H,W]`` of a frame.
        num_frames: T.
        size: ``(H, W)``.
        feather: width of the edge in pixels; ``None`` goes by the frame's size.
        reach: frames on either side that are averaged, 0…2.
    """

    def __init__(
        self,
        masks: Callable[[int], np.ndarray],
        num_frames: int,
        size: tuple[int, int],
        feather: float | None = None,
        reach: int = MAX_REACH,
    ) -> None:
        self._num_frames = num_frames
        self._reach = reach
        self.feather = max(1.0, min(size) * FEATHER) if feather is None else feather
        self._tolerance = max(self.feather, MIN_TOLERANCE)
        # Beyond the band, only on which side of the border a pixel is counts.
        self._band = 2 * self._tolerance + 2
        self._mask = lru_cache(maxsize=2 * reach + 2)(lambda frame: np.asarray(masks(frame), dtype=bool))
        self._distance = lru_cache(maxsize=2 * reach + 2)(self._clipped)

    def __len__(self) -> int:
        return self._num_frames

    def __getitem__(self, frame: int) -> np.ndarray:  # type: ignore[override]
        """float32 ``[H,W]``: 0.5…1 within the frame's own mask and 0…0.5 outside; all 0 where that has no pixel."""
        if not 0 <= frame < self._num_frames:
            raise IndexError(f"frame {frame} of {self._num_frames}")
        if not self._mask(frame).any():
            return np.zeros(self._mask(frame).shape, np.float32)
        own = self._distance(frame)
        total, weight = OWN_WEIGHT * own, np.full_like(own, OWN_WEIGHT)
        for step, share in enumerate(WEIGHTS[: self._reach], start=1):
            before, after = frame - step, frame + step
            if before < 0 or after >= self._num_frames:
                break
            if not (self._agrees(frame, before) and self._agrees(frame, after)):
                break
            others = self._distance(before), self._distance(after)
            # Full weight up to half of the tolerance, none from the whole on; one for both sides, against a lag.
            apart = np.maximum(np.abs(others[0] - own), np.abs(others[1] - own))
            shares = share * np.clip(2 - 2 * apart / self._tolerance, 0, 1)
            total += shares * (others[0] + others[1])
            weight += 2 * shares
        mean = total / weight
        return soft_edge(np.where(self._mask(frame), np.maximum(mean, 0), np.minimum(mean, 0)), self.feather)

    def _clipped(self, frame: int) -> np.ndarray:
        return np.clip(signed_distance(self._mask(frame)), -self._band, self._band)

    def _agrees(self, frame: int, other: int) -> bool:
        """Whether two masks show the object at nearly the same place."""
        one, two = self._mask(frame), self._mask(other)
        return bool((one & two).sum() >= MIN_OVERLAP * (one | two).sum())

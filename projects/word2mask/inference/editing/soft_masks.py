"""Masks with soft edges that don't tremble: what the effects blend with.

An edge is a ramp over the signed distance to the mask's border. Over time, the distances of a few frames before and
after are averaged, always the same number on both sides, so that nothing lags behind; frames whose mask is elsewhere (a
cut, a fast move) don't count, nor do they at a pixel where the border is elsewhere (a thin part that moves fast). The
border itself stays where the frame's own mask has it, so that nothing of the object is left out.

A line that is drawn along the border shows every tremble of it. :class:`SteadyMasks` are for lines: there the border is
the average itself, of more frames, each moved to where the object is now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np

__all__ = ["MAX_REACH", "SoftMasks", "SteadyMasks", "signed_distance", "soft_edge"]

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
#: For lines: weights of the frames on either side beside the frame's own 3, and how many times as far apart borders may
#: lie. In pixels of a frame whose shorter side has 240, and at least: the spread of a smoothing along the border, and
#: how far from the frame's own border it may come to lie; a leg under a body is that much thinner at most.
STEADY_WEIGHTS = (2.5, 2.0, 1.5, 1.0)
STEADY_TOLERANCE = 3.0
STEADY_SPREAD, STEADY_MOST = 0.8, 1.25


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

    #: Of the frames on either side.
    weights: tuple[float, ...] = WEIGHTS

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
        """float32 ``[H,W]``: 0.5…1 within the frame's own mask and 0…0.5 outside; all 0 where that has no pixel.

        Of :class:`SteadyMasks`, 0.5 is where the average has the border.
        """
        if not 0 <= frame < self._num_frames:
            raise IndexError(f"frame {frame} of {self._num_frames}")
        if not self._mask(frame).any():
            return np.zeros(self._mask(frame).shape, np.float32)
        own = self._distance(frame)
        total, weight = OWN_WEIGHT * own, np.full_like(own, OWN_WEIGHT)
        for step, share in enumerate(self.weights[: self._reach], start=1):
            if frame - step < 0 or frame + step >= self._num_frames:
                break
            before, after = (self._other(frame, other) for other in (frame - step, frame + step))
            if before is None or after is None:
                break
            # Full weight up to half of the tolerance, none from the whole on; one for both sides, against a lag.
            apart = np.maximum(np.abs(before - own), np.abs(after - own))
            shares = share * np.clip(2 - 2 * apart / self._tolerance, 0, 1)
            total += shares * (before + after)
            weight += 2 * shares
        return self._edge(frame, total / weight)

    def _edge(self, frame: int, mean: np.ndarray) -> np.ndarray:
        """The soft mask of averaged distances; the border stays the frame's own."""
        return soft_edge(np.where(self._mask(frame), np.maximum(mean, 0), np.minimum(mean, 0)), self.feather)

    def _other(self, frame: int, other: int) -> np.ndarray | None:
        """Distances on another frame as they are averaged with a frame's; ``None`` where it shows another place."""
        return self._distance(other) if _overlap(self._mask(frame), self._mask(other)) else None

    def _clipped(self, frame: int) -> np.ndarray:
        return np.clip(signed_distance(self._mask(frame)), -self._band, self._band)


class SteadyMasks(SoftMasks):
    """Soft masks for lines along the border: it is where some frames have it on the average, not where one has it.

    Frames before and after are moved by as much as the middle of the mask moved, so that an object in motion is
    averaged with itself. A part that moves otherwise counts as little as in :class:`SoftMasks`.

    Args:
        masks: gives the mask bool ``[H,W]`` of a frame.
        num_frames: T.
        size: ``(H, W)``.
        feather: width of the edge in pixels; ``None`` goes by the frame's size.
    """

    weights = STEADY_WEIGHTS

    def __init__(
        self,
        masks: Callable[[int], np.ndarray],
        num_frames: int,
        size: tuple[int, int],
        feather: float | None = None,
    ) -> None:
        super().__init__(masks, num_frames, size, feather, reach=len(STEADY_WEIGHTS))
        self._tolerance *= STEADY_TOLERANCE
        self._band = 2 * self._tolerance + 2
        self._spread = STEADY_SPREAD * max(1.0, min(size) / 240)
        self._most = STEADY_MOST * max(1.0, min(size) / 240)
        self._middle = lru_cache(maxsize=2 * self._reach + 2)(self._middle_of)

    def _edge(self, frame: int, mean: np.ndarray) -> np.ndarray:
        own = self._distance(frame)
        smooth = np.clip(cv2.GaussianBlur(mean, (0, 0), self._spread), own - self._most, own + self._most)
        # What is too thin to be there on the average is there all the same.
        return soft_edge(smooth if (smooth > 0).any() else own, self.feather)

    def _other(self, frame: int, other: int) -> np.ndarray | None:
        across, down = self._middle(frame) - self._middle(other)
        if not self._mask(other).any():
            return None
        move = np.float32([[1, 0, across], [0, 1, down]])
        size = self._mask(frame).shape[::-1]
        moved = cv2.warpAffine(self._distance(other), move, size, borderMode=cv2.BORDER_REPLICATE)
        return moved if _overlap(moved > 0, self._mask(frame)) else None

    def _middle_of(self, frame: int) -> np.ndarray:
        """Column and row of the mask's middle, float64 ``[2]``."""
        rows, columns = np.nonzero(self._mask(frame))
        return np.array([columns.mean(), rows.mean()]) if len(rows) else np.zeros(2)


def _overlap(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two masks show the object at nearly the same place."""
    return bool((one & two).sum() >= MIN_OVERLAP * (one | two).sum())

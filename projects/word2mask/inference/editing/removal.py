"""Removing an object: the background that other frames show, and where none does, its surroundings continued.

Other frames are laid over the frame by the motion of the background between them, made as light, and of all that show
a place the median is taken: what passed there on one or the other doesn't count. The seam is made even by spreading the
difference on the border over the hole. What no frame shows is completed once, patch by patch, and carried along, so
that it stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from word2mask.inference.editing.alignment import background_motion, shrunk
from word2mask.inference.editing.completion import complete, smooth_fill
from word2mask.inference.editing.soft_masks import signed_distance

__all__ = ["OFFSETS", "remove"]

#: How far other frames lie from the one that is filled.
OFFSETS = (-2, 2, -4, 4, -7, 7, -11, 11, -16, 16, -24, 24, -36, 36, -54, 54)
#: So many frames that show every pixel of the hole are enough.
ENOUGH = 7
#: Mean difference of the hole's surroundings from which another frame shows something else.
MAX_DIFFERENCE = 14.0
#: Or it shows the same after all, where so large a share of them differ by less: something stands before the rest.
MOST_OF_IT, MAX_DIFFERENCE_OF_MOST = 0.6, 7.0
#: Differences of values beyond which two pixels aren't the same thing in another light.
SAME = 24.0
#: Gaps of the object up to this width, beside the frame's shorter side and in pixels at least, are no background to
#: other frames: it runs behind a post there.
GAP, MIN_GAP = 1 / 16, 8.0
#: Width of the ring around the hole that is compared, and of the rim that goes with the object, beside the frame's
#: shorter side; at least so many pixels.
RING, MIN_RING = 1 / 24, 8.0
RIM, MIN_RIM = 1 / 100, 3.0


def remove(frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], span: range) -> Iterator[np.ndarray]:
    """The frames of a span without the object.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each, of the whole video.
        masks: float32 ``[H,W]`` each.
        span: which to give.

    Yields:
        uint8 RGB ``[H,W,3]`` for each of ``span``; away from the object, the frame.
    """
    views = _Views(frames, masks)
    guess: _View | None = None
    for index in span:
        if not views.of(index).hole.any():
            yield frames[index]
            continue
        result, is_guessed = _without(views, index, guess)
        if is_guessed:
            gray, _ = shrunk(result)
            nowhere = np.zeros(result.shape[:2], dtype=bool)
            guess = _View(result, gray, nowhere, nowhere, np.zeros(gray.shape, dtype=bool))
        yield result


@dataclass(frozen=True)
class _View:
    """One frame as it is compared with others.

    Attributes:
        frame: uint8 RGB ``[H,W,3]``.
        gray: float32 ``[h,w]``, smaller.
        hole: bool ``[H,W]``, the object with its rim.
        closed: bool ``[H,W]``, with its gaps.
        small_hole: bool ``[h,w]``.
    """

    frame: np.ndarray
    gray: np.ndarray
    hole: np.ndarray
    closed: np.ndarray
    small_hole: np.ndarray


class _Views:
    """The views of a video; as many are kept as one frame is compared with.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each.
        masks: float32 ``[H,W]`` each.
    """

    def __init__(self, frames: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> None:
        self._frames, self._masks = frames, masks
        self.of = lru_cache(maxsize=len(OFFSETS) + 2)(self._view)

    def object(self, index: int) -> np.ndarray:
        """The object alone, bool ``[H,W]``."""
        return self._masks[index] > 0.02

    def others(self, index: int) -> Iterator[_View]:
        """Frames around one, the nearest first."""
        for offset in OFFSETS:
            if 0 <= index + offset < len(self._frames):
                yield self.of(index + offset)

    def _view(self, index: int) -> _View:
        frame, inside = self._frames[index], self.object(index)
        gray, _ = shrunk(frame)
        hole = closed = inside
        if inside.any():
            hole = signed_distance(inside) > -max(MIN_RIM, min(inside.shape) * RIM)
            reach = max(MIN_GAP, min(inside.shape) * GAP) / 2
            closed = hole | (signed_distance(signed_distance(inside) > -reach) > reach)
        small = cv2.resize(hole.astype(np.float32), gray.shape[::-1], interpolation=cv2.INTER_AREA) > 0
        return _View(frame, gray, hole, closed, small)


def _without(views: _Views, index: int, guess: _View | None) -> tuple[np.ndarray, bool]:
    """One frame without the object, and whether a part had to be guessed anew."""
    view = views.of(index)
    box = _box(view.hole)
    frame, hole = view.frame[box].astype(np.float32), view.hole[box]
    ring = ~hole & (signed_distance(hole) > -_ring_width(view.hole.shape))
    shown: list[np.ndarray] = []
    count = np.zeros(hole.shape, np.int16)
    for other in views.others(index):
        laid = _laid_over(other, view, box, ring)
        if laid is not None:
            shown.append(laid)
            count += ~np.isnan(laid[..., 0])
            if count[hole].min() >= ENOUGH:
                break
    filled, known = frame.copy(), np.zeros(hole.shape, dtype=bool)
    if shown:
        behind = _median(np.stack(shown))
        known = ~np.isnan(behind[..., 0])
        behind = _seamless(np.nan_to_num(behind), frame, known & ring)
        hole = _without_others(frame, behind, hole, views.object(index)[box], known)
        filled[hole & known] = behind[hole & known]
    missing = hole & ~known
    if missing.any() and guess is not None:
        laid = _laid_over(guess, view, box, ring)
        if laid is not None:
            seen = ~np.isnan(laid[..., 0])
            before = _seamless(np.nan_to_num(laid), filled, seen & ~missing & (ring | (hole & known)))
            filled[missing & seen] = before[missing & seen]
            missing &= ~seen
    result = view.frame.copy()
    result[box] = np.where(hole[..., None], np.clip(np.rint(filled), 0, 255), view.frame[box]).astype(np.uint8)
    if not missing.any():
        return result, False
    everywhere = np.zeros(view.hole.shape, dtype=bool)
    everywhere[box] = missing
    return complete(result, everywhere), True


def _box(hole: np.ndarray) -> tuple[slice, slice]:
    """The rectangle of the hole and twice its ring."""
    margin = int(2 * _ring_width(hole.shape)) + 2
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )


def _ring_width(size: tuple[int, ...]) -> float:
    return max(MIN_RING, min(size) * RING)


def _laid_over(other: _View, view: _View, box: tuple[slice, slice], ring: np.ndarray) -> np.ndarray | None:
    """Another frame as this one's camera would see it, in this one's light.

    Args:
        other, view: the two.
        box: the part that is wanted, ``[h,w]``.
        ring: bool ``[h,w]``, where the two are compared.

    Returns:
        float32 ``[h,w,3]``, NaN where it doesn't show the background; ``None`` where it shows something else.
    """
    motion = background_motion(other.gray, other.small_hole, view.gray, view.small_hole)
    if motion is None:
        return None
    down, across = (small / large for small, large in zip(view.gray.shape, view.hole.shape, strict=True))
    # Pixels are squares: their middles lie half a pixel off, on both sizes.
    shrink = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    corner = np.array([[1, 0, -box[1].start], [0, 1, -box[0].start], [0, 0, 1]])
    full = corner @ np.linalg.inv(shrink) @ motion @ shrink
    size = ring.shape[::-1]
    closed = other.closed.astype(np.float32)
    hidden = cv2.warpPerspective(
        closed, full, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1
    )
    seen = hidden < 1e-3
    compared = ring & seen
    if compared.sum() < 32:
        return None
    laid = cv2.warpPerspective(other.frame, full, size, flags=cv2.INTER_LINEAR).astype(np.float32)
    here, there = view.frame[box][compared].astype(np.float32), laid[compared]
    # Of each pixel by itself: what stands before the rest on one frame alone would move a median of values.
    gain = np.clip(np.median((here + 1) / (there + 1), axis=0), 0.5, 2)
    difference = np.sort(np.minimum(np.abs(here - gain * there).mean(axis=1), 2 * SAME))
    most = difference[: max(1, int(MOST_OF_IT * len(difference)))]
    if difference.mean() > MAX_DIFFERENCE and most.mean() > MAX_DIFFERENCE_OF_MOST:
        return None
    laid *= gain
    laid[~seen] = np.nan
    return laid


def _median(shown: np.ndarray) -> np.ndarray:
    """Over the first axis of ``[K,h,w,3]``, NaN apart; the lower of two middle ones."""
    ordered = np.sort(shown, axis=0)  # NaN come last
    middle = (np.maximum((~np.isnan(shown[..., :1])).sum(axis=0), 1) - 1) // 2
    return np.take_along_axis(ordered, np.broadcast_to(middle[None], (1, *ordered.shape[1:])), axis=0)[0]


def _seamless(behind: np.ndarray, frame: np.ndarray, compared: np.ndarray) -> np.ndarray:
    """The background with the difference that its surroundings have to the frame, spread over it.

    Args:
        behind, frame: float32 ``[h,w,3]``.
        compared: bool ``[h,w]``, pixels of both.

    Returns:
        float32 ``[h,w,3]``.
    """
    difference = frame - behind
    same = compared & (np.abs(difference).max(axis=2) < SAME)
    return behind + smooth_fill(difference, ~same) if same.any() else behind


def _without_others(
    frame: np.ndarray, behind: np.ndarray, hole: np.ndarray, inside: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """The hole without the part of its rim that belongs to another thing, one before the object or beside it.

    Such pixels look like what lies beyond the rim, and not like the background there.

    Args:
        frame, behind: float32 ``[h,w,3]``.
        hole, inside: bool ``[h,w]``, with and without the rim.
        known: bool ``[h,w]``, where the background is known.
    """
    smooth = cv2.medianBlur(np.clip(frame, 0, 255).astype(np.uint8), 3).astype(np.float32)
    labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    color = np.zeros((int(labels.max()) + 1, 3), np.float32)
    color[labels[~hole]] = smooth[~hole]
    to_behind, to_beyond = (np.abs(smooth - picture).max(axis=2) for picture in (behind, color[labels]))
    is_other = hole & ~inside & known & (to_behind > SAME) & (to_beyond < 0.5 * to_behind)
    return hole & ~is_other

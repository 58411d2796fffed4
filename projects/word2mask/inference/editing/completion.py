"""What a hole in a picture may look like: its surroundings continued, patch by patch, from coarse to fine.

Every patch over the hole is made as like as can be to some patch beyond it, and overlapping patches are averaged
(Wexler, Shechtman and Irani, 2007, "Space-Time Completion of Video", for one frame); the most alike ones are found by
PatchMatch (Barnes et al., 2009). Patches may be a little lighter or darker than where they come from, so that walls
with a gradient continue.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["complete", "smooth_fill"]

#: Half of a patch's side, without its middle: patches of 7 × 7.
RADIUS = 3
#: How many grey values a patch may be lighter or darker than where it comes from.
MAX_BIAS = 16.0
#: The coarsest level is where the hole's middle lies this near to its border, in pixels.
COARSEST_DEPTH = 4
#: Rounds of search and averaging, on the coarsest level and on the finest.
MOST_ROUNDS, FEWEST_ROUNDS = 8, 2
#: The picture around the hole that patches come from, beside the hole's longer side; at least so many pixels.
CONTEXT, MIN_CONTEXT = 1.0, 40
#: Hole pixels with which patches are searched anew; larger levels only refine what the coarser one found.
SEARCHED_PIXELS = 24_000
#: Patches whose differences are computed at a time, against memory.
AT_A_TIME = 16_384

_ROWS, _COLUMNS = (grid.ravel() for grid in np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1])


def complete(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole filled with what its surroundings suggest; the same for the same picture.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        hole: bool ``[H,W]``.

    Returns:
        uint8 RGB ``[H,W,3]``; outside of the hole, the frame. A hole without surroundings stays as it is.
    """
    if hole.all() or not hole.any():
        return frame
    rows, columns = np.nonzero(hole)
    margin = max(MIN_CONTEXT, round(CONTEXT * max(np.ptp(rows), np.ptp(columns))))
    box = np.s_[
        max(rows.min() - margin, 0) : rows.max() + margin, max(columns.min() - margin, 0) : columns.max() + margin
    ]
    # Patches at the frame's edge reach over it.
    known, missing = (
        cv2.copyMakeBorder(part, *(RADIUS,) * 4, cv2.BORDER_REFLECT_101)
        for part in (frame[box].astype(np.float32), hole[box].astype(np.uint8))
    )
    levels = _pyramid(known, missing > 0)
    generator = np.random.default_rng(0)
    picture = smooth_fill(*levels[-1])
    field: np.ndarray | None = None
    for number, (known, missing) in enumerate(reversed(levels)):
        if field is not None:
            larger = cv2.resize(picture, known.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            picture = np.where(missing[..., None], larger, known)
        last = len(levels) - 1
        rounds = round(MOST_ROUNDS + (FEWEST_ROUNDS - MOST_ROUNDS) * number / max(last, 1))
        picture, field = _level(picture, missing, field, rounds, generator)
    filled = frame.copy()
    inner = picture[RADIUS:-RADIUS, RADIUS:-RADIUS][hole[box]]
    filled[box][hole[box]] = np.clip(np.rint(inner), 0, 255).astype(np.uint8)
    return filled


def smooth_fill(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole filled with averages of its surroundings, ever wider ones where it is deeper.

    Args:
        frame: float32 ``[H,W,C]``.
        hole: bool ``[H,W]``.

    Returns:
        float32 ``[H,W,C]``.
    """
    weight = (~hole).astype(np.float32)
    if not hole.any() or not weight.any() or min(hole.shape) < 2:
        mean = frame[~hole].mean(axis=0) if weight.any() else np.float32(0)
        return np.where(hole[..., None], mean, frame).astype(np.float32)
    size = ((hole.shape[1] + 1) // 2, (hole.shape[0] + 1) // 2)
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(frame * weight[..., None], size, interpolation=cv2.INTER_AREA)
    small = small.reshape(*small_weight.shape, -1) / np.maximum(small_weight, 1e-6)[..., None]
    deeper = smooth_fill(small, small_weight < 1e-3)
    wide = cv2.resize(deeper, hole.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(frame.shape)
    mixed = np.where(hole[..., None], wide, frame).astype(np.float32)
    # Once more at this size, or the squares of the smaller one show.
    near = cv2.GaussianBlur(mixed, (0, 0), 1.0).reshape(frame.shape)
    return np.where(hole[..., None], near, frame).astype(np.float32)


def _pyramid(frame: np.ndarray, hole: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The picture and hole at full size, half, a quarter …; pixels of the hole count for nothing on smaller ones."""
    levels = [(frame, hole)]
    while True:
        frame, hole = levels[-1]
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max()
        if depth <= COARSEST_DEPTH or min(hole.shape) < 8 * RADIUS:
            return levels
        size = ((hole.shape[1] + 1) // 2, (hole.shape[0] + 1) // 2)
        weight = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(frame * (~hole[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        if (weight > 0.999).mean() < 0.1:
            return levels
        levels.append((seen / np.maximum(weight, 1e-3)[..., None], weight < 0.5))


def _level(
    picture: np.ndarray, hole: np.ndarray, field: np.ndarray | None, rounds: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One size: patches searched and averaged, some rounds.

    Args:
        picture: float32 ``[h,w,3]``, the hole filled with a guess.
        hole: bool ``[h,w]``.
        field: int ``[h',w',2]`` of the level with half the size: where each patch comes from; ``None`` on the first.
        rounds: of search and averaging.
        generator: of the search.

    Returns:
        the picture, and its field int ``[h,w,2]``.
    """
    side = 2 * RADIUS + 1
    kernel = np.ones((side, side), np.uint8)
    wanted = cv2.dilate(hole.astype(np.uint8), kernel) > 0
    whole = cv2.dilate(hole.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) == 0
    whole[:RADIUS] = whole[-RADIUS:] = whole[:, :RADIUS] = whole[:, -RADIUS:] = False
    inside = np.zeros_like(whole)
    inside[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    targets, sources = np.argwhere(wanted & inside), np.argwhere(whole)
    own = np.moveaxis(np.indices(hole.shape), 0, 2).copy()
    if not len(sources) or not len(targets):
        return picture, own
    search = _Search(picture, hole, targets, whole, generator)
    if field is None:
        found = sources[generator.integers(len(sources), size=len(targets))]
    else:
        coarse = np.minimum(targets // 2, np.array(field.shape[:2]) - 1)
        found = 2 * field[coarse[:, 0], coarse[:, 1]] + targets % 2
        found = np.clip(found, 0, np.array(hole.shape) - 1)
        lost = ~whole[found[:, 0], found[:, 1]]
        found[lost] = sources[generator.integers(len(sources), size=int(lost.sum()))]
    is_searched = len(targets) <= SEARCHED_PIXELS
    for _ in range(rounds if is_searched else 1):
        found = search.improved(found, is_searched)
        search.average(found)
    own[targets[:, 0], targets[:, 1]] = found
    return search.picture, own


class _Search:
    """Patches of one picture that are like those over its hole.

    Args:
        picture: float32 ``[h,w,3]``; changed in place.
        hole: bool ``[h,w]``.
        targets: int ``[P,2]``, middles of the patches over the hole.
        whole: bool ``[h,w]``, middles of the patches that are known.
        generator: of random places.
    """

    def __init__(
        self,
        picture: np.ndarray,
        hole: np.ndarray,
        targets: np.ndarray,
        whole: np.ndarray,
        generator: np.random.Generator,
    ) -> None:
        self.picture, self._hole, self._targets, self._whole = picture, hole, targets, whole
        self._generator = generator
        self._width = hole.shape[1]
        self._around = _ROWS * self._width + _COLUMNS
        self._number = np.full(hole.shape, -1)
        self._number[targets[:, 0], targets[:, 1]] = np.arange(len(targets))
        # What is known counts more than what is guessed, and the border of the hole most of all.
        self._trust = np.where(hole, 0.35, 1.0).astype(np.float32).ravel()

    def improved(self, found: np.ndarray, with_random: bool) -> np.ndarray:
        """Better places int ``[P,2]``: those of neighbours, moved along, and random ones ever nearer."""
        best = self._differences(found)[0]
        for step in (8, 4, 2, 1) if with_random else (1,):
            for direction in ((0, step), (step, 0), (0, -step), (-step, 0)):
                beside = self._targets + direction
                inside = ((beside >= 0) & (beside < self._hole.shape)).all(axis=1)
                number = np.full(len(found), -1)
                number[inside] = self._number[beside[inside, 0], beside[inside, 1]]
                there = number >= 0
                place = found.copy()
                place[there] = found[number[there]] - direction
                self._take_better(place, found, best)
        reach = max(self._hole.shape) // 2 if with_random else 0
        while reach >= 1:
            offset = self._generator.integers(-reach, reach + 1, size=found.shape)
            self._take_better(found + offset, found, best)
            reach //= 3
        return found

    def average(self, found: np.ndarray) -> None:
        """The hole's pixels become the mean of what overlapping patches say, alike ones first."""
        differences, bias = self._differences(found)
        width = max(float(np.percentile(differences, 50)), 1.0)
        weights = np.exp(-differences / (2 * width)).astype(np.float32) + 1e-6
        total = np.zeros_like(self.picture)
        weight = np.zeros(self._hole.shape, np.float32)
        rows, columns = self._targets.T
        for down, across in zip(_ROWS, _COLUMNS, strict=True):
            source = self.picture[found[:, 0] + down, found[:, 1] + across]
            total[rows + down, columns + across] += weights[:, None] * (source + bias)
            weight[rows + down, columns + across] += weights
        said = self._hole & (weight > 0)
        self.picture[said] = total[said] / weight[said][:, None]

    def _take_better(self, place: np.ndarray, found: np.ndarray, best: np.ndarray) -> None:
        """Takes the places, in ``found`` and ``best``, where they are known patches and more alike."""
        inside = np.asarray(((place >= 0) & (place < self._hole.shape)).all(axis=1))
        inside[inside] = self._whole[place[inside, 0], place[inside, 1]]
        inside[inside] &= (place[inside] != found[inside]).any(axis=1)
        tried = np.flatnonzero(inside)
        if not len(tried):
            return
        differences = self._differences(place[tried], tried)[0]
        better = differences < best[tried]
        found[tried[better]] = place[tried[better]]
        best[tried[better]] = differences[better]

    def _differences(self, place: np.ndarray, which: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean square differences float32 ``[P]`` of patches to those at ``place``, and how much lighter, ``[P,3]``."""
        targets = self._targets if which is None else self._targets[which]
        pixels = self.picture.reshape(-1, 3)
        results, biases = [], []
        for start in range(0, len(targets), AT_A_TIME):
            part = np.s_[start : start + AT_A_TIME]
            here = (targets[part] @ (self._width, 1))[:, None] + self._around
            there = (place[part] @ (self._width, 1))[:, None] + self._around
            difference = pixels[here] - pixels[there]
            trust = self._trust[here]
            trust /= trust.sum(axis=1, keepdims=True)
            bias = np.clip(np.einsum("pk,pkc->pc", trust, difference), -MAX_BIAS, MAX_BIAS)
            difference -= bias[:, None]
            # Lighter or darker patches cost a little, so that the same brightness is taken where there is a choice.
            results.append(np.einsum("pk,pkc,pkc->p", trust, difference, difference) + 0.1 * (bias**2).sum(axis=1))
            biases.append(bias)
        return np.concatenate(results), np.concatenate(biases)

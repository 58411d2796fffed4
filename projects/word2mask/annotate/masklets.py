"""SA-V's masklets, read and checked all at once: run lengths, areas, and masks of the size that pictures are sent in.

A video has hundreds of masks and a dozen of them are shown; so their strings are read together in one pass of NumPy,
and a mask is filled no further than its object reaches.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

from word2mask.data.sources.ref_sav import load_masklet
from word2mask.errors import UserError
from word2mask.ops.masks import pack_rle

__all__ = ["Masklets", "Rle", "load_masklets", "overlaps"]

Rle = dict[str, Any]


class Masklets:
    """The masks of a video's objects.

    Args:
        rles: ``[T][N]`` COCO run lengths, ``{"size": [H, W], "counts": str | bytes | list}``.
        size: ``(H, W)`` of the video.

    Attributes:
        rles: ``[T][N]``, as pycocotools takes them.
        areas: pixels of every mask, int64 ``[T,N]``.

    Raises:
        ValueError: run lengths that can't be read, or masks of another size.
    """

    def __init__(self, rles: list[list[Rle]], size: tuple[int, int]) -> None:
        self.size = size
        found = _read_together([rle for objects in rles for rle in objects], size)
        if found is None:
            # One by one: some are of another form, or say what is wrong with them.
            packed = [[pack_rle(rle) for rle in objects] for objects in rles]
            wrong = next((rle["size"] for objects in packed for rle in objects if tuple(rle["size"]) != size), None)
            if wrong is not None:
                raise ValueError(f"masks of {wrong} for a video of {list(size)} (height, width)")
            found = _read_together([rle for objects in packed for rle in objects], size)
            assert found is not None
            rles = packed
        self.rles: list[list[Rle]] = [
            [{"size": list(size), "counts": _as_bytes(rle["counts"])} for rle in objects] for objects in rles
        ]
        #: Run lengths of all masks one behind the other, and where those of each begin and end.
        self._runs, ends, areas = found
        self._ends = np.concatenate([[0], ends])
        #: Of each frame, how many masks there are before it.
        self._before = np.concatenate([[0], np.cumsum([len(objects) for objects in rles])]).tolist()
        # Where all frames have as many objects; a file in which they haven't is refused before.
        self.areas = areas.reshape(len(rles), -1) if areas.size else np.zeros((len(rles), 0), dtype=np.int64)

    def __len__(self) -> int:
        """Annotated frames T."""
        return len(self.rles)

    def box(self, frame: int, number: int) -> tuple[int, int, int, int] | None:
        """The box around an object, ``(x0, y0, x1, y1)`` with the last row and column outside; ``None`` of nothing."""
        starts, stops = self._spans(frame, number)
        if not starts.size:
            return None
        height = self.size[0]
        (first, top), (last, bottom) = divmod(starts, height), divmod(stops - 1, height)
        # A run that goes on in the next column reaches the bottom of the one and the top of the other.
        goes_on = bool((first != last).any())
        y0, y1 = (0, height) if goes_on else (int(top.min()), int(bottom.max()) + 1)
        return int(first[0]), y0, int(last[-1]) + 1, y1

    def small(self, frame: int, number: int, size: tuple[int, int]) -> np.ndarray:
        """A mask at another size, nearest pixels: uint8 ``[h,w]``, 1 on the object."""
        mask = np.zeros(size, dtype=np.uint8)
        starts, stops = self._spans(frame, number)
        if not starts.size:
            return mask
        rows, columns = (_nearest(small, large) for small, large in zip(size, self.size, strict=True))
        # Pixels that are taken, counted down the columns from the left: so many of them lie before a place.
        edges = np.stack([starts, stops], axis=1).ravel()
        x, y = divmod(edges, self.size[0])
        place = np.searchsorted(columns, x)
        is_taken = columns[np.minimum(place, size[1] - 1)] == x
        before = place * size[0] + np.where(is_taken, np.searchsorted(rows, y), 0)
        x0, x1 = int(before[0]) // size[0], -(-int(before[-1]) // size[0])
        lengths = np.diff(before, prepend=x0 * size[0], append=x1 * size[0])
        values = (np.arange(lengths.size) % 2).astype(np.uint8)
        mask[:, x0:x1] = cv2.transpose(np.repeat(values, lengths).reshape(x1 - x0, size[0])) if x1 > x0 else 0
        return mask

    def _spans(self, frame: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the object's runs begin and end, pixels counted down the columns from the left; none of them empty."""
        here = self._before[frame] + number
        runs = self._runs[self._ends[here] : self._ends[here + 1]]
        ends = np.cumsum(runs)
        starts, stops = ends[: len(runs) - 1 : 2], ends[1::2]
        inside = starts < stops
        return starts[inside], stops[inside]


def overlaps(one: Masklets, other: Masklets) -> np.ndarray:
    """IoU of every object with every other over all frames together: float64 ``[N,M]``, 0 for two that are never seen.

    Args:
        one: of N objects.
        other: of M, on the same frames.
    """
    common = np.zeros((one.areas.shape[-1], other.areas.shape[-1]))
    for frame in range(len(one) if common.size else 0):
        iou = coco.iou(one.rles[frame], other.rles[frame], [0] * common.shape[1])
        # IoU = common / (sum - common), solved for what they have in common.
        common += iou * (one.areas[frame][:, None] + other.areas[frame][None]) / (1 + iou)
    either = one.areas.sum(0)[:, None] + other.areas.sum(0)[None] - common if common.size else common
    return common / np.maximum(either, 1)


def load_masklets(path: Path, num_frames: int, size: tuple[int, int], video: str) -> Masklets:
    """Every object on every annotated frame, checked.

    Args:
        path: SA-V's file.
        num_frames: annotated frames of the video.
        size: ``(H, W)`` of the video.
        video: its name, for messages.

    Raises:
        UserError: the file is damaged or belongs to another video.
    """
    frames = load_masklet(path, num_frames, video)
    if len({len(objects) for objects in frames if isinstance(objects, list)}) > 1:
        raise UserError(f"{path}: frames with different numbers of objects; get the file again from its source")
    try:
        return Masklets(frames, size)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: {error}") from error


@lru_cache(maxsize=64)
def _nearest(small: int, large: int) -> np.ndarray:
    """Of so many rows or columns of a large picture, those that a small one takes."""
    return np.arange(small) * large // small


def _as_bytes(counts: Any) -> bytes:
    return counts.encode("ascii") if isinstance(counts, str) else counts


def _read_together(rles: list[Any], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The masks in COCO's compressed form; ``None`` where one has another form, size or fault.

    The form: groups of 5 bits with a sixth that says whether the number goes on, two's complement, and from the fourth
    number of a mask on the difference to the one two before (pycocotools' ``maskApi.c``, ``rleToString``).

    Returns:
        run lengths of all masks one behind the other, where those of each end, and the pixels of each; int64.
    """
    strings = []
    for rle in rles:
        counts = rle.get("counts") if isinstance(rle, dict) else None
        if not isinstance(counts, (str, bytes)) or not counts or list(rle.get("size", ())) != list(size):
            return None
        strings.append(counts.encode("ascii", "replace") if isinstance(counts, str) else counts)
    if not strings:
        return (np.zeros(0, dtype=np.int64),) * 3
    codes = np.frombuffer(b"".join(strings), dtype=np.uint8).astype(np.int64) - 48
    last_codes = np.cumsum([len(counts) for counts in strings]) - 1
    if (codes < 0).any() or (codes > 63).any() or (codes[last_codes] & 0x20).any():
        return None
    last = np.flatnonzero((codes & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    shift = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if shift.max() > 11:
        return None
    values = np.add.reduceat((codes & 0x1F) << (5 * shift), first)
    negative = (codes[last] & 0x10) != 0
    values[negative] |= np.left_shift(-1, 5 * (shift[last[negative]] + 1))
    ends = np.searchsorted(last, last_codes) + 1
    starts = np.concatenate([[0], ends[:-1]])
    # The place of every number in its mask. The first stands for itself; the others add up, the second with the fourth
    # and so on, the third with the fifth and so on.
    place = np.arange(values.size) - np.repeat(starts, ends - starts)
    for is_in in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        chain = np.flatnonzero(is_in)
        sums = np.cumsum(values[chain])
        begins = np.searchsorted(chain, starts)
        before = np.concatenate([[0], sums])[begins]
        values[chain] = sums - np.repeat(before, np.diff(begins, append=chain.size))
    if (values < 0).any() or (np.add.reduceat(values, starts) != size[0] * size[1]).any():
        return None
    return values, ends, np.add.reduceat(np.where(place % 2 == 1, values, 0), starts)

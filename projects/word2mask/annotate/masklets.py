"""SA-V's masklets, read and checked all at once: run lengths, areas, and masks of the size that pictures are sent in.

A video has hundreds of masks and a dozen of them are shown; so their strings are read together in one pass of NumPy,
and a mask is filled no further than its object reaches.
"""

from __future__ import annotations

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
        runs = _read_together([rle for objects in rles for rle in objects], size)
        if runs is None:
            # One by one: some are of another form, or say what is wrong with them.
            packed = [[pack_rle(rle) for rle in objects] for objects in rles]
            wrong = next((rle["size"] for objects in packed for rle in objects if tuple(rle["size"]) != size), None)
            if wrong is not None:
                raise ValueError(f"masks of {wrong} for a video of {list(size)} (height, width)")
            runs = _read_together([rle for objects in packed for rle in objects], size)
            assert runs is not None
            rles = packed
        self.rles: list[list[Rle]] = [
            [{"size": list(size), "counts": _as_bytes(rle["counts"])} for rle in objects] for objects in rles
        ]
        found = iter(runs)
        self._runs = [[next(found) for _ in objects] for objects in rles]
        self.areas = np.array([[int(run[1::2].sum()) for run in objects] for objects in self._runs], dtype=np.int64)

    def __len__(self) -> int:
        """Annotated frames T."""
        return len(self.rles)

    def box(self, frame: int, number: int) -> tuple[int, int, int, int] | None:
        """The box around an object, ``(x0, y0, x1, y1)`` with the last row and column outside; ``None`` of nothing."""
        columns, x0 = self._columns(frame, number)
        rows = np.flatnonzero(columns.any(axis=0))
        return None if not rows.size else (x0, int(rows[0]), x0 + len(columns), int(rows[-1]) + 1)

    def small(self, frame: int, number: int, size: tuple[int, int]) -> np.ndarray:
        """A mask at another size, nearest pixels: uint8 ``[h,w]``, 1 on the object."""
        columns, x0 = self._columns(frame, number)
        mask = np.zeros(size, dtype=np.uint8)
        if not columns.size:
            return mask
        every = np.arange(size[1]) * self.size[1] // size[1]
        here = slice(*np.searchsorted(every, (x0, x0 + len(columns))))
        rows = np.arange(size[0]) * self.size[0] // size[0]
        mask[:, here] = cv2.transpose(columns[every[here] - x0].take(rows, axis=1))
        return mask

    def _columns(self, frame: int, number: int) -> tuple[np.ndarray, int]:
        """The columns that an object reaches, uint8 ``[columns,H]``, and the first one's place."""
        runs, height = self._runs[frame][number], self.size[0]
        ends = np.cumsum(runs)
        if len(runs) < 2 or not self.areas[frame, number]:
            return np.zeros((0, height), dtype=np.uint8), 0
        inside = np.flatnonzero(runs[1::2])
        # Run lengths go down the columns, from the left to the right.
        x0 = int(ends[2 * inside[0]] // height)
        x1 = int((ends[2 * inside[-1] + 1] - 1) // height) + 1
        ends = np.clip(ends, x0 * height, x1 * height)
        values = (np.arange(len(runs)) % 2).astype(np.uint8)
        return np.repeat(values, np.diff(ends, prepend=x0 * height)).reshape(x1 - x0, height), x0


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


def _as_bytes(counts: Any) -> bytes:
    return counts.encode("ascii") if isinstance(counts, str) else counts


def _read_together(rles: list[Any], size: tuple[int, int]) -> list[np.ndarray] | None:
    """Run lengths int64 of many masks in COCO's compressed form; ``None`` where one has another form, size or fault.

    The form: groups of 5 bits with a sixth that says whether the number goes on, two's complement, and from the third
    number of a mask on the difference to the one two before (pycocotools' ``maskApi.c``, ``rleToString``).
    """
    strings = []
    for rle in rles:
        counts = rle.get("counts") if isinstance(rle, dict) else None
        if not isinstance(counts, (str, bytes)) or not counts or list(rle.get("size", ())) != list(size):
            return None
        strings.append(counts.encode("ascii", "replace") if isinstance(counts, str) else counts)
    if not strings:
        return []
    ends = np.cumsum([len(counts) for counts in strings])
    codes = np.frombuffer(b"".join(strings), dtype=np.uint8).astype(np.int64) - 48
    if (codes < 0).any() or (codes > 63).any() or (codes[ends - 1] & 0x20).any():
        return None
    last = np.flatnonzero((codes & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    shift = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if shift.max() > 11:
        return None
    values = np.add.reduceat((codes & 0x1F) << (5 * shift), first)
    negative = (codes[last] & 0x10) != 0
    values[negative] |= np.left_shift(-1, 5 * (shift[last[negative]] + 1))
    runs = np.split(values, np.searchsorted(last, ends[:-1]))
    for run in runs:
        for start in (1, 2):
            np.cumsum(run[start::2], out=run[start::2])
    starts = np.concatenate([[0], np.searchsorted(last, ends[:-1])])
    if (values < 0).any() or (np.add.reduceat(values, starts) != size[0] * size[1]).any():
        return None
    return runs

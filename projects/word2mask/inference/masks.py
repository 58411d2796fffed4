"""Masks of one object through a video: as an array, or as run lengths that are decoded a frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from word2mask.ops.masks import decode_rle, encode_rle

__all__ = ["ARRAY_BYTES", "MaskForm", "MaskStream", "blank_masks", "collect_masks"]

#: How a video's masks are held: ``"auto"`` is arrays up to :data:`ARRAY_BYTES` an answer, and runs above.
MaskForm = Literal["auto", "arrays", "runs"]
ARRAY_BYTES = 64 << 20


class MaskStream:
    """Masks bool ``[T,H,W]`` held as COCO run lengths; looks like an array, and decodes what is asked for.

    ``masks[t]``, slices, iteration, ``len``, ``shape``, ``any`` and ``sum`` work as of an array, with one frame in
    memory at a time where the answer is smaller than the whole; ``numpy.asarray`` gives the whole.

    >>> masks = MaskStream((2, 3))
    >>> masks[0] = np.array([[True, False, False], [False, False, True]])
    >>> masks[1] = np.zeros((2, 3), dtype=bool)
    >>> masks.shape, masks.any(axis=(1, 2)).tolist(), int(masks[0].sum())
    ((2, 2, 3), [True, False], 2)

    Args:
        size: ``(H, W)``.
    """

    dtype = np.dtype(bool)
    ndim = 3

    def __init__(self, size: tuple[int, int]) -> None:
        self.size_of_frame = (int(size[0]), int(size[1]))
        self._runs: dict[int, dict[str, Any]] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(T, H, W)``."""
        return (len(self._runs), *self.size_of_frame)

    def runs(self, frame: int) -> Mapping[str, Any]:
        """COCO run lengths of a frame, ready for JSON."""
        return self._runs[self._number(frame)]

    def __len__(self) -> int:
        return len(self._runs)

    def __setitem__(self, frame: int, mask: np.ndarray) -> None:
        if mask.shape != self.size_of_frame:
            raise ValueError(f"a mask of {list(mask.shape)} for frames of {list(self.size_of_frame)} (height, width)")
        self._runs[frame] = encode_rle(mask)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple) and not key:
            return np.asarray(self)
        first, others = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, (int, np.integer)):
            mask = decode_rle(self._runs[self._number(int(first))])
            return mask[others] if others else mask
        if first is Ellipsis or first is None:
            return np.asarray(self)[key]
        numbers = np.arange(len(self))[first]
        chosen = np.zeros((*numbers.shape, *self.size_of_frame), dtype=bool)
        for place, number in np.ndenumerate(numbers):
            chosen[place] = decode_rle(self._runs[int(number)])
        return chosen[(slice(None),) * numbers.ndim + others] if others else chosen

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[frame] for frame in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.zeros(self.shape, dtype=bool)
        for frame, mask in enumerate(self):
            whole[frame] = mask
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def any(self, axis: int | tuple[int, ...] | None = None) -> Any:
        """As of an array; over ``axis=(1, 2)`` a frame at a time."""
        return self._reduced(np.any, axis)

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Any:
        """As of an array; over ``axis=(1, 2)`` a frame at a time."""
        return self._reduced(np.sum, axis)

    def _reduced(self, reduce: Any, axis: int | tuple[int, ...] | None) -> Any:
        axes = (axis,) if isinstance(axis, int) else axis
        if axes is not None and {number % 3 for number in axes} == {1, 2}:
            return np.array([reduce(mask) for mask in self])
        if axes is None:
            return reduce([reduce(mask) for mask in self])
        return reduce(np.asarray(self), axis=axis)

    def _number(self, frame: int) -> int:
        number = frame + len(self) if frame < 0 else frame
        if number not in self._runs:
            raise IndexError(f"frame {frame} of masks of {len(self)} frames")
        return number


def blank_masks(num_objects: int, num_frames: int | None, size: tuple[int, int], form: MaskForm) -> list[Any]:
    """Somewhere to put the masks of N objects, frame by frame.

    Args:
        num_objects: N.
        num_frames: T, or ``None`` where it isn't known yet.
        size: ``(H, W)``.
        form: arrays or runs; a picture's are arrays whatever it says.
    """
    is_small = num_frames is not None and num_objects * num_frames * size[0] * size[1] <= ARRAY_BYTES
    if num_frames is not None and (form == "arrays" or num_frames == 1 or (form == "auto" and is_small)):
        return [np.zeros((num_frames, *size), dtype=bool) for _ in range(num_objects)]
    return [MaskStream(size) for _ in range(num_objects)]


def collect_masks(
    frames: Iterable[tuple[int, np.ndarray, np.ndarray]],
    num_objects: int,
    num_frames: int | None,
    size: tuple[int, int],
    form: MaskForm,
) -> tuple[list[Any], np.ndarray]:
    """Masks of N objects that come frame by frame, object by object.

    Args:
        frames: (frame, masks bool ``[N,H,W]``, scores float32 ``[N]``), every frame once, in any order.
        num_objects: see :func:`blank_masks`.
        num_frames: likewise.
        size: likewise.
        form: likewise.

    Returns:
        The masks of each object, and scores float32 ``[N,T]``.
    """
    masks = blank_masks(num_objects, num_frames, size, form)
    scores: dict[int, np.ndarray] = {}
    for frame, found, score in frames:
        for own, mask in zip(masks, found, strict=True):
            own[frame] = mask
        scores[frame] = score
    return masks, np.stack([scores[frame] for frame in range(len(scores))], axis=1)

"""Masks of one frame, bool ``[H,W]``, to and from what annotation files hold: run lengths, polygons, boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

#: A cell of a coarse grid shows the object that covers most of it, if that is at least this share.
LEAST_SHARE = 0.25


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask, ready for JSON.

    Args:
        mask: bool ``[H,W]``.

    Returns:
        ``{"size": [H, W], "counts": str}``.
    """
    if mask.ndim != 2:
        raise ValueError(f"expected a mask of shape [H,W], got {list(mask.shape)}")
    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode_rle(rle: Mapping[str, Any]) -> np.ndarray:
    """The mask of COCO run lengths, compressed (``counts`` is a string) or not (a list of run lengths).

    Args:
        rle: ``{"size": [H, W], "counts": str | bytes | list[int]}``.

    Returns:
        bool ``[H,W]``.

    Raises:
        ValueError: when the run lengths don't add up to ``H * W``, or there are none.
    """
    height, width, counts = _checked(rle)
    if isinstance(counts, bytes):
        return coco.decode({"size": [height, width], "counts": counts}).astype(bool)
    values = np.arange(counts.size) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def pack_rle(rle: Mapping[str, Any]) -> dict[str, Any]:
    """COCO run lengths as pycocotools computes with them, checked: it reads past the end of wrong ones.

    Args:
        rle: as :func:`decode_rle` takes it.

    Returns:
        ``{"size": [H, W], "counts": bytes}``, the compressed form.

    Raises:
        ValueError: as :func:`decode_rle`.
    """
    height, width, counts = _checked(rle)
    if isinstance(counts, bytes):
        return {"size": [height, width], "counts": counts}
    return coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)


def _checked(rle: Mapping[str, Any]) -> tuple[int, int, bytes | np.ndarray]:
    """Height, width, and the counts that cover the picture exactly: compressed, or int64 run lengths."""
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise ValueError(f"expected run lengths {{'size': [H, W], 'counts': …}}, got {str(rle)[:80]}")
    size, counts = rle["size"], rle["counts"]
    if not isinstance(size, (list, tuple)) or len(size) != 2 or any(int(side) <= 0 for side in size):
        raise ValueError(f"expected the size [H, W] of run lengths, got {str(size)[:80]}")
    height, width = (int(side) for side in size)
    if isinstance(counts, (list, tuple)):
        runs = np.asarray(counts, dtype=np.int64)
        _check_runs(runs, height, width)
        return height, width, runs
    packed = counts.encode("ascii") if isinstance(counts, str) else counts
    # Checked before pycocotools sees them, whose buffer they would overrun.
    _check_runs(_unpack_counts(packed), height, width)
    return height, width, packed


def _check_runs(runs: np.ndarray, height: int, width: int) -> None:
    """Raise ValueError unless the run lengths cover the picture exactly."""
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(
            f"run lengths add up to {runs.sum()} pixels, the size [{height}, {width}] has {height * width}"
        )


def _unpack_counts(packed: bytes) -> np.ndarray:
    """Run lengths int64 of COCO's compressed string: groups of 5 bits, from the third on a difference to two before."""
    codes = np.frombuffer(packed, dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or (codes < 0).any() or (codes > 63).any() or codes[-1] & 0x20:
        raise ValueError("run lengths are not a string that COCO's encoder writes (cut short?)")
    last = np.flatnonzero((codes & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    shift = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if shift.max() > 11:
        raise ValueError("run lengths are not a string that COCO's encoder writes (a number is too long)")
    values = np.add.reduceat((codes & 0x1F) << (5 * shift), first)
    negative = (codes[last] & 0x10) != 0
    values[negative] |= np.left_shift(-1, 5 * (shift[last[negative]] + 1))
    # Undo counts[i] = x[i] - counts[i - 2] for i > 2: a running sum over every second one.
    for start in (1, 2):
        values[start::2] = np.cumsum(values[start::2])
    return values


def polygons_to_mask(polygons: Iterable[Sequence[float]], height: int, width: int) -> np.ndarray:
    """The union of polygons as COCO draws them (a pixel belongs where its centre lies inside).

    Args:
        polygons: each a flat list ``[x0, y0, x1, y1, …]`` of three points or more, in pixels.

    Returns:
        bool ``[H,W]``; overlapping parts count once, and what lies outside of the picture is cut off.

    Raises:
        ValueError: when a polygon has fewer than three points or an odd number of coordinates, or reaches beyond the
            picture by more than a tenth of its side: then it was drawn on another one.
    """
    usable = []
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"expected a polygon [x0, y0, x1, y1, x2, y2, …], got {len(polygon)} numbers")
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        _check_within(points, height, width)
        usable.append(points.reshape(-1).tolist())
    if not usable:
        return np.zeros((height, width), dtype=bool)
    return coco.decode(coco.merge(coco.frPyObjects(usable, height, width))).astype(bool)


def _check_within(points: np.ndarray, height: int, width: int) -> None:
    """Raise ValueError when points ``[x, y]`` lie beyond the picture by more than a tenth of its side."""
    is_far = np.maximum(-points, points - [width, height]) > np.array([width, height]) * 0.1
    wrong = (is_far | ~np.isfinite(points)).any(axis=1)
    if wrong.any():
        raise ValueError(f"an outline reaches to {points[wrong][0].tolist()}, outside of a picture {width} × {height}")


def segmentation_to_mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The mask of a COCO ``segmentation`` field: polygons, or run lengths of either kind, or a list of run lengths.

    Returns:
        bool ``[H,W]``.

    Raises:
        ValueError: when the run lengths are of another size than the picture, or the field is neither form.
    """
    if isinstance(segmentation, dict):
        mask = decode_rle(segmentation)
        if mask.shape != (height, width):
            raise ValueError(f"a mask of {list(mask.shape)} for a picture of {[height, width]} (height, width)")
        return mask
    if isinstance(segmentation, list) and segmentation and isinstance(segmentation[0], dict):
        return union((segmentation_to_mask(part, height, width) for part in segmentation), height, width)
    if isinstance(segmentation, list):
        return polygons_to_mask(segmentation, height, width)
    raise ValueError(f"expected polygons or run lengths, got {type(segmentation).__name__}")


def union(masks: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """True where any of the masks is; all false for none.

    Args:
        masks: bool ``[H,W]`` each.

    Returns:
        bool ``[H,W]``.
    """
    total = np.zeros((height, width), dtype=bool)
    for mask in masks:
        if mask.shape != total.shape:
            raise ValueError(f"a mask of {list(mask.shape)} for a picture of {[height, width]} (height, width)")
        total |= mask.astype(bool)
    return total


def mask_to_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The tightest box ``(x0, y0, x1, y1)`` around a mask, ends exclusive, in pixels; ``None`` for an empty mask.

    Args:
        mask: bool ``[H,W]``.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if columns.size == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_to_mask(box: Sequence[float], height: int, width: int) -> np.ndarray:
    """The filled box ``(x0, y0, x1, y1)``, ends exclusive, clipped to the picture: bool ``[H,W]``."""
    x0, y0, x1, y1 = (round(value) for value in box)
    mask = np.zeros((height, width), dtype=bool)
    mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return mask


def contours_to_mask(contours: Iterable[Sequence[Sequence[float]]], height: int, width: int) -> np.ndarray:
    """The union of outlines ``[[x, y], …]`` as labelme's readers draw them (the outline's own pixels belong to it).

    Returns:
        bool ``[H,W]``.

    Raises:
        ValueError: when an outline isn't a list of points, or was drawn on another picture
            (:func:`polygons_to_mask`).
    """
    canvas = np.zeros((height, width), dtype=np.uint8)
    for contour in contours:
        points = np.asarray(contour, dtype=np.float64)
        if points.ndim != 2 or points.shape[0] == 0 or points.shape[1] != 2:
            raise ValueError(f"expected an outline [[x, y], …], got an array of shape {list(points.shape)}")
        _check_within(points, height, width)
        # Truncated, as LISA's reader of ReasonSeg does.
        outline = points.astype(np.int32).reshape(1, -1, 2)
        cv2.polylines(canvas, [outline], True, (1,), 1)
        cv2.fillPoly(canvas, [outline], (1,))
    return canvas.astype(bool)


def mask_to_contours(mask: np.ndarray) -> list[list[list[int]]]:
    """Outlines whose union, drawn by :func:`contours_to_mask`, is the mask again, pixel for pixel.

    An outline can't have a hole, so a part with one is cut in two until none is left.

    Args:
        mask: bool ``[H,W]``.

    Returns:
        outlines ``[[x, y], …]`` of integers.
    """
    height, width = mask.shape
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    outlines: list[list[list[int]]] = []
    for label in range(1, count):
        part = labels == label
        found, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = found[0].reshape(-1, 2).tolist()
        if np.array_equal(contours_to_mask([outline], height, width), part):
            outlines.append(outline)
            continue
        box = mask_to_box(part)
        assert box is not None  # a component has pixels
        x0, y0, x1, y1 = box
        first = part.copy()
        if x1 - x0 >= y1 - y0:
            first[:, (x0 + x1) // 2 :] = False
        else:
            first[(y0 + y1) // 2 :] = False
        outlines += mask_to_contours(first) + mask_to_contours(part & ~first)
    return outlines

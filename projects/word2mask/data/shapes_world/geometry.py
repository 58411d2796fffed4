"""Outlines of the shapes and their exact rasterisation. Knows nothing of colours, backgrounds or words.

Coordinates are pixels, x to the right and y down; pixel ``i`` covers ``[i, i+1)``, so its centre lies at ``i + 0.5``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from word2mask.data.shapes_world.vocabulary import MORE_SHAPES, SHAPES, UNNAMED

if TYPE_CHECKING:
    from word2mask.data.shapes_world.scene import ShapeObject

#: Subpixels per pixel side for antialiasing.
SUPERSAMPLING = 4
#: Fixed-point bits of cv2's polygon coordinates.
_SHIFT = 6
#: Greatest IoU of a shape without a name with any that has one.
UNNAMED_OVERLAP = 0.72


def _arc(radius: float, start: float, stop: float, num: int = 48) -> np.ndarray:
    """Points ``[num,2]`` of a circular arc around the origin, angles in radians."""
    angle = np.linspace(start, stop, num)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _star() -> np.ndarray:
    angle = -np.pi / 2 + np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _cross() -> np.ndarray:
    arm = 0.34
    right = np.array([(arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm)], dtype=float)
    bottom = np.array([(arm, 1), (-arm, 1), (-arm, arm), (-1, arm), (-1, -arm), (-arm, -arm), (-arm, -1)], dtype=float)
    return np.concatenate([right, bottom])


def _moon() -> np.ndarray:
    # A disc of radius 1 with a bite of radius `bite` around (offset, 0); they meet at x = `meet`.
    bite, offset = 0.86, 0.52
    meet = (1 - bite**2 + offset**2) / (2 * offset)
    outer, inner = np.arccos(meet), np.arccos((meet - offset) / bite)
    disc = _arc(1.0, outer, 2 * np.pi - outer)
    hollow = _arc(bite, 2 * np.pi - inner, inner) + (offset, 0)
    return np.concatenate([disc, hollow[1:-1]])


def _unnamed(number: int) -> np.ndarray:
    """A lobed or many-cornered shape that looks like none with a name; a pure function of its number."""
    rng = np.random.default_rng([8, number])
    while True:
        if rng.random() < 0.5:
            angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
            lobes, shift = rng.integers(2, 5, size=2), rng.uniform(0, 2 * np.pi, size=2)
            radius = 1 + sum(rng.uniform(0.15, 0.4) * np.cos(k * angle + s) for k, s in zip(lobes, shift, strict=True))
        else:
            corners = int(rng.integers(4, 8))
            angle = (np.arange(corners) + rng.uniform(-0.3, 0.3, size=corners)) * 2 * np.pi / corners
            radius = rng.uniform(0.35, 1.0, size=corners)
        points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        low, high = points.min(0), points.max(0)
        points = (points - (low + high) / 2) / (high - low).max()
        area = (
            abs(np.dot(points[:, 0], np.roll(points[:, 1], -1)) - np.dot(points[:, 1], np.roll(points[:, 0], -1))) / 2
        )
        if area > 0.3 and np.hypot(*points.T).max() < 0.62 and max(_likeness(points)) < UNNAMED_OVERLAP:
            return points


def _likeness(points: np.ndarray) -> list[float]:
    """IoU of an outline with every named shape, at the tilt at which they overlap most."""
    mine = _silhouette((points,), 0.0)
    return [
        max(
            float((mine & _named(shape, tilt)).sum() / (mine | _named(shape, tilt)).sum())
            for tilt in range(-45, 180, 15)
        )
        for shape in SHAPES
    ]


@cache
def _named(shape: str, degrees: int) -> np.ndarray:
    return _silhouette(unit_outline(shape), np.deg2rad(degrees))


def _silhouette(contours: Sequence[np.ndarray], angle: float, side: int = 32) -> np.ndarray:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = [contour @ turn * 0.7 * side + side / 2 for contour in contours]
    return rasterise(points, (0, 0, side, side))[0] >= 128


@cache
def unit_outline(shape: str) -> tuple[np.ndarray, ...]:
    """Closed contours (even-odd) of a shape of nominal size 1 around the centre of its bounding box.

    Args:
        shape: one of ``SHAPES`` or ``MORE_SHAPES``, or ``unnamed-<number>``.

    Returns:
        Arrays ``[K,2]``; one contour, two for the ring (outside and hole).
    """
    if shape in MORE_SHAPES:
        return (_unnamed(MORE_SHAPES.index(shape)),)
    if shape.startswith(UNNAMED):
        return (_unnamed(int(shape.rpartition("-")[2])),)
    if shape == "circle":
        return (_arc(0.5, 0, 2 * np.pi),)
    if shape == "ring":
        return (_arc(0.52, 0, 2 * np.pi), _arc(0.27, 0, 2 * np.pi))
    if shape == "square":
        return (0.45 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float),)
    points, extent = {
        "triangle": (np.array([(0, -1), (1, 0.8), (-1, 0.8)], dtype=float), 1.08),
        "star": (_star(), 1.16),
        "cross": (_cross(), 1.0),
        "heart": (_heart(), 1.02),
        "moon": (_moon(), 1.1),
    }[shape]
    low, high = points.min(0), points.max(0)
    return ((points - (low + high) / 2) * (extent / (high - low).max()),)


@cache
def unit_area(shape: str) -> float:
    """Area of the shape at nominal size 1 (shoelace formula, the ring's hole subtracted)."""
    areas = []
    for contour in unit_outline(shape):
        x, y = contour.T
        areas.append(abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2)
    return areas[0] - sum(areas[1:])


def outline(thing: ShapeObject, frame: int) -> list[np.ndarray]:
    """Contours ``[K,2]`` of an object in one frame, in pixels."""
    angle = float(thing.rotation[frame])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    extent = thing.size_px * float(thing.scale[frame])
    return [contour @ turn * extent + thing.centre[frame] for contour in unit_outline(thing.shape)]


def window_of(contours: Sequence[np.ndarray], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part ``(x0, y0, x1, y1)`` of the canvas that the contours may touch, or ``None`` when they lie outside."""
    low, high = contours[0].min(0), contours[0].max(0)
    x0, y0 = max(0, int(np.floor(low[0])) - 1), max(0, int(np.floor(low[1])) - 1)
    x1, y1 = min(width, int(np.ceil(high[0])) + 1), min(height, int(np.ceil(high[1])) + 1)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def fixed_point(contours: Sequence[np.ndarray], window: tuple[int, int, int, int]) -> list[np.ndarray]:
    """Contours on the supersampled grid of a window, as cv2 wants them with ``shift``."""
    scale = SUPERSAMPLING * (1 << _SHIFT)
    half = 0.5 * (1 << _SHIFT)
    return [np.round((c - window[:2]) * scale - half).astype(np.int32) for c in contours]


def rasterise(
    contours: Sequence[np.ndarray], window: tuple[int, int, int, int], rim: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Coverage of a window's pixels.

    Returns:
        uint8 ``[h,w]``, 255 where a pixel lies wholly inside, and the same for a thin line along the contours when
        ``rim`` is asked for.
    """
    x0, y0, x1, y1 = window
    size = (x1 - x0, y1 - y0)
    points = fixed_point(contours, window)
    fine = np.zeros((size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING), dtype=np.uint8)
    cv2.fillPoly(fine, points, 255, shift=_SHIFT)
    coverage = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    if not rim:
        return coverage, None
    fine[:] = 0
    cv2.polylines(fine, points, True, 255, thickness=SUPERSAMPLING + 2, shift=_SHIFT)
    return coverage, cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def visible_masks(objects: Sequence[ShapeObject], width: int, height: int, frames: Sequence[int]) -> np.ndarray:
    """Which pixels show which object: a pixel belongs to the nearest object that covers at least half of it.

    Returns:
        bool ``[N,T,H,W]``, disjoint over N, in the order of ``objects`` and ``frames``.
    """
    masks = np.zeros((len(objects), len(frames), height, width), dtype=bool)
    nearest_first = sorted(range(len(objects)), key=lambda i: -objects[i].z_order)
    for t, frame in enumerate(frames):
        taken = np.zeros((height, width), dtype=bool)
        for i in nearest_first:
            contours = outline(objects[i], frame)
            window = window_of(contours, width, height)
            if window is None:
                continue
            inside = rasterise(contours, window)[0] >= 128
            part = np.s_[window[1] : window[3], window[0] : window[2]]
            masks[i, t][part] = inside & ~taken[part]
            taken[part] |= inside
    return masks

"""From a scene to pixels and exact masks."""

from __future__ import annotations

import cv2
import numpy as np

from word2mask.data.shapes_world.geometry import outline, rasterise, visible_masks, window_of
from word2mask.data.shapes_world.scene import Scene, ShapeObject

#: Brightness of an object's outline relative to its own colour; tells apart two touching objects of one colour.
_RIM_STRENGTH = 0.45


def render(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene; a pure function of it.

    Returns:
        frames uint8 RGB ``[T,H,W,3]`` and masks bool ``[N,T,H,W]``: the visible part of each object, hidden parts and
        a ring's hole excluded, disjoint over N.
    """
    shape = (scene.num_frames, scene.height, scene.width)
    frames = np.empty((*shape, 3), dtype=np.uint8)
    masks = np.zeros((len(scene.objects), *shape), dtype=bool)
    background = draw_background(scene)
    noise = np.random.default_rng(scene.noise.seed)
    far_to_near = sorted(range(len(scene.objects)), key=lambda i: scene.objects[i].z_order)
    for t in range(scene.num_frames):
        canvas = background.copy()
        for i in far_to_near:
            part, inside = _draw_object(canvas, scene.objects[i], t)
            if part is None:
                continue
            masks[:, t][(slice(None), *part)] &= ~inside
            masks[i, t][part] = inside
        canvas *= np.asarray(scene.lighting.tint, dtype=np.float32) * np.float32(scene.lighting.gain[t])
        canvas += np.float32(scene.noise.sigma) * noise.standard_normal(canvas.shape, dtype=np.float32)
        np.clip(canvas, 0, 255, out=canvas)
        frames[t] = canvas
    return frames, masks


def render_masks(scene: Scene) -> np.ndarray:
    """The masks of :func:`render` alone, bool ``[N,T,H,W]``; faster."""
    return visible_masks(scene.objects, scene.width, scene.height, range(scene.num_frames))


def draw_background(scene: Scene) -> np.ndarray:
    """The empty canvas, float32 ``[H,W,3]``."""
    spec, height, width = scene.background, scene.height, scene.width
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[:] = np.asarray(spec.rgb, dtype=np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = x * np.float32(np.cos(spec.angle)) + y * np.float32(np.sin(spec.angle))
    rng = np.random.default_rng(spec.seed)
    if spec.pattern == "gradient":
        canvas += (2.2 * spec.contrast * ((along - along.min()) / np.ptp(along) - 0.5))[..., None]
    elif spec.pattern == "striped":
        canvas += (0.6 * spec.contrast * np.sin(along * np.float32(2 * np.pi / 18)))[..., None]
    elif spec.pattern == "speckled":
        canvas += (0.7 * spec.contrast * rng.standard_normal((height, width), dtype=np.float32))[..., None]
    elif spec.pattern == "cloudy":
        coarse = rng.standard_normal((6, 6, 3), dtype=np.float32) * np.float32(spec.contrast)
        coarse = 0.7 * coarse.mean(-1, keepdims=True) + 0.3 * coarse
        canvas += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return canvas


def _draw_object(
    canvas: np.ndarray, thing: ShapeObject, frame: int
) -> tuple[tuple[slice, slice] | None, np.ndarray | None]:
    """Paint one object onto the canvas in place.

    Returns:
        The window as slices and, bool ``[h,w]``, which of its pixels the object covers by half or more.
    """
    contours = outline(thing, frame)
    window = window_of(contours, canvas.shape[1], canvas.shape[0])
    if window is None:
        return None, None
    coverage, rim = rasterise(contours, window, rim=True)
    part = np.s_[window[1] : window[3], window[0] : window[2]]
    rgb, shade = np.asarray(thing.rgb, dtype=np.float32), np.asarray(thing.shade, dtype=np.float32)
    mix = rim.astype(np.float32) * np.float32(_RIM_STRENGTH / 255)
    if thing.texture != "plain":
        mix = np.maximum(mix, _texture(thing, frame, window))
    paint = rgb + mix[..., None] * (shade - rgb)
    alpha = coverage.astype(np.float32)[..., None] * np.float32(1 / 255)
    canvas[part] += alpha * (paint - canvas[part])
    return part, coverage >= 128


def _texture(thing: ShapeObject, frame: int, window: tuple[int, int, int, int]) -> np.ndarray:
    """How much of the second shade each pixel of a window gets, float32 ``[h,w]`` in 0…1; it turns with the object."""
    x0, y0, x1, y1 = window
    angle = float(thing.rotation[frame]) + thing.texture_angle
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx = np.arange(x0, x1, dtype=np.float32)[None] + np.float32(0.5 - thing.centre[frame, 0])
    dy = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - thing.centre[frame, 1])
    period = (4.0 + 0.13 * thing.size_px) * float(thing.scale[frame])
    turn = np.float32(2 * np.pi / period)
    phase = np.float32(2 * np.pi * thing.texture_phase)
    across = turn * (dx * cos + dy * sin) + phase
    if thing.texture == "striped":
        return np.clip(2.5 * np.cos(across) + 0.2, 0, 1)
    along = turn * (dy * cos - dx * sin) + phase
    return np.clip(3.0 * (np.cos(across) + np.cos(along)) - 1.6, 0, 1)

"""Frames with masks as small JPEGs in data URLs: what is meant keeps its colours, all else steps back."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from word2mask.inference.render import color_of

#: Longest side of a drawn picture, in pixels; small pictures are enlarged to it.
SIDE = 360
#: What remains of the brightness outside of all masks.
DIMMED = 0.55


def colour_of(number: int) -> str:
    """``"#rrggbb"`` of segment ``number``, the colour that every other picture of ours gives it."""
    return "#{:02x}{:02x}{:02x}".format(*color_of(number))


def ink_on(number: int) -> str:
    """Black or white, whichever can be read on a segment's colour."""
    return "#000" if float(np.dot(color_of(number), (0.299, 0.587, 0.114))) > 130 else "#fff"


def spotlight(frame: np.ndarray, masks: np.ndarray, side: int = SIDE, is_region: bool = False) -> np.ndarray:
    """A frame in which the masks shine: outlined, lightly tinted, and the rest dimmed and greyed.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        masks: bool ``[N,H,W]``; without any pixel, the frame stays as it is.
        side: longest side of the result.
        is_region: outline only, as for a region that the question marks.

    Returns:
        uint8 RGB ``[h,w,3]``.
    """
    height, width = frame.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    smooth = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = cv2.resize(frame, size, interpolation=smooth).astype(np.float32)
    shown = [(number, mask) for number, mask in enumerate(masks) if mask.any()]
    if not shown:
        return picture.astype(np.uint8)
    # Enlarged as a soft mask and cut at a half, an outline loses its pixel stairs.
    soft = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5 for _, mask in shown]
    if not is_region:
        picture = np.where(np.any(soft, axis=0)[..., None], picture, _dimmed(picture))
        for (number, _), mask in zip(shown, soft, strict=True):
            picture[mask] = 0.8 * picture[mask] + 0.2 * np.array(color_of(number), np.float32)
    canvas = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    # A white rim around the colour, where there is room for it.
    thickness = max(side // 120, 1)
    for (number, _), mask in zip(shown, soft, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if thickness > 1:
            cv2.drawContours(canvas, contours, -1, (255, 255, 255), thickness + 2, cv2.LINE_AA)
        cv2.drawContours(canvas, contours, -1, color_of(number), max(thickness, 2), cv2.LINE_AA)
    return canvas


def data_url(picture: np.ndarray, quality: int = 86) -> str:
    """A picture, uint8 RGB ``[h,w,3]``, as the address of a JPEG that carries its own bytes."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def frames_shown(num_frames: int, most: int = 8) -> list[int]:
    """Frames of a video strip, evenly spaced, first and last among them.

    >>> frames_shown(16, 4)
    [0, 5, 10, 15]
    """
    return [round(place) for place in np.linspace(0, num_frames - 1, min(most, num_frames))]


def strip(frames: Sequence[np.ndarray], masks: np.ndarray | None, side: int = 176) -> list[str]:
    """Data URLs of some frames of a video.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each.
        masks: bool ``[N,T,H,W]`` on the same T frames, or ``None``.
        side: longest side of each.
    """
    urls = []
    for number, frame in enumerate(frames):
        here = masks[:, number] if masks is not None else np.zeros((0, *frame.shape[:2]), dtype=bool)
        drawn = spotlight(frame, here, side)
        if masks is not None and not here.any():
            # In a strip, a frame without the object is dimmed too: that it isn't there is the answer.
            drawn = _dimmed(drawn.astype(np.float32)).astype(np.uint8)
        urls.append(data_url(drawn, quality=80))
    return urls


def _dimmed(picture: np.ndarray) -> np.ndarray:
    """Darker and nearly grey, float32 ``[h,w,3]``."""
    return (0.3 * picture + 0.7 * picture.mean(axis=2, keepdims=True)) * DIMMED

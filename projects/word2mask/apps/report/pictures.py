"""Frames with masks as small JPEGs in data URLs: what is meant keeps its colours, all else steps back."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from word2mask.inference.render import color_of, dimmed, spotlight


def colour_of(number: int) -> str:
    """``"#rrggbb"`` of segment ``number``, the colour that every other picture of ours gives it."""
    return "#{:02x}{:02x}{:02x}".format(*color_of(number))


def ink_on(number: int) -> str:
    """Black or white, whichever can be read on a segment's colour."""
    return "#000" if float(np.dot(color_of(number), (0.299, 0.587, 0.114))) > 130 else "#fff"


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
            drawn = dimmed(drawn.astype(np.float32)).astype(np.uint8)
        urls.append(data_url(drawn, quality=80))
    return urls

"""Which colour an object has, in one word, where there is no doubt about it."""

from __future__ import annotations

import cv2
import numpy as np

#: An object has a colour when this share of its pixels do, and may be taken to have it from the second share on.
CLEAR, DOUBTFUL = 0.6, 0.25
#: Hues in degrees: name → from, to. Between two names there is none, and skin and wood lie there.
_HUES = {"yellow": (48, 66), "green": (80, 160), "blue": (190, 255), "purple": (265, 300)}


def colour_shares(picture: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Share of an object's pixels that plainly are of each colour.

    Args:
        picture: uint8 RGB ``[H,W,3]``.
        mask: bool ``[H,W]``, with one pixel at least.
    """
    pixels = picture[mask].reshape(1, -1, 3).astype(np.float32) / 255
    hue, saturation, value = (plane[0] for plane in cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)))
    vivid = (saturation > 0.4) & (value > 0.25)
    found = {name: vivid & (hue >= low) & (hue <= high) for name, (low, high) in _HUES.items()}
    found["red"] = vivid & (saturation > 0.5) & ((hue <= 10) | (hue >= 345))
    found["orange"] = vivid & (saturation > 0.65) & (value > 0.6) & (hue >= 18) & (hue <= 38)
    found["white"] = (saturation < 0.15) & (value > 0.75)
    found["black"] = value < 0.2
    found["grey"] = (saturation < 0.15) & (value > 0.3) & (value < 0.65)
    return {name: float(where.mean()) for name, where in found.items()}


def clear_colour(shares: dict[str, float]) -> str | None:
    """The colour of an object, or ``None`` where it isn't plain."""
    name = max(shares, key=lambda colour: shares[colour])
    return name if shares[name] >= CLEAR else None

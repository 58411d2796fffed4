"""Effects that change the pixels of an object where they are: blur, squares, colour, light.

Each takes a frame uint8 RGB ``[H,W,3]`` and a soft mask float32 ``[H,W]`` and gives a frame; where the mask is 0, every
pixel stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["blend", "blur", "brighten", "darken", "grayscale", "pixelate", "recolor"]

#: What "half" strength, the usual, means for each effect.
USUAL = 0.5


def blend(frame: np.ndarray, effect: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The effect where the mask is 1, the frame where it is 0, a mixture between.

    Args:
        frame: uint8 ``[H,W,3]``.
        effect: uint8 or float ``[H,W,3]``, 0…255.
        soft: float32 ``[H,W]``.

    Returns:
        uint8 ``[H,W,3]``.
    """
    share = soft[..., None]
    mixed = frame + share * (effect.astype(np.float32) - frame)
    return np.where(share > 0, np.clip(np.rint(mixed), 0, 255), frame).astype(np.uint8)


def blur(frame: np.ndarray, soft: np.ndarray, strength: float = USUAL) -> np.ndarray:
    """Out of focus. Only the object's own pixels are spread, so that nothing around it bleeds in.

    Args:
        frame: uint8 ``[H,W,3]``.
        soft: float32 ``[H,W]``.
        strength: 1 is a standard deviation of a sixteenth of the shorter side.
    """
    sigma = max(1.0, strength * min(frame.shape[:2]) / 16)
    # A wide blur is the same on a small picture, and quick there.
    scale = max(1, int(sigma // 4))
    size = (max(1, frame.shape[1] // scale), max(1, frame.shape[0] // scale))
    weight = cv2.resize(soft, size, interpolation=cv2.INTER_AREA)
    premultiplied = cv2.resize(frame.astype(np.float32) * soft[..., None], size, interpolation=cv2.INTER_AREA)
    weight = cv2.GaussianBlur(weight, (0, 0), sigma / scale)
    spread = cv2.GaussianBlur(premultiplied, (0, 0), sigma / scale) / np.maximum(weight, 1e-4)[..., None]
    return blend(frame, cv2.resize(spread, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR), soft)


def pixelate(frame: np.ndarray, soft: np.ndarray, strength: float = USUAL) -> np.ndarray:
    """In squares that stand still, each in its mean colour.

    Args:
        frame: uint8 ``[H,W,3]``.
        soft: float32 ``[H,W]``.
        strength: 1 makes squares of a twelfth of the shorter side.
    """
    side = max(2, round(strength * min(frame.shape[:2]) / 12))
    height, width = frame.shape[:2]
    padded = cv2.copyMakeBorder(frame, 0, -height % side, 0, -width % side, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (padded.shape[1] // side, padded.shape[0] // side), interpolation=cv2.INTER_AREA)
    squares = small.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    return blend(frame, squares, soft)


def grayscale(frame: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Without colour: the luma of ITU-R BT.601, ``0.299 R + 0.587 G + 0.114 B``."""
    return blend(frame, np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2), soft)


def brighten(frame: np.ndarray, soft: np.ndarray, strength: float = USUAL) -> np.ndarray:
    """Lighter, and white stays white: ``255 (1 - (1 - x)^(1 + 2 s))`` for x = value / 255."""
    table = 255 * (1 - (1 - np.arange(256) / 255) ** (1 + 2 * strength))
    return blend(frame, table.astype(np.float32)[frame], soft)


def darken(frame: np.ndarray, soft: np.ndarray, strength: float = USUAL) -> np.ndarray:
    """Darker: every value times ``1 - s``."""
    return blend(frame, frame.astype(np.float32) * (1 - strength), soft)


def recolor(frame: np.ndarray, soft: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """In another colour, with its own light and shadow: the mean takes the colour, in CIE L*a*b*.

    Differences of lightness stay, and chroma follows the lightness, so that lights and shadows aren't painted over.

    Args:
        frame: uint8 ``[H,W,3]``.
        soft: float32 ``[H,W]``.
        color: RGB.
    """
    if not soft.any():
        return frame
    lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    goal = cv2.cvtColor(np.float32([[color]]) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    lightness = lab[..., 0]
    mean = float(np.average(lightness, weights=soft))
    # Room for lights above and shadows below, where the colour is nearly white or black.
    deviation = lightness - mean
    up = min(1.0, (100 - goal[0]) / max(1.0, 100 - mean) + 0.35)
    down = min(1.0, goal[0] / max(1.0, mean) + 0.35)
    shaded = np.clip(goal[0] + np.where(deviation > 0, up, down) * deviation, 0, 100)
    depth = np.clip(shaded / max(1.0, float(goal[0])), 0.25, 1.0)
    painted = np.dstack([shaded, goal[1] * depth, goal[2] * depth]).astype(np.float32)
    return blend(frame, 255 * cv2.cvtColor(painted, cv2.COLOR_LAB2RGB), soft)

"""Ink wash: a photograph as if painted with brush and ink on paper.

What is imitated: paper that is nowhere quite white; a few tones of diluted ink that flow into each other and gather at
their borders; grains of pigment; and lines that a dry brush draws along the contours.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from word2mask.inference.editing.tones import USUAL, blend

__all__ = ["ink_wash"]

#: RGB of unpainted paper and of undiluted ink.
PAPER = np.float32([246, 241, 228])
INK = np.float32([26, 27, 32])
#: Side of the square of noise that paper and brush are made of; it repeats without a seam.
TILE = 512
#: Tones of diluted ink, as a painter mixes them beforehand.
TONES = 5
#: The shorter side of a frame for which the sizes below are meant, in pixels.
USUAL_SIDE = 480


def ink_wash(frame: np.ndarray, soft: np.ndarray, strength: float = USUAL) -> np.ndarray:
    """Paints an object in ink.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``, 0…1.
        strength: how little is left of the colours: 1 is black ink alone.

    Returns:
        uint8 RGB ``[H,W,3]``; where ``soft`` is 0, the frame.
    """
    if not soft.any():
        return frame
    rows, columns = np.nonzero(soft)
    scale = max(min(frame.shape[:2]) / USUAL_SIDE, 0.2)
    margin = int(24 * scale) + 2
    top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
    box = np.s_[top : rows.max() + margin + 1, left : columns.max() + margin + 1]
    # The paper goes along with the object; noise that stands still would shine through it like a curtain.
    origin = (int(rows.mean()) - int(top), int(columns.mean()) - int(left))
    painted = frame.copy()
    painted[box] = blend(frame[box], _painted(frame[box], soft[box], scale, strength, origin), soft[box])
    return painted


def _painted(frame: np.ndarray, soft: np.ndarray, scale: float, strength: float, origin: tuple[int, int]) -> np.ndarray:
    """The whole rectangle in ink, float32 ``[H,W,3]``."""
    grain, cloud, fibre = (_noise_at(layer, soft.shape, origin) for layer in _noise())
    smooth = frame
    for _ in range(3):
        smooth = cv2.bilateralFilter(smooth, max(5, int(9 * scale) | 1), 36, 6 * scale)
    light = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    light = _full_range(light, soft)
    # Wet ink creeps along the paper: tones are taken from a little beside.
    light = _shifted(light, cloud, fibre, 2.5 * scale)
    wash = _in_tones(cv2.GaussianBlur(light, (0, 0), 1.2 * scale), scale)
    density = (1 - wash) ** 1.15 * (1 + 0.35 * (cloud - 0.5) + 0.25 * (grain - 0.5))
    lines = _lines(smooth, soft, scale) * np.clip(0.45 + 1.3 * fibre, 0, 1)
    density = np.clip(np.maximum(0.9 * density, 0.95 * lines), 0, 1)[..., None]
    paper = PAPER * (1 - 0.05 * (grain - 0.5) - 0.04 * (fibre - 0.5))[..., None]
    hue = smooth.astype(np.float32) - smooth.mean(axis=2, keepdims=True)
    tinted = INK + 0.35 * hue
    picture = paper * (1 - density) + tinted * density
    return np.clip(picture + 0.6 * (1 - strength) ** 2 * hue * (0.3 + 0.7 * density), 0, 255)


def _full_range(light: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The object's own lights become paper and its shadows ink, whatever the exposure."""
    inside = light[soft > 0.5] if (soft > 0.5).any() else light[soft > 0]
    dark, bright = np.percentile(inside, (2, 95))
    # An object of one brightness stays as it is rather than become noise.
    reach = max(float(bright - dark), 0.35)
    middle = (bright + dark) / 2
    stretched = np.clip((light - middle) / reach + 0.5, 0, 1)
    return (0.2 * light + 0.8 * stretched) ** 0.75


def _in_tones(light: np.ndarray, scale: float) -> np.ndarray:
    """A few tones with soft steps between, darker along the steps, where the water dries last."""
    level = light * (TONES - 1)
    step = np.floor(level)
    tones = (step + 1 / (1 + np.exp(-9 * (level - step - 0.5)))) / (TONES - 1)
    gathered = cv2.GaussianBlur(tones, (0, 0), 3 * scale) - tones
    return np.clip(0.65 * tones + 0.35 * light - 0.5 * np.maximum(gathered, 0), 0, 1)


def _lines(smooth: np.ndarray, soft: np.ndarray, scale: float) -> np.ndarray:
    """Brush lines along contours, 0…1: difference of Gaussians with a soft threshold (Winnemöller, 2011, "XDoG")."""
    gray = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    narrow = cv2.GaussianBlur(gray, (0, 0), 1.0 * scale + 0.2)
    wide = cv2.GaussianBlur(gray, (0, 0), 1.6 * (1.0 * scale + 0.2))
    inner = np.clip(np.tanh(60 * np.maximum(wide - narrow - 0.006, 0)) * 1.2, 0, 1)
    contour = np.clip(4 * soft * (1 - soft), 0, 1)
    contour = cv2.GaussianBlur(contour, (0, 0), 0.8 * scale + 0.2)
    return np.maximum(inner, np.clip(1.1 * contour, 0, 1))


def _shifted(light: np.ndarray, across: np.ndarray, down: np.ndarray, reach: float) -> np.ndarray:
    """Every pixel from up to ``reach`` pixels beside."""
    rows, columns = np.indices(light.shape, dtype=np.float32)
    return cv2.remap(
        light,
        columns + reach * 2 * (across - 0.5),
        rows + reach * 2 * (down - 0.5),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


@lru_cache(maxsize=1)
def _noise() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grains, clouds and fibres, float32 ``[TILE,TILE]`` each, 0…1 around 0.5, the same on every run."""
    generator = np.random.default_rng(7)

    def layer(*spreads: tuple[float, float]) -> np.ndarray:
        total = np.zeros((TILE, TILE), np.float32)
        for across, down in spreads:
            white = generator.standard_normal((TILE, TILE)).astype(np.float32)
            margin = int(3 * max(across, down)) + 1
            wrapped = cv2.copyMakeBorder(white, margin, margin, margin, margin, cv2.BORDER_WRAP)
            smooth = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=across, sigmaY=down)[margin:-margin, margin:-margin]
            total += smooth / smooth.std()
        return np.clip(0.5 + 0.18 * total / len(spreads) ** 0.5, 0, 1)

    return layer((0.7, 0.7), (1.5, 1.5)), layer((12, 12), (30, 30)), layer((9, 1.0), (1.0, 6))


def _noise_at(layer: np.ndarray, size: tuple[int, ...], origin: tuple[int, int]) -> np.ndarray:
    """A piece of the endless noise whose middle is at ``origin``."""
    rows = (np.arange(size[0]) - origin[0]) % TILE
    columns = (np.arange(size[1]) - origin[1]) % TILE
    return layer[np.ix_(rows, columns)]

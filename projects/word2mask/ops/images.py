"""Pictures as arrays and tensors: antialiased resizing and normalisation. Knows nothing of files or of models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

#: Channel statistics of ImageNet on the 0…1 scale, as SAM 2 and InternVL use them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def frames_to_tensor(frames: np.ndarray) -> torch.Tensor:
    """uint8 frames ``[T,H,W,3]`` as float32 ``[T,3,H,W]`` on the 0…1 scale.

    Raises:
        ValueError: another shape or dtype.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"expected uint8 frames [T,H,W,3], got {frames.dtype} {list(frames.shape)}")
    return torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2).float().div_(255.0)


def resize(
    images: torch.Tensor, size: tuple[int, int], mode: Literal["bilinear", "bicubic"] = "bilinear"
) -> torch.Tensor:
    """Resizes to ``size``, aspect not kept; shrinking averages over the source area (antialiasing), as Pillow does.

    Args:
        images: float ``[T,C,H,W]`` on the 0…1 scale.
        size: ``(height, width)``.
        mode: ``"bicubic"`` overshoots, so its result is clamped to 0…1.

    Returns:
        float ``[T,C,height,width]``; the input itself when it has that size.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    resized = F.interpolate(images, size=tuple(size), mode=mode, align_corners=False, antialias=True)
    return resized.clamp_(0.0, 1.0) if mode == "bicubic" else resized


def resize_bytes(
    frames: np.ndarray, size: tuple[int, int], mode: Literal["bilinear", "bicubic"] = "bicubic"
) -> np.ndarray:
    """Resizes uint8 frames as Pillow does: over the source area, rounded to bytes; aspect not kept.

    Args:
        frames: uint8 ``[T,H,W,3]``.
        size: ``(height, width)``.
        mode: the filter.

    Returns:
        uint8 ``[T,height,width,3]``; the input itself when it has that size.
    """
    if tuple(frames.shape[1:3]) == tuple(size):
        return frames
    kernel = Image.Resampling[mode.upper()]
    resized = [Image.fromarray(frame).resize(size[::-1], kernel) for frame in frames]
    return np.stack([np.asarray(frame) for frame in resized]) if resized else np.zeros((0, *size, 3), dtype=np.uint8)


def normalize(
    images: torch.Tensor,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> torch.Tensor:
    """``(images - mean) / std`` per channel, for images ``[…,3,H,W]`` on the 0…1 scale."""
    shift = torch.tensor(mean, dtype=images.dtype, device=images.device).view(3, 1, 1)
    scale = torch.tensor(std, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images - shift) / scale


def bytes_to_normalized(
    frames: np.ndarray | Sequence[np.ndarray],
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> torch.Tensor:
    """uint8 RGB frames ``[T,H,W,3]``, or T of ``[H,W,3]``, as float32 ``[T,3,H,W]``: ``(frames / 255 - mean) / std``.

    The same bits as :func:`normalize` of :func:`frames_to_tensor`, in one pass: a byte has 256 values.

    Raises:
        ValueError: another shape or dtype, no frame, or frames of several sizes.
    """
    shapes = {(frame.shape, str(frame.dtype)) for frame in frames}
    if len(shapes) != 1 or next(iter(shapes))[1] != "uint8" or next(iter(shapes))[0][2:] != (3,):
        raise ValueError(f"expected uint8 frames [H,W,3] of one size, got {sorted(shapes, key=str)}")
    tables = _byte_tables(mean, std)
    height, width = frames[0].shape[:2]
    # By NumPy, which asks for large pages: a system that gives small ones takes longer over them than this does.
    normalized = np.empty((len(frames), 3, height, width), dtype=np.float32)
    for frame, target in zip(frames, normalized, strict=True):
        for plane, table, goal in zip(cv2.split(frame), tables, target, strict=True):
            cv2.LUT(plane, table, dst=goal)
    return torch.from_numpy(normalized)


@lru_cache(maxsize=16)
def _byte_tables(mean: tuple[float, float, float], std: tuple[float, float, float]) -> np.ndarray:
    """What each byte becomes, float32 ``[3,256]``."""
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 256, 1).expand(1, 1, 256, 3)
    return normalize(frames_to_tensor(grey.numpy()), mean, std)[0, :, 0].numpy().copy()


def denormalize(
    images: torch.Tensor,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> torch.Tensor:
    """The inverse of :func:`normalize`."""
    shift = torch.tensor(mean, dtype=images.dtype, device=images.device).view(3, 1, 1)
    scale = torch.tensor(std, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return images * scale + shift

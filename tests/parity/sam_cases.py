"""Weights and inputs that the SAM test and ``make_sam.py`` draw alike, so that only results need to be kept."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from sam2_weights import draw

#: The geometry of our architecture ``test``: a window that doesn't divide the map, and a layer that looks at all of it.
SIDE, PATCH, WIDTH, DEPTH, HEADS, EVERYWHERE, WINDOW = 64, 16, 32, 2, 2, (1,), 3
PROMPT_DIM, DECODER_MLP, DECODER_HEADS, IOU_WIDTH = 64, 64, 4, 32
NUM_OBJECTS = 3
#: Pictures (height, width): wide, tall, square and smaller than S.
SIZES = [(48, 100), (90, 37), (20, 20)]


def weight(name: str, shape: torch.Size) -> torch.Tensor:
    """A tensor of SAM by Meta's name, of a size that lets signals through."""
    values = draw(f"sam.{name}", *shape)
    if name.endswith("positional_encoding_gaussian_matrix"):
        return values
    if len(shape) == 1:
        return 0.1 * values + float(name.endswith(".weight"))
    if name.startswith("mask_decoder.output_hypernetworks"):
        values = 2 * values  # masks with edges
    if name.endswith(("rel_pos_h", "rel_pos_w", "pos_embed")):
        return 0.3 * values
    return values / float(np.sqrt(np.prod(shape[1:]))) if shape[0] > 1 else 0.3 * values


def picture(height: int, width: int) -> np.ndarray:
    """uint8 RGB ``[H,W,3]``: noise over stripes."""
    rng = np.random.default_rng(height * 1000 + width)
    stripes = 40 * (np.add.outer(np.arange(height), 2 * np.arange(width)) // 9 % 4)
    return (rng.integers(0, 90, (height, width, 3)) + stripes[..., None]).astype(np.uint8)


def language_prompts() -> torch.Tensor:
    """One prompt token for each object, ``[N,1,C]``."""
    return 0.5 * draw("sam language", NUM_OBJECTS, 1, PROMPT_DIM)


def clicks() -> tuple[torch.Tensor, torch.Tensor]:
    """Two points for each object, ``[N,2,2]``, and whether they are on it ``[N,2]``."""
    points = torch.tensor([[[20.0, 30.0], [40.0, 8.0]], [[50.0, 12.0], [9.0, 50.0]], [[1.0, 2.0], [60.0, 30.0]]])
    return points, torch.tensor([[1, 0], [1, 1], [0, -1]])


def boxes() -> torch.Tensor:
    """A box for each object, ``[N,4]``."""
    return torch.tensor([[5.0, 6.0, 40.0, 50.0], [10.0, 0.0, 63.0, 20.0], [0.0, 30.0, 12.0, 64.0]])


def coarse_masks() -> torch.Tensor:
    """Mask logits to start from, ``[N,S/4,S/4]``."""
    return 3 * draw("sam coarse", NUM_OBJECTS, SIDE // 4, SIDE // 4)

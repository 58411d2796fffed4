"""Weights and inputs that tests and ``make_sam2.py`` draw alike, so that only results need to be kept."""

from __future__ import annotations

import zlib

import numpy as np
import torch

SIDE = 64
NUM_FRAMES = 20
NUM_OBJECTS = 3
#: Width of tokens and of the first stage, memories and pointers; what Meta's code fixes (8 heads, 2048, 256) as there.
WIDTH, TRUNK_WIDTH, NUM_MEMORIES, NUM_POINTERS, MEMORY_MLP = 128, 8, 4, 6, 32

OBJECT_BIAS = 0.9


def draw(name: str, *shape: int) -> torch.Tensor:
    """Standard normal values that belong to a name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def weight(name: str, shape: torch.Size) -> torch.Tensor:
    """A tensor of SAM 2 by Meta's name, of a size that lets signals through."""
    values = draw(name, *shape)
    if name.endswith("positional_encoding_gaussian_matrix"):
        return values
    if name == "sam_mask_decoder.pred_obj_score_head.layers.2.bias":
        return torch.full(shape, OBJECT_BIAS)  # so that objects are there on most frames, not on all
    if len(shape) == 1:
        return 0.1 * values + float(name.endswith(".weight"))
    if name.startswith("sam_mask_decoder.output_hypernetworks"):
        values = 2 * values  # masks with edges
    return values / float(np.sqrt(np.prod(shape[1:]))) if len(shape) == 2 or len(shape) == 4 else 0.1 * values


def pixels() -> torch.Tensor:
    """Frames ``[T,3,S,S]``, each a little like the one before."""
    first, drift = draw("first frame", 3, SIDE, SIDE), draw("drift", NUM_FRAMES, 3, SIDE, SIDE)
    return first + 0.3 * drift.cumsum(0)


def clicks() -> tuple[torch.Tensor, torch.Tensor]:
    """Two points for each object, ``[N,2,2]``, and whether they are on it ``[N,2]``."""
    points = torch.tensor([[[20.0, 30.0], [40.0, 8.0]], [[50.0, 12.0], [9.0, 50.0]], [[33.0, 44.0], [12.0, 21.0]]])
    return points, torch.tensor([[1, 0], [1, 1], [0, 1]])


def boxes() -> torch.Tensor:
    """A box for each object, ``[N,4]``."""
    return torch.tensor([5.0, 6.0, 40.0, 50.0]) + 6 * torch.arange(NUM_OBJECTS)[:, None]


def masks() -> dict[int, torch.Tensor]:
    """Given masks on two key frames, frame → bool ``[N,S,S]``."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    given = {}
    for t, (row, column) in {1: (20, 24), 12: (30, 34)}.items():
        disc = (rows - row) ** 2 + (columns - column) ** 2 < 15**2
        square = ((rows - column).abs() < 12) & ((columns - row).abs() < 9)
        bar = ((rows - column).abs() < 5) & (columns > row)
        given[t] = torch.stack([disc, square, bar])
    return given


def language_prompts() -> torch.Tensor:
    """One prompt token for each object, ``[N,1,C]``."""
    return 0.5 * draw("language", NUM_OBJECTS, 1, WIDTH)


def kept(masks: torch.Tensor) -> torch.Tensor:
    """What of mask logits ``[…,h,w]`` is kept: every second row and column."""
    return masks[..., ::2, ::2].contiguous()

"""Hiera's blocks over transformers' weights, with less arithmetic; the same numbers but for rounding.

Beside transformers' ``Sam2MultiScaleBlock.forward``:

* Windows that reach over the map's edge aren't filled up with zeros. What is there of the zeros after the projection is
  its bias, so all of them are one key and one value, which counts as often as there are zeros: its score grows by the
  logarithm of their number. With windows of 14 on a map of 16 x 16 that is 256 tokens instead of 784.
* Scores between the heads of one token, which are computed there and not used, aren't computed.
* Without gradients, a map is taken a few rows of windows at a time, from the norm to the end of the MLP, so that what
  lies between stays in the processor's cache, and memory at the size of a band.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.activations import GELUActivation
from transformers.models.sam2.modeling_sam2 import Sam2MultiScaleBlock, do_pool

from word2mask.ops.linear import OneDNNLinear, attention_by_rows, attention_pays

__all__ = ["LeanBlock", "make_lean"]

#: Ways of transformers to compute attention that give the numbers of torch's own.
PLAIN = (None, "eager", "sdpa")

#: Values of the widest map of a band, the MLP's hidden one: 8 MB of float32.
BAND_VALUES = 2 << 20


class LeanBlock(Sam2MultiScaleBlock):
    """A block of transformers' with this module's forward; its weights, hooks and checkpointing are as they were."""

    def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """One block.

        Args:
            hidden_states: float ``[F,H,W,C]``.
            kwargs: of transformers' attention.

        Returns:
            float ``[F,H',W',C']``, half the size and twice the width at the beginning of a stage.
        """
        height, width = hidden_states.shape[1:3]
        stride = self.query_stride[0] if self.query_stride else 1
        sides = (self.window_size or 0, height, width)
        if self.attn.config._attn_implementation not in PLAIN or any(side % stride for side in sides):
            return super().forward(hidden_states, **kwargs)
        rows = self._band(hidden_states, stride)
        if rows >= height:
            return self._of_windows(hidden_states, stride)
        out = hidden_states.new_empty(len(hidden_states), height // stride, width // stride, self.dim_out)
        for picture, drawn in zip(hidden_states, out, strict=True):
            for top in range(0, height, rows):
                band = self._of_windows(picture[None, top : top + rows], stride)[0]
                drawn[top // stride : (top + rows) // stride] = band
        return out

    def _band(self, hidden_states: torch.Tensor, stride: int) -> int:
        """How many rows of the map to take at a time: whole windows, which know nothing of each other."""
        num_frames, height, width = hidden_states.shape[:3]
        needs_gradient = torch.is_grad_enabled() and (
            hidden_states.requires_grad or any(parameter.requires_grad for parameter in self.parameters())
        )
        if not self.window_size or needs_gradient or hidden_states.device.type != "cpu":
            return height
        hidden = self.mlp.proj_in.out_features // stride**2
        windows = max(1, BAND_VALUES // (self.window_size * width * max(hidden, 3 * self.dim_out)))
        return height if num_frames * height <= windows * self.window_size else windows * self.window_size

    def _of_windows(self, hidden_states: torch.Tensor, stride: int) -> torch.Tensor:
        """The block on whole rows of windows."""
        normed = self.layer_norm1(hidden_states)
        residual = hidden_states if self.dim == self.dim_out else do_pool(self.proj(normed), self.query_stride)
        states = residual + _attention(self, normed, stride)
        return states + _mlp(self.mlp, self.layer_norm2(states))


def make_lean(backbone: nn.Module) -> None:
    """Makes every block of a trunk a :class:`LeanBlock`, in place; no weight is touched."""
    for block in backbone.modules():
        if type(block) is Sam2MultiScaleBlock:
            block.__class__ = LeanBlock


def _mlp(mlp: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """transformers' feed-forward of two layers, by the GELU that goes with the first where it is one."""
    exact = isinstance(mlp.activation, GELUActivation) and mlp.activation.act is F.gelu
    if not exact or mlp.layers or mlp.sigmoid_output or not isinstance(mlp.proj_in, OneDNNLinear):
        return mlp(states)
    return mlp.proj_out(mlp.proj_in(states, gelu=True))


def _attention(block: LeanBlock, normed: torch.Tensor, stride: int) -> torch.Tensor:
    """Attention within windows of ``[F,H,W,C]``: ``[F,H/stride,W/stride,C']``."""
    module, (height, width) = block.attn, normed.shape[1:3]
    heads = module.num_attention_heads
    query, key, value = module.qkv(normed).unflatten(-1, (3, heads, -1)).unbind(-3)  # [F,H,W,h,d]
    if stride > 1:
        query = do_pool(query.flatten(-2), (stride, stride)).unflatten(-1, (heads, -1))
    outside = module.qkv.bias.unflatten(0, (3, heads, 1, -1))[1:]  # key and value of a zero, [2,h,1,d]
    across, down = (_pieces(side, block.window_size) for side in (width, height))
    rows = []
    for top, bottom, tall in down:
        row = []
        for left, right, wide in across:
            places = (slice(None), slice(top, bottom), slice(left, right))
            pooled = (slice(None), slice(top // stride, bottom // stride), slice(left // stride, right // stride))
            piece = (query[pooled], key[places], value[places])
            num_zeros = block.window_size**2 - tall * wide if block.window_size else 0
            row.append(_windows(*piece, (tall, wide), stride, num_zeros, outside, module.scale))
        rows.append(torch.cat(row, dim=2) if len(row) > 1 else row[0])
    return module.proj(torch.cat(rows, dim=1) if len(rows) > 1 else rows[0])


def _pieces(side: int, window: int) -> list[tuple[int, int, int]]:
    """A side as (begin, end, length of the windows in it): whole windows, and what is left of the last one."""
    if not window:
        return [(0, side, side)]
    whole = side - side % window
    return [piece for piece in ((0, whole, window), (whole, side, side - whole)) if piece[0] < piece[1]]


def _windows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    window: tuple[int, int],
    stride: int,
    num_zeros: int,
    outside: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Attention within equal windows that fill a part of a map.

    Args:
        query: float ``[F,h/stride,w/stride,heads,d]``.
        key, value: float ``[F,h,w,heads,d]``.
        window: (height, width) of what is there of a window, as of ``key``.
        stride: how many times smaller the map of queries is.
        num_zeros: tokens of each window that lie beyond the map.
        outside: float ``[2,heads,1,d]``, key and value of such a token.
        scale: of the scores.

    Returns:
        float ``[F,h/stride,w/stride,heads·d]``.
    """
    tall, wide = window
    size = (tall // stride, wide // stride)
    count = (query.shape[1] // size[0], query.shape[2] // size[1])
    query, key, value = _cut(query, size), _cut(key, window), _cut(value, window)
    scores = None
    if num_zeros:
        key, value = (
            torch.cat([given, one.to(given.dtype).expand(len(given), -1, -1, -1)], dim=2)
            for given, one in zip((key, value), outside, strict=True)
        )
        scores = key.new_zeros(1, key.shape[2])
        scores[0, -1] = math.log(num_zeros)
    if scores is None and attention_pays(query, key):
        read = attention_by_rows(query, key, value, scale)
    else:
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=scores, scale=scale)
    read = read.unflatten(0, (-1, *count)).unflatten(4, size)  # [F,rows,columns,heads,h,w,d]
    return read.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4).flatten(1, 2)


def _cut(states: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """``[F,h,w,heads,d]`` into windows, ``[F·windows,heads,tokens,d]``."""
    cut = states.unflatten(2, (-1, window[1])).unflatten(1, (-1, window[0]))  # [F,rows,h,columns,w,heads,d]
    return cut.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5).flatten(0, 2)

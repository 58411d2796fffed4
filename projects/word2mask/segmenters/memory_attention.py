"""SAM 2's memory attention over transformers' weights, with less arithmetic; the same numbers but for rounding.

Beside transformers' ``Sam2VideoMemoryAttention.forward``:

* The first layer's self-attention sees the frame before any memory, and so is the same for all objects: once a frame.
* Keys are turned by one complex product (Su et al., 2021, eq. 34, read as complex numbers), not by six passes.
* Where the attention is written out (float32 on a CPU), its weights sum to one, so ``weights · (W m + b)`` is
  ``W (weights · m) + b``: the values stay memories of 64 numbers, and only what is read is projected to 256.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers.models.sam2_video.modeling_sam2_video import (
    Sam2VideoMemoryAttention,
    Sam2VideoMemoryAttentionLayer,
    Sam2VideoRoPEAttention,
)

__all__ = ["attend"]

#: Queries whose weights are written out at a time, and up to how many keys: beyond, the fused kernel was no slower.
ROWS, MOST_KEYS = 64, 8192


def attend(
    attention: Sam2VideoMemoryAttention,
    frames: torch.Tensor,
    frame_index: torch.Tensor,
    memory: torch.Tensor,
    encoding: torch.Tensor,
    num_pointer_tokens: int,
) -> torch.Tensor:
    """Conditions frames on what objects remember (arXiv:2408.00714, §4, "memory attention").

    Args:
        attention: whose weights; with heads, layers and sizes as its configuration says.
        frames: float ``[F,L,C]``, features of frames with a tenth of their position encoding added; L a full grid.
        frame_index: int64 ``[P]``, the frame of each pair.
        memory: float ``[P,K,M]``, spatial memories, each a full grid of L tokens, and after them object pointers.
        encoding: float ``[P,K,M]`` or ``[1,K,M]``, position encoding of the memory.
        num_pointer_tokens: how many of the K, at the end, have no place on the grid.

    Returns:
        float ``[P,L,C]``.
    """
    cos, sin = attention.rotary_emb(frames, attention.position_ids)
    turn = torch.complex(cos[0, :, ::2].contiguous(), sin[0, :, ::2].contiguous())
    keys = memory + encoding
    states = None
    for layer in attention.layers:
        if states is None:
            # Pairs can be fewer than frames, when only some have objects.
            alone = frames if len(frames) <= len(frame_index) else frames[frame_index]
            states = _self_attention(layer, alone, turn)
            states = states[frame_index] if alone is frames else states
        else:
            states = _self_attention(layer, states, turn)
        read = _cross_attention(
            layer.cross_attn_image, layer.layer_norm2(states), keys, memory, turn, num_pointer_tokens
        )
        states = states + layer.dropout2(read)
        inner = layer.linear1(layer.layer_norm3(states))
        states = states + layer.dropout3(layer.linear2(layer.dropout(layer.activation(inner))))
    return attention.layer_norm(states)


def _self_attention(layer: Sam2VideoMemoryAttentionLayer, states: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    module, normed = layer.self_attn, layer.layer_norm1(states)
    query, key = (_turned(_heads(module, linear(normed)), turn) for linear in (module.q_proj, module.k_proj))
    read = _fused(module, query, key, _heads(module, module.v_proj(normed)))
    return states + layer.dropout1(module.o_proj(_joined(read)))


def _cross_attention(
    module: Sam2VideoRoPEAttention,
    queries: torch.Tensor,
    keys: torch.Tensor,
    memory: torch.Tensor,
    turn: torch.Tensor,
    num_pointer_tokens: int,
) -> torch.Tensor:
    query = _turned(_heads(module, module.q_proj(queries)), turn)
    key = _heads(module, module.k_proj(keys))
    placed = key.shape[2] - num_pointer_tokens
    if placed:
        key = torch.cat([_turned(key[:, :, :placed], turn), key[:, :, placed:]], dim=2)
    dropout = module.dropout_p if module.training else 0.0
    written_out = query.device.type == "cpu" and query.dtype == torch.float32 and key.shape[2] <= MOST_KEYS
    if written_out and not dropout:
        read = _written_out(query * module.scaling, key, memory.unsqueeze(1))  # [P,heads,L,M]
        weight = module.v_proj.weight.unflatten(0, (module.num_attention_heads, module.head_dim))
        read = torch.einsum("phlm,hdm->phld", read, weight)
        return module.o_proj(_joined(read) + module.v_proj.bias)
    return module.o_proj(_joined(_fused(module, query, key, _heads(module, module.v_proj(memory)))))


def _written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention of scaled queries ``[P,h,L,d]`` to keys ``[P,h,K,d]``, values ``[P,1,K,M]``: ``[P,h,L,M]``."""
    key = key.transpose(-1, -2)
    return torch.cat([(rows @ key).softmax(dim=-1) @ value for rows in query.split(ROWS, dim=2)], dim=2)


def _fused(module: Sam2VideoRoPEAttention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    dropout = module.dropout_p if module.training else 0.0
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=module.scaling)


def _turned(states: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """States ``[P,h,r·L,d]`` turned by the angles ``[L,d/2]`` of their places, r grids after one another."""
    pairs = torch.view_as_complex(states.float().contiguous().unflatten(-1, (-1, 2)))
    turned = pairs.unflatten(2, (-1, len(turn))) * turn
    return torch.view_as_real(turned).flatten(-2).flatten(2, 3).type_as(states)


def _heads(module: Sam2VideoRoPEAttention, states: torch.Tensor) -> torch.Tensor:
    """``[P,L,h·d]`` → ``[P,h,L,d]``."""
    return states.unflatten(-1, (module.num_attention_heads, module.head_dim)).transpose(1, 2)


def _joined(states: torch.Tensor) -> torch.Tensor:
    """``[P,h,L,d]`` → ``[P,L,h·d]``."""
    return states.transpose(1, 2).flatten(2)

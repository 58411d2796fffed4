"""SAM 2's memory attention over transformers' weights, with less arithmetic; the same numbers but for rounding.

Beside transformers' ``Sam2VideoMemoryAttention.forward``:

* The first layer's self-attention sees the frame before any memory, and so is the same for all objects: once a frame.
* Keys are turned by one complex product (Su et al., 2021, eq. 34, read as complex numbers), not by six passes.
* Where the attention is written out (float32 on a CPU), its weights sum to one, so ``weights · (W m + b)`` is
  ``W (weights · m) + b``: the values stay memories of 64 numbers, and only what is read is projected to 256.
* A memory is read by several frames, and its key is ``turn(W (m + place) + b) + turn(W age)``: the first part is the
  same for all of them and is kept (:class:`KeptKeys`), the second is the same for all memories of an age.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from transformers.models.sam2_video.modeling_sam2_video import (
    Sam2VideoMemoryAttention,
    Sam2VideoMemoryAttentionLayer,
    Sam2VideoRoPEAttention,
)

from word2mask.ops.linear import attention_by_rows, attention_pays, onednn_is_faster

__all__ = ["KeptKeys", "attend"]

#: Queries whose weights are written out at a time, and up to how many keys: beyond, the fused kernel was no slower
#: (than MKL's products).
ROWS, MOST_KEYS = 64, 8192
#: Bytes of keys up to which they are kept.
KEPT_BYTES = 256 * 1024 * 1024


class KeptKeys:
    """Keys of the spatial memories that a frame reads, kept for the next frame, which reads most of them again.

    Args:
        attention: whose weights; they must stay as they are.
        places: float ``[1,L,M]``, position encoding of the grid.
        ages: float ``[A,M]``, encoding of each age.
    """

    def __init__(self, attention: Sam2VideoMemoryAttention, places: torch.Tensor, ages: torch.Tensor) -> None:
        self._attention, self._places, self._ages = attention, places, ages
        #: Number of a tensor → the tensor, whose number is its own while it lives, and its keys.
        self._kept: dict[int, tuple[torch.Tensor, list[torch.Tensor]]] = {}
        self._turn: torch.Tensor | None = None
        #: Of each layer, [A,heads,L,d]: what an age adds to the keys.
        self._added: list[torch.Tensor] = []

    def keys(self, memories: Sequence[tuple[int, torch.Tensor]], num_pointer_tokens: int) -> list[torch.Tensor] | None:
        """Keys of some memories one after another.

        Args:
            memories: (row of ``ages``, spatial memory ``[P,M,h,w]``).
            num_pointer_tokens: keys for which room is left behind.

        Returns:
            Of each layer, float ``[P,heads,K,d]``, the last ``num_pointer_tokens`` of K not yet written; ``None`` where
            nothing is kept: the attention isn't written out, or the keys would take more than :data:`KEPT_BYTES`.
        """
        num_places = self._places.shape[1]
        placed = len(memories) * num_places
        if not memories or not _is_written_out(self._places, placed + num_pointer_tokens) or torch.is_grad_enabled():
            return None
        modules = [layer.cross_attn_image for layer in self._attention.layers]
        width = sum(module.k_proj.out_features for module in modules)
        if len(memories[0][1]) * placed * width * self._places.element_size() > KEPT_BYTES:
            return None
        if self._turn is None:
            self._turn = _turn(self._attention, self._places)
            for module in modules:
                moved = F.linear(self._ages, module.k_proj.weight)[:, None].expand(-1, num_places, -1)
                self._added.append(_turned(_heads(module, moved), self._turn))
        self._kept = {id(memory): self._kept.get(id(memory)) or (memory, self._of(memory)) for _, memory in memories}
        found = []
        for layer, added in enumerate(self._added):
            heads, _, size = added.shape[1:]
            keys = added.new_empty(len(memories[0][1]), heads, placed + num_pointer_tokens, size)
            for number, (age, memory) in enumerate(memories):
                own = keys[:, :, number * num_places : (number + 1) * num_places]
                torch.add(self._kept[id(memory)][1][layer], added[age], out=own)
            found.append(keys)
        return found

    def _of(self, memory: torch.Tensor) -> list[torch.Tensor]:
        """Of each layer ``[P,heads,L,d]``: the keys of a memory without its age."""
        assert self._turn is not None
        tokens = memory.to(self._places.dtype).flatten(2).transpose(1, 2) + self._places
        modules = (layer.cross_attn_image for layer in self._attention.layers)
        return [_turned(_heads(module, module.k_proj(tokens)), self._turn) for module in modules]


def attend(
    attention: Sam2VideoMemoryAttention,
    frames: torch.Tensor,
    frame_index: torch.Tensor,
    memory: torch.Tensor,
    encoding: torch.Tensor,
    num_pointer_tokens: int,
    placed_keys: Sequence[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Conditions frames on what objects remember (arXiv:2408.00714, §4, "memory attention").

    Args:
        attention: whose weights; with heads, layers and sizes as its configuration says.
        frames: float ``[F,L,C]``, features of frames with a tenth of their position encoding added; L a full grid.
        frame_index: int64 ``[P]``, the frame of each pair.
        memory: float ``[P,K,M]``, spatial memories, each a full grid of L tokens, and after them object pointers.
        encoding: float ``[P,K,M]`` or ``[1,K,M]``, position encoding of the memory.
        num_pointer_tokens: how many of the K, at the end, have no place on the grid.
        placed_keys: what :meth:`KeptKeys.keys` gave for the spatial memories; it is written into.

    Returns:
        float ``[P,L,C]``.
    """
    turn = _turn(attention, frames)
    placed = memory.shape[1] - num_pointer_tokens if placed_keys is not None else 0
    keys = memory[:, placed:] + encoding[:, placed:]
    states = None
    for number, layer in enumerate(attention.layers):
        if states is None:
            # Pairs can be fewer than frames, when only some have objects.
            alone = frames if len(frames) <= len(frame_index) else frames[frame_index]
            states = _self_attention(layer, alone, turn)
            states = states[frame_index] if alone is frames else states
        else:
            states = _self_attention(layer, states, turn)
        read = _cross_attention(
            layer.cross_attn_image,
            layer.layer_norm2(states),
            keys,
            memory,
            turn,
            num_pointer_tokens,
            None if placed_keys is None else placed_keys[number],
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
    placed_keys: torch.Tensor | None,
) -> torch.Tensor:
    """``[P,L,C]``; ``keys`` are the memory's, or its pointers' alone where ``placed_keys`` has the others."""
    query = _turned(_heads(module, module.q_proj(queries)), turn)
    key = _heads(module, module.k_proj(keys))
    if placed_keys is not None:
        placed_keys[:, :, placed_keys.shape[2] - num_pointer_tokens :] = key
        key = placed_keys
    elif placed := key.shape[2] - num_pointer_tokens:
        key = torch.cat([_turned(key[:, :, :placed], turn), key[:, :, placed:]], dim=2)
    dropout = module.dropout_p if module.training else 0.0
    if _is_written_out(query, key.shape[2]) and not dropout:
        read = _written_out(query, key, memory.unsqueeze(1), module.scaling)  # [P,heads,L,M]
        weight = module.v_proj.weight.unflatten(0, (module.num_attention_heads, module.head_dim))
        read = torch.einsum("phlm,hdm->phld", read, weight)
        return module.o_proj(_joined(read) + module.v_proj.bias)
    return module.o_proj(_joined(_fused(module, query, key, _heads(module, module.v_proj(memory)))))


def _is_written_out(like: torch.Tensor, num_keys: int) -> bool:
    plain = like.device.type == "cpu" and like.dtype == torch.float32
    return plain and (num_keys <= MOST_KEYS or onednn_is_faster())


def _written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Attention of queries ``[P,h,L,d]`` to keys ``[P,h,K,d]``, values ``[P,1,K,M]``: ``[P,h,L,M]``."""
    if attention_pays(query, key):
        return attention_by_rows(query, key, value, scale)
    query, key = query * scale, key.transpose(-1, -2)
    return torch.cat([(rows @ key).softmax(dim=-1) @ value for rows in query.split(ROWS, dim=2)], dim=2)


def _fused(module: Sam2VideoRoPEAttention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    dropout = module.dropout_p if module.training else 0.0
    if not dropout and attention_pays(query, key):
        return attention_by_rows(query, key, value, module.scaling)
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=module.scaling)


def _turn(attention: Sam2VideoMemoryAttention, like: torch.Tensor) -> torch.Tensor:
    """By how much each place turns, complex ``[L,d/2]``."""
    cos, sin = attention.rotary_emb(like, attention.position_ids)
    return torch.complex(cos[0, :, ::2].contiguous(), sin[0, :, ::2].contiguous())


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

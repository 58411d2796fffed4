"""SAM 2's mask decoder over transformers' weights, with less arithmetic and memory; the same numbers but for rounding.

A handful of tokens and thousands of cells attend to each other. transformers projects every cell to a query, a key and
a value of half the width, for every object anew. Beside that:

* A score is linear in the cell: ``q · (W x) = (Wᵀ q) · x``. So the projection is applied to the few tokens of each
  head, and no cell is ever projected; likewise what a token reads is projected after it was summed up over the cells,
  and what a cell reads is a sum of projected tokens.
* In the first layer the cells are those of the frame for all of its objects, which are asked about in one product.
* A transposed convolution of kernel 2 and stride 2 is a product for every cell. Its pixels stay beside their cell,
  channels last, until masks are drawn; then only the masks wanted are laid out as a picture.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoMaskDecoder

from word2mask.ops.linear import linear, products
from word2mask.segmenters.hiera import PLAIN

__all__ = ["LeanMaskDecoder", "make_lean_decoder"]


class LeanMaskDecoder(Sam2VideoMaskDecoder):
    """A mask decoder of transformers' with this module's forward; its weights are as they were."""

    def forward(
        self,
        image_embeddings: torch.Tensor,
        image_positional_embeddings: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
        multimask_output: bool,
        high_resolution_features: list[torch.Tensor],
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks of N objects on each of F frames.

        Args:
            image_embeddings: float ``[F,C,h,w]``.
            image_positional_embeddings: float ``[F,C,h,w]``.
            sparse_prompt_embeddings: float ``[F,N,K,C]``.
            dense_prompt_embeddings: float ``[F,C,h,w]``.
            multimask_output: three candidates an object instead of one.
            high_resolution_features: float ``[F,C/8,4h,4w]`` and ``[F,C/4,2h,2w]``.
            kwargs: of transformers' decoder; with any that is set, its own forward runs.

        Returns:
            Mask logits ``[F,N,M,4h,4w]``, their estimated IoU ``[F,N,M]``, their tokens ``[F,N,M or 1,C]`` and the
            score that the object is there ``[F,N,1]``.
        """
        plain = self.config._attn_implementation in PLAIN and image_embeddings.dtype == self.iou_token.weight.dtype
        if not plain or any(value is not None for value in kwargs.values()):
            return super().forward(
                image_embeddings,
                image_positional_embeddings,
                sparse_prompt_embeddings,
                dense_prompt_embeddings,
                multimask_output,
                high_resolution_features,
                **kwargs,
            )
        own = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat(
            [own.expand(*sparse_prompt_embeddings.shape[:2], -1, -1), sparse_prompt_embeddings.to(own.dtype)], dim=2
        )
        tokens, cells = _two_way(
            self.transformer,
            tokens,
            _cells(image_embeddings + dense_prompt_embeddings),
            _cells(image_positional_embeddings),
        )
        mask_tokens = tokens[:, :, 2 : 2 + self.num_mask_tokens]
        iou = self.iou_prediction_head(tokens[:, :, 1])
        object_logits = self.pred_obj_score_head(tokens[:, :, 0])
        # All of them, although one may be wanted: every weight gets a gradient, if one of zeros.
        heads = zip(self.output_hypernetworks_mlps, mask_tokens.unbind(2), strict=True)
        weights = torch.stack([head(token) for head, token in heads], dim=2)
        by_stability = not multimask_output and self.dynamic_multimask_via_stability and not self.training
        wanted = slice(1, None) if multimask_output else slice(0, None if by_stability else 1)
        masks = self._draw(cells, high_resolution_features, weights[:, :, wanted], image_embeddings.shape[-2:])
        if by_stability:
            masks, iou = self._dynamic_multimask_via_stability(masks, iou)
        else:
            iou = iou[:, :, wanted]
        return masks, iou, mask_tokens[:, :, slice(1, None) if multimask_output else slice(0, 1)], object_logits

    def _draw(
        self, cells: torch.Tensor, fine: list[torch.Tensor], weights: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """Masks ``[F,N,M,4h,4w]`` of cells ``[F,N,h·w,C]`` and weights ``[F,N,M,C/8]`` of their finest channels."""
        finer, coarser = fine
        pixels = _unfold(cells, self.upscale_conv1, _by_cell(coarser, size, 1))
        pixels = self.activation(nn.LayerNorm.forward(self.upscale_layer_norm, pixels))
        pixels = _unfold(pixels, self.upscale_conv2, _by_cell(finer, size, 2))
        masks = self.activation(pixels).flatten(2, -2) @ weights.mT  # [F,N,h·w·16,M]
        height, width = size
        masks = masks.unflatten(2, (height, width, 2, 2, 2, 2))  # cell, its pixel, and that one's pixel
        masks = masks.permute(0, 1, 8, 2, 4, 6, 3, 5, 7)
        return masks.reshape(*masks.shape[:3], 4 * height, 4 * width)


def make_lean_decoder(model: nn.Module) -> None:
    """Makes the mask decoder of a ``Sam2VideoModel`` a :class:`LeanMaskDecoder`, in place; no weight is touched."""
    if type(model.mask_decoder) is Sam2VideoMaskDecoder:
        model.mask_decoder.__class__ = LeanMaskDecoder


def _cells(features: torch.Tensor) -> torch.Tensor:
    """``[F,C,h,w]`` as ``[F,1,h·w,C]``."""
    return features.flatten(2).mT.contiguous()[:, None]


def _by_cell(features: torch.Tensor, size: tuple[int, int], steps: int) -> torch.Tensor:
    """Finer features ``[F,c,h·2^steps,w·2^steps]`` beside their cells, ``[F,1,h·w·4^(steps-1),4·c]``."""
    twos = (2,) * steps
    cut = features.unflatten(3, (size[1], *twos)).unflatten(2, (size[0], *twos))  # [F,c,h,2…,w,2…]
    rows, columns = range(2, 3 + steps), range(3 + steps, 4 + 2 * steps)
    order = [place for pair in zip(rows, columns, strict=True) for place in pair]
    return cut.permute(0, *order, 1).flatten(-3).flatten(1, -2)[:, None]


def _unfold(states: torch.Tensor, convolution: nn.ConvTranspose2d, beside: torch.Tensor) -> torch.Tensor:
    """A transposed convolution of kernel 2 and stride 2, and features added to it: ``[…,n,c]`` to ``[…,4·n,c']``.

    Args:
        states: float ``[F,N,n,c]``.
        convolution: to c' channels.
        beside: float ``[F,1,n,4·c']``.
    """
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4·c',c]
    pixels = linear(states, weight) + (beside + convolution.bias.repeat(4))
    return pixels.unflatten(-1, (4, -1)).flatten(2, 3)


def _two_way(
    transformer: nn.Module, start: torch.Tensor, cells: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two-way transformer.

    Args:
        transformer: ``Sam2VideoTwoWayTransformer``.
        start: float ``[F,N,T,C]``, the tokens.
        cells: float ``[F,1,n,C]``, which objects of a frame share.
        places: float ``[F,1,n,C]``, the cells' positional encoding.

    Returns:
        Tokens ``[F,N,T,C]`` and cells ``[F,N,n,C]``.
    """
    tokens, placed = start, cells + places
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            tokens, _ = layer.self_attn(query=tokens, key=tokens, value=tokens)
        else:
            asking = tokens + start
            tokens = tokens + layer.self_attn(query=asking, key=asking, value=tokens)[0]
        tokens = layer.layer_norm1(tokens)
        tokens = layer.layer_norm2(tokens + _read(layer.cross_attn_token_to_image, tokens + start, placed, cells))
        tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
        cells = layer.layer_norm4(cells + _tell(layer.cross_attn_image_to_token, placed, tokens + start, tokens))
        placed = cells + places
    tokens = tokens + _read(transformer.final_attn_token_to_image, tokens + start, placed, cells)
    return transformer.layer_norm_final_attn(tokens), cells


def _read(attention: nn.Module, asking: torch.Tensor, placed: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """What tokens read from cells.

    Args:
        attention: ``Sam2VideoAttention``.
        asking: float ``[F,N,T,C]``, the queries.
        placed, cells: float ``[F,N or 1,n,C]``, the keys and the values.

    Returns:
        float ``[F,N,T,C]``.
    """
    heads, (num_objects, num_tokens) = attention.num_attention_heads, asking.shape[1:3]
    # The bias of a key adds the same to all scores of a query, and softmax doesn't see it; its gradient is zero.
    query = _each(_heads(attention.q_proj(asking), heads), _by_head(attention.k_proj.weight, heads))  # [F,N,H,T,C]
    shared = num_objects if placed.shape[1] == 1 else 1
    query = query.flatten(2, 3).unflatten(1, (-1, shared)).flatten(2, 3)
    if query.device.type == "cpu":  # as plain products, which are faster there for so few queries
        shares = products(query * attention.scaling, placed).softmax(dim=-1)
        found = products(shares, cells.mT)
    else:
        found = F.scaled_dot_product_attention(query, placed, cells, scale=attention.scaling)
    found = found.unflatten(2, (shared, heads, num_tokens)).flatten(1, 2)  # [F,N,H,T,C]
    found = _each(found, _by_head(attention.v_proj.weight, heads).mT)
    found = found.transpose(2, 3).flatten(3) + attention.v_proj.bias
    return attention.o_proj(found) + 0 * attention.k_proj.bias.sum()


def _tell(attention: nn.Module, placed: torch.Tensor, asked: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """What cells read from tokens.

    Args:
        attention: ``Sam2VideoAttention``.
        placed: float ``[F,N or 1,n,C]``, the queries.
        asked, told: float ``[F,N,T,C]``, the keys and the values.

    Returns:
        float ``[F,N,n,C]``.
    """
    heads, num_objects = attention.num_attention_heads, asked.shape[1]
    key = _heads(attention.k_proj(asked), heads) * attention.scaling  # [F,N,H,T,d]
    value = _heads(attention.v_proj(told), heads)
    weight = _each(key, _by_head(attention.q_proj.weight, heads)).flatten(2, 3)  # [F,N,H·T,C]
    bias = _each(key, attention.q_proj.bias.view(heads, -1, 1)).flatten(2)  # [F,N,H·T]
    shared = num_objects if placed.shape[1] == 1 else 1
    weight, bias = (part.unflatten(1, (-1, shared)).flatten(2, 3) for part in (weight, bias[..., None]))
    scores = products(weight, placed) + bias  # [F,N or 1,(N·)H·T,n]
    scores = scores.unflatten(2, (shared, -1)).flatten(1, 2)  # [F,N,H·T,n]
    shares = scores.unflatten(2, (heads, -1)).softmax(dim=3).flatten(2, 3)
    out = _each(value, attention.o_proj.weight.mT.unflatten(0, (heads, -1)))  # [F,N,H,T,C]
    return products(shares.mT, out.flatten(2, 3).mT) + attention.o_proj.bias


def _heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """``[F,N,T,H·d]`` by head, ``[F,N,H,T,d]``."""
    return states.unflatten(-1, (heads, -1)).transpose(2, 3)


def _by_head(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """A projection's weight ``[H·d,C]`` by head, ``[H,d,C]``."""
    return weight.unflatten(0, (heads, -1))


def _each(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each head's ``[F,N,H,T,a]`` by its own weights ``[H,a,b]``, of which no object gets a copy: ``[F,N,H,T,b]``."""
    return torch.einsum("fnhta,hab->fnhtb", states, weights)

"""Names of SAM 2's tensors: Meta's own and transformers' ``Sam2VideoModel``'s, each from the other.

Nothing is guessed: a name that isn't known, or one that is missing beside its neighbours, is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from word2mask.errors import UserError

__all__ = ["from_meta", "is_meta", "to_meta"]

#: How LayerScale is spelt: Meta's way, or that of the published Sa2VA folders (transformers used to rewrite ``gamma``).
LayerScale = Literal["gamma", "g_weight"]

#: Meta's four point embeddings are one table in transformers, and its one matrix of frequencies stands there twice.
POINT_EMBEDDINGS = tuple(f"sam_prompt_encoder.point_embeddings.{label}.weight" for label in range(4))
POINT_TABLE = "prompt_encoder.point_embed.weight"
FREQUENCIES = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
FREQUENCY_COPIES = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)

#: Modules that repeat: placeholder → where they stand in Meta's and in transformers' names.
_REPEATED = {
    "block": ("image_encoder.trunk.blocks.", "vision_encoder.backbone.blocks."),
    "level": ("image_encoder.neck.convs.", "vision_encoder.neck.convs."),
    "memory": ("memory_attention.layers.", "memory_attention.layers."),
    "fuser": ("memory_encoder.fuser.layers.", "memory_encoder.memory_fuser.layers."),
    "layer": ("sam_mask_decoder.transformer.layers.", "mask_decoder.transformer.layers."),
    "mask": ("sam_mask_decoder.output_hypernetworks_mlps.", "mask_decoder.output_hypernetworks_mlps."),
}


@dataclass(frozen=True)
class _Name:
    """One tensor, or one of every repetition of a module.

    Attributes:
        meta: Meta's name, with ``{placeholder}`` for the index of a module that repeats.
        ours: transformers' name.
        together: tensors that a model has all of or none of; ``None`` for those that every model has.
    """

    meta: str
    ours: str
    together: str | None = None


def _layer(meta: str, ours: str, together: str | None = None) -> Iterator[_Name]:
    """Weight and bias."""
    for leaf in ("weight", "bias"):
        yield _Name(f"{meta}.{leaf}", f"{ours}.{leaf}", together)


def _layers(meta: str, ours: str, pairs: Mapping[str, str]) -> Iterator[_Name]:
    """Weights and biases of several layers of one module."""
    for old, new in pairs.items():
        yield from _layer(f"{meta}.{old}", f"{ours}.{new}")


_ATTENTION = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "out_proj": "o_proj"}
_TWO_LAYERS = {"layers.0": "proj_in", "layers.1": "proj_out"}
_THREE_LAYERS = {"layers.0": "proj_in", "layers.1": "layers.0", "layers.2": "proj_out"}


def _image_encoder() -> Iterator[_Name]:
    for table in ("pos_embed", "pos_embed_window"):
        yield _Name(f"image_encoder.trunk.{table}", f"vision_encoder.backbone.{table}")
    yield from _layer("image_encoder.trunk.patch_embed.proj", "vision_encoder.backbone.patch_embed.projection")
    block, ours = "image_encoder.trunk.blocks.{block}", "vision_encoder.backbone.blocks.{block}"
    yield from _layers(block, ours, {"norm1": "layer_norm1", "norm2": "layer_norm2"})
    yield from _layers(f"{block}.attn", f"{ours}.attn", {"qkv": "qkv", "proj": "proj"})
    yield from _layers(f"{block}.mlp", f"{ours}.mlp", _TWO_LAYERS)
    yield from _layer(f"{block}.proj", f"{ours}.proj", together=f"{block}.proj")  # where a stage begins
    yield from _layer("image_encoder.neck.convs.{level}.conv", "vision_encoder.neck.convs.{level}")


def _memory() -> Iterator[_Name]:
    layer = "memory_attention.layers.{memory}"
    for attention in ("self_attn", "cross_attn_image"):
        yield from _layers(f"{layer}.{attention}", f"{layer}.{attention}", _ATTENTION)
    kept = {"linear1": "linear1", "linear2": "linear2"}
    yield from _layers(layer, layer, kept | {f"norm{n}": f"layer_norm{n}" for n in (1, 2, 3)})
    yield from _layer("memory_attention.norm", "memory_attention.layer_norm")
    meta, ours = "memory_encoder.mask_downsampler", "memory_encoder.mask_downsampler"
    for step in range(4):  # each a convolution, a norm and an activation
        yield from _layer(f"{meta}.encoder.{3 * step}", f"{ours}.layers.{step}.conv")
        yield from _layer(f"{meta}.encoder.{3 * step + 1}", f"{ours}.layers.{step}.layer_norm")
    yield from _layer(f"{meta}.encoder.12", f"{ours}.final_conv")
    meta, ours = "memory_encoder.fuser.layers.{fuser}", "memory_encoder.memory_fuser.layers.{fuser}"
    yield _Name(f"{meta}.gamma", f"{ours}.scale")
    fuser = {"dwconv": "depthwise_conv", "norm": "layer_norm"}
    yield from _layers(meta, ours, fuser | {f"pwconv{n}": f"pointwise_conv{n}" for n in (1, 2)})
    yield from _layer("memory_encoder.pix_feat_proj", "memory_encoder.feature_projection")
    yield from _layer("memory_encoder.out_proj", "memory_encoder.projection")
    yield from _layers("obj_ptr_proj", "object_pointer_proj", _THREE_LAYERS)
    yield from _layer("mask_downsample", "mask_downsample")
    yield _Name("maskmem_tpos_enc", "memory_temporal_positional_encoding")
    yield _Name("no_mem_embed", "no_memory_embedding")
    yield _Name("no_mem_pos_enc", "no_memory_positional_encoding")
    yield _Name("no_obj_ptr", "no_object_pointer")
    # What 2.1 adds to 2.0.
    yield _Name("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter", together="2.1")
    yield from _layer("obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer", together="2.1")


def _prompt_encoder() -> Iterator[_Name]:
    steps = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
    yield from _layers("sam_prompt_encoder.mask_downscaling", "prompt_encoder.mask_embed", steps)
    for table in ("not_a_point_embed", "no_mask_embed"):
        yield _Name(f"sam_prompt_encoder.{table}.weight", f"prompt_encoder.{table}.weight")


def _mask_decoder() -> Iterator[_Name]:
    for token in ("iou_token", "mask_tokens", "obj_score_token"):
        yield _Name(f"sam_mask_decoder.{token}.weight", f"mask_decoder.{token}.weight")
    layer, ours = "sam_mask_decoder.transformer.layers.{layer}", "mask_decoder.transformer.layers.{layer}"
    for attention in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
        yield from _layers(f"{layer}.{attention}", f"{ours}.{attention}", _ATTENTION)
    yield from _layers(f"{layer}.mlp", f"{ours}.mlp", _TWO_LAYERS)
    yield from _layers(layer, ours, {f"norm{n}": f"layer_norm{n}" for n in (1, 2, 3, 4)})
    meta, ours = "sam_mask_decoder", "mask_decoder"
    last = "transformer.final_attn_token_to_image"
    yield from _layers(f"{meta}.{last}", f"{ours}.{last}", _ATTENTION)
    yield from _layer(f"{meta}.transformer.norm_final_attn", f"{ours}.transformer.layer_norm_final_attn")
    upscaling = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}
    yield from _layers(f"{meta}.output_upscaling", ours, upscaling)
    yield from _layers(meta, ours, {"conv_s0": "conv_s0", "conv_s1": "conv_s1"})
    for head in ("output_hypernetworks_mlps.{mask}", "iou_prediction_head", "pred_obj_score_head"):
        yield from _layers(f"{meta}.{head}", f"{ours}.{head}", _THREE_LAYERS)


_NAMES = (*_image_encoder(), *_memory(), *_prompt_encoder(), *_mask_decoder())


def is_meta(names: Iterable[str]) -> bool:
    """Whether tensors of these names are SAM 2's as Meta names them."""
    return any(name.startswith(("image_encoder.", "sam_mask_decoder.")) for name in names)


def from_meta(
    tensors: Mapping[str, torch.Tensor], complete: bool = True, source: str = "SAM 2"
) -> dict[str, torch.Tensor]:
    """Tensors in Meta's names → the state of a ``Sam2VideoModel``.

    Both spellings of LayerScale are understood. Names are read before any tensor, and each tensor once, so the mapping
    may read from disk when asked.

    Args:
        tensors: Meta's name, without a prefix → tensor.
        complete: whether all of a model must be there; else any part of it, such as the mask decoder alone (the four
            point embeddings go together always: they become one table).
        source: what the tensors are, for messages.

    Raises:
        UserError: a name that SAM 2 doesn't have, or one that is missing.
    """
    scale: LayerScale = "g_weight" if any(name.endswith(".g_weight") for name in tensors) else "gamma"
    pairs = {old: new for old, new, _ in _pairs(tensors, 0, scale)}
    special = {*POINT_EMBEDDINGS, FREQUENCIES}
    _check(tensors, {*pairs, *special}, source)
    if complete:
        _check_complete(tensors, 0, scale, special, source)
    state = {pairs[name]: tensors[name] for name in tensors if name in pairs}
    if FREQUENCIES in tensors:
        # Two tensors, as a model of its own making has them: transformers won't save one under two names.
        frequencies = tensors[FREQUENCIES]
        state.update({name: frequencies.clone() for name in FREQUENCY_COPIES})
    if any(name in tensors for name in POINT_EMBEDDINGS):
        _check_missing([name for name in POINT_EMBEDDINGS if name not in tensors], source)
        state[POINT_TABLE] = torch.cat([tensors[name] for name in POINT_EMBEDDINGS])
    return state


def to_meta(
    state: Mapping[str, torch.Tensor],
    complete: bool = True,
    layer_scale: LayerScale = "gamma",
    source: str = "SAM 2",
) -> dict[str, torch.Tensor]:
    """The state of a ``Sam2VideoModel`` → tensors in Meta's names; the way back of :func:`from_meta`.

    Args:
        state: transformers' name → tensor.
        complete: as in :func:`from_meta`.
        layer_scale: ``"g_weight"`` for folders in the published Sa2VA layout.
        source: what the tensors are, for messages.

    Raises:
        UserError: a name that ``Sam2VideoModel`` doesn't have, one that is missing, or two copies of the frequencies
            that differ.
    """
    pairs = {new: old for old, new, _ in _pairs(state, 1, layer_scale)}
    special = {POINT_TABLE, *FREQUENCY_COPIES}
    _check(state, {*pairs, *special}, source)
    if complete:
        _check_complete(state, 1, layer_scale, special, source)
    tensors = {pairs[name]: state[name] for name in state if name in pairs}
    copies = [state[name] for name in FREQUENCY_COPIES if name in state]
    if copies:
        if not copies[0].is_meta and any(not torch.equal(copies[0], copy) for copy in copies[1:]):
            raise UserError(f"{source}: {' and '.join(FREQUENCY_COPIES)} differ, but in Meta's layout they are one")
        tensors[FREQUENCIES] = copies[0]
    if POINT_TABLE in state:
        tensors.update(zip(POINT_EMBEDDINGS, state[POINT_TABLE].split(1), strict=True))
    return tensors


def _indices(names: Iterable[str], side: int) -> dict[str, list[int]]:
    """Which repetitions of each repeated module the names speak of; ``side`` 0 is Meta's spelling, 1 transformers'."""
    found: dict[str, set[int]] = {placeholder: set() for placeholder in _REPEATED}
    for name in names:
        for placeholder, prefixes in _REPEATED.items():
            match = re.match(re.escape(prefixes[side]) + r"(0|[1-9][0-9]*)\.", name)
            if match:
                found[placeholder].add(int(match[1]))
    return {placeholder: sorted(indices) for placeholder, indices in found.items()}


def _pairs(names: Iterable[str], side: int, scale: LayerScale) -> Iterator[tuple[str, str, str | None]]:
    """(Meta's name, transformers' name, ``together``) of everything that a model with these repetitions may hold."""
    indices = _indices(names, side)
    for name in _NAMES:
        meta = name.meta.replace(".gamma", f".{scale}")
        placeholder = next((key for key in _REPEATED if f"{{{key}}}" in meta), None)
        if placeholder is None:
            yield meta, name.ours, name.together
            continue
        for index in indices[placeholder]:
            filled = {placeholder: index}
            together = None if name.together is None else name.together.format(**filled)
            yield meta.format(**filled), name.ours.format(**filled), together


def _check(names: Iterable[str], known: set[str], source: str) -> None:
    strangers = [name for name in names if name not in known]
    if strangers:
        raise UserError(
            f"{source}: {len(strangers)} tensors are not SAM 2's, the first is {strangers[0]!r}; give the weights of "
            "SAM 2.0 or 2.1 and nothing else"
        )


def _check_missing(missing: list[str], source: str) -> None:
    if missing:
        raise UserError(
            f"{source}: {len(missing)} tensors of SAM 2 are missing, the first is {missing[0]!r}; give all of its "
            "weights"
        )


def _check_complete(
    names: Mapping[str, torch.Tensor], side: int, scale: LayerScale, special: set[str], source: str
) -> None:
    """Every tensor that all models have is there, repeated modules are numbered without gaps, groups are whole."""
    missing = [name for name in sorted(special) if name not in names]
    for placeholder, indices in _indices(names, side).items():
        prefix = _REPEATED[placeholder][side]
        gap = next((place for place, index in enumerate(indices) if place != index), None)
        if not indices or gap is not None:
            missing.append(f"{prefix}{gap or 0}")
    pairs = list(_pairs(names, side, scale))
    begun = {pair[2] for pair in pairs if pair[2] is not None and pair[side] in names}
    missing += [pair[side] for pair in pairs if (pair[2] is None or pair[2] in begun) and pair[side] not in names]
    _check_missing(missing, source)

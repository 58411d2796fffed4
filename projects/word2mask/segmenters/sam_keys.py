"""Names of SAM's tensors: Meta's own and transformers' ``SamModel``'s, each from the other.

Nothing is guessed: a name that isn't known is an error that names it. Whether all are there is checked where the model
is built, which knows its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import torch

from word2mask.errors import UserError

__all__ = ["from_meta", "is_meta", "to_meta"]

#: Meta's one matrix of frequencies stands in transformers twice: for the image grid and for the prompts.
FREQUENCIES = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
FREQUENCY_COPIES = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)

_THREE_LAYERS = {"layers.0": "proj_in", "layers.1": "layers.0", "layers.2": "proj_out"}


def _layers(meta: str, ours: str, pairs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Weights and biases of several layers of one module."""
    for old, new in pairs.items():
        for leaf in ("weight", "bias"):
            yield f"{meta}.{old}.{leaf}", f"{ours}.{new}.{leaf}"


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _image_encoder() -> Iterator[tuple[str, str]]:
    meta, ours = "image_encoder", "vision_encoder"
    yield f"{meta}.pos_embed", f"{ours}.pos_embed"
    yield from _layers(f"{meta}.patch_embed", f"{ours}.patch_embed", {"proj": "projection"})
    block, layer = f"{meta}.blocks.#", f"{ours}.layers.#"
    yield from _layers(block, layer, {"norm1": "layer_norm1", "norm2": "layer_norm2"})
    yield from _layers(block, layer, _same("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"))
    for table in ("attn.rel_pos_h", "attn.rel_pos_w"):
        yield f"{block}.{table}", f"{layer}.{table}"
    yield f"{meta}.neck.0.weight", f"{ours}.neck.conv1.weight"
    yield f"{meta}.neck.2.weight", f"{ours}.neck.conv2.weight"
    yield from _layers(f"{meta}.neck", f"{ours}.neck", {"1": "layer_norm1", "3": "layer_norm2"})


def _prompt_encoder() -> Iterator[tuple[str, str]]:
    name = "prompt_encoder"
    yield f"{name}.point_embeddings.#.weight", f"{name}.point_embed.#.weight"
    for table in ("not_a_point_embed", "no_mask_embed"):
        yield f"{name}.{table}.weight", f"{name}.{table}.weight"
    steps = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
    yield from _layers(f"{name}.mask_downscaling", f"{name}.mask_embed", steps)


def _mask_decoder() -> Iterator[tuple[str, str]]:
    name = "mask_decoder"
    attention = _same("q_proj", "k_proj", "v_proj", "out_proj")
    for token in ("iou_token", "mask_tokens"):
        yield f"{name}.{token}.weight", f"{name}.{token}.weight"
    layer = f"{name}.transformer.layers.#"
    for module in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
        yield from _layers(f"{layer}.{module}", f"{layer}.{module}", attention)
    yield from _layers(
        layer, layer, _same("mlp.lin1", "mlp.lin2") | {f"norm{n}": f"layer_norm{n}" for n in range(1, 5)}
    )
    last = f"{name}.transformer.final_attn_token_to_image"
    yield from _layers(last, last, attention)
    yield from _layers(f"{name}.transformer", f"{name}.transformer", {"norm_final_attn": "layer_norm_final_attn"})
    upscaling = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}
    yield from _layers(f"{name}.output_upscaling", name, upscaling)
    for head in ("output_hypernetworks_mlps.#", "iou_prediction_head"):
        yield from _layers(f"{name}.{head}", f"{name}.{head}", _THREE_LAYERS)


#: Meta's name → transformers'; ``#`` stands for a number.
_NAMES = dict((*_image_encoder(), *_prompt_encoder(), *_mask_decoder()))
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def is_meta(names: Iterable[str]) -> bool:
    """Whether tensors of these names are SAM's as Meta names them."""
    return any(name.startswith("image_encoder.") for name in names)


def from_meta(tensors: Mapping[str, torch.Tensor], source: str = "SAM") -> dict[str, torch.Tensor]:
    """Tensors in Meta's names → the state of a ``SamModel``; any part of a model, or all of it.

    Args:
        tensors: Meta's name → tensor; names are read before any tensor, and each tensor once.
        source: what the tensors are, for messages.

    Raises:
        UserError: a name that SAM doesn't have.
    """
    renamed = {name: _renamed(name, _NAMES) for name in tensors if name != FREQUENCIES}
    _check(renamed, source)
    state = {new: tensors[old] for old, new in renamed.items() if new is not None}
    if FREQUENCIES in tensors:
        frequencies = tensors[FREQUENCIES]
        state.update({copy: frequencies.clone() for copy in FREQUENCY_COPIES})
    return state


def to_meta(state: Mapping[str, torch.Tensor], source: str = "SAM") -> dict[str, torch.Tensor]:
    """The state of a ``SamModel`` → tensors in Meta's names; the way back of :func:`from_meta`.

    Raises:
        UserError: a name that ``SamModel`` doesn't have, or two copies of the frequencies that differ.
    """
    names = {new: old for old, new in _NAMES.items()}
    renamed = {name: _renamed(name, names) for name in state if name not in FREQUENCY_COPIES}
    _check(renamed, source)
    tensors = {old: state[new] for new, old in renamed.items() if old is not None}
    copies = [state[name] for name in FREQUENCY_COPIES if name in state]
    if copies:
        if not copies[0].is_meta and any(not torch.equal(copies[0], copy) for copy in copies[1:]):
            raise UserError(f"{source}: {' and '.join(FREQUENCY_COPIES)} differ, but in Meta's layout they are one")
        tensors[FREQUENCIES] = copies[0]
    return tensors


def _renamed(name: str, names: Mapping[str, str]) -> str | None:
    """The other name: as it stands, or with one of its numbers for ``#``."""
    if name in names:
        return names[name]
    for number in _NUMBER.finditer(name):
        pattern = f"{name[: number.start()]}#{name[number.end() :]}"
        if pattern in names:
            return names[pattern].replace("#", number[0])
    return None


def _check(renamed: Mapping[str, str | None], source: str) -> None:
    strangers = [name for name, other in renamed.items() if other is None]
    if strangers:
        raise UserError(
            f"{source}: {len(strangers)} tensors are not SAM's, the first is {strangers[0]!r}; give the weights of SAM "
            "(ViT-B, L or H) and nothing else"
        )

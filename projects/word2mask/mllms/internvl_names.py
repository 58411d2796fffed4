"""Tensor names of an InternVL in OpenGVLab's own layout, and transformers' names for the same tensors.

transformers keeps attention's matrices apart where the original has one. InternLM2 is a Llama whose query, key and
value matrices are one (arXiv:2403.17297, §2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from transformers import InternVLConfig, LlamaConfig, Phi3Config, PreTrainedConfig, Qwen2Config, Qwen3Config

from word2mask.errors import UserError
from word2mask.mllms.weights import Piece

__all__ = ["INTERNLM2", "LANGUAGE_MODELS", "original_name", "original_tensors", "pieces"]

INTERNLM2 = "InternLM2ForCausalLM"
#: What ``llm_config.architectures`` may say, and transformers' configuration of the same network.
LANGUAGE_MODELS: dict[str, type[PreTrainedConfig]] = {
    INTERNLM2: LlamaConfig,
    "LlamaForCausalLM": LlamaConfig,
    "Phi3ForCausalLM": Phi3Config,
    "Qwen2ForCausalLM": Qwen2Config,
    "Qwen3ForCausalLM": Qwen3Config,
}

_VISION_LAYER = ("vision_model.encoder.layers.{layer}.", "model.vision_tower.encoder.layer.{layer}.")
_LAYER = ("language_model.model.layers.{layer}.", "model.language_model.layers.{layer}.")
#: Tensor names, OpenGVLab's and transformers'; ``{leaf}`` is ``weight`` or ``bias``, ``{rest}`` anything.
_NAMES = (
    ("vision_model.embeddings.class_embedding", "model.vision_tower.embeddings.cls_token"),
    ("vision_model.embeddings.position_embedding", "model.vision_tower.embeddings.position_embeddings"),
    (
        "vision_model.embeddings.patch_embedding.{leaf}",
        "model.vision_tower.embeddings.patch_embeddings.projection.{leaf}",
    ),
    *(
        (_VISION_LAYER[0] + theirs, _VISION_LAYER[1] + ours)
        for theirs, ours in (
            ("norm1.{leaf}", "layernorm_before.{leaf}"),
            ("norm2.{leaf}", "layernorm_after.{leaf}"),
            ("ls1", "lambda_1"),
            ("ls2", "lambda_2"),
            ("attn.proj.{leaf}", "attention.projection_layer.{leaf}"),
            ("attn.q_norm.{leaf}", "attention.q_norm.{leaf}"),
            ("attn.k_norm.{leaf}", "attention.k_norm.{leaf}"),
            ("mlp.fc1.{leaf}", "mlp.fc1.{leaf}"),
            ("mlp.fc2.{leaf}", "mlp.fc2.{leaf}"),
        )
    ),
    ("mlp1.0.{leaf}", "model.multi_modal_projector.layer_norm.{leaf}"),
    ("mlp1.1.{leaf}", "model.multi_modal_projector.linear_1.{leaf}"),
    ("mlp1.3.{leaf}", "model.multi_modal_projector.linear_2.{leaf}"),
)
_PLAIN_NAMES = (
    ("language_model.lm_head.weight", "lm_head.weight"),
    ("language_model.model.{rest}", "model.language_model.{rest}"),
)
_INTERNLM2_NAMES = (
    ("language_model.output.weight", "lm_head.weight"),
    ("language_model.model.tok_embeddings.weight", "model.language_model.embed_tokens.weight"),
    ("language_model.model.norm.weight", "model.language_model.norm.weight"),
    *(
        (_LAYER[0] + theirs, _LAYER[1] + ours)
        for theirs, ours in (
            ("attention.wo.{leaf}", "self_attn.o_proj.{leaf}"),
            ("feed_forward.w1.weight", "mlp.gate_proj.weight"),
            ("feed_forward.w2.weight", "mlp.down_proj.weight"),
            ("feed_forward.w3.weight", "mlp.up_proj.weight"),
            ("attention_norm.weight", "input_layernorm.weight"),
            ("ffn_norm.weight", "post_attention_layernorm.weight"),
        )
    ),
)
#: One matrix there, three here, whose names differ in ``{part}``.
_FUSED_VISION = (_VISION_LAYER[0] + "attn.qkv.{leaf}", _VISION_LAYER[1] + "attention.{part}_proj.{leaf}")
_FUSED_INTERNLM2 = (_LAYER[0] + "attention.wqkv.{leaf}", _LAYER[1] + "self_attn.{part}_proj.{leaf}")
_PARTS = ("q", "k", "v")

_PATTERNS = {"{layer}": r"(?P<layer>\d+)", "{leaf}": r"(?P<leaf>weight|bias)", "{rest}": r"(?P<rest>[\w.]+)"}
_PATTERNS["{part}"] = r"(?P<part>[qkv])"

#: Tables that older files hold and that are computed.
_COMPUTED = ".rotary_emb.inv_freq"


def original_name(config: InternVLConfig) -> str:
    """What the language model is called in OpenGVLab's layout."""
    text = config.text_config
    if text.architectures and text.architectures[0] in LANGUAGE_MODELS:
        return text.architectures[0]
    for name, family in LANGUAGE_MODELS.items():
        if name != INTERNLM2 and type(text) is family:
            return name
    raise UserError(f"the language model is of model_type {text.model_type!r}, which OpenGVLab's layout doesn't have")


def pieces(tensors: Mapping[str, torch.Tensor], config: InternVLConfig, source: str) -> Iterator[Piece]:
    """OpenGVLab's tensors as transformers'.

    Args:
        tensors: OpenGVLab's name → tensor; each is read once, in their order.
        config: of the model.
        source: where they come from, for messages.

    Raises:
        UserError: a name that isn't understood; before any tensor is read.
    """
    rules = [(_pattern(theirs), ours) for theirs, ours in _table(config)]
    places: dict[str, list[str]] = {}
    for name in tensors:
        if name.endswith(_COMPUTED):
            continue
        for pattern, ours in rules:
            if match := pattern.fullmatch(name):
                parts = _PARTS if "{part}" in ours else ("",)
                places[name] = [ours.format(**match.groupdict(), part=part) for part in parts]
                break
        else:
            raise UserError(
                f"{source}: the tensor {name} is not understood; expected vision_model.*, mlp1.* and language_model.* "
                f"of {original_name(config)}"
            )
    for name, targets in places.items():
        tensor = tensors[name]
        if len(targets) == 1:
            parts = (tensor,)
        else:
            parts = tensor.chunk(3) if name.startswith("vision_model.") else _apart(tensor, config.text_config)
        for target, part in zip(targets, parts, strict=True):
            yield Piece(target, part, name)


def original_tensors(state: Mapping[str, torch.Tensor], config: InternVLConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """transformers' tensors as OpenGVLab's; the way back of :func:`pieces`.

    Args:
        state: of an ``InternVLForConditionalGeneration``.
        config: of the model.

    Raises:
        ValueError: a name that such a model doesn't have.
    """
    rules = [(_pattern(ours), theirs, ours) for theirs, ours in _table(config)]
    for name, tensor in state.items():
        match, theirs, ours = next(
            ((match, theirs, ours) for pattern, theirs, ours in rules if (match := pattern.fullmatch(name))),
            (None, "", ""),
        )
        if match is None:
            raise ValueError(f"{name} is no tensor of an InternVL")
        found = match.groupdict()
        if "part" not in found:
            yield theirs.format(**found), tensor
        elif found["part"] == _PARTS[0]:
            parts = [state[ours.format(**found | {"part": part})] for part in _PARTS]
            is_vision = theirs.startswith("vision_model.")
            yield theirs.format(**found), torch.cat(parts) if is_vision else _together(parts, config.text_config)


def _table(config: InternVLConfig) -> list[tuple[str, str]]:
    """Names of the model's tensors, OpenGVLab's and transformers'."""
    if original_name(config) == INTERNLM2:
        return [*_NAMES, _FUSED_VISION, *_INTERNLM2_NAMES, _FUSED_INTERNLM2]
    return [*_NAMES, _FUSED_VISION, *_PLAIN_NAMES]


def _pattern(name: str) -> re.Pattern[str]:
    """A name with places to fill, as a pattern that finds what filled them."""
    text = re.escape(name)
    for place, pattern in _PATTERNS.items():
        text = text.replace(re.escape(place), pattern)
    return re.compile(text)


def _apart(tensor: torch.Tensor, config: PreTrainedConfig) -> tuple[torch.Tensor, ...]:
    """InternLM2's fused matrix (or bias) as query, key and value.

    Its rows are, for each of the key heads, the query heads that share it, then the key, then the value.
    """
    shared = config.num_attention_heads // config.num_key_value_heads
    heads = tensor.unflatten(0, (config.num_key_value_heads, shared + 2, -1))
    return heads[:, :shared].flatten(0, 2), heads[:, shared].flatten(0, 1), heads[:, shared + 1].flatten(0, 1)


def _together(parts: list[torch.Tensor], config: PreTrainedConfig) -> torch.Tensor:
    """The way back of :func:`_apart`."""
    heads = config.num_key_value_heads
    shared = config.num_attention_heads // heads
    query, key, value = parts
    rows = [query.unflatten(0, (heads, shared, -1)), *(part.unflatten(0, (heads, 1, -1)) for part in (key, value))]
    return torch.cat(rows, dim=1).flatten(0, 2)

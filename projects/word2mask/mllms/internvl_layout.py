"""An InternVL in OpenGVLab's own layout, which the published Sa2VA folders share: its ``config.json``; reading it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import InternVLConfig, InternVLForConditionalGeneration, PreTrainedConfig

from word2mask.errors import UserError
from word2mask.mllms.internvl_names import INTERNLM2, LANGUAGE_MODELS, original_name, pieces
from word2mask.mllms.internvl_processor import CONTEXT
from word2mask.mllms.weights import TensorFolder, built_from

__all__ = ["default_template", "is_original", "original_config", "read_original", "transformers_config"]

#: Chat templates of the published Sa2VA recipes where they aren't ``qwen_chat``.
TEMPLATES = {INTERNLM2: "internlm2_chat", "Phi3ForCausalLM": "phi3_chat"}

#: InternViT's settings: OpenGVLab's name, transformers' name, OpenGVLab's default.
_VISION = (
    ("num_channels", "num_channels", 3),
    ("patch_size", "patch_size", 14),
    ("image_size", "image_size", 224),
    ("qkv_bias", "attention_bias", False),
    ("hidden_size", "hidden_size", 3200),
    ("num_attention_heads", "num_attention_heads", 25),
    ("intermediate_size", "intermediate_size", 12800),
    ("qk_normalization", "use_qk_norm", True),
    ("num_hidden_layers", "num_hidden_layers", 48),
    ("hidden_act", "hidden_act", "gelu"),
    ("norm_type", "norm_type", "rms_norm"),
    ("layer_norm_eps", "layer_norm_eps", 1e-6),
    ("dropout", "hidden_dropout_prob", 0.0),
    ("attention_dropout", "attention_dropout", 0.0),
    ("initializer_range", "initializer_range", 0.02),
    ("initializer_factor", "layer_scale_init_value", 0.1),
)


def is_original(raw: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is in OpenGVLab's layout."""
    return "llm_config" in raw


def language_model_name(raw: Mapping[str, Any], source: str) -> str:
    """What ``llm_config`` says the language model is.

    Raises:
        UserError: one that isn't of :data:`LANGUAGE_MODELS`.
    """
    names = raw["llm_config"].get("architectures") or [None]
    if names[0] not in LANGUAGE_MODELS:
        known = ", ".join(LANGUAGE_MODELS)
        raise UserError(f"{source}: llm_config.architectures is {names}, expected one of {known}")
    return names[0]


def default_template(raw: Mapping[str, Any], source: str) -> str:
    """The chat template with which the published recipe trains this language model."""
    return TEMPLATES.get(language_model_name(raw, source), "qwen_chat")


def read_original(
    folder: Path, raw: Mapping[str, Any], tokenizer: Any, dtype: torch.dtype, attn_implementation: str
) -> InternVLForConditionalGeneration:
    """Reads a base model in OpenGVLab's layout.

    Args:
        folder: with weights.
        raw: contents of its ``config.json``.
        tokenizer: its tokenizer.
        dtype: of the weights.
        attn_implementation: how attention is computed.

    Raises:
        UserError: a model that this family doesn't have, or weights that don't fit.
    """
    source = str(folder)
    config = transformers_config(raw, tokenizer.convert_tokens_to_ids(CONTEXT), f"{source}/config.json")
    ties = raw["llm_config"].get("tie_word_embeddings", False)
    return built_from(
        InternVLForConditionalGeneration,
        config,
        pieces(TensorFolder(folder), config, source),
        source,
        dtype,
        attn_implementation,
        tied={"lm_head.weight": "model.language_model.embed_tokens.weight"} if ties else None,
    )


def transformers_config(raw: Mapping[str, Any], image_token_id: int, source: str) -> InternVLConfig:
    """OpenGVLab's configuration as transformers'.

    Its ``dynamic_image_size``, ``use_thumbnail`` and ``max_dynamic_patch`` are not read: the published Sa2VA recipe
    tiles in one way, whatever its base says (:class:`word2mask.mllms.internvl_processor.InternVLSettings`).

    Args:
        raw: contents of ``config.json``.
        image_token_id: of ``<IMG_CONTEXT>``.
        source: the file, for messages.

    Raises:
        UserError: something that transformers' InternVL doesn't do.
    """
    name = language_model_name(raw, source)
    vision = {ours: raw["vision_config"].get(theirs, default) for theirs, ours, default in _VISION}
    vision["projection_dropout"] = vision["hidden_dropout_prob"]
    side, ratio = vision["image_size"], raw.get("downsample_ratio", 0.5)
    refused = {
        "ps_version": (raw.get("ps_version", "v1"), "v2"),
        "force_image_size": (raw.get("force_image_size") or side, side),
        "pad2square": (raw.get("pad2square", False), False),
        "use_backbone_lora": (raw.get("use_backbone_lora", 0), 0),
        "use_llm_lora": (raw.get("use_llm_lora", 0), 0),
    }
    if name == "Phi3ForCausalLM":  # of that name, transformers has another formula than the original
        kind = (raw["llm_config"].get("rope_scaling") or {}).get("type")
        refused["llm_config.rope_scaling.type"] = (kind, "su" if kind == "yarn" else kind)
    if vision["use_qk_norm"]:  # transformers has a constant there
        refused["vision_config.layer_norm_eps"] = (vision["layer_norm_eps"], 1e-6)
    for key, (got, wanted) in refused.items():
        if got != wanted:
            raise UserError(f"{source}: {key} is {got!r}, and only {wanted!r} is supported; give another base model")
    return InternVLConfig(
        vision_config=vision,
        text_config=_text_config(raw["llm_config"], name),
        image_token_id=image_token_id,
        image_seq_length=int(side // vision["patch_size"] * ratio) ** 2,
        downsample_ratio=ratio,
        vision_feature_layer=raw.get("select_layer", -1),
        tie_word_embeddings=False,
    )


def _text_config(raw: Mapping[str, Any], name: str) -> PreTrainedConfig:
    """Of the language model; what only older transformers write into it is left out.

    ``architectures`` keeps the name of the original network, so that an export can go back.
    """
    family = LANGUAGE_MODELS[name]
    own = {field.name for field in dataclasses.fields(family)} - {f.name for f in dataclasses.fields(PreTrainedConfig)}
    own |= {"rope_theta", "rope_scaling", "bos_token_id", "eos_token_id", "pad_token_id"}
    known = copy.deepcopy({key: value for key, value in raw.items() if key in own})  # transformers writes into it
    if name == INTERNLM2:
        known["attention_bias"] = raw.get("bias", True)
        known.setdefault("rms_norm_eps", 1e-6)
    scaling = known.get("rope_scaling") or {}
    if scaling.get("type") == "su":  # Phi3's early name; transformers forgets to move a length along when it sees it
        scaling["type"] = "longrope"
    known["tie_word_embeddings"] = False
    return family(**known, architectures=[name])


def original_config(config: InternVLConfig, template: str, max_tiles: int) -> dict[str, Any]:
    """transformers' configuration as OpenGVLab's; the way back of :func:`transformers_config`.

    Args:
        config: of the model.
        template: name of its chat template.
        max_tiles: most tiles of a picture, thumbnail not counted.

    Raises:
        UserError: a language model that OpenGVLab's layout doesn't have.
    """
    name = original_name(config)
    vision = {theirs: getattr(config.vision_config, ours) for theirs, ours, _ in _VISION}
    vision |= {key: vision[key][0] for key in ("image_size", "patch_size")}
    vision |= {"architectures": ["InternVisionModel"], "model_type": "intern_vit_6b", "drop_path_rate": 0.0}
    text = config.text_config.to_dict()
    rope = dict(text.pop("rope_parameters"))
    text["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    kept = {key: value for key, value in rope.items() if key in ("factor", "short_factor", "long_factor")}
    text["rope_scaling"] = None if kind == "default" else {"type": "su" if kind == "longrope" else kind, **kept}
    text["architectures"] = [name]
    if name == INTERNLM2:
        text |= {"model_type": "internlm2", "bias": text["attention_bias"]}
    return {
        "vision_config": vision,
        "llm_config": text,
        "hidden_size": text["hidden_size"],
        "select_layer": config.vision_feature_layer,
        "force_image_size": vision["image_size"],
        "downsample_ratio": config.downsample_ratio,
        "ps_version": "v2",
        "template": template,
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": max_tiles,
        "pad2square": False,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "tie_word_embeddings": False,
    }

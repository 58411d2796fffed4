"""The original layout of LLaVA's folders (haotian-liu/LLaVA): ``model.layers…``, ``model.mm_projector…``, CLIP apart.

The vision tower is that of the folder which ``mm_vision_tower`` names, unless the weights have it themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.llava_processor import CONTEXT, LLaVASettings
from word2mask.mllms.pickled_weights import read_tensors
from word2mask.mllms.weights import Piece, built_from

__all__ = ["default_settings", "is_original", "original_parts", "read_original"]

_VISION = "model.vision_tower."
_CONNECTOR = "model.multi_modal_projector."
#: In old files, and computed by transformers.
_TABLES = ("rotary_emb.inv_freq", "embeddings.position_ids")


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether a raw ``config.json`` is of LLaVA's own layout."""
    return "mm_vision_tower" in config or "mm_hidden_size" in config


def default_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of :class:`LLaVASettings` that a raw ``config.json`` tells."""
    newer = str(config.get("mm_projector_type", "linear")).startswith("mlp")
    return {
        "template": "vicuna_v1" if newer else "llava_v1",
        "squaring": "pad" if config.get("image_aspect_ratio") == "pad" else "crop",
        "image_marks": bool(config.get("mm_use_im_start_end", False)),
        "max_length": config.get("max_position_embeddings", LLaVASettings.max_length),
    }


def read_original(
    folder: Path,
    raw: Mapping[str, Any],
    tokenizer: Any,
    vision_tower: Path | None,
    dtype: torch.dtype,
    attn_implementation: str,
) -> LlavaForConditionalGeneration:
    """The model of a folder in LLaVA's own layout.

    ``tokenizer`` gets the token ``<image>`` when it lacks it, and embeddings and head a row for it.

    Args:
        folder: with ``config.json``, weights and tokenizer.
        raw: its ``config.json``.
        tokenizer: its tokenizer.
        vision_tower: the folder of CLIP; ``None`` looks for it where ``raw`` says.
        dtype: of the weights.
        attn_implementation: how attention is computed.

    Raises:
        UserError: a layout that is neither LLaVA-1's nor 1.5's, no CLIP, or weights that don't fit.
    """
    config, pieces = original_parts(folder, raw, read_tensors(folder), vision_tower)
    model = built_from(LlavaForConditionalGeneration, config, pieces, str(folder), dtype, attn_implementation)
    _add_context_token(model, tokenizer)
    return model


def original_parts(
    folder: Path, raw: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], vision_tower: Path | None
) -> tuple[LlavaConfig, Iterator[Piece]]:
    """What a folder in LLaVA's own layout holds: the configuration, and every tensor of the model.

    The configuration doesn't know the token ``<image>`` yet.

    Args:
        folder: of the model; CLIP is looked for beside it.
        raw: its ``config.json``.
        tensors: its weights.
        vision_tower: the folder of CLIP; ``None`` looks for it where ``raw`` says.

    Raises:
        UserError: a layout that is neither LLaVA-1's nor 1.5's, or no CLIP.
    """
    clip_folder = _find_clip(folder, raw, vision_tower)
    linear = _projector_is_linear(folder, raw)
    known = LlamaConfig().to_dict().keys() | {"rope_theta", "rope_scaling"}
    known -= {"model_type", "architectures", "transformers_version", "dtype"}
    text = LlamaConfig(**{key: value for key, value in raw.items() if key in known and value is not None})
    text.vocab_size = tensors["model.embed_tokens.weight"].shape[0]
    config = LlavaConfig(
        vision_config=_vision_config(clip_folder),
        text_config=text,
        projector_hidden_act="linear" if linear else "gelu",
        vision_feature_layer=raw.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    config.image_seq_length = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    own_vision = any(".vision_tower." in name for name in tensors)
    return config, _pieces(tensors, linear, None if own_vision else read_tensors(clip_folder))


@torch.no_grad()
def _add_context_token(model: LlavaForConditionalGeneration, tokenizer: Any) -> None:
    """A token for pictures where LLaVA's own code has a number; its rows are the mean, which never is the likeliest."""
    used = len(tokenizer)
    if tokenizer.add_tokens([CONTEXT], special_tokens=True):
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        for weight in (model.get_input_embeddings().weight, model.lm_head.weight):
            weight[used] = weight[:used].float().mean(dim=0).to(weight.dtype)
    model.config.image_token_index = tokenizer.convert_tokens_to_ids(CONTEXT)


def _pieces(
    tensors: Mapping[str, torch.Tensor], linear: bool, clip: Mapping[str, torch.Tensor] | None
) -> Iterator[Piece]:
    """Every tensor under transformers' name."""
    projector = {"0": "linear_1", "2": "linear_2", "weight": "linear_1.weight", "bias": "linear_1.bias"}
    for name in tensors:
        if name.endswith(_TABLES):
            continue
        if ".vision_tower." in name:
            target = _vision_name(name.rpartition("vision_tower.")[2])
        elif name.startswith("model.mm_projector."):
            layer, *rest = name.removeprefix("model.mm_projector.").split(".")
            target = _CONNECTOR + ".".join([projector.get(layer, layer), *rest])
        elif name.startswith("model."):
            target = "model.language_model." + name.removeprefix("model.")
        else:
            target = name
        yield Piece(target, tensors[name], name)
    if linear:  # transformers' projector has two layers: the second one changes nothing
        width = tensors["model.mm_projector.weight"].shape[0]
        yield Piece(_CONNECTOR + "linear_2.weight", torch.eye(width), "identity")
        yield Piece(_CONNECTOR + "linear_2.bias", torch.zeros(width), "identity")
    # A whole CLIP has a text tower and projections beside its vision model; one that transformers 5 wrote is bare.
    names = list(clip or ())
    for name in [name for name in names if name.startswith("vision_model.")] or names:
        if clip is not None and not name.endswith(_TABLES):
            yield Piece(_vision_name(name), clip[name], name)


def _vision_name(name: str) -> str:
    return _VISION + name.removeprefix("vision_model.")


def _projector_is_linear(folder: Path, raw: Mapping[str, Any]) -> bool:
    kind = raw.get("mm_projector_type", "linear")
    if kind not in ("linear", "mlp2x_gelu"):
        raise UserError(
            f"{folder / 'config.json'}: mm_projector_type is {kind!r}; 'mlp2x_gelu' (LLaVA-1.5) and 'linear' (LLaVA-1) "
            "can be read"
        )
    if raw.get("mm_vision_select_feature", "patch") != "patch":
        raise UserError(f"{folder / 'config.json'}: mm_vision_select_feature must be 'patch'")
    return kind == "linear"


def _find_clip(folder: Path, raw: Mapping[str, Any], given: Path | None) -> Path:
    """The folder of CLIP: the one given, the one named, or a neighbour of that name."""
    name = str(raw.get("mm_vision_tower") or raw.get("vision_tower") or "openai/clip-vit-large-patch14-336")
    beside = folder.parent / Path(name).name
    places = [given] if given is not None else [Path(name), beside]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None:
        raise UserError(
            f"{folder}: its vision tower {name} isn't here (looked in {', '.join(map(str, places))}); "
            f"put it into {beside}, or name its folder by vision_tower"
        )
    return found


def _vision_config(folder: Path) -> CLIPVisionConfig:
    raw = json.loads((folder / "config.json").read_text())
    if raw.get("model_type") not in ("clip", "clip_vision_model"):
        raise UserError(f"{folder / 'config.json'}: model_type is {raw.get('model_type')!r}, expected a CLIP")
    return CLIPVisionConfig(**raw.get("vision_config", raw))

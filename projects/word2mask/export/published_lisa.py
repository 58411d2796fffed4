"""Export in the layout in which LISA's authors publish it, so that programs written for it load what we train.

Their layout has no place for CLIP, which they read from a folder of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict

from word2mask.errors import UserError
from word2mask.export.cards import published_card, write_generation_config
from word2mask.export.published_tokenizer import save_tokenizer
from word2mask.mllms.llava import LLaVA
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.published_lisa import ARCHITECTURE, EXTRA, PROJECTOR, SEGMENTER
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam_files import sam_config
from word2mask.segmenters.sam_keys import to_meta

__all__ = ["save_lisa"]

logger = logging.getLogger(__name__)
_LANGUAGE, _CONNECTOR, _VISION = "model.language_model.", "model.multi_modal_projector.", "model.vision_tower."
#: Of transformers' configuration of Llama, what LISA's ``config.json`` has.
_TEXT = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("max_position_embeddings", "rms_norm_eps", "vocab_size", "hidden_act"),
)


def save_lisa(
    model: GroundedMLLM,
    folder: str | Path,
    provenance: Mapping[str, str] | None = None,
    max_shard_size: int | str = "5GB",
    vision_tower: str = "openai/clip-vit-large-patch14",
) -> None:
    """Writes a model in LISA's layout.

    Args:
        model: LLaVA with SAM, the state before ``[SEG]``, adapters merged, CLIP as it was.
        folder: made if need be.
        provenance: what the model card says of where the model comes from.
        max_shard_size: larger models are written in several files.
        vision_tower: the CLIP that belongs to it, for ``config.json``.

    Raises:
        UserError: a model of which the layout has no variant.
    """
    folder = Path(folder)
    config = _config(model, vision_tower)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(model)}
    if "segmenter" in config[EXTRA]:
        logger.warning("the published code will do otherwise: it builds SAM ViT-H at 1024 pixels and nothing else")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")
    save_torch_state_dict(state, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})
    save_tokenizer(model.mllm.tokenizer, folder)
    write_generation_config(model, folder)
    (folder / "README.md").write_text(published_card(model, provenance or {}), encoding="utf-8")


def _config(model: GroundedMLLM, vision_tower: str) -> dict[str, Any]:
    """``config.json``."""
    mllm, segmenter = model.mllm, model.segmenter
    if not isinstance(mllm, LLaVA) or not isinstance(segmenter, SAMSegmenter):
        raise UserError(
            f"LISA's layout is for LLaVA with SAM, not for {type(mllm).__name__} with {type(segmenter).__name__}; use "
            "--layout word2mask"
        )
    if model.seg_state != "before":
        raise UserError("LISA's code reads the state before [SEG], and this model's objects are in the state at it")
    if model.projector.num_tokens != 1:
        raise UserError(f"LISA's code makes one prompt token of a [SEG], this model {model.projector.num_tokens}")
    text = mllm.model.config.text_config
    extra: dict[str, Any] = {"settings": asdict(mllm.settings)}
    if segmenter.model.config.to_diff_dict() != sam_config("vit_h").to_diff_dict():
        extra["segmenter"] = segmenter.model.config.to_diff_dict()
    return {
        "model_type": "llava",
        "architectures": [ARCHITECTURE],
        **{name: getattr(text, name) for name in _TEXT},
        "rope_theta": text.rope_parameters["rope_theta"],
        "bos_token_id": mllm.tokenizer.bos_token_id,
        "eos_token_id": mllm.tokenizer.eos_token_id,
        "pad_token_id": mllm.tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        "use_cache": False,
        "mm_hidden_size": mllm.model.config.vision_config.hidden_size,
        "mm_projector_type": "linear" if _is_linear(mllm) else "mlp2x_gelu",
        "mm_use_im_start_end": mllm.settings.image_marks,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": mllm.model.config.vision_feature_layer,
        "mm_vision_tower": vision_tower,
        "vision_tower": vision_tower,
        "image_aspect_ratio": "pad" if mllm.settings.squaring == "pad" else "square",
        "train_mask_decoder": True,
        "out_dim": segmenter.prompt_dim,
        "torch_dtype": str(mllm.model.dtype).removeprefix("torch."),
        EXTRA: extra,
    }


def _is_linear(mllm: LLaVA) -> bool:
    return mllm.model.config.projector_hidden_act == "linear"


def _tensors(model: GroundedMLLM) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor by its published name, CLIP's left out."""
    state = model.mllm.model.state_dict()
    for name, tensor in state.items():
        if name.startswith(_LANGUAGE):
            yield "model." + name.removeprefix(_LANGUAGE), tensor
        elif not name.startswith((_CONNECTOR, _VISION)):
            yield name, tensor
    first, last = ({leaf: state[f"{_CONNECTOR}linear_{n}.{leaf}"] for leaf in ("weight", "bias")} for n in (1, 2))
    if _is_linear(model.mllm):  # two layers with nothing between them are one
        weight, bias = (last["weight"].double() @ first[leaf].double() for leaf in ("weight", "bias"))
        yield "model.mm_projector.weight", weight.to(first["weight"].dtype)
        yield "model.mm_projector.bias", (bias + last["bias"].double()).to(first["bias"].dtype)
    else:
        for index, layer in ((0, first), (2, last)):
            yield from ((f"model.mm_projector.{index}.{leaf}", tensor) for leaf, tensor in layer.items())
    for name, tensor in to_meta(model.segmenter.model.state_dict()).items():
        yield SEGMENTER + name, tensor
    for name, tensor in model.projector.state_dict().items():
        yield PROJECTOR + name.removeprefix("layers."), tensor

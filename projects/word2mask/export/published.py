"""Export in the layout in which ByteDance publishes Sa2VA, so that programs written for it load what we train.

The folder says (``auto_map``) that its classes are in files beside it, as theirs does, and doesn't have these files:
they are ByteDance's, and whoever wants to run them copies them from a published folder. Reading it with word2mask needs
no code.
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
from safetensors.torch import save_file

from word2mask.data.outputs import with_usual_rights
from word2mask.errors import UserError
from word2mask.export.cards import published_card, write_generation_config
from word2mask.export.published_tokenizer import save_tokenizer
from word2mask.mllms.internvl import InternVL
from word2mask.mllms.internvl_layout import original_config
from word2mask.mllms.internvl_names import original_tensors
from word2mask.mllms.qwen_vl import QwenVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.published import EXTRA, MODEL_TYPE, PROJECTOR, QWEN, SEGMENTER
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.sam2_files import ORIGINAL_DECODER_FILE
from word2mask.segmenters.sam2_keys import to_meta

__all__ = ["save_published"]

logger = logging.getLogger(__name__)


def save_published(
    model: GroundedMLLM,
    folder: str | Path,
    provenance: Mapping[str, str] | None = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Writes a model in the published layout.

    Args:
        model: InternVL, Qwen2.5-VL or Qwen3-VL with SAM 2, adapters merged.
        folder: made if need be.
        provenance: what the model card says of where the model comes from.
        max_shard_size: larger models are written in several files.

    Raises:
        UserError: a model of which the published layout has no variant.
    """
    folder = Path(folder)
    config = published_config(model)
    for difference in differences(model):
        logger.warning("the published code will do otherwise: %s", difference)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")
    state = {name: _whole(tensor) for name, tensor in published_tensors(model)}
    save_torch_state_dict(state, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})
    if isinstance(model.mllm, QwenVL):
        model.mllm.processor.save_pretrained(folder)
    save_tokenizer(model.mllm.tokenizer, folder)
    if model.segmenter.original_decoder is not None:
        decoder = model.segmenter.original_decoder.state_dict()
        save_file({name: _whole(tensor) for name, tensor in decoder.items()}, folder / ORIGINAL_DECODER_FILE)
    for weights in folder.glob("*.safetensors"):
        with_usual_rights(weights)
    write_generation_config(model, folder)
    (folder / "README.md").write_text(published_card(model, provenance or {}), encoding="utf-8")


def published_config(model: GroundedMLLM) -> dict[str, Any]:
    """``config.json``.

    Raises:
        UserError: a model of which the published layout has no variant.
    """
    mllm, segmenter = model.mllm, model.segmenter
    if not isinstance(mllm, InternVL | QwenVL) or not isinstance(segmenter, SAM2Segmenter):
        raise UserError(
            f"the published layout is for InternVL, Qwen2.5-VL and Qwen3-VL with SAM 2, not for {type(mllm).__name__} "
            f"with {type(segmenter).__name__}; use --layout word2mask"
        )
    if model.seg_state != "at":
        raise UserError(
            "the published code reads the state at [SEG], and this model's objects are in the state before it; use "
            "--layout word2mask"
        )
    if model.projector.num_tokens != 1:
        raise UserError(
            f"the published code makes one prompt token of a [SEG], this model {model.projector.num_tokens}; use "
            "--layout word2mask"
        )
    settings = mllm.settings
    if isinstance(mllm, InternVL):
        own, suffix = original_config(mllm.model.config, settings.template, settings.max_tiles), ""
    else:
        own, suffix = _qwen_config(mllm), "Qwen"
    module = "modeling_sa2va_qwen" if suffix else "modeling_sa2va_chat"
    chat_model = f"Sa2VAChatModel{suffix}"
    extra: dict[str, Any] = {"prompt_frames": model.prompt_frames, "settings": asdict(settings)}
    if not _is_published_sam2(segmenter):
        extra["segmenter"] = segmenter.model.config.to_diff_dict()
    return {
        **own,
        "model_type": MODEL_TYPE,
        "architectures": [chat_model],
        "auto_map": {
            "AutoConfig": f"configuration_sa2va_chat.Sa2VAChatConfig{suffix}",
            "AutoModel": f"{module}.{chat_model}",
            "AutoModelForCausalLM": f"{module}.{chat_model}",
        },
        "template": settings.template,
        "tie_word_embeddings": False,
        "torch_dtype": str(mllm.model.dtype).removeprefix("torch."),
        EXTRA: extra,
    }


def _qwen_config(mllm: QwenVL) -> dict[str, Any]:
    """transformers' own configuration, with rotary settings where releases before 5 look for them."""
    config = mllm.model.config.to_dict()
    rope = dict(config["text_config"].pop("rope_parameters"))
    config["text_config"]["rope_theta"] = rope.pop("rope_theta")
    config["text_config"]["rope_scaling"] = rope
    for part in (config, config["text_config"], config["vision_config"]):
        part.pop("dtype", None)
    return config


def published_tensors(model: GroundedMLLM) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor by its published name."""
    mllm = model.mllm
    if isinstance(mllm, InternVL):
        yield from original_tensors(mllm.model.state_dict(), mllm.model.config)
    else:
        yield from ((QWEN + name, tensor) for name, tensor in mllm.model.state_dict().items())
    for name, tensor in to_meta(model.segmenter.model.state_dict(), layer_scale="g_weight").items():
        yield SEGMENTER + name, tensor
    for name, tensor in model.projector.state_dict().items():
        yield PROJECTOR + name.removeprefix("layers."), tensor


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that shares its memory with no other, as safetensors wants it; a copy only where it must be."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def differences(model: GroundedMLLM) -> list[str]:
    """What ByteDance's code would do otherwise with this model than word2mask does."""
    found = []
    if not _is_published_sam2(model.segmenter):
        found.append("it builds SAM 2.0 Hiera-L at 1024 pixels and nothing else, so it can't load this segmenter")
    if model.prompt_frames != "all":
        found.append("it prompts all key frames, and this model wants the first that shows the object")
    if isinstance(model.mllm, QwenVL):
        ours, theirs = model.mllm.settings.normed_states, type(model.mllm).published.get("normed_states", True)
        if ours != theirs:
            places = {True: "after", False: "before"}
            found.append(f"it takes states {places[theirs]} the final norm, and this model {places[ours]} it")
    if isinstance(model.mllm, InternVL) and model.mllm.settings.max_tiles != 12:
        found.append(f"it cuts pictures into up to 12 tiles, and this model into {model.mllm.settings.max_tiles}")
    return found


def _is_published_sam2(segmenter: SAM2Segmenter) -> bool:
    """Whether the segmenter is what ByteDance's code builds."""
    published = sam2_config("large", version="2.0")
    names = ("image_size", "enable_occlusion_spatial_embedding", "enable_temporal_pos_encoding_for_object_pointers")
    ours = segmenter.model.config
    return (
        ours.vision_config.backbone_config.to_diff_dict() == published.vision_config.backbone_config.to_diff_dict()
        and all(getattr(ours, name) == getattr(published, name) for name in names)
    )

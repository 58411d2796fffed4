"""Sa2VA folders as ByteDance publishes them (github.com/bytedance/Sa2VA at 9832e1a), read without running their code.

The language model is in OpenGVLab's or in Qwen's own layout, the segmenter is SAM 2.0 under Meta's names but for
LayerScale, and the projector is called ``text_hidden_fcs``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from word2mask.errors import UserError
from word2mask.mllms.internvl_layout import is_original, transformers_config
from word2mask.mllms.internvl_names import pieces as internvl_pieces
from word2mask.mllms.internvl_processor import CONTEXT as INTERNVL_CONTEXT
from word2mask.mllms.qwen_processor import read_picture_statistics
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.weights import Piece, TensorFolder
from word2mask.models.parts import GroundedWeights, NamedTensors, PartWeights, first_dtype, projector_widths
from word2mask.segmenters.architectures import released_sam2, sam2_config
from word2mask.segmenters.sam2_files import ORIGINAL_DECODER_FILE
from word2mask.segmenters.sam2_keys import from_meta
from word2mask.text.templates import chat_template

__all__ = ["EXTRA", "MODEL_TYPE", "PROJECTOR", "QWEN", "SEGMENTER", "read_published"]

#: What ``config.json`` of such a folder says.
MODEL_TYPE = "sa2va_chat"
SEGMENTER = "grounding_encoder.sam2_model."
PROJECTOR = "text_hidden_fcs."
#: Before transformers' own names in the Qwen variant.
QWEN = "model."
#: Where our own export in this layout keeps what the layout has no place for.
EXTRA = "word2mask"


def read_published(folder: Path, raw: Mapping[str, Any]) -> tuple[dict[str, Any], Any, GroundedWeights]:
    """Reads a folder in ByteDance's layout.

    Args:
        folder: local folder with ``config.json``, safetensors and the tokenizer's files.
        raw: contents of its ``config.json``.

    Returns:
        the configuration as :func:`word2mask.models.folder.configuration` makes it, the tokenizer, and the weights.

    Raises:
        UserError: a model that isn't understood, or a tensor that isn't.
    """
    source = str(folder)
    tensors = TensorFolder(folder)
    tokenizer = read_tokenizer(folder)
    language = NamedTensors(tensors, "", without=(SEGMENTER, PROJECTOR))
    read = _internvl if is_original(raw) else _qwen_vl
    mllm, language_weights = read(folder, raw, tokenizer, language)
    extra = raw.get(EXTRA, {})
    mllm["settings"] |= extra.get("settings", {})
    state = from_meta(NamedTensors(tensors, SEGMENTER), source=source)
    if "segmenter" in extra:
        segmenter = extra["segmenter"]
    else:
        size, version = released_sam2(state, source)
        segmenter = sam2_config(size, version=version).to_diff_dict()
    projector = {f"layers.{name}": tensor.clone() for name, tensor in NamedTensors(tensors, PROJECTOR).items()}
    decoder = folder / ORIGINAL_DECODER_FILE
    original_decoder = load_file(decoder) if decoder.is_file() else {}
    config = {
        "seg_state": "at",
        "prompt_frames": extra.get("prompt_frames", "all"),
        "projector": projector_widths(projector, source, PROJECTOR),
        "mllm": mllm,
        "segmenter": {"family": "SAM2Segmenter", "config": segmenter},
    }
    weights = GroundedWeights(
        mllm=language_weights,
        segmenter=PartWeights(
            (Piece(name, tensor, name) for name, tensor in state.items()), first_dtype(state.values())
        ),
        projector=projector,
        # Copies, because tensors lie in the file at any address, and where one lies decides which kernel runs.
        original_decoder={name: tensor.clone() for name, tensor in original_decoder.items()},
    )
    return config, tokenizer, weights


def _internvl(
    folder: Path, raw: Mapping[str, Any], tokenizer: Any, tensors: NamedTensors
) -> tuple[dict[str, Any], PartWeights]:
    """The language model of the InternVL variant: its place in the configuration, and its weights."""
    source = f"{folder}/config.json"
    config = transformers_config(raw, tokenizer.convert_tokens_to_ids(INTERNVL_CONTEXT), source)
    settings = {"template": _template(raw, source), "region_sampling": "nearest"}
    dtype = tensors.first_dtype("language_model.")  # the published vision tower is narrower than the rest
    return (
        {"family": "InternVL", "settings": settings, "config": config.to_diff_dict()},
        PartWeights(internvl_pieces(tensors, config, str(folder)), dtype),
    )


def _qwen_vl(
    folder: Path, raw: Mapping[str, Any], tokenizer: Any, tensors: NamedTensors
) -> tuple[dict[str, Any], PartWeights]:
    """The same of the Qwen variant, whose configuration is transformers' with a few keys more."""
    source = f"{folder}/config.json"
    kind = raw.get("vision_config", {}).get("model_type", "")
    family = next((family for family in (Qwen25VL, Qwen3VL) if kind.startswith(family.model_type)), None)
    if family is None:
        known = f"{Qwen25VL.model_type!r} or {Qwen3VL.model_type!r}"
        raise UserError(f"{source}: vision_config.model_type is {kind!r}, expected {known}, or InternVL's llm_config")
    foreign = ("model_type", "auto_map", "architectures", "template", EXTRA)
    config = family.backbone.config_class(
        **copy.deepcopy({key: value for key, value in raw.items() if key not in foreign})
    )
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    settings = family.defaults | family.published | read_picture_statistics(folder, config.vision_config)
    strangers = [name for name in tensors if not name.startswith(QWEN)]
    if strangers:
        raise UserError(
            f"{folder}: the tensor {strangers[0]} is not understood; expected {QWEN}*, {PROJECTOR}* and {SEGMENTER}*"
        )
    pieces = (Piece(name.removeprefix(QWEN), tensors[name], name) for name in tensors)
    return (
        {
            "family": family.__name__,
            "settings": settings | {"template": _template(raw, source)},
            "config": config.to_diff_dict(),
        },
        PartWeights(pieces, tensors.first_dtype("model.model.language_model.")),
    )


def _template(raw: Mapping[str, Any], source: str) -> str:
    """The chat template with which the checkpoint was trained, by name; 4B's is another base model's on purpose."""
    name = raw.get("template")
    if not isinstance(name, str):
        raise UserError(f"{source}: template is {name!r}, expected the name of a chat template")
    try:
        return chat_template(name.replace("-", "_")).name
    except UserError as error:
        raise UserError(f"{source}: {error}") from None

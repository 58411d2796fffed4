"""LISA folders as their authors publish them (github.com/dvlab-research/LISA at 3cb2d43), read without their code.

The language model is in LLaVA's own layout, its CLIP in a folder apart; SAM stands under Meta's names, and the
projector is called ``text_hidden_fcs.0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from word2mask.mllms.llava_layout import default_settings, original_parts
from word2mask.mllms.llava_processor import CONTEXT
from word2mask.mllms.pickled_weights import read_tensors
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.weights import Piece
from word2mask.models.parts import GroundedWeights, NamedTensors, PartWeights, first_dtype, projector_widths
from word2mask.segmenters.sam_files import released_sam, sam_config
from word2mask.segmenters.sam_keys import from_meta

__all__ = ["ARCHITECTURE", "EXTRA", "PROJECTOR", "SEGMENTER", "is_lisa", "read_lisa"]

#: What ``config.json`` of such a folder says.
ARCHITECTURE = "LISAForCausalLM"
SEGMENTER = "model.visual_model."
PROJECTOR = "model.text_hidden_fcs.0."
#: Where our own export in this layout keeps what the layout has no place for.
EXTRA = "word2mask"
#: One row a token, in LLaVA's own names.
_ROWS = ("model.embed_tokens.weight", "lm_head.weight")


def is_lisa(raw: Mapping[str, Any]) -> bool:
    """Whether a raw ``config.json`` is that of a published LISA."""
    return ARCHITECTURE in (raw.get("architectures") or ()) or {"train_mask_decoder", "out_dim"} <= raw.keys()


def read_lisa(
    folder: Path, raw: Mapping[str, Any], vision_tower: Path | None = None
) -> tuple[dict[str, Any], Any, GroundedWeights]:
    """Reads a folder in LISA's layout.

    Args:
        folder: local folder with ``config.json``, weights and the tokenizer's files.
        raw: contents of its ``config.json``.
        vision_tower: the folder of CLIP; ``None`` looks for the one that ``raw`` names, also beside ``folder``.

    Returns:
        the configuration as :func:`word2mask.models.folder.configuration` makes it, the tokenizer, and the weights.

    Raises:
        UserError: no CLIP, a model that isn't understood, or a tensor that isn't.
    """
    source = str(folder)
    tokenizer = read_tokenizer(folder)
    tensors = read_tensors(folder)
    language = NamedTensors(tensors, "", without=(SEGMENTER, PROJECTOR))
    config, pieces = original_parts(folder, raw, language, vision_tower)
    known = len(tokenizer)
    tokenizer.add_tokens([CONTEXT], special_tokens=True)
    rows = max(config.text_config.vocab_size, len(tokenizer))
    config.text_config.vocab_size = rows
    config.image_token_index = tokenizer.convert_tokens_to_ids(CONTEXT)
    extra = raw.get(EXTRA, {})
    state = from_meta(NamedTensors(tensors, SEGMENTER), source=source)
    segmenter = extra.get("segmenter") or sam_config(released_sam(state, source)).to_diff_dict()
    projector = {f"layers.{name}": tensor.clone() for name, tensor in NamedTensors(tensors, PROJECTOR).items()}
    described = {
        "seg_state": "before",
        "prompt_frames": "all",
        "projector": projector_widths(projector, source, PROJECTOR),
        "mllm": {
            "family": "LLaVA",
            "settings": default_settings(raw) | extra.get("settings", {}),
            "config": config.to_diff_dict(),
        },
        "segmenter": {"family": "SAMSegmenter", "config": segmenter},
    }
    weights = GroundedWeights(
        mllm=PartWeights(_with_rows(pieces, rows, known), language.first_dtype("model.layers.")),
        segmenter=PartWeights(
            (Piece(name, tensor, name) for name, tensor in state.items()), first_dtype(state.values())
        ),
        projector=projector,
    )
    return described, tokenizer, weights


def _with_rows(pieces: Iterator[Piece], rows: int, known: int) -> Iterator[Piece]:
    """Tables of tokens with rows for those that LISA's tokenizer lacks: the mean, which never is the likeliest."""
    for name, tensor, origin in pieces:
        if origin in _ROWS and len(tensor) < rows:
            mean = tensor[: min(known, len(tensor))].float().mean(dim=0, keepdim=True).to(tensor.dtype)
            tensor = torch.cat([tensor, mean.expand(rows - len(tensor), -1)])
        yield Piece(name, tensor, origin)

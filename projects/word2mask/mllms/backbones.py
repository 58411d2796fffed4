"""transformers' models for our MLLMs: how they compute attention, and how they are read from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import is_flash_attn_2_available, logging

from word2mask.errors import UserError

#: Ways to compute attention: torch's fused kernels, plain matrix products, and the package flash-attn.
ATTENTION = ("sdpa", "eager", "flash_attention_2")


def checked_attention(name: str) -> str:
    """``name``, when it can be had here.

    Raises:
        UserError: no such way to compute attention, or a package that isn't installed.
    """
    if name not in ATTENTION:
        raise UserError(f"attn_implementation {name!r} is unknown; choose one of {', '.join(ATTENTION)}")
    if name == "flash_attention_2" and not is_flash_attn_2_available():
        raise UserError(
            "attn_implementation 'flash_attention_2' needs a CUDA device and the package flash-attn; "
            "install it (pip install flash-attn --no-build-isolation) or choose 'sdpa'"
        )
    return name


def read_model_type(folder: Path) -> str | None:
    """``model_type`` of the folder's ``config.json``.

    Raises:
        UserError: there is none, or it isn't JSON.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"no MLLM in {folder}: config.json is missing; give a folder that save_pretrained wrote")
    try:
        return json.loads(file.read_text()).get("model_type")
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error}); download or export the model again") from None


def read_untied(
    backbone: type[PreTrainedModel],
    folder: Path,
    dtype: torch.dtype | None,
    attn_implementation: str,
    config: PreTrainedConfig | None = None,
) -> Any:
    """Reads a model in transformers' layout, embeddings and head apart.

    Small models share one matrix between embeddings and head. The published recipe trains them as two, so they are
    two from the start, and a plan that trains one of them says what it does.

    Args:
        backbone: transformers' class.
        folder: with ``config.json`` and weights.
        dtype: of the weights; ``None`` keeps the files' own.
        attn_implementation: one of :data:`ATTENTION`.
        config: the model's, where ``config.json`` is in another class's words; ``None`` reads it.

    Raises:
        UserError: weights that don't fit the configuration.
    """
    config = config or backbone.config_class.from_pretrained(folder, local_files_only=True)
    text = config.get_text_config()
    tied = config.tie_word_embeddings or getattr(text, "tie_word_embeddings", False)
    config.tie_word_embeddings = text.tie_word_embeddings = False
    try:
        with _silence():
            model, info = backbone.from_pretrained(
                folder,
                config=config,
                dtype=dtype or "auto",
                attn_implementation=checked_attention(attn_implementation),
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, RuntimeError) as error:
        raise UserError(f"{folder}: the weights can't be read ({error}); download or export the model again") from None
    missing = set(info["missing_keys"])
    if tied and "lm_head.weight" in missing:
        missing.remove("lm_head.weight")
        with torch.no_grad():
            model.lm_head.weight.copy_(model.get_input_embeddings().weight)
    wrong = {
        "missing": sorted(missing),
        "not understood": sorted(info["unexpected_keys"]),
        "mismatched": sorted(map(str, info["mismatched_keys"])),
    }
    wrong = {kind: names for kind, names in wrong.items() if names}
    if wrong:
        raise UserError(f"{folder}: weights don't fit config.json: {wrong}; download or export the model again")
    return model


@contextmanager
def _silence() -> Iterator[None]:
    """Without transformers' report of keys, which we check ourselves, and its progress bar over tensors."""
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()

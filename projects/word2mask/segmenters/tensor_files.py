"""Tensors from disk into a transformers segmenter: safetensors, and the pickled dictionaries that Meta publishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from word2mask.errors import UserError
from word2mask.ops.pickles import is_tensors, load_pickle

__all__ = ["READERS", "State", "built_from_state", "read_model_type", "read_pickle", "read_safetensors"]

State = dict[str, torch.Tensor]


def read_safetensors(file: Path) -> State:
    """The tensors of one file.

    Raises:
        UserError: it can't be read.
    """
    try:
        # Copies, because tensors lie in the file at any address, and where one lies decides which kernel runs.
        return {name: tensor.clone() for name, tensor in load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: can't be read as safetensors ({error}); get the file again") from None


def read_pickle(file: Path) -> State:
    """The tensors of one of Meta's files: ``{"model": {name: tensor}}`` (SAM 2), or the names at the top (SAM).

    Nothing but tensors and plain values is admitted.

    Raises:
        UserError: it can't be read, or holds something else.
    """
    content = load_pickle(file)
    tensors = content.get("model", content) if isinstance(content, dict) else content
    if not is_tensors(tensors):
        raise UserError(f"{file}: expected Meta's checkpoint, a dictionary of tensors under 'model'")
    return tensors


#: Ending of a file's name → how it is read.
READERS = {".pt": read_pickle, ".pth": read_pickle, ".safetensors": read_safetensors}


def read_model_type(config_file: Path) -> str | None:
    """What ``config.json`` says it is of.

    Raises:
        UserError: it isn't JSON.
    """
    try:
        return json.loads(config_file.read_text()).get("model_type")
    except ValueError as error:
        raise UserError(f"{config_file}: can't be read ({error})") from None


def built_from_state(
    backbone: type[PreTrainedModel], config: PreTrainedConfig, state: State, dtype: torch.dtype, source: str
) -> Any:
    """A transformers model with every weight given and none left over.

    Args:
        backbone: transformers' class.
        config: its configuration.
        state: of such a model.
        dtype: of the weights.
        source: where they come from, for messages.

    Raises:
        UserError: weights that don't fit the configuration.
    """
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model, info = backbone.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
        )
    except RuntimeError as error:
        raise UserError(f"{source}: weights and configuration don't fit: {error}") from None
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = {kind: sorted(map(str, info[kind])) for kind in kinds if info.get(kind)}
    if wrong:
        raise UserError(f"{source}: weights and configuration don't fit: {wrong}")
    return model

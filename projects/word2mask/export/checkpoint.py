"""From an exported or published folder back to a checkpoint that a training run can start from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from word2mask.engine.checkpoint import VERSION, plain
from word2mask.errors import UserError

__all__ = ["full_state", "save_checkpoint"]

#: Of peft's names, what stands before the weights of a layer that has an adapter.
_ADAPTED = "base_layer."
#: What a training model may have that a folder may lack, and keeps as the config builds it.
_OWN = ("segmenter.original_decoder.",)


def full_state(weights: Mapping[str, torch.Tensor], model: nn.Module, source: str) -> dict[str, torch.Tensor]:
    """Every tensor of a model that is about to train, with given weights in the place of its own.

    Adapters keep the values that they start with, so that the model computes what the weights did.

    Args:
        weights: of the same model without adapters.
        model: as the config builds it.
        source: where the weights come from, for messages.

    Raises:
        UserError: names or shapes differ.
    """
    state: dict[str, torch.Tensor] = {}
    used: set[str] = set()
    for name, value in model.state_dict().items():
        known = name.replace(_ADAPTED, "")
        is_adapter = any(part.startswith("lora_") for part in name.split("."))
        if is_adapter or (name.startswith(_OWN) and known not in weights):
            state[name] = value
            continue
        if known not in weights:
            raise UserError(f"{source}: the config's model has {known}, which the folder lacks; use its own config")
        if weights[known].shape != value.shape:
            shapes = f"{list(weights[known].shape)} in the folder, {list(value.shape)} in the config's model"
            raise UserError(f"{source}: {known} is {shapes}; use the config that belongs to the folder")
        used.add(known)
        state[name] = weights[known].to(value.dtype)
    if strangers := sorted(weights.keys() - used):
        raise UserError(f"{source}: the folder has {strangers[0]}, which the config's model lacks; use its own config")
    return state


def save_checkpoint(state: Mapping[str, torch.Tensor], target: Path, source: str) -> None:
    """Writes a checkpoint of all weights, complete or not at all.

    Args:
        state: every tensor of the model that will start from it.
        target: the file.
        source: what it was made from, for the record.

    Raises:
        UserError: the file can't be written.
    """
    content = plain({"version": VERSION, "meta": {"source": source}, "full": True, "state_dict": dict(state)})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                torch.save(content, file)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{target}: can't be written ({error}); choose a place that you may write") from None

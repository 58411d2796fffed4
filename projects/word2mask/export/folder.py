"""A trained model as the folder that others use: weights, tokenizer, generation defaults and a model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from word2mask.data.outputs import new_folder
from word2mask.export.cards import model_card, write_generation_config
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM

__all__ = ["load_hf", "new_folder", "save_hf"]

#: The reading side, under the name that goes with :func:`save_hf`.
load_hf = load_grounded


def save_hf(
    model: GroundedMLLM,
    folder: str | Path,
    provenance: Mapping[str, str] | None = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Writes an exported model.

    Args:
        model: with its adapters merged (``model.merge()``).
        folder: made if need be.
        provenance: what the model card says of where the model comes from, e.g. ``{"config": …, "checkpoint": …}``.
        max_shard_size: larger models are written in several files.
    """
    folder = Path(folder)
    save_grounded(model, folder, max_shard_size)
    write_generation_config(model, folder)
    (folder / "README.md").write_text(model_card(model, provenance or {}), encoding="utf-8")

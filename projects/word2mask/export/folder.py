"""A trained model as the folder that others use: weights, tokenizer, generation defaults and a model card."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from word2mask.errors import UserError
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


@contextmanager
def new_folder(target: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder that appears under its name when it is complete, and not at all when something fails.

    Args:
        target: its name.
        overwrite: replace a folder that isn't empty.

    Yields:
        where to write.

    Raises:
        UserError: ``target`` is taken, or can't be written.
    """
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; give the name of a folder to write")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise UserError(f"{target} isn't empty; give another folder, or --overwrite to replace it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target}: can't be written ({error.strerror}); choose a folder that you may write") from None
    try:
        yield work
        work.chmod(0o777 & ~_umask())
        if target.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            os.replace(target, old)
            os.replace(work, target)
            shutil.rmtree(old)
        else:
            os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

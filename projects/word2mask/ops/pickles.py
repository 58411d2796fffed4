"""Pickled weights, read without running what may stand in them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from word2mask.errors import UserError

__all__ = ["is_tensors", "load_pickle"]


def load_pickle(file: Path) -> Any:
    """What ``torch.save`` wrote, where that is tensors and plain values; nothing else is admitted.

    Raises:
        UserError: no such file, or something else in it.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; bring the weights or correct the path") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{file}: not weights that torch can read safely ({reason}); get the file again") from None


def is_tensors(content: Any) -> bool:
    """Whether it is a dictionary of tensors."""
    return isinstance(content, dict) and all(isinstance(value, torch.Tensor) for value in content.values())

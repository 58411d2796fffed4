"""The tensors of an older folder, whose weights lie in ``pytorch_model.bin`` files; no code in them runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from word2mask.errors import UserError
from word2mask.mllms.weights import INDEX_NAME, WEIGHTS_NAME, TensorFolder
from word2mask.ops.pickles import is_tensors, load_pickle

__all__ = ["PickledFolder", "read_pickled", "read_tensors"]

PICKLE_NAME = "pytorch_model.bin"
PICKLE_INDEX_NAME = "pytorch_model.bin.index.json"


class PickledFolder(Mapping[str, torch.Tensor]):
    """Tensors of ``pytorch_model.bin``, or of its indexed shards; one shard at a time is open. Iterates by shard.

    Args:
        folder: with such files.

    Raises:
        UserError: a shard that is missing, or that holds anything but tensors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shard = ""
        self._tensors: dict[str, torch.Tensor] = {}
        index = folder / PICKLE_INDEX_NAME
        if index.is_file():
            try:
                shards = json.loads(index.read_text())["weight_map"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{index}: can't be read ({error}); download the model again") from None
            self._shards = {name: Path(shards[name]).name for name in sorted(shards, key=lambda name: shards[name])}
        else:
            self._shards = dict.fromkeys(self._open(PICKLE_NAME), PICKLE_NAME)

    def __getitem__(self, name: str) -> torch.Tensor:
        tensors = self._open(self._shards[name])
        if name not in tensors:
            file = self.folder / PICKLE_INDEX_NAME
            raise UserError(f"{file}: {name} is not in {self._shards[name]}; download the model again")
        return tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    def _open(self, shard: str) -> dict[str, torch.Tensor]:
        if shard == self._shard:
            return self._tensors
        self._tensors = {}
        if not (self.folder / shard).is_file():
            raise UserError(f"{self.folder}: a file of the weights is missing ({shard}); download it again")
        content = read_pickled(self.folder / shard)
        self._shard, self._tensors = shard, content
        return content


def read_pickled(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of one pickled file.

    Raises:
        UserError: no such file, or anything but tensors in it.
    """
    content = load_pickle(file)
    if not is_tensors(content):
        raise UserError(f"{file}: expected a dictionary of tensors; give the weights of a model")
    return content


def read_tensors(folder: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a folder of either kind: safetensors where there are any.

    Raises:
        UserError: there are no weights, or they can't be read.
    """
    if (folder / INDEX_NAME).is_file() or (folder / WEIGHTS_NAME).is_file():
        return TensorFolder(folder)
    if (folder / PICKLE_INDEX_NAME).is_file() or (folder / PICKLE_NAME).is_file():
        return PickledFolder(folder)
    raise UserError(f"{folder}: no weights in it ({WEIGHTS_NAME} or {PICKLE_NAME}); download the model again")

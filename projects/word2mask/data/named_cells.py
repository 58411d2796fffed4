"""Pictures whose objects have names, token by token: what a connector is pretrained on.

Reads the key ``objects`` of the JSONL of :mod:`word2mask.data.sources.own_data`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset

from word2mask.data.media import open_image
from word2mask.data.own_schema import check_record, picture_mask
from word2mask.errors import UserError
from word2mask.ops.boxes import shares_of
from word2mask.ops.masks import LEAST_SHARE

__all__ = ["NamedCells", "read_names", "stack"]


class NamedCells(Dataset):
    """The pictures of a file that have named objects.

    Args:
        annotations: JSONL of own data with ``objects``.
        processor: of a composed MLLM.
    """

    def __init__(self, annotations: str | Path, processor: Any) -> None:
        self._file = Path(annotations)
        self._records = _records(self._file)
        self.names = read_names(annotations)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.processor = processor

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """``pixel_values`` float32 ``[3,S,S]``; ``cells`` int64 ``[t²]``: the number of each token's name, one more
        than the last where it shows nothing that has one; and ``boxes`` float32 ``[t²,4]``: of the object that it
        shows most of, (x1, y1, x2, y2) in shares of the picture."""
        entry = self._records[index]
        try:
            media = open_image(self._file.parent / entry["image"])
            size = media.frames.shape[1:3]
            masks = [picture_mask(item["mask"], size, self._file.parent) for item in entry["objects"]]
        except (UserError, ValueError) as error:
            raise UserError(f"{self._file}[{entry.get('id', index)}]: {error}") from error
        grid = (self.processor.grid_side, self.processor.grid_side)
        stacked = torch.from_numpy(np.stack(masks))
        shares = functional.adaptive_avg_pool2d(stacked.float()[None], grid)[0].flatten(1)
        most, owner = shares.max(0)
        numbers = torch.tensor([self._numbers[item["name"]] for item in entry["objects"]])
        cells = torch.where(most >= LEAST_SHARE, numbers[owner], len(self.names))
        boxes = shares_of(stacked[:, None].bool())[owner, 0]
        pixels = self.processor.prepare_media(media).tensors["pixel_values"][0]
        return {"pixel_values": pixels, "cells": cells, "boxes": boxes}


def read_names(annotations: str | Path) -> list[str]:
    """All names of objects in a file, sorted.

    Raises:
        UserError: no such file, a line that isn't as the schema says, or no names.
    """
    return sorted({item["name"] for entry in _records(Path(annotations)) for item in entry["objects"]})


def stack(items: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A batch of :class:`NamedCells`."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def _records(file: Path) -> list[dict[str, Any]]:
    """Records of pictures with named objects."""
    if not file.is_file():
        raise UserError(
            f"{file}: no such JSONL file; tools/make_photo_expressions.py makes one of instance annotations"
        )
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            check_record(entry)
        except ValueError as error:
            raise UserError(f"{file}, line {number}: {error}") from error
        if "image" in entry and entry.get("objects"):
            found.append(entry)
    if not found:
        raise UserError(f'{file}: no picture with named "objects"; tools/make_photo_expressions.py writes them')
    return found

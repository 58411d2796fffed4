"""Rows of a vocabulary that train while the table that holds them stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["TrainedRows", "merge_rows", "train_rows"]

#: Under which name the rows stand inside of the embedding or head.
NAME = "trained_rows"


class TrainedRows(nn.Module):
    """Some rows of an embedding or a head, in the place of the table's own.

    A language model of 49,152 tokens has most of its trained values in two tables of which a handful of rows, those of
    the new tokens, have anything to learn; an adapter file holds these alone.

    Args:
        table: ``nn.Embedding`` or ``nn.Linear``; the rows start from its own.
        ids: which rows.
    """

    def __init__(self, table: nn.Embedding | nn.Linear, ids: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("ids", torch.tensor(sorted(set(ids)), device=table.weight.device), persistent=False)
        self.rows = nn.Parameter(table.weight.detach()[self.ids].clone())

    def embed(self, _: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        """Forward hook of an embedding."""
        found = inputs[0][..., None] == self.ids
        rows = self.rows[found.int().argmax(-1)].to(output.dtype)
        return torch.where(found.any(-1, keepdim=True), rows, output)

    def score(self, _: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        """Forward hook of a head without bias."""
        own = nn.functional.linear(inputs[0], self.rows.to(inputs[0].dtype))
        return output.index_copy(-1, self.ids, own.to(output.dtype))


def train_rows(table: nn.Module, ids: Sequence[int]) -> TrainedRows:
    """Puts rows of its own into an embedding or a head, in place.

    Raises:
        ValueError: a module of another kind, or one that carries rows already.
    """
    is_head = isinstance(table, nn.Linear) and table.bias is None
    if not is_head and not isinstance(table, nn.Embedding):
        raise ValueError(f"rows train in an Embedding or in a Linear without bias, not in {type(table).__name__}")
    if hasattr(table, NAME):
        raise ValueError("the table already carries rows that train; merge them before applying a plan")
    rows = TrainedRows(table, ids)
    setattr(table, NAME, rows)
    rows.handle = table.register_forward_hook(rows.score if is_head else rows.embed)
    return rows


@torch.no_grad()
def merge_rows(model: nn.Module) -> int:
    """Writes trained rows into their tables and takes them out, in place; how many tables had any."""
    tables = [module for module in model.modules() if isinstance(getattr(module, NAME, None), TrainedRows)]
    for table in tables:
        rows = getattr(table, NAME)
        rows.handle.remove()
        table.weight[rows.ids] = rows.rows.to(table.weight.dtype)
        delattr(table, NAME)
    return len(tables)

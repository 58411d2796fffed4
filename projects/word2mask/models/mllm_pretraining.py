"""Pretraining of a base MLLM: next words, and the place of every ``<box>`` from its state.

Stands for the grounded pretraining that published base models have had. The regression head is thrown away afterwards;
what stays is a language model whose state at ``<box>`` knows what was meant and where it lies.
"""

from __future__ import annotations

import torch
from torch import nn

from word2mask.data.shapes_world.base_stream import BaseBatch
from word2mask.mllms.interface import MLLM
from word2mask.text.special_tokens import BOX_START, IGNORE_INDEX
from word2mask.types import Batch


class BoxHead(nn.Module):
    """State ``[K,D]`` → box ``[K,4]`` (x1, y1, x2, y2) in 0…1; of the shape of the projector that comes later."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 4))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Centre and size from the layers, corners out."""
        numbers = self.layers(states).float().sigmoid()
        centre, half = numbers[:, :2], numbers[:, 2:] / 2
        return torch.cat([centre - half, centre + half], dim=-1)


class CellHead(nn.Module):
    """Which visual tokens a state means: states ``[K,D]`` and tokens ``[K,cells,D]`` → scores ``[K,cells]``.

    The match of words and looks is learnt here first; reading off the place follows from it.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)

    def forward(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Scaled dot products."""
        return torch.einsum("kd,kcd->kc", self.query(states), self.key(tokens)).float() / states.shape[-1] ** 0.5


class MLLMPretraining(nn.Module):
    """An MLLM that learns from conversations with boxes.

    Args:
        mllm: the model; its vision tower trains only if ``train_vision``.
        box_weight: of the box loss.
        cell_weight: of the loss that finds the visual tokens of the object meant.
        train_vision: whether the vision tower learns too.
    """

    def __init__(self, mllm: MLLM, box_weight: float = 2.0, cell_weight: float = 1.0, train_vision: bool = False) -> None:
        super().__init__()
        self.mllm = mllm.requires_grad_(True)
        mllm.parameter_groups()["vision"].requires_grad_(train_vision)
        self.box_head = BoxHead(mllm.hidden_size)
        self.cell_head = CellHead(mllm.hidden_size)
        self.box_weight, self.cell_weight = box_weight, cell_weight
        self.box_id = mllm.tokenizer.convert_tokens_to_ids(BOX_START)
        self.context_id = mllm.tokenizer.convert_tokens_to_ids(mllm.processor.context_token)

    def forward(self, batch: BaseBatch) -> dict[str, torch.Tensor]:
        """``loss_text``, ``loss_box`` (1 - GIoU plus five times L1, weighted), and the share of boxes with IoU over
        0.5 as ``box_hit``.

        Raises:
            ValueError: the tokens ``<box>`` and the boxes don't match in number.
        """
        text = batch.batch
        hidden = self.mllm(text.input_ids, text.attention_mask, text.mllm_media, text.region_cells).hidden
        labels = text.labels[:, 1:]
        here = labels != IGNORE_INDEX
        logits = self.mllm.logits(hidden[:, :-1][here]).float()
        results = {"loss_text": nn.functional.cross_entropy(logits, labels[here])}
        states = hidden[text.labels == self.box_id]
        if len(states) != len(batch.boxes):
            raise ValueError(f"{len(states)} {BOX_START} in the answers, but {len(batch.boxes)} boxes")
        if len(states):
            predicted = self.box_head(states)
            iou, generalised = box_overlaps(predicted, batch.boxes)
            distance = (predicted - batch.boxes).abs().mean()
            results["loss_box"] = self.box_weight * ((1 - generalised).mean() + 5 * distance)
            results["box_hit"] = (iou > 0.5).float().mean()
            scores = self.cell_head(states, self._first_tile(text, hidden, batch.cells.shape[1]))
            share = batch.cells / batch.cells.sum(dim=1, keepdim=True).clamp(min=1e-6)
            results["loss_cell"] = self.cell_weight * nn.functional.cross_entropy(scores, share)
            best = batch.cells.gather(1, scores.argmax(dim=1, keepdim=True))
            results["cell_hit"] = (best > 0.1).float().mean()
        return results

    def _first_tile(self, text: Batch, hidden: torch.Tensor, cells: int) -> torch.Tensor:
        """States ``[K,cells,D]`` of the visual tokens of the first frame, for every ``<box>``."""
        places = text.input_ids == self.context_id
        first = places & (places.cumsum(dim=1) <= cells)
        rows = (text.labels == self.box_id).nonzero()[:, 0]
        owners, inverse = rows.unique(return_inverse=True)
        return torch.stack([hidden[row][first[row]] for row in owners.tolist()])[inverse]


def box_overlaps(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., 2019) of boxes ``[K,4]`` pair by pair."""
    top = torch.maximum(first[:, :2], second[:, :2])
    bottom = torch.minimum(first[:, 2:], second[:, 2:])
    inter = (bottom - top).clamp(min=0).prod(dim=1)
    union = _area(first) + _area(second) - inter
    hull = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(dim=1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def _area(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)

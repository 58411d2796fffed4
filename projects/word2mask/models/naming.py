"""Pretraining of a connector by names: each visual token comes to lie near the word for what it shows.

No pass of the language model is needed, so thousands of pictures cost minutes: the words are rows of its table of
embeddings, and the connector is to land among them. What it learns is where words and looks meet; the language model
then finds "the dog" among visual tokens much as it finds an earlier mention of a dog.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from word2mask.mllms.composed import ComposedMLLM
from word2mask.ops.boxes import box_distance, box_overlaps
from word2mask.ops.linear import use_onednn
from word2mask.segmenters.hiera import make_lean

__all__ = ["ConnectorNaming"]


class ConnectorNaming(nn.Module):
    """Cross entropy of visual tokens among the names that the data has, and "none of them".

    Args:
        mllm: its connector trains, the rest stays.
        names: what tokens may show; in the order of the labels.
        dropout: share of the encoders' channels that a picture is robbed of: there are more of them than pictures.
        other_weight: of a token that shows none of them, beside 1 of the others; most tokens do.
        scale_weight: of how far the tokens' mean length is from that of words.
        box_weight: of the boxes that tokens of objects tell, where the connector has a head for it.
    """

    def __init__(
        self,
        mllm: ComposedMLLM,
        names: Sequence[str],
        dropout: float = 0.2,
        other_weight: float = 0.3,
        scale_weight: float = 1.0,
        box_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.mllm = mllm.requires_grad_(False)
        # A trunk of SAM 2 computes as it does in the segmenter.
        make_lean(self.mllm)
        use_onednn(self.mllm)
        self.connector = mllm.parameter_groups()["connector"].requires_grad_(True)
        if self.connector.place is not None:
            self.connector.place.requires_grad_(False)
        self.dropout, self.scale_weight, self.box_weight = dropout, scale_weight, box_weight
        words = torch.stack([self._word(name) for name in names])
        self.register_buffer("centre", words.mean(0), persistent=False)
        self.register_buffer("words", functional.normalize(words - self.centre, dim=-1), persistent=False)
        self.register_buffer("length", words.norm(dim=-1).mean(), persistent=False)
        weights = torch.ones(len(names) + 1)
        weights[-1] = other_weight
        self.register_buffer("weights", weights, persistent=False)
        self.other = nn.Parameter(torch.randn(words.shape[1], generator=torch.Generator().manual_seed(0)))
        self.sharpness = nn.Parameter(torch.tensor(10.0))

    @torch.no_grad()
    def _word(self, name: str) -> torch.Tensor:
        """The mean of a name's embeddings, as it stands within a sentence."""
        table = self.mllm.model.get_input_embeddings()
        ids = self.mllm.tokenizer(f" {name}", add_special_tokens=False)["input_ids"]
        return table(torch.tensor(ids, device=table.weight.device)).float().mean(0)

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The MLLM's own."""
        return dict(self.mllm.parameter_groups())

    def train(self, mode: bool = True) -> ConnectorNaming:
        """As usual, but the encoders stay in evaluation mode."""
        super().train(mode)
        self.mllm.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Losses, and the share of tokens of named objects that are named rightly as ``name_hit``.

        Args:
            batch: ``pixel_values`` ``[B,3,S,S]``, ``cells`` int64 ``[B,t²]`` and ``boxes`` ``[B,t²,4]`` of
                :class:`word2mask.data.named_cells.NamedCells`.
        """
        with torch.no_grad():
            features = self.mllm.model.grid_features(batch["pixel_values"]).float()
        if self.training and self.dropout:
            kept = torch.rand(len(features), 1, 1, features.shape[-1], device=features.device) >= self.dropout
            features = features * kept / (1 - self.dropout)
        looks = self.connector.looks(features)
        tokens = looks.float()
        directions = torch.cat([self.words, functional.normalize(self.other, dim=0)[None]])
        scores = self.sharpness * functional.normalize(tokens - self.centre, dim=-1) @ directions.T
        target = batch["cells"].flatten()
        named = target < len(self.words)
        right = scores.flatten(0, 1).argmax(-1) == target
        length = tokens.norm(dim=-1).mean() / self.length
        losses = {}
        if self.connector.box is not None and named.any():
            shown = named.view_as(batch["cells"])
            told = self.connector.told_boxes(self.connector.placed(looks))[shown]
            losses["loss_token_box"] = self.box_weight * box_distance(told, batch["boxes"][shown]).mean()
            losses["box_iou"] = box_overlaps(told, batch["boxes"][shown])[0].mean().detach()
        return losses | {
            "loss_name": functional.cross_entropy(scores.flatten(0, 1), target, weight=self.weights),
            "loss_scale": self.scale_weight * (length - 1) ** 2,
            "name_hit": right[named].float().sum() / named.sum().clamp(min=1),
        }

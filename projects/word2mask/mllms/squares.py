"""MLLMs that see squares (tiles, frames) of so many tokens each: vision tower, projector, one-axis language model.

InternVL and LLaVA are alike in all but how media become squares and where their weights come from.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from word2mask.mllms.decoding import Prompts, is_right_padded, left_padded
from word2mask.mllms.interface import MLLM, MLLMOutput
from word2mask.mllms.lengths import length_groups
from word2mask.types import Batch

#: Our settings, beside transformers' ``config.json``.
SETTINGS_FILE = "mllm_settings.json"


class SquaresMLLM(MLLM):
    """Over a transformers model with ``model.vision_tower``, ``model.multi_modal_projector``, ``model.language_model``.

    Its media tensors are ``pixel_values`` ``[n,3,S,S]`` and, for each sample with media, ``region_tile``: on which of
    its squares regions of the first frame are marked; the other frames' squares follow it.
    """

    #: After how many layers :meth:`forward` takes the middle states, if it does.
    middle_layer: int | None = None

    @abstractmethod
    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → projected visual tokens ``[n,cells,D]``."""

    def frame_encoder(self) -> tuple[Any, str, list[nn.Module]] | None:
        """Tower and connector as one; see :meth:`word2mask.mllms.interface.MLLM.frame_encoder`."""
        groups = self.parameter_groups()
        return self, "visual_tokens", [groups["vision"], groups["connector"]]

    @property
    def context_id(self) -> int:
        """The token in whose places visual tokens stand."""
        return self.tokenizer.convert_tokens_to_ids(self.processor.context_token)

    @property
    def language_model(self) -> nn.Module:
        """The language model without its head."""
        return self.model.model.language_model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None = None,
    ) -> MLLMOutput:
        """States of every token; see :meth:`word2mask.mllms.interface.MLLM.forward`."""
        embeddings = self._embed(input_ids, mllm_media, region_cells)
        language_model, middle = self.language_model, self.middle_layer
        options = {"use_cache": False} | ({} if middle is None else {"output_hidden_states": True})
        if not is_right_padded(attention_mask):
            output = language_model(inputs_embeds=embeddings, attention_mask=attention_mask, **options)
            kept = (None, None) if middle is None else (output.hidden_states[middle], embeddings)
            return MLLMOutput(output.last_hidden_state, *kept)
        # Causal attention never looks at padding on the right, and without a mask it runs the faster kernel.
        lengths = attention_mask.sum(dim=1).tolist()
        order: list[int] = []
        parts: list[list[torch.Tensor]] = [[], []]
        for rows in length_groups(lengths):
            own = embeddings[rows, : max(lengths[row] for row in rows)]
            output = language_model(inputs_embeds=own, **options)
            kept = [output.last_hidden_state, *([] if middle is None else [output.hidden_states[middle]])]
            for part, states in zip(parts, kept, strict=False):
                part.append(nn.functional.pad(states, (0, 0, 0, embeddings.shape[1] - states.shape[1])))
            order += rows
        places = torch.tensor(order, device=embeddings.device).argsort()
        together = [part[0] if len(part) == 1 else torch.cat(part)[places] for part in parts if part]
        return MLLMOutput(*together, *([] if middle is None else [embeddings]))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[...,D]`` → ``[...,V]``."""
        return self.model.lm_head(hidden)

    def _embed(
        self,
        input_ids: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None,
        tiles: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Token embeddings ``[B,L,D]`` with the visual tokens in their places; ``tiles`` if they were seen before."""
        embeddings = self.model.get_input_embeddings()(input_ids)
        places = input_ids == self.context_id
        if not mllm_media:
            if places.any():
                raise ValueError(f"{int(places.sum())} {self.processor.context_token} in a batch without media")
            return embeddings
        if tiles is None:
            tiles = self.visual_tokens(mllm_media["pixel_values"])
        visual = tiles.flatten(0, 1)
        if region_cells is not None and any(cells is not None for cells in region_cells):
            visual = tokens_with_regions(
                tiles, places.sum(dim=1).tolist(), mllm_media["region_tile"].tolist(), region_cells
            )
        if len(visual) != int(places.sum()):
            context = self.processor.context_token
            raise ValueError(f"{int(places.sum())} {context} in the text, but {len(visual)} visual tokens")
        embeddings = embeddings.to(visual.dtype)
        return embeddings.masked_scatter(places[..., None], visual)

    # -------------------------------------------------------------- generation

    def see(self, mllm_media: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """Visual tokens ``[n,cells,D]`` of all squares."""
        return self.visual_tokens(mllm_media["pixel_values"]) if mllm_media else None

    def read(self, batch: Batch, visual: torch.Tensor | None = None) -> Prompts:
        """Embedded prompts; see :meth:`word2mask.mllms.interface.MLLM.read`."""
        ids, mask, positions = left_padded(batch.input_ids, batch.attention_mask, self.tokenizer.pad_token_id)
        return Prompts(self._embed(ids, batch.mllm_media, batch.region_cells, visual), mask, positions)

    # ------------------------------------------------------- tokens and groups

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan speaks of."""
        return {
            "vision": self.model.model.vision_tower,
            "connector": self.model.model.multi_modal_projector,
            "llm": self.language_model,
            "embeddings": self.model.get_input_embeddings(),
            "lm_head": self.model.lm_head,
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes ``config.json``, ``model.safetensors``, the tokenizer's files and our settings."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.processor.tokenizer.save_pretrained(folder)
        (folder / SETTINGS_FILE).write_text(json.dumps(asdict(self.settings), indent=2) + "\n")


def tokens_with_regions(
    tiles: torch.Tensor,
    counts: list[int],
    region_tiles: list[int],
    region_cells: list[torch.Tensor | None],
) -> torch.Tensor:
    """Visual tokens of all samples, each sample's tiles followed by copies of its regions' tokens.

    Args:
        tiles: ``[n,cells,D]`` of all samples.
        counts: ``[B]``, places for visual tokens in each sample.
        region_tiles: for each sample with media, its tile on which regions of the first frame are marked.
        region_cells: ``[B]`` of bool ``[R_b,F_b,h,w]`` or ``None``.
    """
    parts: list[torch.Tensor] = []
    first = with_media = 0
    for count, cells in zip(counts, region_cells, strict=True):
        copied = 0 if cells is None else int(cells.sum())
        num_tiles = (count - copied) // tiles.shape[1]
        if num_tiles:
            parts.append(tiles[first : first + num_tiles].flatten(0, 1))
            if cells is not None:
                marked = tiles[first + region_tiles[with_media] : first + num_tiles].flatten(0, 1)
                parts += [marked[: region.numel()][region.flatten()] for region in cells]
            with_media += 1
        first += num_tiles
    return torch.cat(parts)

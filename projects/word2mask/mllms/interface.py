"""What a multimodal LLM must offer, whatever its family.

The preprocessing lives on a light, picklable object (:class:`MediaProcessor`), because data workers and the serving
session use it without the weights; the weights live on :class:`MLLM`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import nn

from word2mask.mllms.vocabulary import add_grounding_tokens
from word2mask.text.special_tokens import SEG
from word2mask.text.templates import ChatTemplate
from word2mask.types import Batch, Media

SegState = Literal["at", "before"]


@dataclass(frozen=True)
class PreparedMedia:
    """A picture or a video as the MLLM wants it.

    Attributes:
        placeholder: the string that stands for it in the prompt, special tokens included.
        tensors: what goes into :attr:`word2mask.types.Example.mllm_media`; concatenated over a batch along dim 0.
        grid: ``(h, w)``, the grid of visual tokens on which regions are marked.
    """

    placeholder: str
    tensors: dict[str, torch.Tensor]
    grid: tuple[int, int]


class MediaProcessor(Protocol):
    """Preprocessing of one MLLM: picklable, no weights.

    Attributes:
        tokenizer: a transformers tokenizer.
        template: the chat template.
        context_token: the string that stands for one visual token.
    """

    tokenizer: Any
    template: ChatTemplate
    context_token: str

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Tensors and placeholder of a picture or video."""
        ...

    def media_token_count(self, media: Media) -> int:
        """Number of visual tokens that :meth:`prepare_media` would give, without decoding or resizing anything."""
        ...

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``, one cell at least each."""
        ...


@dataclass
class MLLMOutput:
    """Result of a forward pass.

    Attributes:
        hidden: ``[B,L,D]``, last layer's state after the final norm (before it where published weights were trained so;
            :meth:`MLLM.logits` then expects it so).
    """

    hidden: torch.Tensor


@dataclass
class Generated:
    """Result of greedy generation.

    Attributes:
        ids: ``[B]`` of int64 ``[n_b]``: the new tokens, stop token excluded.
        seg_hidden: ``[B]`` of ``[N_b,D]``: the states of the ``[SEG]`` tokens among them.
    """

    ids: list[torch.Tensor]
    seg_hidden: list[torch.Tensor]


class MLLM(nn.Module, ABC):
    """A multimodal LLM.

    Attributes:
        processor: its :class:`MediaProcessor`.
        hidden_size: D.
        max_length: longest sequence in tokens, visual ones included.
    """

    processor: MediaProcessor
    hidden_size: int
    max_length: int
    #: transformers' class of :attr:`model`, and what transformers' configuration doesn't say (a dataclass of literals).
    backbone: ClassVar[type]
    model: Any
    settings: Any

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.processor.tokenizer

    @property
    def template(self) -> ChatTemplate:
        """The chat template."""
        return self.processor.template

    @abstractmethod
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None = None,
    ) -> MLLMOutput:
        """States of every token.

        Args:
            input_ids: int64 ``[B,L]``, padded on either side.
            attention_mask: int64 ``[B,L]``, 1 at real tokens.
            mllm_media: media tensors of all samples, concatenated.
            region_cells: ``[B]`` of bool ``[R_b,h,w]`` or ``None``.
        """

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[...,D]`` → ``[...,V]``; called with the rows that need it only."""

    @abstractmethod
    def generate(
        self, batch: Batch, max_new_tokens: int, seg_state: SegState = "at", state_token: str = SEG
    ) -> Generated:
        """Greedy answers to a batch of prompts (right-padded, as :func:`word2mask.data.collate.collate` makes them).

        Args:
            batch: prompts that end with the assistant's prefix.
            max_new_tokens: upper limit of each answer.
            seg_state: the state AT each ``[SEG]`` (Sa2VA) or just BEFORE it (LISA).
            state_token: whose states are wanted.
        """

    def checkpoint_gradients(self, enabled: bool = True) -> Self:
        """Whether training computes each layer's activations twice instead of keeping them; in place.

        It works for layers in training mode. The inputs aren't made to require gradients, as transformers would have
        it: the kind of checkpointing used doesn't need that, and a frozen vision tower would be differentiated for
        nothing.

        Args:
            enabled: on or off.
        """
        if enabled:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
            self.model.disable_input_require_grads()
        else:
            self.model.activation_checkpointing_disable()
        return self

    def with_grounding_tokens(self) -> Self:
        """Adds those of :data:`word2mask.text.special_tokens.SPECIAL_TOKENS` that the tokenizer lacks; in place."""
        add_grounding_tokens(self.model, self.processor.tokenizer)
        return self

    def lora_targets(self) -> list[str]:
        """Full names (within this module) of the LLM's Linear layers, ``lm_head`` excluded."""
        prefix = "model.model.language_model."
        return [
            name for name, module in self.named_modules() if name.startswith(prefix) and isinstance(module, nn.Linear)
        ]

    @abstractmethod
    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan speaks of: ``vision``, ``connector``, ``llm``, ``embeddings``, ``lm_head``."""

    @classmethod
    @abstractmethod
    def assemble(cls, model: Any, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere: a :attr:`backbone`, a tokenizer, fields of :attr:`settings`."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Reads what :meth:`save_pretrained` wrote."""

    @classmethod
    @abstractmethod
    def tiny(cls) -> Self:
        """Random weights, under a million parameters, no download: for tests."""

    @abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Writes weights, configuration and tokenizer."""

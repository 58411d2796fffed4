"""What a multimodal LLM must offer, whatever its family.

The preprocessing lives on a light, picklable object (:class:`MediaProcessor`), because data workers and the serving
session use it without the weights; the weights live on :class:`MLLM`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import nn

from word2mask.errors import UserError
from word2mask.mllms.beams import write_best_answer
from word2mask.mllms.decoding import Generated, Kept, Parts, Prompts, SegState, StopRule, Writing, write_answers
from word2mask.mllms.vocabulary import add_grounding_tokens
from word2mask.text.special_tokens import SEG
from word2mask.text.templates import ChatTemplate
from word2mask.types import Batch, Generation, Media

__all__ = ["MLLM", "Generated", "Kept", "MLLMOutput", "MediaProcessor", "PreparedMedia", "SegState", "Writing"]


@dataclass(frozen=True)
class PreparedMedia:
    """A picture or a video as the MLLM wants it.

    Attributes:
        placeholder: the string that stands for it in the prompt, special tokens included.
        tensors: what goes into :attr:`word2mask.types.Example.mllm_media`; concatenated over a batch along dim 0.
        grid: ``(h, w)``, the grid of visual tokens on which regions are marked, the same on every frame.
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
        middle: ``[B,L,D]``, states between two layers, where :meth:`MLLM.keep_middle` asked for them.
        embedded: ``[B,L,D]``, what entered the first layer, likewise.
    """

    hidden: torch.Tensor
    middle: torch.Tensor | None = None
    embedded: torch.Tensor | None = None


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
            region_cells: ``[B]`` of bool ``[R_b,F_b,h,w]`` or ``None``.
        """

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[...,D]`` → ``[...,V]``; called with the rows that need it only."""

    @property
    @abstractmethod
    def language_model(self) -> nn.Module:
        """The language model without its head: embeddings in, states out."""

    @abstractmethod
    def see(self, mllm_media: dict[str, torch.Tensor]) -> Any:
        """Visual tokens of all samples' media, for :meth:`read`; ``None`` without media."""

    @abstractmethod
    def read(self, batch: Batch, visual: Any = None) -> Prompts:
        """Prompts, embedded and moved to end in one column.

        Args:
            batch: right-padded, as :func:`word2mask.data.collate.collate` makes it.
            visual: what :meth:`see` gives for its media; ``None`` looks at them.
        """

    def write(
        self,
        batch: Batch,
        settings: Sequence[Generation],
        seg_state: SegState = "at",
        state_token: str = SEG,
        kept: Kept | None = None,
    ) -> Writing:
        """Answers to a batch of prompts, step by step.

        Args:
            batch: prompts that end with the assistant's prefix.
            settings: how each is answered; a prompt that is answered with beams stands alone in its batch.
            seg_state: the state AT each ``[SEG]`` (Sa2VA) or just BEFORE it (LISA).
            state_token: whose states are wanted.
            kept: of the conversation that the one prompt goes on with; changed in place.

        Yields:
            The answers so far as lists of ids, one a row, after each step.

        Returns:
            The answers and the states.
        """
        parts = Parts(
            self.language_model,
            self.model.get_input_embeddings(),
            self.logits,
            StopRule(self.tokenizer, self.template),
            self.tokenizer.get_added_vocab().get(state_token),
            seg_state,
        )
        with torch.no_grad():
            if kept is not None and kept.visual is None:
                kept.visual = self.see(batch.mllm_media)
            prompts = self.read(batch, None if kept is None else kept.visual)
        if any(own.num_beams > 1 for own in settings):
            return (yield from write_best_answer(parts, prompts, settings[0], kept))
        return (yield from write_answers(parts, prompts, settings, kept))

    def generate(
        self,
        batch: Batch,
        max_new_tokens: int,
        seg_state: SegState = "at",
        state_token: str = SEG,
        settings: Sequence[Generation] | None = None,
        on_step: Callable[[list[list[int]]], None] | None = None,
    ) -> Generated:
        """Answers to a batch of prompts; see :meth:`write`.

        Args:
            batch: likewise.
            max_new_tokens: upper limit of each answer, where there are no ``settings``.
            seg_state: likewise.
            state_token: likewise.
            settings: likewise; ``None`` takes the likeliest token each time.
            on_step: called with the answers so far.
        """
        settings = settings or [Generation(max_new_tokens=max_new_tokens)] * len(batch.names)
        writing = self.write(batch, settings, seg_state, state_token)
        while True:
            try:
                answers = next(writing)
            except StopIteration as end:
                return end.value
            if on_step is not None:
                on_step(answers)

    @torch.no_grad()
    def read_with_answers(
        self, batch: Batch, answers: Sequence[torch.Tensor], state_token: str = SEG
    ) -> tuple[torch.Tensor, MLLMOutput, list[torch.Tensor]]:
        """Prompts and the answers that were written to them, in one pass.

        Args:
            batch: prompts, padded on the right.
            answers: ``[B]`` of int64 ``[n_b]``, the new tokens.
            state_token: whose places are wanted.

        Returns:
            int64 ``[B,L]``, the tokens; the states of all of them; and int64 ``[N_b]`` a row, where ``state_token``
            stands in the answers.
        """
        lengths = batch.attention_mask.sum(dim=1).tolist()
        rows = [
            torch.cat([ids[:length], own]) for ids, length, own in zip(batch.input_ids, lengths, answers, strict=True)
        ]
        input_ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        sizes = torch.tensor([len(row) for row in rows], device=input_ids.device)
        mask = (torch.arange(input_ids.shape[1], device=input_ids.device) < sizes[:, None]).long()
        wanted = self.tokenizer.get_added_vocab().get(state_token)
        positions = [(own == wanted).nonzero()[:, 0] + length for own, length in zip(answers, lengths, strict=True)]
        return input_ids, self(input_ids, mask, batch.mllm_media, batch.region_cells), positions

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

    #: Where the tower's weights stand in this module and in the segmenter, if they are one (:meth:`share_encoder`).
    shared_encoder: tuple[str, str] | None = None

    def share_encoder(self, segmenter: nn.Module) -> bool:
        """Takes the segmenter's image encoder in the place of the own vision tower, where they are the same network.

        Args:
            segmenter: transformers' model inside of the segmenter.

        Returns:
            Whether it did; families with a tower of their own never do.
        """
        return False

    def keep_middle(self, layer: int) -> tuple[int, int]:
        """From now on :meth:`forward` gives the states after so many layers too, and what entered the first one.

        Returns:
            ``(h, w)``, the grid on which the visual tokens of each frame lie, row by row.

        Raises:
            UserError: a family whose visual tokens lie on no such grid, or a layer that there isn't.
        """
        raise UserError(f"{type(self).__name__} has no grid of visual tokens that is one a frame; leave the guide out")

    #: Whether visual tokens tell what box the object has that they show (:meth:`told_boxes`).
    tells_boxes: bool = False

    def told_boxes(self, tokens: torch.Tensor) -> torch.Tensor:
        """The boxes that visual tokens tell as they enter the language model.

        Args:
            tokens: ``[V,D]``, of whole frames.

        Returns:
            float32 ``[V,4]``, (x1, y1, x2, y2) in shares of the frame.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no boxes")

    def frame_encoder(self) -> tuple[Any, str, list[nn.Module]] | None:
        """What of the MLLM sees frames one by one, whatever the question.

        Returns:
            the object that holds the function pixels ``[n,3,S,S]`` → a tensor of n rows, the function's name, and all
            modules that it computes with; ``None`` of a family that has no such function.
        """
        return None

    def encoder_settings(self) -> str:
        """What the function of :meth:`frame_encoder` depends on beside weights."""
        return repr(self.model.config)

    def with_grounding_tokens(self) -> Self:
        """Adds those of :data:`word2mask.text.special_tokens.SPECIAL_TOKENS` that the tokenizer lacks; in place."""
        add_grounding_tokens(self.model, self.processor.tokenizer)
        return self

    def lora_targets(self) -> list[str]:
        """Full names (within this module) of the LLM's Linear layers, ``lm_head`` excluded."""
        layers = {id(layer) for layer in self.parameter_groups()["llm"].modules() if isinstance(layer, nn.Linear)}
        return [name for name, module in self.named_modules() if id(module) in layers]

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

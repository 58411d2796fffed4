"""Sample or request → example: the one encoding that training, evaluation and serving share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch

from word2mask.errors import UserError
from word2mask.text.conversation import EncodedConversation, encode_conversation, region_prefix
from word2mask.text.special_tokens import SEG
from word2mask.types import Example, Media, Request, Sample, Turn

Overlong = Literal["error", "drop_turns"]


def source_of(name: str) -> str:
    """The source of an example, from its name.

    >>> source_of("refcoco[1042]")
    'refcoco'
    """
    return name.partition("[")[0]


class MediaPreparation(Protocol):
    """What :class:`Encoder` needs of an MLLM; see :class:`word2mask.mllms.interface.MediaProcessor`."""

    tokenizer: Any
    template: Any
    context_token: str

    def prepare_media(self, media: Media) -> Any:
        """An object with ``placeholder``, ``tensors`` and ``grid``."""
        ...

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """bool ``[R,H,W]`` → bool ``[R,h,w]``."""
        ...


class FramePreparation(Protocol):
    """What :class:`Encoder` needs of a segmenter."""

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        """uint8 ``[T,H,W,3]`` → float32 ``[T,3,S,S]``."""
        ...


class Encoder:
    """Turns samples and requests into tensors; picklable, so that data workers can hold it.

    Args:
        media_processor: the MLLM's preprocessing.
        frame_processor: the segmenter's preprocessing; ``None`` where nothing is segmented (text-only pretraining).
        max_length: longest sequence in tokens, visual ones included.
        overlong: what happens to a training sample that is longer: ``"error"`` raises; ``"drop_turns"`` drops whole
            question-answer pairs from its end, with the masks of their ``[SEG]``.
    """

    def __init__(
        self,
        media_processor: MediaPreparation,
        frame_processor: FramePreparation | None,
        max_length: int,
        overlong: Overlong = "error",
    ) -> None:
        if overlong not in ("error", "drop_turns"):
            raise UserError(f"overlong={overlong!r} is unknown; choose 'error' or 'drop_turns'")
        self.media_processor = media_processor
        self.frame_processor = frame_processor
        self.max_length = max_length
        self.overlong = overlong

    def __call__(self, sample: Sample) -> Example:
        """Encodes a training sample.

        Raises:
            UserError: it has no answer, its ``[SEG]`` and masks don't match, or it is too long.
        """
        name = f"{sample.source}[{sample.id}]"
        turns = list(sample.turns)
        if len(turns) < 2 or turns[-1].role != "assistant":
            raise UserError(f"{name}: a training sample must end with an answer, got {len(turns)} turns")
        example, encoded = self._encode(name, sample.task, turns, sample.media, sample.regions, ())
        masks = sample.masks
        self._check_masks(name, len(encoded.seg_positions), masks, sample.media)
        length = len(encoded.input_ids)
        if length > self.max_length:
            fitting = [end for end in encoded.turn_ends if end <= self.max_length]
            if self.overlong == "error" or not fitting:
                raise self._too_long(name, length, len(encoded.seg_positions), len(turns))
            length = fitting[-1]
            example.input_ids = encoded.input_ids[:length]
            example.seg_positions = encoded.seg_positions[encoded.seg_positions < length]
        kept = len(example.seg_positions)
        example.labels = encoded.labels[:length]
        if kept and masks is not None:
            example.masks = torch.from_numpy(np.ascontiguousarray(masks[:kept])).bool()
            if sample.void is not None:
                example.void = torch.from_numpy(np.ascontiguousarray(sample.void)).bool()
            example.segmenter_frames = self._segmenter_frames(sample.media)
        return example

    def encode_request(self, request: Request, name: str = "request", region_frames: Sequence[int] = ()) -> Example:
        """Encodes a question; the sequence ends with the assistant's prefix, or with the answer that the request gives.

        ``seg_positions`` of the example are then those of that answer.

        Args:
            request: whose ``media`` holds decoded frames (:class:`word2mask.types.Media`).
            name: for messages.
            region_frames: for each of the request's regions, its place among these frames; the first where not given.

        Raises:
            UserError: the question is empty, the last turn isn't the user's, or it is too long.
        """
        turns = list(request.turns)
        if not turns or turns[-1].role != "user":
            raise UserError(f"{name}: the last turn must be the user's question")
        if not turns[-1].text.strip():
            raise UserError(f"{name}: the question is empty; say what to find or ask")
        given = [] if request.answer is None else [Turn("assistant", request.answer)]
        conversation = [*turns, *given]
        example, encoded = self._encode(name, "request", conversation, request.media, request.regions, region_frames)
        if given:
            count = request.answer.count(SEG)
            example.seg_positions = encoded.seg_positions[len(encoded.seg_positions) - count :]
        num_new = 0 if given else request.max_new_tokens
        if len(encoded.input_ids) + num_new > self.max_length:
            raise UserError(
                f"{name}: {len(encoded.input_ids)} tokens and up to {num_new} new ones are more than "
                f"{self.max_length}; shorten the conversation, take fewer frames or lower max_new_tokens"
            )
        example.segmenter_frames = self._segmenter_frames(request.media)
        return example

    def _encode(
        self,
        name: str,
        task: str,
        turns: Sequence[Turn],
        media: Media | None,
        regions: np.ndarray | None,
        region_frames: Sequence[int],
    ) -> tuple[Example, EncodedConversation]:
        placeholder, tensors, prefix, cells, size = "", {}, "", None, None
        if media is not None:
            prepared = self.media_processor.prepare_media(media)
            placeholder, tensors = prepared.placeholder, prepared.tensors
            size = (int(media.frames.shape[1]), int(media.frames.shape[2]))
        if regions is not None and len(regions):
            if media is None:
                raise UserError(f"{name}: {len(regions)} regions without a picture or video")
            if regions.shape[1:] != size:
                raise UserError(f"{name}: regions are {regions.shape[1:]}, the picture is {size} (height, width)")
            if not regions.any(axis=(1, 2)).all():
                raise UserError(f"{name}: a region is empty; mark at least one pixel of it")
            cells = self._region_cells(regions, prepared.grid, region_frames, len(media.frames))
            prefix = region_prefix(cells.flatten(1).sum(dim=1).tolist(), self.media_processor.context_token)
        encoded = encode_conversation(
            turns, self.media_processor.tokenizer, self.media_processor.template, placeholder, prefix
        )
        example = Example(
            name=name,
            task=task,
            input_ids=encoded.input_ids,
            labels=None,
            seg_positions=encoded.seg_positions,
            mllm_media=tensors,
            region_cells=cells,
            original_size=size,
            num_frames=0 if media is None else len(media.frames),
        )
        return example, encoded

    def _region_cells(
        self, regions: np.ndarray, grid: tuple[int, int], region_frames: Sequence[int], num_frames: int
    ) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` → bool ``[R,F,h,w]``, each on its own frame."""
        on_frame = self.media_processor.region_cells(regions, grid)
        places = list(region_frames) or [0] * len(regions)
        cells = on_frame.new_zeros(len(regions), num_frames, *on_frame.shape[1:])
        cells[torch.arange(len(regions)), torch.tensor(places)] = on_frame
        return cells

    def _segmenter_frames(self, media: Media | None) -> torch.Tensor | None:
        if media is None or self.frame_processor is None:
            return None
        return self.frame_processor.prepare_frames(media.frames)

    def _too_long(self, name: str, tokens: int, segs: int, turns: int) -> UserError:
        return UserError(
            f"{name}: {tokens} tokens ({turns} turns, {segs} {SEG}) are more than max_length={self.max_length}; raise "
            "max_length, filter the source, or set overlong='drop_turns' to drop its last questions"
        )

    @staticmethod
    def _check_masks(name: str, segs: int, masks: np.ndarray | None, media: Media | None) -> None:
        num_masks = 0 if masks is None else len(masks)
        if segs != num_masks:
            raise UserError(
                f"{name}: {segs} {SEG} in the answers but {num_masks} masks; each needs one of the other"
                + ("" if segs or not num_masks else f" (does the tokenizer know {SEG}?)")
            )
        if masks is None:
            return
        if media is None:
            raise UserError(f"{name}: {num_masks} masks without a picture or video")
        if masks.shape[1:] != media.frames.shape[:3]:
            raise UserError(
                f"{name}: masks are {masks.shape[1:]}, the frames are {media.frames.shape[:3]} (frames, height, width)"
            )

"""Every noun of word2mask, with its shape table. No logic lives here.

Shape alphabet, used in every docstring of the library: **B** samples, **L** tokens, **D** LLM width,
**N** objects (one per ``[SEG]``), **T** frames, **C** prompt width, **S** segmenter side, **H W** original size,
**R** regions (visual prompts). Arrays are numpy on the data side of :func:`word2mask.data.encode.encode`
and torch tensors after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

Role = Literal["user", "assistant"]
MediaKind = Literal["image", "video"]


@dataclass(frozen=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: who speaks.
        text: a **user**'s text is always plain: whatever it spells (``[SEG]``, ``<img>``, a template's own
            markers) is encoded as ordinary text. An **assistant**'s text comes from a source or from the model and
            may carry the markup ``[SEG]``, ``<p>`` and ``</p>``, which is encoded as special tokens.
    """

    role: Role
    text: str


@dataclass(frozen=True)
class Media:
    """A decoded picture, or the decoded frames of a video that a sample needs.

    Attributes:
        kind: ``"image"`` (exactly one frame) or ``"video"`` (one frame or more).
        frames: uint8 RGB ``[T,H,W,3]``.
        frame_indices: ``[T]`` position of each frame in the file it came from (``(0,)`` for an image).
        name: what to call it in an error message, usually the path.
    """

    kind: MediaKind
    frames: np.ndarray
    frame_indices: tuple[int, ...] = (0,)
    name: str = ""


@dataclass(frozen=True)
class Sample:
    """One training or evaluation record, as a source reads it from disk.

    Attributes:
        source: name of the source, e.g. ``"refcoco"``; with ``id`` it names the record in every error message.
        id: the record within its source.
        task: what is asked: ``"refer"``, ``"generalized_refer"``, ``"reason"``, ``"grounded_caption"``, ``"chat"``,
            ``"region"``, ``"semantic"``, ``"video_refer"`` or ``"video_chat"``.
        turns: user and assistant in turn, the user first. The number of ``[SEG]`` over all assistant turns is N.
        media: the picture or the frames; ``None`` for a text-only record.
        masks: bool ``[N,T,H,W]``, in the order of the ``[SEG]`` tokens; ``None`` where there is no ``[SEG]``.
        void: bool ``[T,H,W]``, true where neither loss nor metric looks; ``None`` where nothing is void.
        regions: bool ``[R,H,W]``, visual prompts on the first frame; ``None`` without.
        extra: what an evaluation protocol needs besides (ids of the benchmark, all sentences, …). Training never reads
            it.
    """

    source: str
    id: str
    task: str
    turns: tuple[Turn, ...]
    media: Media | None = None
    masks: np.ndarray | None = None
    void: np.ndarray | None = None
    regions: np.ndarray | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Example:
    """One sample as tensors: what :func:`word2mask.data.encode.encode` makes for training and serving alike.

    Attributes:
        name: ``"source[id]"``, for messages.
        task: as in :class:`Sample`.
        input_ids: int64 ``[L]``.
        labels: int64 ``[L]``, ``-100`` where no loss is taken (everything but the assistant's answers); ``None`` when
            serving.
        seg_positions: int64 ``[N]``, index of every ``[SEG]`` in ``input_ids``.
        mllm_media: the MLLM's own media tensors (e.g. ``pixel_values`` ``[tiles,3,h,w]``), as its ``prepare_media``
            returned them; empty for text only.
        segmenter_frames: float32 ``[T,3,S,S]``, the segmenter's own preprocessing of the frames; ``None`` when N = 0
            in training.
        masks: bool ``[N,T,H,W]``; ``None`` when serving or when N = 0.
        void: bool ``[T,H,W]`` or ``None``.
        region_cells: bool ``[R,h,w]``, the regions on the MLLM's grid of visual tokens; ``None`` without.
        original_size: ``(H, W)`` of the media, ``None`` for text only.
        num_frames: of the media, 1 for a picture; 0 for text only.
    """

    name: str
    task: str
    input_ids: torch.Tensor
    labels: torch.Tensor | None
    seg_positions: torch.Tensor
    mllm_media: dict[str, torch.Tensor]
    segmenter_frames: torch.Tensor | None = None
    masks: torch.Tensor | None = None
    void: torch.Tensor | None = None
    region_cells: torch.Tensor | None = None
    original_size: tuple[int, int] | None = None
    num_frames: int = 0


@dataclass
class Batch:
    """B examples side by side. Text is padded on the right; media and objects are never padded but kept in lists.

    Attributes:
        names: ``[B]`` of ``"source[id]"``.
        tasks: ``[B]``.
        input_ids: int64 ``[B,L]``.
        attention_mask: int64 ``[B,L]``, 1 at real tokens.
        labels: int64 ``[B,L]`` or ``None``.
        seg_positions: ``[B]`` of int64 ``[N_b]``.
        mllm_media: media tensors of all examples concatenated along dim 0, key by key.
        segmenter_frames: ``[B]`` of float32 ``[T_b,3,S,S]`` or ``None``.
        masks: ``[B]`` of bool ``[N_b,T_b,H_b,W_b]`` or ``None``.
        void: ``[B]`` of bool ``[T_b,H_b,W_b]`` or ``None``.
        region_cells: ``[B]`` of bool ``[R_b,h,w]`` or ``None``.
        num_frames: ``[B]``, frames of each example's media; empty where nobody counted.
    """

    names: list[str]
    tasks: list[str]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor | None
    seg_positions: list[torch.Tensor]
    mllm_media: dict[str, torch.Tensor]
    segmenter_frames: list[torch.Tensor | None]
    masks: list[torch.Tensor | None]
    void: list[torch.Tensor | None]
    region_cells: list[torch.Tensor | None]
    num_frames: list[int] = field(default_factory=list)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on ``device``."""

        def move(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return value.to(device, non_blocking=True)
            if isinstance(value, dict):
                return {key: move(item) for key, item in value.items()}
            if isinstance(value, list):
                return [move(item) for item in value]
            return value

        return Batch(**{name: move(value) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Request:
    """What a user asks of a session.

    Attributes:
        turns: the conversation so far; the last turn is the user's.
        media: the picture or video; for a long video a :class:`word2mask.data.media.VideoFile` stands in its place, so
            that frames are decoded on demand.
        regions: bool ``[R,H,W]`` visual prompts, or ``None``.
        max_new_tokens: upper limit of the answer's length.
        answer: what the model is made to answer, markup as in an assistant's turn; ``None`` lets it write. For
            evaluations that were published with given answers; it says nothing about what the model would have said.
    """

    turns: tuple[Turn, ...]
    media: Any | None = None
    regions: np.ndarray | None = None
    max_new_tokens: int = 256
    answer: str | None = None


@dataclass
class Segment:
    """One ``[SEG]`` of an answer.

    Attributes:
        phrase: the words between ``<p>`` and ``</p>`` before it; for a plain answer the user's own text; may be empty.
        span: character range of the phrase in :attr:`Result.text`; ``None`` when the phrase isn't in the answer.
        masks: bool ``[T,H,W]`` at the original size (T = 1 for an image).
        scores: float32 ``[T]``, probability in 0…1 that the object is there, from the segmenter's object score.
    """

    phrase: str
    span: tuple[int, int] | None
    masks: np.ndarray
    scores: np.ndarray


@dataclass
class Result:
    """What a session answers.

    Attributes:
        text: the answer without special tokens.
        raw_text: the answer with ``[SEG]``, ``<p>``, ``</p>`` as generated.
        segments: one per ``[SEG]``, in order.
        original_size: ``(H, W)``, or ``None`` without media.
        num_frames: T, or 0 without media.
    """

    text: str
    raw_text: str
    segments: Sequence[Segment]
    original_size: tuple[int, int] | None
    num_frames: int


#: Turns a list of examples into a batch; :func:`word2mask.data.collate.collate` with its padding bound.
Collate = Callable[[Sequence[Example]], Batch]

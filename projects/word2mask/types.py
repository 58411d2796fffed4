"""Every noun of word2mask, with its shape table. No logic lives here, but for checks of what a user gives.

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

from word2mask.errors import UserError

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
        region_cells: bool ``[R,F,h,w]``, the regions on the MLLM's grids of visual tokens, one grid for each of the F
            frames that it sees; each region has cells on one frame. ``None`` without.
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
        region_cells: ``[B]`` of bool ``[R_b,F_b,h,w]`` or ``None``.
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
class VisualPrompt:
    """A region that a user shows: a box, points or a mask on one frame; "region1", "region2" … in the text, in order.

    Attributes:
        frame: of the video, counted from 0; 0 for a picture.
        box: ``(x1, y1, x2, y2)`` in pixels of the frame, the far ends exclusive, as everywhere here; or ``None``.
        points: ``(x, y, label)`` in pixels, label 1 on the object and 0 off it.
        mask: bool ``[H,W]`` at the frame's size, or ``None``.

    Raises:
        UserError: none of the three, a box without area, a label that isn't 0 or 1, or a negative frame.
    """

    frame: int = 0
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, int], ...] = ()
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.box is None and not self.points and self.mask is None:
            raise UserError("a visual prompt is empty; give a box, points or a mask")
        if self.frame < 0:
            raise UserError(f"a visual prompt is on frame {self.frame}; frames count from 0")
        if self.box is not None and not (
            len(self.box) == 4 and self.box[0] < self.box[2] and self.box[1] < self.box[3]
        ):
            raise UserError(f"box {tuple(self.box)}: expected (x1, y1, x2, y2) with x1 < x2 and y1 < y2, in pixels")
        wrong = [point for point in self.points if len(point) != 3 or point[2] not in (0, 1)]
        if wrong:
            raise UserError(f"point {tuple(wrong[0])}: expected (x, y, label), label 1 on the object or 0 off it")
        if self.mask is not None and (self.mask.ndim != 2 or self.mask.dtype != bool):
            raise UserError(
                f"a visual prompt's mask is {self.mask.dtype} of shape {list(self.mask.shape)}; expected bool [H,W]"
            )


@dataclass(frozen=True)
class Generation:
    """How an answer is written; the names and meanings are those of transformers' ``GenerationConfig``.

    Attributes:
        max_new_tokens: upper limit of the answer's length.
        do_sample: draw each token; the likeliest one otherwise.
        temperature: above 1 flattens the distribution that is drawn from, below sharpens it.
        top_p: draw from the likeliest tokens that together have this probability; 1 draws from all.
        top_k: draw from this many likeliest tokens; 0 draws from all.
        num_beams: answers that are followed side by side, of which the likeliest is given; 1 follows one.
        seed: of the drawing; ``None`` takes torch's own state.

    Raises:
        UserError: a value that transformers' settings don't allow, or beams together with drawing.
    """

    max_new_tokens: int = 256
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    num_beams: int = 1
    seed: int | None = None

    def __post_init__(self) -> None:
        bounds = {
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
            "temperature": (self.temperature > 0, "more than 0"),
            "top_p": (0 < self.top_p <= 1, "more than 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "num_beams": (self.num_beams >= 1, "1 or more"),
        }
        for name, (is_good, expected) in bounds.items():
            if not is_good:
                raise UserError(f"{name} is {getattr(self, name)}; expected {expected}")
        if self.do_sample and self.num_beams > 1:
            raise UserError(f"num_beams={self.num_beams} with do_sample; drawn answers take one beam, leave one out")


@dataclass(frozen=True)
class Request:
    """What a user asks of a session.

    Attributes:
        turns: the conversation so far; the last turn is the user's.
        media: the picture or video; for a long video a :class:`word2mask.data.media.VideoFile` stands in its place, so
            that frames are decoded on demand.
        regions: bool ``[R,H,W]`` visual prompts on the first frame that the language model sees, or ``None``.
        max_new_tokens: upper limit of the answer's length, where ``generation`` is ``None``.
        prompts: visual prompts, on any frame; not together with ``regions``, which they become.
        generation: how the answer is written; ``None`` takes the likeliest token each time.
        answer: what the model is made to answer, markup as in an assistant's turn; ``None`` lets it write. For
            evaluations that were published with given answers; it says nothing about what the model would have said.
    """

    turns: tuple[Turn, ...]
    media: Any | None = None
    regions: np.ndarray | None = None
    max_new_tokens: int = 256
    answer: str | None = None
    prompts: tuple[VisualPrompt, ...] = ()
    generation: Generation | None = None


@dataclass
class Segment:
    """One ``[SEG]`` of an answer.

    Attributes:
        phrase: the words between ``<p>`` and ``</p>`` before it; for a plain answer the words of the
            question that name it (:func:`word2mask.text.expressions.expression_of`); may be empty.
        span: character range of the phrase in :attr:`Result.text`; ``None`` when the phrase isn't in the answer.
        masks: bool ``[T,H,W]`` at the original size (T = 1 for an image); of a long video a
            :class:`word2mask.inference.masks.MaskStream`, which holds run lengths and gives a frame as it is asked for.
        scores: float32 ``[T]``, probability in 0…1 that the object is there, from the segmenter's object score.
    """

    phrase: str
    span: tuple[int, int] | None
    masks: Any
    scores: np.ndarray

    @property
    def found_on(self) -> np.ndarray:
        """bool ``[T]``: the frames on which the object is: its score is above a half and its mask has a pixel."""
        return np.asarray(self.masks.any(axis=(1, 2))) & (self.scores > 0.5)

    @property
    def is_found(self) -> bool:
        """Whether the object is on any frame; ``False`` says that what was asked for isn't there."""
        return bool(self.found_on.any())

    @property
    def confidence(self) -> float:
        """Mean score over the frames on which the object is; the highest score of all where it is on none."""
        found = self.found_on
        if found.any():
            return float(self.scores[found].mean())
        return float(self.scores.max()) if len(self.scores) else 0.0


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

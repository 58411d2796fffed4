"""Session: a request becomes an answer with masks. The only caller of generation and mask decoding.

A picture is answered as in training. A video is answered from a few key frames; their masks are
predicted exactly as in training, and the segmenter's tracker carries them to all other frames (the procedure of
Sa2VA-i, arXiv:2509.19082). Frames stream: no more than the key frames and a short chunk are in memory, whatever the
video's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.mllms.interface import Generated
from word2mask.models.folder import load_grounded
from word2mask.models.grounded import GroundedMLLM, ObjectMasks
from word2mask.ops.frames import first_frames, uniform_frames
from word2mask.segmenters.interface import Decoded, FrameFeatures
from word2mask.segmenters.tracker import Tracker
from word2mask.text.answers import parse_answer
from word2mask.text.special_tokens import SEG
from word2mask.types import Batch, Example, Media, Request, Result, Segment

__all__ = ["Progress", "Session"]

#: Called with (stage, done, total); stages are ``"answer"`` and ``"track"``.
Progress = Callable[[str, int, int], None]

#: Frames decoded at a time while tracking.
CHUNK = 8


class Session:
    """Answers requests with one model.

    Args:
        model: in evaluation mode from here on.
        encoder: built from the model's own processors when ``None``.
        key_frames: k, how many frames of a video the language model sees; 5 in the published recipe.
        key_frame_choice: ``"uniform"`` spreads them over the video, ``"first"`` takes the first k (the published
            code's choice).
        threshold: probability from which a pixel belongs to the object.
        propagate_with: which mask decoder follows the objects from the key frames on: the segmenter's ``"original"``,
            with which its memory was trained (Sa2VA-i), or the ``"trained"`` one (the published code's choice).
            ``None`` is the original where the model has two.
        procedure: ``"sa2va-i"`` gives the tracker the key frames' masks (arXiv:2509.19082). ``"sa2va"`` is for parity
            with the published ``predict_forward``, together with ``key_frame_choice="first"`` and
            ``propagate_with="trained"``: the tracker gets what the decoder found on the key frames and follows it as
            ``Tracker(like="sa2va")`` does, and masks come to the original size by way of S x S.
    """

    def __init__(
        self,
        model: GroundedMLLM,
        encoder: Encoder | None = None,
        key_frames: int = 5,
        key_frame_choice: Literal["uniform", "first"] = "uniform",
        threshold: float = 0.5,
        propagate_with: Literal["original", "trained"] | None = None,
        procedure: Literal["sa2va-i", "sa2va"] = "sa2va-i",
    ) -> None:
        if procedure not in ("sa2va-i", "sa2va"):
            raise UserError(f'procedure must be "sa2va-i" or "sa2va", got {procedure!r}')
        if key_frames < 1:
            raise UserError(f"key_frames must be 1 or more, got {key_frames}")
        if key_frame_choice not in ("uniform", "first"):
            raise UserError(f'key_frame_choice must be "uniform" or "first", got {key_frame_choice!r}')
        if not 0 < threshold < 1:
            raise UserError(f"threshold must lie between 0 and 1, got {threshold}")
        if propagate_with not in (None, "original", "trained"):
            raise UserError(f'propagate_with must be "original" or "trained", got {propagate_with!r}')
        if procedure == "sa2va" and not model.segmenter.tracks:
            raise UserError(
                f'procedure "sa2va" is for SAM 2, and this model has a {type(model.segmenter).__name__}; leave it out'
            )
        has_two_decoders = getattr(model.segmenter, "original_decoder", None) is not None
        if propagate_with == "original" and not has_two_decoders:
            raise UserError(
                'propagate_with is "original", but this model keeps one mask decoder only; leave the setting out, or '
                "give the model the original one (model.segmenter.keep_original_decoder)"
            )
        self.model = model.eval()
        self.encoder = encoder or Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
        self.key_frames = key_frames
        self.key_frame_choice = key_frame_choice
        self.threshold = threshold
        self.propagate_with = (propagate_with or "original") if has_two_decoders else None
        self.procedure = procedure
        self._seg_id = model.mllm.tokenizer.convert_tokens_to_ids(SEG)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        **options: int | float | str,
    ) -> Session:
        """A session with an exported model.

        Args:
            folder: what the export wrote.
            device: where to run.
            dtype: of the weights; ``None`` keeps the files' own.
            **options: ``key_frames``, ``key_frame_choice``, ``threshold``, ``propagate_with``,
                ``procedure``.

        Raises:
            UserError: no such folder, or not one of ours.
        """
        return cls(load_grounded(folder, device=device, dtype=dtype), **options)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device

    def ask(self, request: Request, progress: Progress | None = None) -> Result:
        """Answers one request.

        Raises:
            UserError: an empty question, a video without frames, or a conversation that is too long.
        """
        return self.batch([request], progress)[0]

    @torch.no_grad()  # not inference_mode: transformers caches position tables, which later training would trip over
    def batch(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Result]:
        """Answers several requests, of any mixture of kinds; the language model takes them side by side.

        Returns:
            One result a request, in order; the same as :meth:`ask` gives for each.
        """
        if not requests:
            return []
        report = progress or _silent
        report("answer", 0, len(requests))
        views = [self._view(request) for request in requests]
        examples = [
            self.encoder.encode_request(replace(request, media=view.seen if view else None), name=f"request {index}")
            for index, (request, view) in enumerate(zip(requests, views, strict=True))
        ]
        answers = self._answers(requests, examples)
        prompts = self.model.prompts([states for _, states in answers])
        report("answer", len(requests), len(requests))
        return [
            self._result(request, view, example, raw_text, prompt, report)
            for request, view, example, (raw_text, _), prompt in zip(
                requests, views, examples, answers, prompts, strict=True
            )
        ]

    # -- language --------------------------------------------------------------------------------------------------

    def _view(self, request: Request) -> _View | None:
        """The frames that the language model sees, and access to all others."""
        media = request.media
        if media is None:
            return None
        source = _Frames(media)
        if source.num_frames > 1 and not self.model.segmenter.tracks:
            raise UserError(
                f"{source.name or 'video'}: {source.num_frames} frames, but this model's segmenter has no memory to "
                "follow objects with; give a picture, or one frame at a time"
            )
        if isinstance(media, Media) and media.kind == "image":
            return _View(source, (0,), media)
        choose = uniform_frames if self.key_frame_choice == "uniform" else first_frames
        indices = tuple(int(index) for index in choose(source.num_frames, self.key_frames))
        return _View(source, indices, Media("video", source.read(indices), indices, source.name))

    def _answers(self, requests: Sequence[Request], examples: Sequence[Example]) -> list[tuple[str, torch.Tensor]]:
        """Raw text and ``[SEG]`` states ``[N,D]`` of every answer: written by the model, or given by the request."""
        written = [place for place, request in enumerate(requests) if request.answer is None]
        given = [place for place, request in enumerate(requests) if request.answer is not None]
        found: dict[int, tuple[str, torch.Tensor]] = {}
        if written:
            limits = [requests[place].max_new_tokens for place in written]
            generated = self._generate([examples[place] for place in written], limits)
            decode = self.model.mllm.tokenizer.decode
            for place, ids, states in zip(written, generated.ids, generated.seg_hidden, strict=True):
                found[place] = (decode(ids, skip_special_tokens=False), states)
        if given:
            for place, states in zip(given, self._read([examples[place] for place in given]), strict=True):
                found[place] = (requests[place].answer or "", states)
        return [found[place] for place in range(len(requests))]

    def _read(self, examples: Sequence[Example]) -> list[torch.Tensor]:
        """``[SEG]`` states ``[N,D]`` of conversations that end with an answer."""
        batch = self._on_device(collate(examples, self.model.mllm.tokenizer.pad_token_id))
        hidden = self.model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden
        return [self.model.seg_states(row, found) for row, found in zip(hidden, batch.seg_positions, strict=True)]

    def _generate(self, examples: Sequence[Example], limits: Sequence[int]) -> Generated:
        """Answers side by side, each cut to its own limit."""
        batch = self._on_device(collate(examples, self.model.mllm.tokenizer.pad_token_id))
        generated = self.model.mllm.generate(batch, max(limits), seg_state=self.model.seg_state)
        ids = [answer[:limit] for answer, limit in zip(generated.ids, limits, strict=True)]
        counts = [int((answer == self._seg_id).sum()) for answer in ids]
        return Generated(ids, [states[:count] for states, count in zip(generated.seg_hidden, counts, strict=True)])

    def _on_device(self, batch: Batch) -> Batch:
        """On the model's device, media in the language model's dtype."""
        batch = batch.to(self.device)
        dtype = next(self.model.mllm.parameters()).dtype
        batch.mllm_media = {
            key: value.to(dtype) if value.is_floating_point() else value for key, value in batch.mllm_media.items()
        }
        return batch

    # -- masks -----------------------------------------------------------------------------------------------------

    def _result(
        self,
        request: Request,
        view: _View | None,
        example: Example,
        raw_text: str,
        prompts: torch.Tensor,
        report: Progress,
    ) -> Result:
        """Text and masks of one answer."""
        answer = parse_answer(raw_text)
        segments: list[Segment] = []
        if view is not None and len(prompts):
            masks, scores = self._masks(view, example, prompts, report)
            question = request.turns[-1].text
            segments = [
                Segment(grounding.phrase or ("" if grounding.span else question), grounding.span, mask, score)
                for grounding, mask, score in zip(answer.groundings, masks, scores, strict=True)
            ]
        return Result(
            text=answer.text,
            raw_text=raw_text,
            segments=segments,
            original_size=None if view is None else view.source.size,
            num_frames=0 if view is None else view.source.num_frames,
        )

    def _masks(
        self, view: _View, example: Example, prompts: torch.Tensor, report: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks bool ``[N,T,H,W]`` and scores float32 ``[N,T]`` of N objects on all frames."""
        source, pixels = view.source, example.segmenter_frames.to(self.device)
        features = self.model.encode_frames(pixels)
        count = len(pixels)
        everything = torch.arange(count, device=self.device).expand(len(prompts), -1)
        (objects,) = self.model.segment(features, [prompts], [everything], [count])
        masks = np.zeros((len(prompts), source.num_frames, *source.size), dtype=bool)
        scores = np.zeros(masks.shape[:2], dtype=np.float32)
        groups = self._conditioning(objects)
        for members, places in groups:
            for place in places:
                frame = view.indices[place]
                masks[members, frame] = self._at_original_size(objects.mask_logits[members, place], source.size)
                scores[members, frame] = objects.object_logits[members, place].float().sigmoid().cpu().numpy()
        followed = [(members, places) for members, places in groups if len(places) < source.num_frames]
        done, total = 0, len(followed) * source.num_frames
        for members, places in followed:
            found = {view.indices[place]: objects.on_frame(members, place) for place in places}
            for frame, mask_logits, object_logits in self._track(view, features, found):
                done += 1
                report("track", done, total)
                if frame not in found:
                    masks[members, frame] = self._at_original_size(mask_logits, source.size)
                    scores[members, frame] = object_logits.float().sigmoid().cpu().numpy()
        return masks, scores

    def _conditioning(self, objects: ObjectMasks) -> list[tuple[list[int], list[int]]]:
        """Which key frames each object is tracked from: (objects, places among the key frames), each object once.

        With ``prompt_frames="first"`` it is the first place where the segmenter finds something under the prompt, or
        the likeliest where it finds nothing.
        """
        num_objects, count = objects.object_logits.shape
        if self.model.prompt_frames == "all":
            return [(list(range(num_objects)), list(range(count)))]
        present = objects.object_logits > 0
        first = torch.where(present.any(1), present.int().argmax(1), objects.object_logits.argmax(1)).tolist()
        return [([n for n in range(num_objects) if first[n] == place], [place]) for place in sorted(set(first))]

    def _track(
        self, view: _View, features: FrameFeatures, found: dict[int, Decoded]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Every frame of the video as the tracker sees it from the key frames; frames are decoded a chunk at a time."""
        source, processor = view.source, self.model.segmenter.processor
        places = {frame: place for place, frame in enumerate(view.indices)}

        @lru_cache(maxsize=2)
        def chunk(number: int) -> torch.Tensor:
            first = number * CHUNK
            frames = source.read(range(first, min(first + CHUNK, source.num_frames)))
            return processor.prepare_frames(frames).to(self.device)

        def frames(frame: int) -> torch.Tensor | FrameFeatures:
            # Of a key frame whose masks are given, the tracker looks at the coarsest level only, which no decoder made.
            if frame in places:
                return features[places[frame]]
            return chunk(frame // CHUNK)[frame % CHUNK][None]

        segmenter = self.model.segmenter
        propagator = segmenter.propagator() if self.propagate_with == "original" else segmenter
        if self.procedure == "sa2va":
            return Tracker(propagator, like="sa2va").track(frames, found, source.num_frames)
        key_logits = {frame: decoded.mask_logits for frame, decoded in found.items()}
        return Tracker(propagator).track(frames, key_logits, source.num_frames)

    def _at_original_size(self, mask_logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        """Logits ``[N,h,w]`` as masks bool ``[N,H,W]``: enlarged as logits, then cut at the threshold."""
        if self.procedure == "sa2va":
            mask_logits = self.model.segmenter.enlarge(mask_logits)
        mask_logits = self.model.segmenter.without_padding(mask_logits, size)
        enlarged = functional.interpolate(mask_logits[:, None].float(), size, mode="bilinear", align_corners=False)
        return (enlarged[:, 0].sigmoid() > self.threshold).cpu().numpy()


@dataclass
class _View:
    """What is looked at.

    Attributes:
        source: all frames.
        indices: the frames that the language model sees, ascending.
        seen: these frames.
    """

    source: _Frames
    indices: tuple[int, ...]
    seen: Media


class _Frames:
    """Frames on demand, from memory or from a file."""

    def __init__(self, media: Media | VideoFile) -> None:
        self._media = media
        self.name = media.name
        self.num_frames = len(media.frames) if isinstance(media, Media) else len(media)
        if not self.num_frames:
            raise UserError(f"{media.name or 'video'}: no frames; give a video with at least one")
        self.size: tuple[int, int] = tuple(media.frames.shape[1:3]) if isinstance(media, Media) else media.size

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """uint8 ``[T,H,W,3]``."""
        if isinstance(self._media, Media):
            return self._media.frames[list(indices)]
        return self._media.read(indices)


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""

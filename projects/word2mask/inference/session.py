"""Session: a request becomes an answer with masks. The only caller of generation and mask decoding.

A picture is answered as in training. A video is answered from a few key frames; their masks are
predicted exactly as in training, and the segmenter's tracker carries them to all other frames (the procedure of
Sa2VA-i, arXiv:2509.19082). Frames stream: no more than the key frames and a short chunk are in memory, whatever the
video's length.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.frames import Frames, KeyFrameChoice, LiveVideo, View, check_key_frame_choice, look
from word2mask.inference.jobs import Job, Tracking, Written
from word2mask.inference.masks import MaskForm, collect_masks
from word2mask.inference.pictures import find_in_pictures
from word2mask.inference.streaming import TextPieces, readable_text
from word2mask.inference.tracking import (
    PROCEDURES,
    FeatureStore,
    ObjectFinder,
    Procedure,
    Progress,
    TrackedFrame,
    silent,
)
from word2mask.inference.visual_prompts import pointed_at, track_prompts
from word2mask.models.folder import load_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.text.answers import parse_answer
from word2mask.text.expressions import names_of
from word2mask.text.readability import doubtful_words, unread_words
from word2mask.types import Batch, Example, Generation, Media, Request, Segment, VisualPrompt

if TYPE_CHECKING:
    from word2mask.inference.conversation import Conversation

__all__ = ["Progress", "Session", "Tracking"]


class Session:
    """Answers requests with one model.

    Args:
        model: in evaluation mode from here on.
        encoder: built from the model's own processors when ``None``.
        key_frames: k, how many frames of a video the language model sees; 5 in the published recipe.
        key_frame_choice: ``"uniform"`` spreads them over the video, ``"first"`` takes the first k (the published
            code's choice), a number n takes every n-th frame, and a list the frames that it holds. A live video's are
            the first k that arrive, whatever it says.
        threshold: probability from which a pixel belongs to the object.
        propagate_with: which mask decoder follows the objects from the key frames on: the segmenter's ``"original"``,
            with which its memory was trained (Sa2VA-i), or the ``"trained"`` one (the published code's choice).
            ``None`` is the original where the model has two.
        procedure: ``"sa2va-i"`` gives the tracker the key frames' masks (arXiv:2509.19082). ``"sa2va"`` is for parity
            with the published ``predict_forward``, together with ``key_frame_choice="first"`` and
            ``propagate_with="trained"``: the tracker gets what the decoder found on the key frames and follows it as
            ``Tracker(like="sa2va")`` does, and masks come to the original size by way of S x S. ``"masks"`` needs no
            memory (LISA's SAM, SAM 2's image part): each frame is prompted with the mask of the one before it
            (:class:`~word2mask.segmenters.follower.MaskFollower`).
        mask_form: how a video's masks are held: ``"arrays"``, ``"runs"`` (a
            :class:`~word2mask.inference.masks.MaskStream`, whose memory stays small however long the video), or
            ``"auto"``: arrays up to :data:`~word2mask.inference.masks.ARRAY_BYTES` an answer, runs above.
    """

    def __init__(
        self,
        model: GroundedMLLM,
        encoder: Encoder | None = None,
        key_frames: int = 5,
        key_frame_choice: KeyFrameChoice = "uniform",
        threshold: float = 0.5,
        propagate_with: Literal["original", "trained"] | None = None,
        procedure: Procedure = "sa2va-i",
        mask_form: MaskForm = "auto",
    ) -> None:
        if procedure not in PROCEDURES:
            raise UserError(f"procedure must be one of {', '.join(PROCEDURES)}, got {procedure!r}")
        if key_frames < 1:
            raise UserError(f"key_frames must be 1 or more, got {key_frames}")
        check_key_frame_choice(key_frame_choice)
        if mask_form not in ("auto", "arrays", "runs"):
            raise UserError(f'mask_form must be "auto", "arrays" or "runs", got {mask_form!r}')
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
        self.mask_form = mask_form

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> Session:
        """A session with an exported model.

        Args:
            folder: what the export wrote.
            device: where to run.
            dtype: of the weights; ``None`` keeps the files' own.
            **options: ``key_frames``, ``key_frame_choice``, ``threshold``, ``propagate_with``, ``procedure``,
                ``mask_form``.

        Raises:
            UserError: no such folder, or not one of ours.
        """
        return cls(load_grounded(folder, device=device, dtype=dtype), **options)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device

    @property
    def follows(self) -> bool:
        """Whether objects can be followed through a video."""
        return self.procedure == "masks" or self.model.segmenter.tracks

    def ask(self, request: Request, progress: Progress | None = None) -> Answer:
        """Answers one request.

        Raises:
            UserError: an empty question, a video without frames, or a conversation that is too long.
        """
        return self.batch([request], progress)[0]

    @torch.no_grad()  # not inference_mode: transformers caches position tables, which later training would trip over
    def batch(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Answer]:
        """Answers several requests, of any mixture of kinds; the language model takes them side by side.

        Pictures' masks are found together too. Requests with beams are written one by one, each a batch of its own.

        Returns:
            One result a request, in order; the same as :meth:`ask` gives for each.
        """
        if not requests:
            return []
        report = progress or silent
        report("answer", 0, len(requests))
        names = [f"request {index}" for index in range(len(requests))] if len(requests) > 1 else ["request"]
        jobs = [self.prepare(request, name) for request, name in zip(requests, names, strict=True)]
        written = self._write(jobs, report)
        report("answer", len(requests), len(requests))
        find_in_pictures(self.finder, jobs, written)
        return [self.finish(job, answer, report) for job, answer in zip(jobs, written, strict=True)]

    def stream(self, request: Request, progress: Progress | None = None) -> Iterator[str | Answer]:
        """Answers one request while one reads.

        Yields:
            Pieces of :attr:`~word2mask.types.Result.text` as they are written, and the result, with its masks, last.

        Raises:
            UserError: as :meth:`ask`, when the first piece is asked for.
        """
        report = progress or silent
        report("answer", 0, 1)
        yield from self.stream_job(self.prepare(request, "request"), report)

    def track(self, request: Request, progress: Progress | None = None) -> Tracking:
        """Answers one request, and gives the masks frame by frame as they are found.

        Nothing of a frame is kept once it was given, so that a video may be of any length; the media may be a
        :class:`~word2mask.inference.frames.LiveVideo`, whose frames arrive one by one.

        Returns:
            The words, and an iterator over the frames. They come from the first to the last; those before the first
            key frame of an object, where the model follows objects from one key frame, come after that, backward.
        """
        report = progress or silent
        report("answer", 0, 1)
        job = self.prepare(request, "request")
        (written,) = self._write([job], report)
        report("answer", 1, 1)
        answer = self._worded(job, written)
        found = self._found(job, written, report)
        return Tracking(answer, self._objects(job, written), self._counted(found, answer, job))

    @torch.no_grad()
    def follow(
        self, media: Media | VideoFile | LiveVideo, prompts: Sequence[VisualPrompt], progress: Progress | None = None
    ) -> Answer:
        """Masks of what is pointed at, on every frame; no question is asked and no word answered.

        Returns:
            One segment a prompt, in order, whose phrase is ``"region1"``, ``"region2"`` …

        Raises:
            UserError: nothing is pointed at, a prompt lies outside, or there are several frames and a segmenter that
                can't follow objects.
        """
        if not prompts:
            raise UserError("nothing to follow; point at something with a box, points or a mask")
        source = self.view(Request((), media, prompts=tuple(prompts))).source
        found = track_prompts(self.finder, source, prompts, progress or silent)
        objects = [(f"region{number}", None) for number in range(1, len(prompts) + 1)]
        segments = self._segments(objects, found, source)
        return Answer("", "", segments, source.size, source.num_frames)

    def converse(self, media: Media | VideoFile | None = None, keep_bytes: int = 1 << 30) -> Conversation:
        """A conversation of several turns about one picture or video, or about nothing.

        Args:
            media: what it is about.
            keep_bytes: limit of the encoded frames that are kept from turn to turn.
        """
        from word2mask.inference.conversation import Conversation

        return Conversation(self, media, keep_bytes)

    def unread(self, text: str) -> tuple[str, ...]:
        """The words of a text that the model can't have learned: :func:`word2mask.text.readability.unread_words`."""
        return unread_words(text, self.model.mllm.tokenizer)

    def doubtful(self, text: str) -> tuple[str, ...]:
        """The words that it may not have learned: :func:`word2mask.text.readability.doubtful_words`."""
        return doubtful_words(text, self.model.mllm.tokenizer)

    # -- what conversations share with single requests ---------------------------------------------------------------

    @torch.no_grad()
    def prepare(
        self,
        request: Request,
        name: str,
        view: View | None = None,
        encoder: Encoder | None = None,
        store: FeatureStore | None = None,
    ) -> Job:
        """A request, ready to be answered.

        Args:
            request: as the user gave it.
            name: for messages.
            view: of its media, if it was looked at before.
            encoder: if not the session's own.
            store: encoded frames of its media, to take from and add to.

        Raises:
            UserError: what is asked can't be, or speaks of a region that isn't there.
        """
        settings = request.generation or Generation(max_new_tokens=request.max_new_tokens)
        if view is None and request.media is not None:
            view = self.view(request)
        request, region_frames = pointed_at(self.finder, request, view, store)
        request = replace(request, media=view.seen if view else None, max_new_tokens=settings.max_new_tokens)
        example = (encoder or self.encoder).encode_request(request, name, region_frames)
        return Job(request, view, example, settings, store=store)

    def view(self, request: Request) -> View:
        """The frames that the language model sees, and access to all others."""
        media: Media | VideoFile | LiveVideo = request.media
        if not isinstance(media, (Media, VideoFile, LiveVideo)):
            raise UserError(
                f"media is {type(media).__name__}; expected what word2mask.data.media.open_media gives, a Media or a "
                "LiveVideo"
            )
        prompted = [prompt.frame for prompt in request.prompts]
        return look(media, self.key_frame_choice, self.key_frames, self.follows, prompted)

    def stream_job(self, job: Job, report: Progress) -> Generator[str | Answer, None, None]:
        """Pieces of text, then the result."""
        tokenizer = self.model.mllm.tokenizer
        pieces = TextPieces(tokenizer, self.model.mllm.template)
        if job.request.answer is None:
            batch = self._on_device(collate([job.example], tokenizer.pad_token_id))
            writing = self.model.mllm.write(batch, [job.settings], self.model.seg_state, kept=job.kept)
            while True:
                try:
                    (ids,) = next(writing)
                except StopIteration as end:
                    written = self._decoded(end.value.ids[0], self.model.objects_of_answers(batch, end.value)[0])
                    break
                report("answer", 0, 1)
                if piece := pieces.more(ids):
                    yield piece
        else:
            (written,) = self._write([job], report)
        if piece := pieces.rest(parse_answer(written.marked_text).text):
            yield piece
        report("answer", 1, 1)
        yield self.finish(job, written, report)

    @torch.no_grad()
    def finish(self, job: Job, written: Written, report: Progress) -> Answer:
        """Text and masks of one answer."""
        answer = self._worded(job, written)
        objects = self._objects(job, written)
        if job.view is None or not objects:
            return answer
        answer.segments = self._segments(objects, self._found(job, written, report), job.view.source)
        answer.num_frames = job.view.source.num_frames
        return answer

    def _segments(
        self, objects: Sequence[tuple[str, tuple[int, int] | None]], frames: Iterator[TrackedFrame], source: Frames
    ) -> list[Segment]:
        """Phrase and span of each object, with its masks and scores on all frames."""
        num_frames = None if source.is_live else source.num_frames
        masks, scores = collect_masks(frames, len(objects), num_frames, source.size, self.mask_form)
        return [Segment(*own, mask, score) for own, mask, score in zip(objects, masks, scores, strict=True)]

    # -- language --------------------------------------------------------------------------------------------------

    def _write(self, jobs: Sequence[Job], report: Progress) -> list[Written]:
        """Every answer: written by the model, or given by the request."""
        free = [place for place, job in enumerate(jobs) if job.request.answer is None]
        given = [place for place in range(len(jobs)) if place not in free]
        groups = [[place] for place in free if jobs[place].settings.num_beams > 1]
        together = [place for place in free if jobs[place].settings.num_beams == 1]
        found: dict[int, Written] = {}
        for places in [together, *groups] if together else groups:
            own = [jobs[place] for place in places]
            batch = self._on_device(collate([job.example for job in own], self.model.mllm.tokenizer.pad_token_id))
            settings = [job.settings for job in own]
            generated = self.model.mllm.generate(
                batch,
                max(own.max_new_tokens for own in settings),
                seg_state=self.model.seg_state,
                settings=settings,
                on_step=lambda _: report("answer", 0, len(jobs)),  # which may end it
            )
            objects = self.model.objects_of_answers(batch, generated)
            for place, ids, states in zip(places, generated.ids, objects, strict=True):
                found[place] = self._decoded(ids, states)
        if given:
            for place, states in zip(given, self._read([jobs[place].example for place in given]), strict=True):
                text = jobs[place].request.answer or ""
                found[place] = Written(text, text, states)
        return [found[place] for place in range(len(jobs))]

    def _decoded(self, ids: torch.Tensor, states: torch.Tensor) -> Written:
        tokenizer = self.model.mllm.tokenizer
        return Written(tokenizer.decode(ids, skip_special_tokens=False), readable_text(ids.tolist(), tokenizer), states)

    def _read(self, examples: Sequence[Example]) -> list[torch.Tensor]:
        """What the projector is to know of the objects of conversations that end with an answer."""
        batch = self._on_device(collate(examples, self.model.mllm.tokenizer.pad_token_id))
        output = self.model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells)
        return [
            self.model.objects_of(output, batch.input_ids, index, found)
            for index, found in enumerate(batch.seg_positions)
        ]

    def _on_device(self, batch: Batch) -> Batch:
        """On the model's device, media in the language model's dtype."""
        batch = batch.to(self.device)
        dtype = next(self.model.mllm.parameters()).dtype
        batch.mllm_media = {
            key: value.to(dtype) if value.is_floating_point() else value for key, value in batch.mllm_media.items()
        }
        return batch

    # -- masks -----------------------------------------------------------------------------------------------------

    @property
    def finder(self) -> ObjectFinder:
        """Who finds the objects of an answer on all frames."""
        return ObjectFinder(self.model, self.threshold, self.propagate_with, self.procedure)

    def _worded(self, job: Job, written: Written) -> Answer:
        """The answer without its masks."""
        source = None if job.view is None else job.view.source
        return Answer(
            text=parse_answer(written.marked_text).text,
            raw_text=written.raw_text,
            segments=[],
            original_size=None if source is None else source.size,
            num_frames=0 if source is None else source.num_frames,
        )

    @staticmethod
    def _objects(job: Job, written: Written) -> tuple[tuple[str, tuple[int, int] | None], ...]:
        """Phrase and span of each object; without a phrase it is what was asked for."""
        if job.view is None:
            return ()
        groundings = parse_answer(written.marked_text).groundings
        unnamed = sum(grounding.span is None for grounding in groundings)
        names = iter(names_of(job.request.turns[-1].text, unnamed))
        return tuple(
            (next(names) if grounding.span is None else grounding.phrase, grounding.span) for grounding in groundings
        )

    def _found(self, job: Job, written: Written, report: Progress) -> Iterator[TrackedFrame]:
        """Masks and scores of the answer's objects, frame by frame."""
        if job.found is not None:
            return iter([job.found])
        if job.view is None or job.example.segmenter_frames is None:
            return iter(())
        with torch.no_grad():
            (prompts,) = self.model.prompts([written.states])
        return self.finder.frames(job.view, job.example.segmenter_frames, prompts, report, job.store)

    @staticmethod
    def _counted(found: Iterator[TrackedFrame], answer: Answer, job: Job) -> Iterator[TrackedFrame]:
        """The same frames; the answer counts those that a live video had."""
        for frame in found:
            if job.view is not None:
                answer.num_frames = job.view.source.num_frames
            yield frame

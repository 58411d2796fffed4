"""Corrects masks with clicks, boxes and drawn masks, on any frame, and carries what was corrected to all others.

It starts from what words produced or from visual prompts. The language model isn't asked again; the segmenter starts
from the mask that is there, as SAM 2 does (arXiv:2408.00714, §4): the mask before is its mask prompt, all clicks on
that frame so far are its points, and on a frame to which the object was followed here it also remembers the object. An
answer of words brings masks but no memory, so that its objects have one from the first :meth:`Refinement.propagate` on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.anchors import Anchor, follow_anchors
from word2mask.inference.answer import Answer
from word2mask.inference.frames import look
from word2mask.inference.masks import collect_masks
from word2mask.inference.tracking import FeatureStore, Progress, silent
from word2mask.inference.visual_prompts import check_prompt, check_prompts, coarse_mask, decode_prompt
from word2mask.segmenters.interface import LOGIT_LIMIT, Decoded, FrameFeatures
from word2mask.segmenters.tracker import Tracker
from word2mask.segmenters.trail import Trail
from word2mask.types import Media, Result, Segment, VisualPrompt

if TYPE_CHECKING:
    from word2mask.inference.session import Session

__all__ = ["Refinement"]


@dataclass(frozen=True)
class _Known:
    """An object on a frame on which the user has shown it.

    Attributes:
        anchor: what the memory gets.
        mask: bool ``[H,W]``.
        prompt: every click on this frame so far, and the last box; ``None`` where the mask was given.
    """

    anchor: Anchor
    mask: np.ndarray
    prompt: VisualPrompt | None = None


@dataclass(frozen=True)
class _Object:
    """An object as it stands.

    Attributes:
        phrase: as :class:`~word2mask.types.Segment` has it.
        span: likewise.
        masks: bool ``[T,H,W]`` as of the last propagation; ``None`` before the first.
        scores: float32 ``[T]``, likewise.
        known: frames on which the user has shown it.
        is_current: whether :attr:`masks` follow from :attr:`known`.
        trail: of the last propagation, shared with other objects, and the row there; ``None`` before the first and for
            pictures.
    """

    phrase: str
    span: tuple[int, int] | None
    masks: Any = None
    scores: np.ndarray | None = None
    known: Mapping[int, _Known] = field(default_factory=dict)
    is_current: bool = False
    trail: tuple[Trail, int] | None = None


class Refinement:
    """Masks of several objects in a picture or video, each with corrections of its own.

    Once an object was corrected, it is followed from the frames on which the user has shown it, and from these alone:
    what words produced on other frames is what the correction puts right. :meth:`confirm` adds a frame whose mask is
    good as it is.

    Args:
        session: whose segmenter draws and follows.
        media: a picture, or a video that can be read again.
        answer: whose masks to start from; ``None`` starts without objects.
        keep_bytes: limit of the encoded frames that are kept from correction to correction, and as much again of what
            the objects remember of them.

    Raises:
        UserError: a live video, several frames for a segmenter that can't follow objects, or an answer about other
            media.
    """

    def __init__(
        self,
        session: Session,
        media: Media | VideoFile,
        answer: Result | None = None,
        keep_bytes: int = 1 << 30,
    ) -> None:
        if not isinstance(media, (Media, VideoFile)):
            raise UserError(
                f"refining needs a picture or a video that can be read again, got {type(media).__name__}; give what "
                "word2mask.data.media.open_media gives"
            )
        self._source = look(media, "first", 1, session.model.segmenter.tracks).source
        shape = (self._source.num_frames, *self._source.size)
        self._answer = answer or Answer("", "", [], self._source.size, self._source.num_frames)
        if answer is not None and (answer.num_frames, *(answer.original_size or ())) != shape:
            raise UserError(
                f"the answer is about {answer.num_frames} frames of {answer.original_size}, the media has {shape[0]} "
                f"of {shape[1:]} (height, width); give the media that were asked about"
            )
        self._session = session
        self._finder = session.finder
        self._store, self._keep_bytes = FeatureStore(keep_bytes), keep_bytes
        self._encoded = self._finder.encoder(self._source, self._store)
        self._objects = tuple(
            _Object(own.phrase, own.span, own.masks, own.scores, is_current=True) for own in self._answer.segments
        )
        self._history: list[tuple[_Object, ...]] = []

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self._history)

    def add(self, prompt: VisualPrompt, phrase: str = "") -> int:
        """A new object.

        Args:
            prompt: that shows it.
            phrase: what to call it.

        Returns:
            Its number.

        Raises:
            UserError: a prompt that lies outside, or says nothing by itself.
        """
        check_prompts([prompt], self._source)
        own = _Object(phrase, None)
        self._take((*self._objects, self._shown(own, prompt)))
        return len(self._objects) - 1

    def correct(self, number: int, prompt: VisualPrompt) -> np.ndarray:
        """Corrects an object on one frame; :meth:`propagate` carries it to the others.

        Args:
            number: of the object, from 0.
            prompt: clicks, which add to those before on this frame; a box, which replaces the last one; or a mask,
                which takes the place of the mask that is there.

        Returns:
            The corrected mask bool ``[H,W]`` on that frame.

        Raises:
            UserError: no such object, or a prompt that lies outside.
        """
        own = self._object(number)
        check_prompt(prompt, self._source, f"the correction of object {number}")
        self._replace(number, self._shown(own, prompt))
        return self.mask(number, prompt.frame)

    def confirm(self, number: int, frame: int) -> None:
        """Takes the mask that is there for right, so that the object is followed from this frame too.

        Args:
            number: of the object.
            frame: on which it is right; an empty mask says that the object isn't there.

        Raises:
            UserError: no such object or frame, or the object wasn't followed there yet.
        """
        own = self._object(number)
        mask = self.mask(number, frame)
        if frame not in own.known:
            self._replace(number, replace(own, known={**own.known, frame: _Known(mask, mask)}, is_current=False))

    def mask(self, number: int, frame: int) -> np.ndarray:
        """The mask bool ``[H,W]`` of an object on a frame as it stands.

        Raises:
            UserError: no such object or frame, or the object wasn't followed there yet.
        """
        own = self._object(number)
        if not 0 <= frame < self._source.num_frames:
            raise UserError(f"frame {frame} isn't there; frames count from 0 to {self._source.num_frames - 1}")
        if frame in own.known:
            return own.known[frame].mask
        if own.masks is None:
            raise UserError(f"object {number} wasn't followed to frame {frame} yet; call propagate() first")
        return own.masks[frame]

    def undo(self) -> None:
        """Takes the last :meth:`add`, :meth:`correct` or :meth:`confirm` back; masks are what they were before it.

        Raises:
            UserError: there is none.
        """
        if not self._history:
            raise UserError("there is no correction to undo")
        self._objects = self._history.pop()

    def propagate(self, progress: Progress | None = None) -> Answer:
        """Carries what was corrected to all frames; objects without corrections since the last time stay as they are.

        Args:
            progress: told of every frame; what it raises reaches the caller, and nothing has changed.

        Returns:
            The answer with the masks as they stand, added objects last.
        """
        stale = [number for number, own in enumerate(self._objects) if not own.is_current]
        objects = list(self._objects)
        if stale:
            anchors = [{frame: known.anchor for frame, known in objects[number].known.items()} for number in stale]
            trails: dict[int, tuple[Trail, int]] = {}
            found = follow_anchors(
                self._finder, self._source, anchors, progress or silent, self._store, trails, self._keep_bytes
            )
            form = self._session.mask_form
            masks, scores = collect_masks(found, len(stale), self._source.num_frames, self._source.size, form)
            for row, (number, mask, score) in enumerate(zip(stale, masks, scores, strict=True)):
                trail = trails.get(row)
                objects[number] = replace(objects[number], masks=mask, scores=score, is_current=True, trail=trail)
            # What objects remembered is kept of the last step alone, or it would grow with every propagation.
            older = [tuple(replace(own, trail=None) for own in step) for step in self._history[:-1]]
            self._history = [*older, *self._history[-1:]]
        self._objects = tuple(objects)
        return Answer(
            text=self._answer.text,
            raw_text=self._answer.raw_text,
            segments=[Segment(own.phrase, own.span, own.masks, own.scores) for own in self._objects],
            original_size=self._source.size,
            num_frames=self._source.num_frames,
        )

    def _object(self, number: int) -> _Object:
        if not 0 <= number < len(self._objects):
            raise UserError(f"object {number} isn't there; there are {len(self._objects)}, counted from 0")
        return self._objects[number]

    def _take(self, objects: tuple[_Object, ...]) -> None:
        """What the objects are from now on."""
        self._history.append(self._objects)
        self._objects = objects

    def _replace(self, number: int, own: _Object) -> None:
        self._take((*self._objects[:number], own, *self._objects[number + 1 :]))

    def _shown(self, own: _Object, prompt: VisualPrompt) -> _Object:
        """The object with what the user shows of it on one frame."""
        frame, before = prompt.frame, own.known.get(prompt.frame)
        if prompt.mask is not None and prompt.box is None and not prompt.points:
            known = _Known(prompt.mask, prompt.mask)
        else:
            shown = VisualPrompt(frame, prompt.box, prompt.points)
            if before is not None and before.prompt is not None:
                box, points = before.prompt.box, (*before.prompt.points, *prompt.points)
                shown = VisualPrompt(frame, box if prompt.box is None else prompt.box, points)
            features = self._encoded(frame)
            assert features is not None  # the prompt was checked
            decoded = self._decoded(own, features, shown, prompt)
            (mask,) = self._finder.at_original_size(decoded.mask_logits, self._source.size)
            known = _Known(decoded, mask, shown)
        return replace(own, known={**own.known, frame: known}, is_current=False)

    def _decoded(self, own: _Object, features: FrameFeatures, shown: VisualPrompt, prompt: VisualPrompt) -> Decoded:
        """What the segmenter draws of all prompts on a frame so far, of which ``prompt`` is the last."""
        segmenter, size = self._finder.propagator, self._source.size
        mask, previous = self._before(own, prompt)
        given = shown if mask is None else _with_a_click_on_it(shown, mask)
        if own.trail is None:
            return decode_prompt(segmenter, features, given, size, previous)
        trail, row = own.trail
        remembered = trail.of(row)
        if prompt.mask is None and prompt.frame not in own.known and prompt.frame in remembered.mask_logits:
            previous = remembered.mask_logits[prompt.frame].clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        conditioned = Tracker(segmenter).condition(features, prompt.frame, remembered)
        return decode_prompt(segmenter, features, given, size, previous, conditioned)

    def _before(self, own: _Object, prompt: VisualPrompt) -> tuple[np.ndarray | None, torch.Tensor | None]:
        """The mask bool ``[H,W]`` to start from and its logits ``[1,S/4,S/4]``; ``None`` where there is none, or an
        empty one."""
        before = own.known.get(prompt.frame)
        mask = prompt.mask
        if mask is None and before is not None:
            mask = before.mask
        elif mask is None and own.masks is not None:
            mask = own.masks[prompt.frame]
        if mask is None or not mask.any():
            return None, None
        if prompt.mask is None and before is not None and isinstance(before.anchor, Decoded):
            return mask, before.anchor.mask_logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return mask, coarse_mask(self._finder.propagator, mask)


def _with_a_click_on_it(prompt: VisualPrompt, mask: np.ndarray) -> VisualPrompt:
    """Where all clicks are off the object, another one on it: the innermost place of the mask that they leave.

    Decoders learn corrections of objects that were clicked on before; one that was trained so and nothing else takes
    clicks off the object alone for "there is nothing".

    Args:
        prompt: the clicks.
        mask: bool ``[H,W]``, the object before them.
    """
    if not prompt.points or prompt.box is not None or any(label for *_, label in prompt.points):
        return prompt
    left = np.pad(mask, 1).astype(np.uint8)
    for x, y, _ in prompt.points:
        left[int(y) + 1, int(x) + 1] = 0
    depth = cv2.distanceTransform(left, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if not depth.any():
        return prompt
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return replace(prompt, points=((float(column) + 0.5, float(row) + 0.5, 1), *prompt.points))

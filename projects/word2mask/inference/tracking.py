"""N objects of one answer on every frame of what was asked about, frame by frame.

Key frames are segmented as in training; a tracker or a follower carries the masks to all other frames. Each frame is
encoded once for all objects, and no more than the key frames, a short chunk and the tracker's memory are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.nn import functional

from word2mask.inference.frames import Frames, View
from word2mask.models.grounded import GroundedMLLM, ObjectMasks
from word2mask.ops.masks import decode_rle, encode_rle
from word2mask.segmenters.follower import MaskFollower
from word2mask.segmenters.interface import Decoded, FrameFeatures
from word2mask.segmenters.tracker import Tracker

__all__ = ["PROCEDURES", "FeatureStore", "Group", "ObjectFinder", "Procedure", "Progress", "TrackedFrame", "silent"]

#: Called with (stage, done, total); stages are ``"answer"`` and ``"track"``. The total is 0 where it isn't known. What
#: it raises ends the work and reaches the caller.
Progress = Callable[[str, int, int], None]
#: (frame, masks bool ``[N,H,W]`` at the original size, scores float32 ``[N]``).
TrackedFrame = tuple[int, np.ndarray, np.ndarray]
#: Mask logits ``[M,S/4,S/4]`` and object logits ``[M]`` of some objects on a frame.
Found = tuple[torch.Tensor, torch.Tensor]

#: How the masks of a video come about; see :class:`word2mask.inference.session.Session`.
Procedure = Literal["sa2va-i", "sa2va", "masks"]
PROCEDURES: tuple[Procedure, ...] = get_args(Procedure)

#: Frames decoded at a time while tracking.
CHUNK = 8


def silent(stage: str, done: int, total: int) -> None:
    """Nobody watches: the :data:`Progress` of those who didn't ask for any."""


class FeatureStore:
    """Encoded frames of one video, kept from one question to the next up to a limit.

    The first frames that come are kept and none is exchanged: every question walks through the video in the same order,
    where exchanging the oldest would leave nothing to find.

    Args:
        limit: bytes of all that is kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.key_frames: FrameFeatures | None = None
        self._frames: dict[int, FrameFeatures] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, frame: int) -> FrameFeatures | None:
        """The features of a frame, if they were kept."""
        return self._frames.get(frame)

    def offer(self, frame: int, features: FrameFeatures) -> None:
        """Keeps the features of a frame if there is room."""
        size = sum(level.numel() * level.element_size() for level in features.levels)
        if frame not in self._frames and self.bytes + size <= self.limit:
            self._frames[frame] = features
            self.bytes += size


@dataclass
class Group:
    """Objects that are followed from the same key frames.

    Attributes:
        members: their numbers.
        places: of their key frames among those that the language model sees.
        first: the first of these frames.
        given: what the decoder found on these frames.
        shown: its masks and scores.
        following: every frame, from :attr:`first` forward and then backward; ``None`` where all are key frames.
    """

    members: list[int]
    places: list[int]
    first: int
    given: dict[int, Decoded]
    shown: dict[int, Found]
    following: Iterator[tuple[int, torch.Tensor, torch.Tensor]] | None = None

    def next(self, frame: int) -> Found:
        """What is found on the frame whose turn it is."""
        if self.following is not None:
            _, mask_logits, object_logits = next(self.following)
            if frame not in self.shown:
                return mask_logits, object_logits
        return self.shown[frame]


@dataclass
class ObjectFinder:
    """Finds the objects of one answer.

    Attributes:
        model: whose segmenter is asked.
        threshold: probability from which a pixel belongs to the object.
        propagate_with: see :class:`word2mask.inference.session.Session`.
        procedure: likewise.
        propagator: the segmenter that follows objects, with the decoder that :attr:`propagate_with` names.
    """

    model: GroundedMLLM
    threshold: float
    propagate_with: Literal["original", "trained"] | None
    procedure: Procedure
    propagator: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        segmenter = self.model.segmenter
        self.propagator = segmenter.propagator() if self.propagate_with == "original" else segmenter

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device

    def frames(
        self,
        view: View,
        pixels: torch.Tensor,
        prompts: torch.Tensor,
        report: Progress,
        store: FeatureStore | None = None,
    ) -> Iterator[TrackedFrame]:
        """Masks of N objects on every frame, each frame once.

        Args:
            view: what is looked at.
            pixels: float32 ``[F,3,S,S]``, its key frames as the segmenter wants them.
            prompts: ``[N,1,C]``.
            report: told of every frame, where any object is followed.
            store: features to take from and add to.

        Yields:
            Frames from the first to the last; those on which not all objects have been reached yet, because their
            first key frame comes later, follow after the last, backward.
        """
        with torch.no_grad():
            features = store.key_frames if store is not None else None
            if features is None:
                features = self.model.encode_frames(pixels.to(self.device))
                if store is not None:
                    store.key_frames = features
            groups = self._groups(view, features, prompts)
        encoded = self.encoder(view.source, store)
        for group in groups:
            if view.source.is_live or len(group.places) < view.source.num_frames:
                group.following = self._follow(group, view, features, encoded)
        if any(group.following for group in groups):
            yield from self.sweep(groups, view.source, len(prompts), report)
        else:
            for frame in view.indices:
                found = [(group.members, *group.next(frame)) for group in groups]
                yield (frame, *self.merged(found, len(prompts), view.source.size))

    def sweep(
        self, groups: Sequence[Group], source: Frames, num_objects: int, report: Progress
    ) -> Iterator[TrackedFrame]:
        """All groups side by side, forward and then backward."""
        last_start = max(group.first for group in groups)
        waiting: dict[int, tuple[list[dict[str, Any] | None], np.ndarray]] = {}
        frame = done = 0
        while source.has(frame):
            found = [(group.members, *group.next(frame)) for group in groups if group.first <= frame]
            masks, scores = self.merged(found, num_objects, source.size)
            if frame >= last_start:
                done += 1
                report("track", done, 0 if source.is_live else source.num_frames)
                yield frame, masks, scores
            else:
                # As run lengths, because they may be many.
                reached = {member for members, *_ in found for member in members}
                runs = [encode_rle(mask) if member in reached else None for member, mask in enumerate(masks)]
                waiting[frame] = (runs, scores)
            source.drop(frame, since=last_start)  # those before it are walked through once more
            frame += 1
        for frame in range(last_start - 1, -1, -1):
            found = [(group.members, *group.next(frame)) for group in groups if group.first > frame]
            masks, scores = self.merged(found, num_objects, source.size)
            runs, early = waiting.pop(frame)
            for member, run in enumerate(runs):
                if run is not None:
                    masks[member], scores[member] = decode_rle(run), early[member]
            done += 1
            report("track", done, source.num_frames)
            yield frame, masks, scores

    def _groups(self, view: View, features: FrameFeatures, prompts: torch.Tensor) -> list[Group]:
        """The objects on the key frames, by the key frames that they are followed from."""
        count = len(features)
        everything = torch.arange(count, device=self.device).expand(len(prompts), -1)
        (objects,) = self.model.segment(features, [prompts], [everything], [count])
        groups = []
        for members, places in self._conditioning(objects):
            given = {view.indices[place]: objects.on_frame(members, place) for place in places}
            shown = {frame: (decoded.mask_logits, decoded.object_logits) for frame, decoded in given.items()}
            groups.append(Group(members, places, min(given), given, shown))
        return groups

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

    def _follow(
        self,
        group: Group,
        view: View,
        key_features: FrameFeatures,
        encoded: Callable[[int], FrameFeatures | None],
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Every frame of the video as the tracker sees it from the group's key frames."""
        places = {frame: place for place, frame in enumerate(view.indices)}
        # The finer levels pass through the mask decoder. Of a key frame whose masks are given, the tracker looks at
        # the coarsest level only, which no decoder made.
        same_decoder = self.propagator is self.model.segmenter

        def frames(frame: int) -> FrameFeatures | None:
            if frame in group.shown or (same_decoder and frame in places):
                return key_features[places[frame]]
            return encoded(frame)

        num_frames = None if view.source.is_live else view.source.num_frames
        if self.procedure == "sa2va":
            return Tracker(self.propagator, like="sa2va").track(frames, group.given, num_frames)
        if self.procedure == "masks":
            return MaskFollower(self.propagator).track(frames, group.given, num_frames)
        key_logits = {frame: decoded.mask_logits for frame, decoded in group.given.items()}
        return Tracker(self.propagator).track(frames, key_logits, num_frames)

    def encoder(self, source: Frames, store: FeatureStore | None) -> Callable[[int], FrameFeatures | None]:
        """Frames encoded on demand, for all groups; what a file holds is decoded a chunk at a time."""
        processor = self.model.segmenter.processor

        @lru_cache(maxsize=2)
        def chunk(number: int) -> torch.Tensor:
            first = number * CHUNK
            return processor.prepare_frames(source.read(range(first, min(first + CHUNK, source.num_frames))))

        @lru_cache(maxsize=1)
        def encoded(frame: int) -> FrameFeatures | None:
            if not source.has(frame):
                return None
            kept = None if store is None else store.get(frame)
            if kept is not None:
                return kept
            if source.is_stored:
                pixels = chunk(frame // CHUNK)[frame % CHUNK][None]
            else:
                pixels = processor.prepare_frames(source.read([frame]))
            with torch.no_grad():
                features = self.propagator.encode_frames(pixels.to(self.device))
            if store is not None:
                store.offer(frame, features)
            return features

        return encoded

    def merged(
        self, found: Sequence[tuple[list[int], torch.Tensor, torch.Tensor]], num_objects: int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks bool ``[N,H,W]`` and scores float32 ``[N]`` of the groups' objects; nothing for the others."""
        masks, scores = np.zeros((num_objects, *size), dtype=bool), np.zeros(num_objects, dtype=np.float32)
        for members, mask_logits, object_logits in found:
            masks[members] = self.at_original_size(mask_logits, size)
            scores[members] = object_logits.float().sigmoid().cpu().numpy()
        return masks, scores

    def at_original_size(self, mask_logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        """Logits ``[N,h,w]`` as masks bool ``[N,H,W]``: enlarged as logits, then cut at the threshold."""
        if self.procedure == "sa2va":
            mask_logits = self.model.segmenter.enlarge(mask_logits)
        mask_logits = self.model.segmenter.without_padding(mask_logits, size)
        enlarged = functional.interpolate(mask_logits[:, None].float(), size, mode="bilinear", align_corners=False)
        return (enlarged[:, 0].sigmoid() > self.threshold).cpu().numpy()

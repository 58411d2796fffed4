"""Follows N objects through a video with SAM 2's memory bank, all of them in one batch, frame by frame.

Memory stays flat whatever the length of the video: the key frames, the last few frames, and nothing else. Knows nothing
of files or of language: key frames come with masks, however those were found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Literal

import torch

from word2mask.segmenters.interface import Decoded, FrameFeatures
from word2mask.segmenters.key_frames import FrameSource, KeyFrame, check_key_frames, frame_features
from word2mask.segmenters.memory_attention import KeptKeys
from word2mask.segmenters.sam2 import MemoryFrame, SAM2Segmenter
from word2mask.segmenters.trail import Trail

__all__ = ["Tracker"]


class _Recent:
    """Memory of the frames around the current one that are not key frames; what is out of reach is dropped.

    Args:
        map_reach: how many frames away a spatial memory is still used.
        pointer_reach: how many frames away an object pointer is still used.
    """

    def __init__(self, map_reach: int, pointer_reach: int) -> None:
        self.map_reach = map_reach
        self.pointer_reach = pointer_reach
        self.maps: dict[int, torch.Tensor] = {}
        self.pointers: dict[int, torch.Tensor] = {}

    def add_near(self, t: int, memory: MemoryFrame, start: int) -> None:
        """Remembers frame t as far as frames on the other side of ``start`` can reach it."""
        if t - start < self.map_reach:
            self.maps[t] = memory.features
        if t - start < self.pointer_reach:
            self.pointers[t] = memory.pointers

    def add(self, t: int, memory: MemoryFrame) -> None:
        """Remembers frame t, and forgets what the frames after it, in the same direction, can't reach."""
        self.maps[t], self.pointers[t] = memory.features, memory.pointers
        for stored, reach in ((self.maps, self.map_reach), (self.pointers, self.pointer_reach)):
            for other in [s for s in stored if abs(t - s) >= reach]:
                del stored[other]


class Tracker:
    """SAM 2's propagation (arXiv:2408.00714, §4) for N objects that share their key frames.

    Every key frame conditions every other frame, whichever comes first. Other frames remember up to ``num_maskmem - 1``
    neighbours and the pointers of up to 15 (``max_object_pointers_in_encoder - 1``), as the segmenter's config says.
    Equal to transformers' session, which takes one object at a time, on point prompts; on given masks it follows Meta's
    code (see :meth:`SAM2Segmenter.remember_masks`).

    Args:
        segmenter: whose memory and decoder to use. For the Sa2VA-i procedure (arXiv:2509.19082) this is SAM 2 with its
            original decoder, while the key frames' masks came from the fine-tuned one.
        like: whose habits to follow. ``"sa2va"`` is the published Sa2VA's own propagation: an object that the decoder
            takes for absent keeps its mask logits, on the frame and in memory, and what a key frame leaves in memory is
            the probability of its mask, not the mask itself. Only key frames given as :class:`Decoded` differ so.
    """

    def __init__(self, segmenter: SAM2Segmenter, like: Literal["sam2", "sa2va"] = "sam2") -> None:
        if like not in ("sam2", "sa2va"):
            raise ValueError(f'like must be "sam2" or "sa2va", got {like!r}')
        self.segmenter = segmenter
        self.like = like

    @torch.no_grad()
    def track(
        self,
        frames: FrameSource,
        key_frames: Mapping[int, KeyFrame],
        num_frames: int | None,
        trail: Trail | None = None,
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Masks of N objects on every frame.

        Args:
            frames: frame t on demand. A key frame is asked for once before tracking, the others once each, in order.
            key_frames: frame → the N objects there. bool masks are taken as they are; logits are thresholded at the
                input's resolution and then taken as masks; a :class:`Decoded` also keeps its object pointers and
                object scores, as SAM 2 does with prompts of its own.
            num_frames: T; ``None`` where it isn't known, and ``frames`` gives ``None`` after the last one.
            trail: gets what every frame leaves behind, for :meth:`condition`; without, no more is kept
                than tracking needs.

        Yields:
            (t, mask logits ``[N,S/4,S/4]``, object logits ``[N]``): from the first key frame forward to the last frame,
            then from just before the first key frame backward to frame 0. Objects that are absent have mask logits of
            -1024, but for ``like="sa2va"``.

        Raises:
            ValueError: no key frame, one outside the video, or differing numbers of objects.
        """
        check_key_frames(key_frames, num_frames)
        keys: dict[int, MemoryFrame] = {}
        shown: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for t in sorted(key_frames):
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                raise ValueError(f"key frame {t} isn't there")
            keys[t], shown[t] = self._show(features, key_frames[t])
        first, config = min(keys), self.segmenter.model.config
        recent, early = (_Recent(config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1) for _ in range(2))
        max_pointers = config.max_object_pointers_in_encoder
        if num_frames is not None:
            max_pointers = min(num_frames, max_pointers)
        if trail is not None:
            trail.begin(keys, {t: masks for t, (masks, _) in shown.items()}, max_pointers)
        kept = self.segmenter.kept_keys(features)
        for t in count(first) if num_frames is None else range(first, num_frames):
            if t in keys:
                yield (t, *shown[t])
                continue
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                break
            memory, masks, scores = self._follow(features, t, keys, recent, 1, max_pointers, kept)
            recent.add(t, memory)
            if first > 0:
                early.add_near(t, memory, first)
            if trail is not None:
                trail.add(t, memory, masks)
            yield t, masks, scores
        # Going backward, SAM 2 still remembers the frames just after the first key frame.
        for t in range(first - 1, -1, -1):
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                raise ValueError(f"frame {t} isn't there")
            memory, masks, scores = self._follow(features, t, keys, early, -1, max_pointers, kept)
            early.add(t, memory)
            if trail is not None:
                trail.add(t, memory, masks)
            yield t, masks, scores

    @torch.no_grad()
    def condition(self, features: FrameFeatures, t: int, trail: Trail) -> torch.Tensor:
        """Looks at a frame that was followed once more, with all that the objects remember around it.

        SAM 2 decodes a click on such a frame so (``SAM2VideoPredictor.add_new_points_or_box``): the frames before it in
        the direction in which it was followed count, whichever pass they come from, and a key frame remembers itself.

        Args:
            features: of frame t.
            t: the frame.
            trail: what :meth:`track` has filled.

        Returns:
            float ``[N,C,S/16,S/16]``, for ``conditioned`` of :meth:`SAM2Segmenter.decode_embeddings`.
        """
        maps = {s: memory.features for s, memory in trail.frames.items()}
        pointers = {s: memory.pointers for s, memory in trail.frames.items()}
        direction = 1 if t >= min(trail.keys) else -1
        return self._condition(features, t, trail.keys, maps, pointers, direction, trail.max_pointers)

    def _show(self, features: FrameFeatures, given: KeyFrame) -> tuple[MemoryFrame, tuple[torch.Tensor, torch.Tensor]]:
        """Memory of a key frame, and what is yielded for it."""
        segmenter = self.segmenter
        frame_index = torch.zeros(len(given), dtype=torch.long, device=features.levels[-1].device)
        if isinstance(given, Decoded):
            memory = self._remember(features, frame_index, given, binarize=True)
            return memory, (self._shown(given), given.object_logits)
        given = given.to(frame_index.device)
        if given.dtype == torch.bool:
            memory, decoded = segmenter.remember_masks(features, frame_index, given)
            return memory, (decoded.mask_logits, decoded.object_logits)
        memory, decoded = segmenter.remember_masks(features, frame_index, segmenter.enlarge(given) > 0)
        return memory, (given, decoded.object_logits)

    def _follow(
        self,
        features: FrameFeatures,
        t: int,
        keys: Mapping[int, MemoryFrame],
        recent: _Recent,
        direction: int,
        max_pointers: int,
        kept: KeptKeys,
    ) -> tuple[MemoryFrame, torch.Tensor, torch.Tensor]:
        """One frame: attend to memory, decode without a prompt, remember.

        Args:
            features: of frame t.
            t: the frame.
            keys: key frames.
            recent: other frames, not far away.
            direction: 1 forward, -1 backward.
            max_pointers: the span of object pointers.
            kept: of the whole video.
        """
        segmenter, num_objects = self.segmenter, len(next(iter(keys.values())).pointers)
        conditioned = self._condition(features, t, keys, recent.maps, recent.pointers, direction, max_pointers, kept)
        frame_index = torch.zeros(num_objects, dtype=torch.long, device=features.levels[-1].device)
        sparse = segmenter.embed_points(num_objects)
        decoded = segmenter.decode_embeddings(
            features, frame_index, sparse, conditioned=conditioned, multimask=self._multimask()
        )
        memory = self._remember(features, frame_index, decoded, binarize=False)
        return memory, self._shown(decoded), decoded.object_logits

    def _condition(
        self,
        features: FrameFeatures,
        t: int,
        keys: Mapping[int, MemoryFrame],
        maps: Mapping[int, torch.Tensor],
        neighbour_pointers: Mapping[int, torch.Tensor],
        direction: int,
        max_pointers: int,
        kept: KeptKeys | None = None,
    ) -> torch.Tensor:
        """Memory attention of frame t: ``[N,C,S/16,S/16]``; arguments as of :meth:`_follow`."""
        conditioning = self._closest(keys, t)
        memories = [(0, memory.features) for memory in conditioning.values()]
        for ago in range(self.segmenter.model.config.num_maskmem - 1, 0, -1):
            neighbour = t - direction * ago
            if neighbour in maps:
                memories.append((ago, maps[neighbour]))
            elif neighbour in keys and neighbour not in conditioning:
                memories.append((ago, keys[neighbour].features))
        past = {s: memory for s, memory in keys.items() if (t - s) * direction >= 0}
        pointers = [((t - s) * direction, memory.pointers) for s, memory in past.items()]
        for ago in range(1, max_pointers):
            if t - direction * ago in neighbour_pointers:
                pointers.append((ago, neighbour_pointers[t - direction * ago]))
        num_objects = len(next(iter(keys.values())).pointers)
        frame_index = torch.zeros(num_objects, dtype=torch.long, device=features.levels[-1].device)
        return self.segmenter.attend_memory(features, frame_index, memories, pointers, max_pointers, kept)

    def _remember(
        self, features: FrameFeatures, frame_index: torch.Tensor, decoded: Decoded, binarize: bool
    ) -> MemoryFrame:
        """Memory of a frame that was decoded."""
        segmenter = self.segmenter
        if self.like == "sam2":
            return segmenter.remember_decoded(features, frame_index, decoded, binarize)
        pointers = segmenter.object_pointers(decoded.tokens, decoded.object_logits)
        masks = segmenter.enlarge(decoded.mask_logits)
        return segmenter.remember(features, frame_index, masks, decoded.object_logits, pointers)

    def _shown(self, decoded: Decoded) -> torch.Tensor:
        """The mask logits that are yielded."""
        return decoded.mask_logits if self.like == "sa2va" else self.segmenter.suppress_absent(decoded)

    def _closest(self, keys: Mapping[int, MemoryFrame], t: int) -> dict[int, MemoryFrame]:
        """The key frames that condition frame t: all, or the config's ``max_cond_frame_num`` closest.

        With a limit, the nearest before and the nearest after come first, as in Meta's ``select_closest_cond_frames``.
        """
        limit = self.segmenter.model.config.max_cond_frame_num
        if limit == -1 or len(keys) <= limit:
            return dict(keys)
        before = [s for s in keys if s < t]
        after = [s for s in keys if s >= t]
        chosen = [max(before)] if before else []
        chosen += [min(after)] if after else []
        others = sorted((s for s in keys if s not in chosen), key=lambda s: abs(s - t))
        return {s: keys[s] for s in [*chosen, *others[: limit - len(chosen)]]}

    def _multimask(self) -> bool:
        config = self.segmenter.model.config
        return (
            config.multimask_output_in_sam and config.multimask_output_for_tracking and config.multimask_min_pt_num <= 0
        )

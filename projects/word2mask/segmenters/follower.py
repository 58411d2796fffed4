"""Follows N objects through a video by their masks, with a segmenter that needs no memory.

On every frame the segmenter is prompted with what was found on the one before it: the mask, as SAM takes one for
refinement (arXiv:2304.02643, appendix A), and the box around it. What moves little from frame to frame is followed so;
what hides and comes back elsewhere is not, as it is by a memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import torch
from torch.nn import functional

from word2mask.ops.boxes import shares_of
from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter
from word2mask.segmenters.key_frames import FrameSource, KeyFrame, check_key_frames, frame_features

__all__ = ["MaskFollower"]

#: Logits beyond these say no more to a prompt encoder, which was trained on the decoder's own (Meta's ``SAM`` clamps
#: likewise before it prompts itself).
LIMIT = 32.0
#: Of a given mask, inside; outside they are as much below zero.
GIVEN = 10.0
#: Mask logits of what was never seen.
ABSENT = -1024.0


class MaskFollower:
    """Propagation by masks, of N objects that share their key frames; memory is one mask an object.

    An object that isn't found on a frame is looked for on the next one where it was seen last.

    Args:
        segmenter: any, SAM and SAM 2's image part among them.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    @torch.no_grad()
    def track(
        self, frames: FrameSource, key_frames: Mapping[int, KeyFrame], num_frames: int | None
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Masks of N objects on every frame.

        Args:
            frames: frame t on demand; none but key frames are left out.
            key_frames: frame → the N objects there. From each, the frames up to the next one are followed, and from
                the first also those before it.
            num_frames: T; ``None`` where it isn't known, and ``frames`` gives ``None`` after the last one.

        Yields:
            (t, mask logits ``[N,S/4,S/4]``, object logits ``[N]``), in the order of
            :meth:`word2mask.segmenters.tracker.Tracker.track`.

        Raises:
            ValueError: no key frame, one outside the video, or differing numbers of objects.
        """
        check_key_frames(key_frames, num_frames)
        first, last = min(key_frames), None
        for t in count(first) if num_frames is None else range(first, num_frames):
            if t in key_frames:
                last, scores = self._given(key_frames[t])
                yield t, last, scores
                continue
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                break
            found, last, scores = self._follow(features, last)
            yield t, found, scores
        last, _ = self._given(key_frames[first])
        for t in range(first - 1, -1, -1):
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                raise ValueError(f"frame {t} isn't there")
            found, last, scores = self._follow(features, last)
            yield t, found, scores

    def _given(self, given: KeyFrame) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits and object logits of a key frame."""
        if isinstance(given, Decoded):
            return given.mask_logits, given.object_logits
        if given.dtype == torch.bool:
            size = (self.segmenter.mask_side, self.segmenter.mask_side)
            shares = functional.interpolate(given[:, None].float(), size, mode="area")[:, 0]
            given = (2 * shares - 1) * GIVEN
        return given, torch.where(given.flatten(1).gt(0).any(1), GIVEN, -GIVEN)

    def _follow(self, features: FrameFeatures, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One frame.

        Args:
            features: of the frame.
            last: ``[N,S/4,S/4]``, each object where it was seen last.

        Returns:
            Mask logits ``[N,S/4,S/4]`` and what is last now, likewise; object logits ``[N]``.
        """
        found, scores = torch.full_like(last, ABSENT), last.new_full((len(last),), -GIVEN)
        seen = last.flatten(1).gt(0).any(1).nonzero()[:, 0]
        if not len(seen):
            return found, last, scores
        before = last[seen]
        # Whole numbers are the middles of pixels.
        boxes = shares_of(before[:, None] > 0)[:, 0] * self.segmenter.side - 0.5
        decoded = self.segmenter.decode_points(
            features,
            torch.zeros(len(seen), dtype=torch.long, device=last.device),
            boxes=boxes,
            mask_logits=before.clamp(-LIMIT, LIMIT),
            multimask=False,
        )
        found[seen], scores[seen] = decoded.mask_logits.to(found), decoded.object_logits.to(scores)
        again = found.flatten(1).gt(0).any(1)
        return found, torch.where(again[:, None, None], found, last), scores

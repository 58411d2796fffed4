"""Follows N objects through a video by their masks, with a segmenter that needs no memory.

On every frame the object is sought, by the segmenter's own features, near where it was on the one before; its mask is
moved there, and prompts the segmenter: as a mask, as SAM takes one for refinement (arXiv:2304.02643, appendix A), and
as the box around it. What hides and comes back elsewhere is not found so, as it is by a memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch.nn import functional

from word2mask.ops.boxes import shares_of
from word2mask.segmenters.interface import GIVEN_MASK_LOGITS, LOGIT_LIMIT, Decoded, FrameFeatures, Segmenter
from word2mask.segmenters.key_frames import FrameSource, KeyFrame, check_key_frames, frame_features

__all__ = ["MaskFollower", "displacement"]

#: Mask logits of what was never seen, as the tracker gives them of what is absent.
ABSENT = -1024.0
#: How far an object is sought from where it was: in shares of the frame.
REACH = 1 / 8
#: What a step of one cell must gain in mean cosine: what looks the same everywhere stays where it is.
STEP = 0.002


@dataclass
class _Seen:
    """Where N objects were seen last.

    Attributes:
        masks: logits ``[N,S/4,S/4]``.
        maps: of each the features of that frame, ``[C,h,w]``; one tensor for all that were seen on it.
        scores: object logits ``[N]`` of the latest frame.
    """

    masks: torch.Tensor
    maps: list[torch.Tensor]
    scores: torch.Tensor


class MaskFollower:
    """Propagation by masks, of N objects that share their key frames.

    An object that isn't found on a frame is looked for on the next one from where it was seen last. What is kept is
    a mask for each object and a map of features for each frame on which one was seen last, whatever the video's length.

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
            frames: frame t on demand.
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
        first = min(key_frames)
        start = seen = self._first_seen(frames, first, key_frames[first])
        for t in count(first) if num_frames is None else range(first, num_frames):
            if t in key_frames:
                seen = start if t == first else self._first_seen(frames, t, key_frames[t])
                yield t, seen.masks, seen.scores
                continue
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                break
            found, seen = self._follow(features, seen)
            yield t, found, seen.scores
        seen = start
        for t in range(first - 1, -1, -1):
            features = frame_features(self.segmenter, frames, t)
            if features is None:
                raise ValueError(f"frame {t} isn't there")
            found, seen = self._follow(features, seen)
            yield t, found, seen.scores

    def _first_seen(self, frames: FrameSource, t: int, given: KeyFrame) -> _Seen:
        """What a key frame starts from."""
        features = frame_features(self.segmenter, frames, t)
        if features is None:
            raise ValueError(f"key frame {t} isn't there")
        maps = [_looks(features)] * len(given)
        if isinstance(given, Decoded):
            return _Seen(given.mask_logits, maps, given.object_logits)
        masks = given.to(features.levels[-1].device)
        if masks.dtype == torch.bool:
            masks = self.segmenter.coarse_mask_logits(masks)
        absent, present = GIVEN_MASK_LOGITS
        return _Seen(masks, maps, torch.where(masks.flatten(1).gt(0).any(1), present, absent))

    def _follow(self, features: FrameFeatures, seen: _Seen) -> tuple[torch.Tensor, _Seen]:
        """Mask logits ``[N,S/4,S/4]`` of one frame, and where all were seen last now."""
        absent, _ = GIVEN_MASK_LOGITS
        found, scores = torch.full_like(seen.masks, ABSENT), torch.full_like(seen.scores, absent)
        known = seen.masks.flatten(1).gt(0).any(1).nonzero()[:, 0]
        if not len(known):
            return found, replace(seen, scores=scores)
        looks = _looks(features)
        before = torch.stack(
            [
                _moved(seen.masks[own], displacement(seen.maps[own], looks, seen.masks[own] > 0))
                for own in known.tolist()
            ]
        )
        # Whole numbers are the middles of pixels.
        boxes = shares_of(before[:, None] > 0)[:, 0] * self.segmenter.side - 0.5
        decoded = self.segmenter.decode_points(
            features,
            torch.zeros(len(known), dtype=torch.long, device=before.device),
            boxes=boxes,
            mask_logits=before.clamp(-LOGIT_LIMIT, LOGIT_LIMIT),
            multimask=False,
        )
        found[known], scores[known] = decoded.mask_logits.to(found), decoded.object_logits.to(scores)
        again = found.flatten(1).gt(0).any(1)
        maps = [looks if there else own for there, own in zip(again.tolist(), seen.maps, strict=True)]
        return found, _Seen(torch.where(again[:, None, None], found, seen.masks), maps, scores)


def _looks(features: FrameFeatures) -> torch.Tensor:
    """What a frame's places look like, apart from what all of them share: ``[C,h,w]``, of length 1. The coarsest
    level, which no mask decoder has a part in."""
    level = features.levels[-1][0].float()
    return functional.normalize(level - level.mean((1, 2), keepdim=True), dim=0)


def displacement(before: torch.Tensor, now: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """How far what a mask shows has moved, at most :data:`REACH` each way.

    Args:
        before: ``[C,h,w]``, what the places of its frame look like, each of length 1.
        now: likewise, of another frame.
        mask: bool ``[s,s]``, on the first frame.

    Returns:
        (down, right) in shares of the frame: the step that brings the most alike places together.
    """
    height, width = before.shape[-2:]
    shares = functional.adaptive_avg_pool2d(mask[None, None].float(), (height, width))[0, 0]
    (rows,), (columns,) = shares.any(1).nonzero(as_tuple=True), shares.any(0).nonzero(as_tuple=True)
    (top, bottom), (left, right) = ((int(line[0]), int(line[-1]) + 1) for line in (rows, columns))
    reach = max(1, round(REACH * max(height, width)))
    window = functional.pad(now, (reach,) * 4)[:, top : bottom + 2 * reach, left : right + 2 * reach]
    template = (before * shares)[:, top:bottom, left:right]
    alike = functional.conv2d(window[None], template[None])[0, 0] / shares.sum()
    steps = torch.arange(-reach, reach + 1, device=alike.device)
    alike = alike - STEP * torch.hypot(steps[:, None].float(), steps[None].float())
    down, across = divmod(int(alike.argmax()), len(steps))
    return (down - reach) / height, (across - reach) / width


def _moved(logits: torch.Tensor, step: tuple[float, float]) -> torch.Tensor:
    """Mask logits ``[s,s]`` moved by shares of the frame; as they were where nothing of the object would be left."""
    down, right = (round(share * size) for share, size in zip(step, logits.shape, strict=True))
    moved = logits.roll((down, right), dims=(0, 1))
    # What came in at the other side.
    for line, own in ((moved, down), (moved.T, right)):
        if own:
            line[slice(None, own) if own > 0 else slice(own, None)] = GIVEN_MASK_LOGITS[0]
    return moved if (moved > 0).any() else logits

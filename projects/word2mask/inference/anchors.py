"""Objects that are known on some frames, drawn or clicked, followed to all others by the segmenter's memory.

Each object has frames of its own on which it is known; those that are known on the same frames are followed in one
batch, and all of them side by side, so that a frame is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from word2mask.inference.frames import Frames
from word2mask.inference.tracking import FeatureStore, Found, Group, ObjectFinder, Progress, TrackedFrame
from word2mask.segmenters.follower import MaskFollower
from word2mask.segmenters.interface import Decoded, FrameFeatures
from word2mask.segmenters.key_frames import KeyFrame
from word2mask.segmenters.tracker import Tracker
from word2mask.segmenters.trail import Trail

__all__ = ["Anchor", "follow_anchors"]

#: What is known of one object on one frame: its mask bool ``[H,W]``, which is taken as it is, or what the segmenter
#: decoded from prompts, P = 1, whose object pointer the memory keeps too, as SAM 2 does.
Anchor = np.ndarray | Decoded


def follow_anchors(
    finder: ObjectFinder,
    source: Frames,
    anchors: Sequence[Mapping[int, Anchor]],
    report: Progress,
    store: FeatureStore | None = None,
    trails: dict[int, tuple[Trail, int]] | None = None,
    keep_bytes: int = 0,
) -> Iterator[TrackedFrame]:
    """Masks of N objects on every frame, each frame once, forward and backward from the frames that are known.

    Args:
        finder: whose propagator follows the objects.
        source: all frames; more than one only where the segmenter tracks.
        anchors: for each of the N objects what is known of it, frame by frame; one frame at least.
        report: told of every frame of a video.
        store: features to take from and add to.
        trails: gets for each object the trail that it shares with others, and its row there; of a video.
        keep_bytes: limit of all trails.

    Yields:
        Frames in the order of :meth:`ObjectFinder.sweep`. A mask that was given comes back bit for bit, with score 1.
    """
    groups = _groups(anchors)
    if source.is_live or source.num_frames > 1:
        encoded = finder.encoder(source, store)
        for group, given in groups:
            trail = None if trails is None else Trail(keep_bytes // len(groups))
            if trails is not None and trail is not None:
                trails.update({member: (trail, row) for row, member in enumerate(group.members)})
            group.following = _follow(finder, source, given, encoded, trail)
        found = finder.sweep([group for group, _ in groups], source, len(anchors), report)
    else:
        shown = [(group.members, *group.next(0)) for group, _ in groups if group.shown]
        found = iter([(0, *finder.merged(shown, len(anchors), source.size))])
    for frame, masks, scores in found:
        for number, own in enumerate(anchors):
            known = own.get(frame)
            if isinstance(known, np.ndarray):
                masks[number], scores[number] = known, 1.0
        yield frame, masks, scores


def _groups(anchors: Sequence[Mapping[int, Anchor]]) -> list[tuple[Group, dict[int, KeyFrame]]]:
    """The objects by the frames on which they are known, and by what is known there."""
    kinds = [tuple(sorted((frame, isinstance(known, Decoded)) for frame, known in own.items())) for own in anchors]
    groups = []
    for kind in sorted(set(kinds)):
        members = [number for number, own in enumerate(kinds) if own == kind]
        given = {frame: _joined([anchors[number][frame] for number in members]) for frame, _ in kind}
        # Frames whose masks were given have nothing to show before the tracker says it.
        shown: dict[int, Found] = {
            frame: (known.mask_logits, known.object_logits)
            for frame, known in given.items()
            if isinstance(known, Decoded)
        }
        groups.append((Group(members, [], min(given), {}, shown), given))
    return groups


def _joined(known: Sequence[Anchor]) -> KeyFrame:
    """What is known of several objects on one frame."""
    decoded = [own for own in known if isinstance(own, Decoded)]
    if not decoded:
        return torch.from_numpy(np.stack([np.asarray(own) for own in known]))
    return Decoded(
        torch.cat([own.mask_logits for own in decoded]),
        torch.cat([own.iou for own in decoded]),
        torch.cat([own.object_logits for own in decoded]),
        torch.cat([own.tokens for own in decoded]),
    )


def _follow(
    finder: ObjectFinder,
    source: Frames,
    known: Mapping[int, KeyFrame],
    encoded: Callable[[int], FrameFeatures | None],
    trail: Trail | None,
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    num_frames = None if source.is_live else source.num_frames
    if finder.procedure == "masks" and trail is None:
        return MaskFollower(finder.propagator).track(encoded, known, num_frames)
    return Tracker(finder.propagator).track(encoded, known, num_frames, trail)

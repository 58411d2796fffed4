"""What trackers start from: key frames with the objects on them, and frames on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter

__all__ = ["FrameSource", "KeyFrame", "check_key_frames", "frame_features"]

#: What is known of N objects on a key frame: bool masks ``[N,h,w]`` at any resolution, float mask logits ``[N,h,w]``,
#: or what ``decode`` returned for the N objects.
KeyFrame = torch.Tensor | Decoded
#: Gives frame t as pixels ``[1,3,S,S]``, or its features if they are at hand.
#: ``None`` says that a video of unknown length has ended.
FrameSource = Callable[[int], "torch.Tensor | FrameFeatures | None"] | Sequence[torch.Tensor]


def check_key_frames(key_frames: Mapping[int, KeyFrame], num_frames: int | None) -> None:
    """Raises ValueError: no key frame, one outside the video, or differing numbers of objects."""
    if not key_frames:
        raise ValueError("nothing to track: give at least one key frame")
    outside = [t for t in key_frames if t < 0 or (num_frames is not None and t >= num_frames)]
    if outside:
        raise ValueError(f"key frames {outside} lie outside a video of {num_frames} frames")
    counts = {t: len(given) for t, given in key_frames.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"every key frame must show the same objects, got {counts} (frame: objects)")


def frame_features(segmenter: Segmenter, frames: FrameSource, t: int) -> FrameFeatures | None:
    """Frame t, encoded unless it came encoded; ``None`` after the last."""
    given = frames(t) if callable(frames) else frames[t]
    if given is None or isinstance(given, FrameFeatures):
        return given
    return segmenter.encode_frames(given.to(next(segmenter.parameters()).device))

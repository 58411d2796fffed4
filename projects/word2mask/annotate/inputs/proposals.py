"""Bare videos: objects proposed from a grid of points and followed by our own tracker → masklets in SA-V's layout.

On a few anchor frames every point of a grid prompts the segmenter; what it is sure of, not too small or large, and not
the same as a surer one (non-maximum suppression) is followed through the video. Later anchors add what no track covers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from word2mask.annotate.inputs.sav import distinct, relative, write_masklets
from word2mask.annotate.inputs.unreadable import Unreadable
from word2mask.annotate.masklets import Masklets, Rle, overlaps
from word2mask.annotate.records import VideoReference
from word2mask.data.annotations import require_folder
from word2mask.data.media import VIDEO_SUFFIXES, VideoFile
from word2mask.data.sources.ref_sav import SAVVideo
from word2mask.errors import UserError
from word2mask.ops.masks import decode_rle, encode_rle
from word2mask.segmenters.interface import FrameFeatures, Segmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.tracker import Tracker

__all__ = ["ProposalRules", "find_bare_videos", "propose_objects", "suppress"]

#: Points that the decoder takes at a time.
POINTS = 64


@dataclass(frozen=True)
class ProposalRules:
    """What counts as an object.

    Attributes:
        grid: points a side.
        anchors: frames on which objects are proposed, evenly spread from the first.
        sure: the segmenter's own estimate of its mask's IoU, at least.
        smallest: share of the frame, at least; on the anchor and on each frame of its life.
        largest: share of the frame, at most.
        same: two masks of this IoU or more are one object, and so are two tracks.
        lifetime: share of the annotated frames on which it must be seen.
        most: objects of a video.
    """

    grid: int = 16
    anchors: int = 2
    sure: float = 0.7
    smallest: float = 0.002
    largest: float = 0.5
    same: float = 0.6
    lifetime: float = 0.25
    most: int = 16

    def __post_init__(self) -> None:
        if min(self.grid, self.anchors, self.most) < 1:
            raise UserError(f"grid, anchors and most are {self.grid}, {self.anchors}, {self.most}; expected 1 or more")
        if not 0 <= self.smallest < self.largest <= 1:
            raise UserError(f"smallest and largest are {self.smallest}, {self.largest}; expected shares of the frame")


def find_bare_videos(
    folder: str | Path,
    masklets: str | Path,
    segmenter: SAM2Segmenter,
    rules: ProposalRules | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> list[VideoReference]:
    """The videos below a folder, with objects found in them.

    Args:
        folder: of videos.
        masklets: folder to write ``<video>_auto.json`` into; what is there already stays.
        segmenter: finds and follows.
        rules: what counts as an object.
        watch: called with (videos done, videos) after each.

    Returns:
        references whose paths begin at ``folder``.

    Raises:
        UserError: no such folder, no video in it, or none that can be read; of others, that is a warning.
    """
    root, out = require_folder(Path(folder), "videos"), Path(masklets)
    videos = sorted(path for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise UserError(f"{root}: no video below it ({' '.join(VIDEO_SUFFIXES)}); check the folder")
    named = [(path, out / f"{path.stem}_auto.json") for path in videos]
    found = distinct([VideoReference(v.stem, relative(v, root), relative(m, root)) for v, m in named], root)
    chosen, unreadable = rules or ProposalRules(), Unreadable()
    for done, (path, file) in enumerate(named, start=1):
        if not file.is_file():
            tracks = None
            with unreadable.noted(file):
                tracks, num_frames = propose_objects(SAVVideo(path), segmenter, chosen), len(VideoFile(path))
            if tracks is not None:
                write_masklets(file, path.stem, tracks, num_frames, "auto")
        if watch is not None:
            watch(done, len(named))
    unreadable.check(len(named))
    return found


@torch.no_grad()
def propose_objects(video: SAVVideo, segmenter: SAM2Segmenter, rules: ProposalRules) -> list[list[Rle]]:
    """Objects of a video on its annotated frames: run lengths ``[N][T]``, surest of the first anchor first.

    Masks are held as run lengths, whatever the length of the video; of one frame only they are pixels.
    """
    device = next(segmenter.parameters()).device
    num_frames, (height, width) = len(video), video.size

    def pixels(frame: int) -> torch.Tensor:
        return segmenter.processor.prepare_frames(video.read([frame])).to(device)

    tracks: list[list[Rle]] = []
    found: list[Masklets] = []
    for anchor in (np.arange(rules.anchors) * num_frames // rules.anchors).tolist():
        proposed = _propose(segmenter.encode_frames(pixels(anchor)), segmenter, rules)
        if tracks:
            known = np.stack([decode_rle(track[anchor]) for track in tracks])
            seen = torch.from_numpy(_shrunk(known, (proposed.shape[-2], proposed.shape[-1]))).to(device)
            proposed = proposed[_overlaps(proposed, seen).amax(1) < rules.same]
        proposed = proposed[: rules.most - len(tracks)]
        if not len(proposed):
            continue
        nothing = encode_rle(np.zeros((height, width), dtype=bool))
        followed = [[nothing] * num_frames for _ in proposed]
        lives = np.zeros(len(proposed), dtype=int)
        for frame, logits, object_logits in Tracker(segmenter).track(pixels, {anchor: proposed}, num_frames):
            large = functional.interpolate(logits[:, None].float(), (height, width), mode="bilinear")[:, 0] > 0
            masks = (large & (object_logits > 0)[:, None, None]).cpu().numpy()
            is_seen = masks.mean(axis=(1, 2)) >= rules.smallest
            lives += is_seen
            for number in np.flatnonzero(is_seen):
                followed[number][frame] = encode_rle(masks[number])
        for number in np.flatnonzero(lives >= rules.lifetime * num_frames):
            # Proposals that were two on their anchor, and that the tracker led to one object.
            track = Masklets([[rle] for rle in followed[number]], (height, width))
            if all(overlaps(track, other)[0, 0] < rules.same for other in found):
                tracks.append(followed[number])
                found.append(track)
    return tracks


def suppress(masks: torch.Tensor, scores: torch.Tensor, same: float) -> list[int]:
    """Non-maximum suppression by the masks' IoU: places of those that stay, surest first.

    Args:
        masks: bool ``[P,h,w]``.
        scores: float ``[P]``.
        same: two masks of this IoU or more are one object.
    """
    overlaps = _overlaps(masks, masks)
    stay: list[int] = []
    for place in torch.argsort(scores, descending=True, stable=True).tolist():
        if not stay or float(overlaps[place, stay].max()) < same:
            stay.append(place)
    return stay


def _propose(features: FrameFeatures, segmenter: Segmenter, rules: ProposalRules) -> torch.Tensor:
    """Masks on one frame, bool ``[P,S/4,S/4]``, surest first, none twice."""
    device = features.levels[-1].device
    places = (torch.arange(rules.grid, device=device) + 0.5) * segmenter.side / rules.grid
    points = torch.cartesian_prod(places, places)[:, None]
    masks, scores = [], []
    for some in points.split(POINTS):
        index = torch.zeros(len(some), dtype=torch.long, device=device)
        labels = torch.ones(len(some), 1, dtype=torch.long, device=device)
        decoded = segmenter.decode_points(features, index, some, labels, multimask=segmenter.has_candidates)
        found = decoded.mask_logits > 0
        area = found.float().mean(dim=(1, 2))
        good = (decoded.iou >= rules.sure) & (area >= rules.smallest) & (area <= rules.largest)
        masks.append(found[good])
        scores.append(decoded.iou[good].float())
    every, sure = torch.cat(masks), torch.cat(scores)
    return every[suppress(every, sure, rules.same)] if len(every) else every


def _overlaps(masks: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU of every mask ``[P,h,w]`` with every other ``[Q,h,w]``: float ``[P,Q]``."""
    left, right = masks.flatten(1).float(), others.flatten(1).float()
    common = left @ right.T
    return common / (left.sum(1)[:, None] + right.sum(1)[None] - common).clamp(min=1)


def _shrunk(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool ``[N,H,W]`` at another size, nearest pixels."""
    rows = (np.arange(size[0]) + 0.5) * masks.shape[1] / size[0]
    columns = (np.arange(size[1]) + 0.5) * masks.shape[2] / size[1]
    return masks[:, rows.astype(int)][:, :, columns.astype(int)]

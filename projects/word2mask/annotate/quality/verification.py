"""Does the expression find its object again? A model grounds it, and the masks are compared with the masklet's.

This pass is our own; the published pipeline has none. What is found elsewhere is dropped; the IoU is on record of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from word2mask.annotate.masklets import Masklets, load_masklets
from word2mask.annotate.record_list import Records, changed
from word2mask.annotate.records import ObjectRecord, VideoRecord
from word2mask.annotate.store import Store, hash_of
from word2mask.data.sources.ref_sav import SAVVideo
from word2mask.errors import UserError
from word2mask.ops.frames import uniform_frames
from word2mask.ops.masks import decode_rle
from word2mask.text.questions import video_segmentation_question
from word2mask.types import Request, Turn

__all__ = ["Grounder", "judged", "mean_iou", "verify"]


class Grounder(Protocol):
    """What :class:`word2mask.inference.session.Session` offers of itself here."""

    def ask(self, request: Request) -> Any:
        """Answers with segments."""


def mean_iou(masks: np.ndarray, truth: np.ndarray) -> float:
    """IoU of two tracks over all frames together: common pixels of all frames, of the pixels of either.

    Args:
        masks: bool ``[T,H,W]``.
        truth: bool ``[T,H,W]``.

    Returns:
        0 … 1; 1 where both are empty.
    """
    either = int((masks | truth).sum())
    return int((masks & truth).sum()) / either if either else 1.0


def verify(
    records: Sequence[VideoRecord],
    media_folder: Path,
    grounder: Grounder,
    name: str,
    store: Store,
    threshold: float = 0.5,
    frames: int = 8,
    watch: Callable[[int, int], None] | None = None,
) -> Records:
    """Drops what a model doesn't find again.

    Args:
        records: what to check; objects that aren't kept pass through.
        media_folder: where the records' paths begin.
        grounder: a session.
        name: of its model, part of the store's keys (:func:`word2mask.annotate.store.model_version`).
        store: of what was measured already.
        threshold: IoU from which an object stays.
        frames: of the video that are looked at, evenly spread.
        watch: called with (videos done, videos).

    Raises:
        UserError: a threshold that isn't an IoU, or a video that can't be read any more.
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"the IoU from which an expression is kept is {threshold}; expected 0 … 1")
    for done, record in enumerate(records, start=1):
        _judged(record, media_folder, grounder, name, store, threshold, frames)
        if watch is not None:
            watch(done, len(records))
    return judged(records, media_folder, grounder, name, store, threshold, frames)


def judged(
    records: Sequence[VideoRecord],
    media_folder: Path,
    grounder: Grounder | None,
    name: str,
    store: Store,
    threshold: float = 0.5,
    frames: int = 8,
) -> Records:
    """The same records, with what was measured: :func:`verify` without looking at anything that the store knows.

    Args:
        grounder: ``None`` where everything is measured.

    The other arguments and errors are those of :func:`verify`.
    """
    return changed(records, lambda record: _judged(record, media_folder, grounder, name, store, threshold, frames))


def _judged(
    record: VideoRecord,
    media_folder: Path,
    grounder: Grounder | None,
    name: str,
    store: Store,
    threshold: float,
    frames: int,
) -> VideoRecord:
    measured = _Measured(record, media_folder, grounder, name, store, frames)
    objects = [_judge(found, measured, threshold) if found.status == "kept" else found for found in record.objects]
    return replace(record, objects=objects, models={**record.models, "grounding": name})


def _judge(found: ObjectRecord, measured: _Measured, threshold: float) -> ObjectRecord:
    found = replace(found, iou=measured.iou(found))
    assert found.iou is not None
    if found.iou >= threshold:
        return found
    return found.dropped("not found again", f"IoU {found.iou:.3f} under {threshold}")


class _Measured:
    """IoUs of the objects of one video, looked up or measured; the video is opened when it is needed."""

    def __init__(
        self, record: VideoRecord, media_folder: Path, grounder: Grounder | None, name: str, store: Store, frames: int
    ) -> None:
        self._record, self._media_folder, self._grounder = record, media_folder, grounder
        self._name, self._store, self._frames = name, store, frames
        self._opened: tuple[Any, list[int], Masklets] | None = None

    def iou(self, found: ObjectRecord) -> float:
        """Of the long expression's masks with the object's."""
        reference = self._record.reference
        rests_on = [found.long, found.calls, reference.video_path, reference.annotation_path, found.number]
        key = hash_of({"stage": "verification", "model": self._name, "frames": self._frames, "of": rests_on})
        kept = self._store.get(key)
        if kept is None:
            kept = {"iou": round(self._measure(found), 6)}
            self._store.put(key, kept)
        return kept["iou"]

    def _measure(self, found: ObjectRecord) -> float:
        if self._grounder is None:
            raise UserError(
                f"{self._store.folder}: what was measured of {self._record.reference.video_id} is gone; run again"
            )
        media, chosen, masklets = self._open()
        question = video_segmentation_question(found.long.rstrip("."), np.random.default_rng(0))
        segments = self._grounder.ask(Request((Turn("user", question),), media)).segments
        truth = np.stack([decode_rle(masklets.rles[place][found.number]) for place in chosen])
        if not segments:
            return 0.0
        masks = np.logical_or.reduce([np.asarray(segment.masks) for segment in segments])
        return mean_iou(masks, truth)

    def _open(self) -> tuple[Any, list[int], Masklets]:
        if self._opened is None:
            reference = self._record.reference
            video = SAVVideo(self._media_folder / reference.video_path)
            path = self._media_folder / reference.annotation_path
            masklets = load_masklets(path, len(video), video.size, video.name)
            chosen = uniform_frames(len(video), self._frames).tolist()
            self._opened = video.media(chosen), chosen, masklets
        return self._opened

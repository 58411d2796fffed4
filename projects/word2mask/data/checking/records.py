"""One record, read as training or evaluation reads it → what is wrong with it, and its measures."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol

import numpy as np

from word2mask.data.checking.findings import Finding, finding
from word2mask.data.checking.lengths import LengthMeter
from word2mask.data.checking.media import Fingerprint, fingerprint
from word2mask.data.media import MissingMedia, UnreadableMedia, VideoFile
from word2mask.data.own_schema import picture_mask
from word2mask.data.sources.interface import stack_masks
from word2mask.errors import UserError
from word2mask.ops import masks as mask_operations
from word2mask.text.special_tokens import SEG
from word2mask.types import Media, Sample

logger = logging.getLogger(__name__)

Role = Literal["training", "evaluation"]
#: Outside of :mod:`word2mask.ops.masks`, where a mask is compared with its picture.
_MASK_READERS = (stack_masks.__code__, picture_mask.__code__)
#: How :func:`word2mask.data.sources.interface.record` begins a message.
_NAMED = re.compile(r"(?P<source>.*?)\[(?P<id>.*?)\]: (?P<rest>.*)", re.DOTALL)


class Records(Protocol):
    """What is read: a :class:`~word2mask.data.sources.interface.Source`, in either view."""

    name: str

    def __len__(self) -> int: ...

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        """Record ``index``."""
        ...


@dataclass(frozen=True)
class Part:
    """A source of the mixture, or an evaluation split.

    Attributes:
        label: what it is called in findings; no two parts have the same.
        role: how it is read.
        number: its place in the config, from which its records draw.
        source: its records.
        seed: of the run.
    """

    label: str
    role: Role
    number: int
    source: Records
    seed: int = 0

    def read(self, index: int, passing: int = 0) -> Sample:
        """A record, the same in every process; every pass draws expressions, wording and frames anew."""
        return self.source.read(index, np.random.default_rng([self.seed, self.number, index, passing]))


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """What is known of one record after reading it once.

    Attributes:
        part: label.
        index: position in the source.
        passing: which pass.
        id: of the record; ``None`` where it couldn't be read and the message doesn't say.
        findings: what is wrong.
        media: its picture or video, ``None`` without or unread.
        areas: share of the picture that each mask covers, on the frames where it is at all; 0 for an empty one.
        frames: decoded or, for evaluation, there.
        tokens: length of the conversation; ``None`` where it wasn't measured.
    """

    part: str
    index: int
    passing: int
    id: str | None
    findings: tuple[Finding, ...]
    media: Fingerprint | None = None
    areas: tuple[float, ...] = ()
    frames: int = 0
    tokens: int | None = None


def check_record(part: Part, index: int, passing: int = 0, meter: LengthMeter | None = None) -> RecordCheck:
    """Reads one record and looks at everything that training or evaluation would stumble over.

    Args:
        part: whose record.
        index: which one.
        passing: draws anew for another number.
        meter: measures the conversations of training; ``None`` where lengths can't be known.
    """
    try:
        sample = part.read(index, passing)
    except UserError as error:
        return _unread(part, index, passing, kind_of(error), str(error))
    except Exception as error:
        # One record that the reader isn't prepared for must not hide the state of all the others.
        logger.exception("%s, record %d: the reader failed", part.label, index)
        return _unread(part, index, passing, "defect", f"{type(error).__name__}: {error}")
    found = [
        finding(part.label, sample.id, index, kind, message)
        for kind, message in (*_conversation(part, sample), *_masks(part, sample), *_regions(sample), *_video(sample))
    ]
    tokens = None
    if meter is not None and part.role == "training" and not any(one.severity == "error" for one in found):
        try:
            length = meter(sample)
        except (UserError, ValueError) as error:
            found.append(finding(part.label, sample.id, index, "bad_conversation", _bare(part, str(error))[1]))
        else:
            tokens = length.tokens
            if tokens > meter.max_length:
                severity = "error" if meter.stops or not length.kept else "warning"
                message = meter.describe(length, _num_masks(sample))
                found.append(finding(part.label, sample.id, index, "too_long", message, severity))
    media = _media_of(sample)
    return RecordCheck(
        part=part.label,
        index=index,
        passing=passing,
        id=sample.id,
        findings=tuple(found),
        media=None if media is None else fingerprint(media),
        areas=_areas(sample),
        frames=0 if media is None else len(media) if isinstance(media, VideoFile) else len(media.frames),
        tokens=tokens,
    )


def kind_of(error: BaseException) -> str:
    """The kind of finding that an error of reading is, by what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MissingMedia):
            return "missing_media"
        if isinstance(cause, UnreadableMedia):
            return "unreadable_media"
        if isinstance(cause, ValueError) and _comes_from_masks(cause.__traceback__):
            return "bad_mask"
        cause = cause.__cause__
    return "bad_record"


def _comes_from_masks(traceback: TracebackType | None) -> bool:
    """Whether an error was raised where masks are decoded or put together."""
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") == mask_operations.__name__ or frame.f_code in _MASK_READERS:
            return True
        traceback = traceback.tb_next
    return False


def _unread(part: Part, index: int, passing: int, kind: str, message: str) -> RecordCheck:
    record, bare = _bare(part, message)
    return RecordCheck(part.label, index, passing, record, (finding(part.label, record, index, kind, bare),))


def _bare(part: Part, message: str) -> tuple[str | None, str]:
    """The record's id and the rest of a message ``source[id]: …``; no id where it doesn't begin like this."""
    named = _NAMED.fullmatch(message)
    # A source of sources (ShuffledText) says the name of the one inside.
    if named is None or not part.source.name.startswith(named["source"]):
        return None, message
    return named["id"], named["rest"]


def _media_of(sample: Sample) -> Media | VideoFile | None:
    """The picture or frames; for evaluation the video, undecoded."""
    video = sample.extra.get("video")
    return sample.media if sample.media is not None else video if isinstance(video, VideoFile) else None


def _num_masks(sample: Sample) -> int:
    return 0 if sample.masks is None else len(sample.masks)


def _areas(sample: Sample) -> tuple[float, ...]:
    if sample.masks is None or sample.masks.ndim != 4 or not sample.masks.size:
        return ()
    shares = sample.masks.mean(axis=(2, 3))
    return tuple(float(row[row > 0].mean()) if row.any() else 0.0 for row in shares)


Problems = Iterator[tuple[str, str]]


def _conversation(part: Part, sample: Sample) -> Problems:
    roles = [turn.role for turn in sample.turns]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        yield "bad_conversation", f"the turns are {', '.join(roles)}; user and assistant must alternate, an answer last"
    elif not roles:
        yield "bad_conversation", "no turn at all"
    for number, turn in enumerate(sample.turns):
        if not turn.text.strip():
            yield "bad_conversation", f"turn {number}, the {turn.role}'s, is empty"
    marks = sum(turn.text.count(SEG) for turn in sample.turns if turn.role == "assistant")
    if marks != _num_masks(sample):
        yield "count_mismatch", f"{marks} {SEG} in the answers but {_num_masks(sample)} masks"


def _masks(part: Part, sample: Sample) -> Problems:
    if sample.masks is None or not len(sample.masks):
        return
    media = _media_of(sample)
    if media is None:
        yield "bad_mask", f"{len(sample.masks)} masks without a picture or video"
        return
    shape = (len(media), *media.size) if isinstance(media, VideoFile) else media.frames.shape[:3]
    for what, got in (("masks", sample.masks.shape[1:]), ("void", getattr(sample.void, "shape", shape))):
        if tuple(got) != tuple(shape):
            yield "bad_mask", f"{what} of {list(got)} for frames of {list(shape)} (frames, height, width)"
            return
    for number, mask in enumerate(sample.masks):
        if mask.any():
            continue
        if part.role == "training" and len(mask) > 1:
            yield (
                "unseen_object",
                f"object {number + 1} of {len(sample.masks)} is on none of the {len(mask)} frames drawn",
            )
        else:
            where = "in the picture" if len(mask) == 1 else f"on all {len(mask)} frames"
            yield "empty_mask", f"mask {number + 1} of {len(sample.masks)} has no pixel {where}"


def _regions(sample: Sample) -> Problems:
    if sample.regions is None:
        return
    media = _media_of(sample)
    if media is None:
        yield "bad_mask", f"{len(sample.regions)} regions without a picture or video"
        return
    size = media.size if isinstance(media, VideoFile) else media.frames.shape[1:3]
    if tuple(sample.regions.shape[1:]) != tuple(size):
        yield "bad_mask", f"regions of {list(sample.regions.shape[1:])}, the picture is {list(size)} (height, width)"
        return
    for number, region in enumerate(sample.regions):
        if not region.any():
            yield "empty_region", f"region {number + 1} of {len(sample.regions)} has no pixel"


def _video(sample: Sample) -> Problems:
    """An evaluation view leaves its video undecoded: the first and the last frame show whether it can be."""
    video = sample.extra.get("video")
    if sample.media is None and isinstance(video, VideoFile):
        problem = _unreadable(str(video.path), len(video))
        if problem:
            yield "unreadable_media", problem


@lru_cache(maxsize=256)
def _unreadable(path: str, num_frames: int) -> str:
    """Why an end of a video can't be decoded; empty where it can."""
    try:
        VideoFile(path).read(sorted({0, num_frames - 1}))
    except UserError as error:
        return str(error)
    except IndexError:
        # Opened with frames of its own choice, fewer than the folder has.
        return ""
    return ""

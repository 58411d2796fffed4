"""Is it the same picture? Fingerprints of pictures and videos, and what training has in common with evaluation.

Two pictures are the same when their pixels are (whatever their file names and metadata), or when both carry one COCO id
in their names and look alike: the same photograph, stored in another size or quality. Two videos are the same when
their files are, judged by size, beginning and end; for a folder of frames by their number and three of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from word2mask.data import files
from word2mask.data.media import IMAGE_SUFFIXES, VideoFile
from word2mask.types import Media

#: ``COCO_train2014_000000123456`` of 2014, ``000000123456`` of 2017.
_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})")
#: Side of the thumbnail that "looks alike" compares, and the largest mean difference of its grey levels, 0…255.
LOOK_SIDE = 8
LOOK_TOLERANCE = 6.0
#: Bytes at either end of a video file that count.
_END = 2**20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture or video is recognised by.

    Attributes:
        name: its path.
        digest: of its content.
        coco_id: in its name, or ``None``.
        look: with a COCO id, its thumbnail's grey levels, row by row.
    """

    name: str
    digest: bytes
    coco_id: str | None = None
    look: bytes | None = None


@dataclass(frozen=True)
class Match:
    """A picture of training that an evaluation split has too.

    Attributes:
        split: label of the split.
        name: the picture's path there.
        why: how they were recognised.
    """

    split: str
    name: str
    why: str


def fingerprint(media: Media | VideoFile) -> Fingerprint:
    """Of a decoded picture, or of a video by its file."""
    # Which frames of a video are decoded is drawn, so that they can't be what it is recognised by.
    if isinstance(media, VideoFile) or (media.kind == "video" and files.exists(Path(media.name))):
        return Fingerprint(media.name, _video_digest(media.name))
    content = hashlib.blake2b(str(media.frames.shape).encode(), digest_size=16)
    content.update(np.ascontiguousarray(media.frames))
    named = _COCO_NAME.fullmatch(Path(media.name).stem)
    if named is None:
        return Fingerprint(media.name, content.digest())
    picture = media.frames[0]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    look = cv2.resize(grey, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(media.name, content.digest(), named.group(1), look.tobytes())


@lru_cache(maxsize=256)
def _video_digest(name: str) -> bytes:
    path = Path(name)
    if files.is_folder(path):
        pictures = sorted(entry for entry in files.list_folder(path) if entry.suffix.lower() in IMAGE_SUFFIXES)
        content = hashlib.blake2b(str(len(pictures)).encode(), digest_size=16)
        for place in sorted({0, len(pictures) // 2, len(pictures) - 1}) if pictures else ():
            content.update(hashlib.blake2b(files.read_bytes(pictures[place])).digest())
        return content.digest()
    size = files.size_of(path)
    content = hashlib.blake2b(str(size).encode(), digest_size=16)
    with files.open_file(path) as file:
        content.update(file.read(_END))
        file.seek(max(size - _END, 0))
        content.update(file.read(_END))
    return content.digest()


class EvaluationPictures:
    """The pictures of all evaluation splits, to look others up in.

    Args:
        pictures: ``(label of the split, fingerprint)`` each.
    """

    def __init__(self, pictures: Iterable[tuple[str, Fingerprint]]) -> None:
        self._by_digest: dict[bytes, dict[str, str]] = {}
        self._by_coco: dict[str, list[tuple[str, Fingerprint]]] = {}
        for label, one in pictures:
            self._by_digest.setdefault(one.digest, {}).setdefault(label, one.name)
            if one.coco_id is None:
                continue
            same = self._by_coco.setdefault(one.coco_id, [])
            if all((label, one.digest) != (other, seen.digest) for other, seen in same):
                same.append((label, one))

    def matches(self, one: Fingerprint) -> list[Match]:
        """Where else a picture of training stands, one match a split at most."""
        found = {
            label: Match(label, name, "the same content") for label, name in self._by_digest.get(one.digest, {}).items()
        }
        if one.coco_id is not None:
            for label, other in self._by_coco.get(one.coco_id, []):
                if label not in found and _look_alike(one, other):
                    found[label] = Match(label, other.name, f"COCO id {int(one.coco_id)} and the same look")
        return list(found.values())


def _look_alike(one: Fingerprint, other: Fingerprint) -> bool:
    if one.look is None or other.look is None:
        return False
    first, second = (np.frombuffer(look, np.uint8).astype(np.float32) for look in (one.look, other.look))
    return float(np.abs(first - second).mean()) <= LOOK_TOLERANCE

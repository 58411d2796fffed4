"""What the expressions of a run are like: lengths, vocabulary, and what became of the rest."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from word2mask.annotate.records import VideoRecord

__all__ = ["Statistics", "describe_texts", "statistics"]


class _Texts:
    """Numbers of expressions, added one after another; of a text eight bytes are held, and its new words."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()
        self._words: Counter[str] = Counter()
        self._digests = array("Q")

    def add(self, text: str) -> None:
        words = re.findall(r"[\w']+", text.lower())
        self._lengths[len(words)] += 1
        self._words.update(words)
        self._digests.append(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))

    def numbers(self) -> dict[str, Any]:
        if not self._digests:
            return {"count": 0}
        lengths = np.repeat(sorted(self._lengths), [self._lengths[length] for length in sorted(self._lengths)])
        frequent = sorted(((-n, word) for word, n in self._words.items() if len(word) >= 4))[:20]
        return {
            "count": len(self._digests),
            "words": {
                "mean": round(float(lengths.mean()), 2),
                "median": float(np.median(lengths)),
                "shortest": int(lengths[0]),
                "longest": int(lengths[-1]),
            },
            "vocabulary": len(self._words),
            "distinct": len(np.unique(self._digests)),
            "frequent": {word: -n for n, word in frequent},
        }


def describe_texts(texts: Iterable[str]) -> dict[str, Any]:
    """Numbers of some expressions; words are runs of letters, digits and apostrophes, in small letters.

    Returns:
        ``count``, ``words`` (mean, median, shortest, longest), ``vocabulary`` (distinct words), ``distinct`` (texts)
        and ``frequent`` (the 20 most frequent words of four letters or more); ``{"count": 0}`` of none.
    """
    found = _Texts()
    for text in texts:
        found.add(text)
    return found.numbers()


class Statistics:
    """Of a whole run, a video after another: the kept expressions, and the rest by status and reason."""

    def __init__(self) -> None:
        self._videos = self._objects = self._kept = 0
        self._others: Counter[str] = Counter()
        self._long, self._short = _Texts(), _Texts()
        self._areas, self._ious = array("d"), array("d")

    def add(self, record: VideoRecord) -> None:
        """Counts a video."""
        self._videos += 1
        for found in record.objects:
            self._objects += 1
            # Of all that a model looked for, whether it found them or not.
            if found.iou is not None:
                self._ious.append(found.iou)
            if found.status != "kept":
                self._others[f"{found.status}: {found.reason}"] += 1
                continue
            self._kept += 1
            self._long.add(found.long)
            for text in found.short:
                self._short.add(text)
            self._areas.append(found.area)

    def numbers(self) -> dict[str, Any]:
        """Of all that were counted."""
        return {
            "videos": self._videos,
            "objects": self._objects,
            "kept": self._kept,
            "not kept": dict(sorted(self._others.items())),
            "long": self._long.numbers(),
            "short": self._short.numbers(),
            "area": _quartiles(self._areas),
            "iou": _quartiles(self._ious),
        }


def statistics(records: Iterable[VideoRecord]) -> dict[str, Any]:
    """Numbers of some videos."""
    found = Statistics()
    for record in records:
        found.add(record)
    return found.numbers()


def _quartiles(values: Sequence[float]) -> list[float]:
    """Least, quartiles and greatest; nothing of nothing."""
    return [round(float(value), 4) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))] if len(values) else []

"""What the expressions of a run are like: lengths, vocabulary, and what became of the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from word2mask.annotate.records import VideoRecord

__all__ = ["describe_texts", "statistics"]


def describe_texts(texts: Sequence[str]) -> dict[str, Any]:
    """Numbers of some expressions; words are runs of letters, digits and apostrophes, in small letters.

    Returns:
        ``count``, ``words`` (mean, median, shortest, longest), ``vocabulary`` (distinct words), ``distinct`` (texts)
        and ``frequent`` (the 20 most frequent words of four letters or more); ``{"count": 0}`` of none.
    """
    if not texts:
        return {"count": 0}
    words = [re.findall(r"[\w']+", text.lower()) for text in texts]
    lengths = np.array([len(found) for found in words])
    counts = Counter(word for found in words for word in found)
    frequent = sorted(((-n, word) for word, n in counts.items() if len(word) >= 4))[:20]
    return {
        "count": len(texts),
        "words": {
            "mean": round(float(lengths.mean()), 2),
            "median": float(np.median(lengths)),
            "shortest": int(lengths.min()),
            "longest": int(lengths.max()),
        },
        "vocabulary": len(counts),
        "distinct": len(set(texts)),
        "frequent": {word: -n for n, word in frequent},
    }


def statistics(records: Sequence[VideoRecord]) -> dict[str, Any]:
    """Of a whole run: the kept expressions, and the rest by status and reason."""
    objects = [found for record in records for found in record.objects]
    kept = [found for found in objects if found.status == "kept"]
    others = Counter(f"{found.status}: {found.reason}" for found in objects if found.status != "kept")
    return {
        "videos": len(records),
        "objects": len(objects),
        "kept": len(kept),
        "not kept": dict(sorted(others.items())),
        "long": describe_texts([found.long for found in kept]),
        "short": describe_texts([text for found in kept for text in found.short]),
        "area": _quartiles([found.area for found in kept]),
        # Of all that a model looked for, whether it found them or not.
        "iou": _quartiles([found.iou for found in objects if found.iou is not None]),
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    """Least, quartiles and greatest; nothing of nothing."""
    return [round(float(value), 4) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))] if values else []

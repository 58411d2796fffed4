"""Expressions that give something away or say nothing new: leakage of the prompts' own means, and duplicates.

Leakage of an evaluation set into what is annotated is looked after before: :mod:`word2mask.annotate.inputs.exclusion`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from word2mask.annotate.records import VideoRecord

__all__ = ["filter_records", "leak_of", "shingles", "similarity"]

#: What describes the pictures that the models were shown instead of the video: the outline, the darkening, the cut.
LEAKS: dict[str, str] = {
    "outline": r"\b(?:out-?lined?|contours?|bounding box(?:es)?|yellow (?:line|border|edge|frame|boundary|box)s?)\b",
    "mask": r"\b(?:masks?ed|segmentation|black(?:ed)?[- ]out|painted black|black background|cut[- ]?out)\b",
    "picture": r"\b(?:(?:the|this|first|second|last|each|these) (?:image|picture|photo|frame)s?|crop(?:ped)?)\b",
    "model": r"\b(?:as an ai|language model|i (?:cannot|can't|am unable)|sorry)\b",
    "form": r"[{}]|\$\w+|\bjson\b",
}

#: Words that shingles are made of, and how alike two texts are that count as one.
WORDS = 3
SAME = 0.9


def leak_of(text: str) -> str | None:
    """What an expression gives away, ``None`` for nothing."""
    return next((name for name, pattern in LEAKS.items() if re.search(pattern, text, re.IGNORECASE)), None)


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of three words, of shorter texts the words together."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(tuple(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1)))


def similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """What two sets of shingles have in common, of what either has (Jaccard)."""
    return len(one & other) / max(1, len(one | other))


def filter_records(records: Sequence[VideoRecord]) -> list[VideoRecord]:
    """The same records, with what leaks or repeats dropped.

    Within a video two objects must not have expressions that are alike: then neither says which is meant, and both are
    dropped. Short expressions that leak, or that two objects of a video share, are left out by themselves. An object
    that was shown before, pixel for pixel, in a copy of its video has the same answers; the first by the videos' order
    stays.
    """
    first: dict[tuple[str, ...], str] = {}
    copies: dict[tuple[str, int], str] = {}
    for record in sorted(records, key=lambda record: record.reference):
        for found in record.objects:
            answers = tuple(sorted(found.calls.values()))
            if found.status != "kept" or not answers:
                continue
            here = f"{record.reference.video_id}/{found.number}"
            if first.setdefault(answers, here) != here:
                copies[record.reference.video_id, found.number] = first[answers]
    return [_filtered(record, copies) for record in records]


def _filtered(record: VideoRecord, copies: dict[tuple[str, int], str]) -> VideoRecord:
    kept = [found for found in record.objects if found.status == "kept"]
    runs = {found.number: shingles(found.long) for found in kept}
    reasons: dict[int, tuple[str, str]] = {}
    for found in kept:
        leak, copied = leak_of(found.long), copies.get((record.reference.video_id, found.number))
        twins = [n for n in runs if n != found.number and similarity(runs[n], runs[found.number]) >= SAME]
        if copied is not None:
            reasons[found.number] = ("duplicate", f"the same pictures as {copied}")
        elif leak is not None:
            reasons[found.number] = ("leak", leak)
        elif twins:
            reasons[found.number] = ("ambiguous", f"as object {', '.join(map(str, twins))}")
    said = [text.lower() for found in kept if found.number not in reasons for text in found.short]
    objects = []
    for found in record.objects:
        if found.number in reasons:
            objects.append(found.dropped(*reasons[found.number]))
        elif found.status == "kept":
            short = [text for text in found.short if leak_of(text) is None and said.count(text.lower()) == 1]
            objects.append(replace(found, short=short))
        else:
            objects.append(found)
    return replace(record, objects=objects)

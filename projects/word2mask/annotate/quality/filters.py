"""Expressions that give something away or say nothing new: leakage of the prompts' own means, and duplicates.

Leakage of an evaluation set into what is annotated is looked after before: :mod:`word2mask.annotate.inputs.exclusion`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from word2mask.annotate.record_list import Records, changed, in_order
from word2mask.annotate.records import ObjectRecord, VideoRecord

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


def filter_records(records: Sequence[VideoRecord]) -> Records:
    """The same records, with what leaks or repeats dropped.

    Within a video two objects must not have expressions that are alike: then neither says which is meant, and both are
    dropped. Short expressions that leak, or that two objects of a video share, are left out by themselves. An object
    that was shown before, pixel for pixel, in a copy of its video has the same answers; the first by the videos' order
    stays.
    """
    copies = _copies(records)
    return changed(records, lambda record: _filtered(record, copies))


def _copies(records: Sequence[VideoRecord]) -> dict[tuple[str, int], str]:
    """Objects of the same answers as one before, by video and number, with the first's name: ``VIDEO/NUMBER``.

    Of each object 16 bytes are held, as there are millions; names are looked up for those that are found.
    """
    digests = bytearray()
    for _, found in _answered(records):
        digests += hashlib.blake2b("\n".join(sorted(found.calls.values())).encode(), digest_size=16).digest()
    table = np.frombuffer(digests, dtype=[("one", "u8"), ("other", "u8")])
    _, first, which = np.unique(table, return_index=True, return_inverse=True)
    before = first[which]
    again = {int(place): int(before[place]) for place in np.flatnonzero(before != np.arange(before.size))}
    if not again:
        return {}
    firsts, names, copies = set(again.values()), dict[int, str](), dict[tuple[str, int], str]()
    for place, (video, found) in enumerate(_answered(records)):
        if place in firsts:
            names[place] = f"{video}/{found.number}"
        if place in again:
            copies[video, found.number] = names[again[place]]
    return copies


def _answered(records: Sequence[VideoRecord]) -> Iterator[tuple[str, ObjectRecord]]:
    """Kept objects about which something was asked, in the order of their videos, with the video's name."""
    for record in in_order(records):
        for found in record.objects:
            if found.status == "kept" and found.calls:
                yield record.reference.video_id, found


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

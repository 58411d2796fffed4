"""What can be wrong with data: the kinds of findings, and how bad each is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
#: From worst to harmless. An error stops a training or an evaluation; a warning spoils what it learns or says; a note
#: is good to know.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong.

    Attributes:
        severity: of its findings, where a finding doesn't say another.
        title: what it is called above a list of them.
        advice: what to do about it.
    """

    severity: Severity
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "unopened": Kind(
        "error", "Sources that can't be opened", "put the data there or correct its path; nothing of it was checked"
    ),
    "missing_media": Kind("error", "Missing pictures and videos", "copy them, or take their records out"),
    "unreadable_media": Kind("error", "Pictures and videos that can't be decoded", "copy them again from their source"),
    "bad_mask": Kind(
        "error",
        "Masks that don't fit their picture, or can't be decoded",
        "the annotation belongs to another picture or size: get both from one place",
    ),
    "bad_record": Kind("error", "Records that can't be read", "correct or remove them in the annotation file"),
    "defect": Kind("error", "Records that make the reader fail", "report it; the log has the stack trace"),
    "count_mismatch": Kind("error", "Answers and masks that don't match", "each mask needs one mark in the answers"),
    "bad_conversation": Kind(
        "error", "Conversations that can't be encoded", "user and assistant must alternate, and an answer come last"
    ),
    "empty_region": Kind("error", "Questions about an empty region", "mark one pixel at least, or remove them"),
    "too_long": Kind(
        "error",
        "Conversations longer than max_length",
        "raise max_length, filter the source, or let overlong='drop_turns' drop their last questions",
    ),
    "empty_mask": Kind("warning", "Masks without a pixel", "they teach to answer with nothing; remove the records"),
    "duplicate_id": Kind("warning", "Ids that occur more than once", "the same record may stand in the file twice"),
    "overlap": Kind(
        "warning",
        "Pictures of an evaluation split in a training source",
        "scores of that split say less about pictures never seen; leave the records out, or say so with the scores",
    ),
    "not_compared": Kind(
        "warning", "Evaluation splits that can't be opened", "overlap with them wasn't looked for; get their data"
    ),
    "not_measured": Kind("note", "Lengths that weren't measured", "get the tokenizer of the model, and check again"),
    "unseen_object": Kind(
        "note", "Objects on none of the frames drawn", "nothing wrong: an object may be out of sight for a while"
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        source: label of the source or evaluation split.
        record: id of the record, ``None`` where a whole source is meant.
        index: its position in the source.
        kind: key of :data:`KINDS`.
        severity: how bad.
        message: one sentence.
    """

    source: str
    record: str | None
    index: int | None
    kind: str
    severity: Severity
    message: str


def finding(
    source: str, record: str | None, index: int | None, kind: str, message: str, severity: Severity | None = None
) -> Finding:
    """A finding as bad as its kind, unless said otherwise."""
    return Finding(source, record, index, kind, severity or KINDS[kind].severity, message)


def to_json_lines(findings: Iterable[Finding]) -> str:
    """One JSON object a line: source, record, index, kind, severity, message."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in findings)

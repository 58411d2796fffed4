"""What reviewers decided: a JSONL of keep and drop, and records without what was dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from word2mask.annotate.record_list import Records, changed
from word2mask.annotate.records import ObjectRecord, VideoRecord
from word2mask.errors import UserError

__all__ = ["apply_decisions", "read_decisions"]


def read_decisions(file: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The last decision on each object, by video and number.

    Raises:
        UserError: the file isn't there, or a line isn't a decision.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check the path") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            if content["decision"] not in ("keep", "drop"):
                raise ValueError(f"decision {content['decision']!r}")
            found[content["video"], int(content["number"])] = content
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}, line {number}: not a decision of a review ({error}); remove the line") from None
    return found


def apply_decisions(records: Sequence[VideoRecord], decisions: Mapping[tuple[str, int], Mapping[str, Any]]) -> Records:
    """The same records, with what a reviewer dropped; a decision on other words than the record's doesn't count."""

    def judged(record: VideoRecord, found: ObjectRecord) -> ObjectRecord:
        decision = decisions.get((record.reference.video_id, found.number))
        if found.status != "kept" or decision is None or decision["decision"] == "keep":
            return found
        if decision.get("long", found.long) != found.long:
            return found
        return found.dropped("reviewed", decision.get("note", ""))

    return changed(records, lambda record: replace(record, objects=[judged(record, found) for found in record.objects]))

"""Checks put together: repeated ids, pictures in common, shares."""

from __future__ import annotations

import json

from word2mask.data.checking.findings import KINDS, SEVERITIES, finding, to_json_lines
from word2mask.data.checking.media import Fingerprint
from word2mask.data.checking.records import Part, RecordCheck
from word2mask.data.checking.survey import survey


class Named:
    """A source by its length alone."""

    name = "x"

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length


def check(part: str, index: int, record: str | None, digest: bytes, passing: int = 0, tokens: int | None = None):
    media = Fingerprint(f"{part}/{index}.jpg", digest)
    return RecordCheck(part, index, passing, record, (), media, (0.25,), 1, tokens)


def test_counts_lengths_ids_and_overlap() -> None:
    parts = [
        Part("a", "training", 0, Named(3)),
        Part("b", "training", 1, Named(1)),
        Part("val", "evaluation", 0, Named(2)),
    ]
    checks = [
        check("a", 0, "x", b"1", tokens=10),
        check("a", 1, "x", b"2", tokens=30),
        check("a", 2, "y", b"1", tokens=20),
    ]
    checks += [check("a", 0, "x", b"1", passing=1, tokens=10), check("b", 0, "x", b"3", tokens=9)]
    checks += [check("val", 0, "p", b"2"), check("val", 1, "q", b"1")]
    found = survey(parts, checks, max_length=19, passes=2)
    first, second, val = found.parts
    assert (first.records, first.read, first.media, first.conversations) == (3, 3, 2, (10, 30, 20, 10))
    assert first.share_over(19) == 0.5 and second.share_over(19) == val.share_over(19) == 0.0
    assert [(one.source, one.record, one.kind) for one in found.findings] == [
        ("a", "x", "duplicate_id"),
        ("a", "x", "overlap"),
        ("a", "x", "overlap"),
        ("a", "y", "overlap"),
    ]
    assert found.findings[0].message == "2 records have this id, at the positions 0, 1"
    assert found.findings[1].message == "a/0.jpg is in val too, as val/1.jpg (the same content)"
    (shared,) = found.shared
    assert (shared.source, shared.split, shared.pictures, shared.index, shared.other) == ("a", "val", 3, 0, 1)
    assert first.count("warning") == found.count("warning") == 4 and found.count("error") == 0


def test_what_could_not_be_opened_counts() -> None:
    one = finding("gone", None, None, "unopened", "gone.json: no such file")
    found = survey([], [], [("gone", "training", one)])
    assert found.parts[0].records is None and found.count("error") == 1 == found.parts[0].count("error")


def test_a_finding_is_a_line_of_json() -> None:
    one = finding("a", "é", 3, "empty_mask", "mask 1 of 1 has no pixel")
    lines = to_json_lines([one, one]).splitlines()
    assert len(lines) == 2 and json.loads(lines[0]) == {
        "source": "a",
        "record": "é",
        "index": 3,
        "kind": "empty_mask",
        "severity": "warning",
        "message": "mask 1 of 1 has no pixel",
    }
    assert all(kind.severity in SEVERITIES for kind in KINDS.values())

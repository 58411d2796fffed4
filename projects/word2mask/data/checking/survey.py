"""The checks of all records → what a report says: counts, lengths and findings, source by source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from word2mask.data.checking.findings import SEVERITIES, Finding, Severity, finding
from word2mask.data.checking.media import EvaluationPictures, Match
from word2mask.data.checking.records import Part, RecordCheck, Role


@dataclass(frozen=True)
class PartSurvey:
    """One source or evaluation split.

    Attributes:
        label: what it is called.
        role: training or evaluation.
        records: it has; ``None`` where it couldn't be opened.
        read: records read.
        media: different pictures or videos among them.
        conversations: lengths in tokens, in the order of the records.
        areas: share of the picture under each mask.
        findings: number of each severity.
    """

    label: str
    role: Role
    records: int | None = None
    read: int = 0
    media: int = 0
    conversations: tuple[int, ...] = ()
    areas: tuple[float, ...] = ()
    findings: Mapping[Severity, int] = field(default_factory=dict)

    def count(self, severity: Severity) -> int:
        """Findings as bad as that."""
        return self.findings.get(severity, 0)

    def share_over(self, max_length: int) -> float:
        """Of the measured conversations, the share longer than that; 0…1."""
        over = sum(tokens > max_length for tokens in self.conversations)
        return over / len(self.conversations) if self.conversations else 0.0


@dataclass(frozen=True)
class Shared:
    """Pictures that a training source and an evaluation split have in common.

    Attributes:
        source: label of the training source.
        split: label of the split.
        pictures: different ones.
        index: a training record with one of them.
        match: where that one stands in the split.
        other: index of a record of the split with it.
    """

    source: str
    split: str
    pictures: int
    index: int
    match: Match
    other: int


@dataclass(frozen=True)
class Survey:
    """Everything that was found.

    Attributes:
        parts: what couldn't be opened first, the others in the order of the config.
        findings: in the same order, record by record.
        shared: pairs of sources and splits with pictures in common.
        max_length: the longest conversation that training takes; ``None`` where lengths weren't measured.
        limit: at most that many records of each part were read.
        passes: how often each training record was read.
        seconds: that reading took.
    """

    parts: Sequence[PartSurvey]
    findings: Sequence[Finding]
    shared: Sequence[Shared]
    max_length: int | None = None
    limit: int | None = None
    passes: int = 1
    seconds: float = 0.0

    def count(self, severity: Severity) -> int:
        """Findings as bad as that."""
        return sum(one.severity == severity for one in self.findings)


def survey(
    parts: Sequence[Part],
    checks: Iterable[RecordCheck],
    unopened: Sequence[tuple[str, Role, Finding]] = (),
    others: Sequence[Finding] = (),
    max_length: int | None = None,
    limit: int | None = None,
    passes: int = 1,
    seconds: float = 0.0,
) -> Survey:
    """Puts the checks of all records together.

    Args:
        parts: that were read, in order.
        checks: of their records.
        unopened: label, role and finding of what couldn't be read at all.
        others: findings of no part alone.
        max_length: as in :class:`Survey`, like the rest.
        limit: records of each part at most.
        passes: over the training records.
        seconds: of reading.
    """
    by_part: dict[str, list[RecordCheck]] = {part.label: [] for part in parts}
    for check in checks:
        by_part[check.part].append(check)
    overlap, shared = _overlap(parts, by_part)
    findings = [*others, *(one for _, _, one in unopened)]
    surveys = [PartSurvey(label, role, findings={one.severity: 1}) for label, role, one in unopened]
    for part in parts:
        own = _distinct(one for check in by_part[part.label] for one in check.findings)
        own += _repeated_ids(part.label, by_part[part.label])
        own += overlap[part.label]
        findings += own
        surveys.append(_of_part(part, by_part[part.label], own))
    return Survey(surveys, findings, shared, max_length, limit, passes, seconds)


def _of_part(part: Part, checks: Sequence[RecordCheck], findings: Sequence[Finding]) -> PartSurvey:
    counts = {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}
    return PartSurvey(
        part.label,
        part.role,
        records=len(part.source),
        read=len({check.index for check in checks}),
        media=len({check.media.digest for check in checks if check.media is not None}),
        conversations=tuple(check.tokens for check in checks if check.tokens is not None),
        areas=tuple(area for check in checks for area in check.areas),
        findings=counts,
    )


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Each once: several passes find the same again."""
    return list(dict.fromkeys(findings))


def _repeated_ids(label: str, checks: Sequence[RecordCheck]) -> list[Finding]:
    places: dict[str, list[int]] = {}
    for check in checks:
        if check.id is not None and check.passing == 0:
            places.setdefault(check.id, []).append(check.index)
    found = []
    for record, indices in places.items():
        if len(indices) > 1:
            where = ", ".join(map(str, indices[:5])) + (" …" if len(indices) > 5 else "")
            message = f"{len(indices)} records have this id, at the positions {where}"
            found.append(finding(label, record, indices[0], "duplicate_id", message))
    return found


def _overlap(
    parts: Sequence[Part], by_part: Mapping[str, Sequence[RecordCheck]]
) -> tuple[dict[str, list[Finding]], list[Shared]]:
    evaluation = [check for part in parts if part.role == "evaluation" for check in by_part[part.label]]
    pictures = EvaluationPictures((check.part, check.media) for check in evaluation if check.media is not None)
    records = {(check.part, check.media.name): check.index for check in reversed(evaluation) if check.media is not None}
    findings: dict[str, list[Finding]] = {part.label: [] for part in parts}
    shared: list[Shared] = []
    for part in parts:
        if part.role != "training":
            continue
        found: dict[str, tuple[RecordCheck, Match]] = {}
        names: dict[str, set[str]] = {}
        for check in by_part[part.label]:
            if check.media is None or check.passing:
                continue
            for match in pictures.matches(check.media):
                message = f"{check.media.name} is in {match.split} too, as {match.name} ({match.why})"
                findings[part.label].append(finding(part.label, check.id, check.index, "overlap", message))
                found.setdefault(match.split, (check, match))
                names.setdefault(match.split, set()).add(check.media.name)
        shared += [
            Shared(part.label, split, len(names[split]), check.index, match, records[split, match.name])
            for split, (check, match) in found.items()
        ]
    return findings, shared

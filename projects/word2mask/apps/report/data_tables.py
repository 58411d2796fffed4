"""A survey of data as tables for a terminal."""

from __future__ import annotations

from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from word2mask.data.checking.findings import KINDS, SEVERITIES, Finding
from word2mask.data.checking.survey import PartSurvey, Survey

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
#: Findings of each kind and source that are spelt out.
SPELT_OUT = 2


def tables(survey: Survey) -> Group:
    """Counts of every source, then the kinds of findings with a few of each."""
    return Group(sources(survey), *findings(survey), Text(verdict(survey)))


def sources(survey: Survey) -> Table:
    """One row a source or split."""
    title = "Data" if survey.limit is None else f"Data ({scope(survey)})"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("source", overflow="fold")
    for heading in ("records", "read", "media", "masks", "tokens", "longest"):
        table.add_column(heading, justify="right", no_wrap=True)
    if survey.max_length is not None:
        table.add_column(f"> {survey.max_length}", justify="right", no_wrap=True)
    for severity in SEVERITIES:
        table.add_column(f"{severity}s", justify="right", no_wrap=True)
    role = ""
    for part in survey.parts:
        if role and part.role != role:
            table.add_section()
        role = part.role
        cells = [Text(f"{part.count(one):,}", style=STYLES[one] if part.count(one) else "") for one in SEVERITIES]
        table.add_row(part.label, *numbers(part, survey.max_length), *cells)
    return table


def numbers(part: PartSurvey, max_length: int | None) -> list[str]:
    """Records, records read, media, masks, tokens (median and most), and the share of the overlong where it's known."""
    lengths = part.conversations
    cells = ["?" if part.records is None else f"{part.records:,}", f"{part.read:,}", f"{part.media:,}"]
    cells.append(f"{len(part.areas):,}")
    cells += [f"{median(lengths):,.0f}", f"{max(lengths):,}"] if lengths else ["", ""]
    if max_length is not None:
        cells.append(percent(part.share_over(max_length)) if lengths else "")
    return cells


def findings(survey: Survey) -> list[RenderableType]:
    """Each kind with its count, its advice and a few of its findings."""
    lines: list[RenderableType] = []
    for kind, group in by_kind(survey):
        severity = worst(group)
        lines += [Text(), Text(f"{KINDS[kind].title}: {len(group):,}", style=STYLES[severity])]
        lines.append(Text(f"  {KINDS[kind].advice}", style="dim"))
        shown: dict[str, int] = {}
        for one in group:
            shown[one.source] = shown.get(one.source, 0) + 1
            if shown[one.source] <= SPELT_OUT:
                lines.append(Text(f"  {name_of(one)}: {one.message}"))
    return lines


def by_kind(survey: Survey) -> list[tuple[str, list[Finding]]]:
    """The findings of each kind that there are, worst first."""
    groups: dict[str, list[Finding]] = {}
    for one in survey.findings:
        groups.setdefault(one.kind, []).append(one)
    order = list(KINDS)
    return sorted(groups.items(), key=lambda item: (SEVERITIES.index(worst(item[1])), order.index(item[0])))


def worst(findings: list[Finding]) -> str:
    """The severity of the worst of them."""
    return min((one.severity for one in findings), key=SEVERITIES.index)


def name_of(one: Finding) -> str:
    """``source[id]``, or its position where no id is known."""
    if one.record is None and one.index is None:
        return one.source
    return f"{one.source}[{one.record if one.record is not None else f'#{one.index}'}]"


def scope(survey: Survey) -> str:
    """What was read of each source, in words."""
    passes = "" if survey.passes == 1 else f", training records {survey.passes} times"
    if survey.limit is None:
        return f"every record{passes}"
    return f"at most {survey.limit:,} records of each source, evenly spaced{passes}"


def verdict(survey: Survey) -> str:
    """The last line."""
    counts = ", ".join(plural(survey.count(severity), severity) for severity in SEVERITIES)
    return f"\n{counts}, in {survey.seconds:.0f} s"


def plural(count: int, word: str) -> str:
    """``"1 error"``, ``"2 errors"``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share, never rounded down to nothing."""
    return f"{share:.1%}" if share == 0 or share >= 0.0005 else "< 0.1%"

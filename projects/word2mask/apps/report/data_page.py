"""A survey of data → one HTML page: counts, findings, and records as training reads them, masks drawn.

Everything that a dataset wrote is escaped. The style is that of the evaluation's page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape

from word2mask import __version__
from word2mask.apps.report.data_cards import area_chart, length_chart, pair_card, record_card, thumbnail
from word2mask.apps.report.data_tables import by_kind, name_of, numbers, percent, plural, scope, worst
from word2mask.apps.report.style import STYLE
from word2mask.data.checking.findings import KINDS, Finding
from word2mask.data.checking.reading import evenly_spaced
from word2mask.data.checking.records import Part
from word2mask.data.checking.survey import PartSurvey, Survey
from word2mask.errors import UserError
from word2mask.types import Sample

#: Findings of a kind and source that the page spells out, and cards of a kind.
SPELT_OUT, CARDS = 8, 3
#: Cards of an evaluation split at most: training is what the page is about.
EVALUATION_CARDS = 3
_MORE_STYLE = """
.tile .number.is-error { color: var(--bad); } .tile .number.is-fine { color: var(--good); }
.tile .number.is-warning { color: color-mix(in srgb, var(--bad) 62%, #eab308); }
table th:nth-child(2), table td:nth-child(2) { text-align: right; }
td.role { color: var(--soft); font-size: .86rem; } tr.group td { font-size: .8rem; font-weight: 600;
  color: var(--soft); padding-top: 16px; } td .is-error { color: var(--bad); font-weight: 700; }
td .is-warning { color: color-mix(in srgb, var(--bad) 62%, #eab308); font-weight: 640; }
td .is-zero { color: var(--soft); }
td a { text-decoration: none; border-bottom: 1px solid var(--line); }
.finding { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--c); border-radius: 16px;
  padding: 16px 20px; margin-top: 16px; box-shadow: var(--shadow); }
.finding.is-error { --c: var(--bad); } .finding.is-warning { --c: #eab308; } .finding.is-note { --c: var(--twin); }
.finding h3 { font-size: 1.08rem; display: flex; gap: 10px; align-items: baseline; flex-wrap: wrap; }
.finding h3 b { font-variant-numeric: tabular-nums; } .finding > p { margin: 4px 0 10px; color: var(--soft); }
.finding ul { margin: 6px 0 0; padding: 0; list-style: none; font-size: .9rem; }
.finding li { padding: 5px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.finding li code { font-weight: 650; } .finding .cards { margin-top: 14px; }
.finding details { margin-top: 6px; } .finding li.rest { color: var(--soft); }
.allgood { display: flex; gap: 14px; align-items: center; font-size: 1.1rem; margin-top: 18px; }
.allgood i { width: 34px; height: 34px; border-radius: 50%; background: var(--good); color: var(--card); display: grid;
  place-items: center; font-style: normal; font-weight: 800; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 14px 28px;
  margin: 18px 0 4px; }
.chart svg { width: 100%; height: 64px; display: block; margin: 2px 0; overflow: visible; }
.chart rect { fill: var(--accent-2); } .chart path { stroke: var(--line); fill: none; }
.chart line { stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; stroke-dasharray: 4 3; }
.chart .note b { color: var(--ink); font-weight: 620; }
.cards { margin-top: 16px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
.card > .line { justify-content: space-between; } .card > .line code { color: var(--soft); }
.card > .line .badge { border-radius: 10px; }
.shot { display: grid; place-items: center; } .shot img { width: auto; max-width: 100%; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); } .tile .number { margin: 8px 0 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; } .more { color: var(--soft); font-size: .86rem; }
@media (max-width: 620px) { .finding { padding: 12px; } }
"""


def build_page(survey: Survey, parts: Sequence[Part], config: str, max_pictures: int = 6) -> str:
    """The page.

    Args:
        survey: what was found.
        parts: to read records again from, for their pictures.
        config: what the user called it.
        max_pictures: records shown of each source, and of each kind of finding (:data:`CARDS` at most).
    """
    by_label = {part.label: part for part in parts}
    opened = [one for one in survey.parts if one.label in by_label]
    sections = [_section(one, by_label[one.label], survey, max_pictures) for one in opened]
    body = [
        "<main>",
        _header(survey, config, _mosaic(survey, by_label) if max_pictures else []),
        _tiles(survey),
        _findings(survey, by_label, max_pictures),
        _table(survey),
        *sections,
        f"<footer><p><code>tools/check_data.py {escape(config)}</code>, word2mask {escape(__version__)}: "
        f"{escape(scope(survey))}, read in {survey.seconds:.0f} s</p></footer>",
        "</main>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Data of {escape(config)}</title><style>{STYLE}{_MORE_STYLE}</style></head>\n<body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _header(survey: Survey, config: str, pictures: Sequence[str]) -> str:
    training = [part for part in survey.parts if part.role == "training"]
    evaluation = len(survey.parts) - len(training)
    errors = survey.count("error")
    title = "Every record, <em>read</em>." if not errors else f"<em>{plural(errors, 'error')}</em> to put right."
    return f"""<header>
<div class="brand"><i></i>word2mask</div>
<h1>{title}</h1>
<p class="lead">The data of <b>{escape(config)}</b>: {plural(len(training), "source")} of its mixture, and
{plural(evaluation, "evaluation split")}, read as training and evaluation read them: {escape(scope(survey))}.</p>
<div class="mosaic" aria-hidden="true">{"".join(pictures)}</div>
</header>"""


def _mosaic(survey: Survey, parts: Mapping[str, Part], most: int = 10) -> list[str]:
    """Small pictures with their masks, from all training sources in turn."""
    pictures: list[str] = []
    training = [one for one in survey.parts if one.role == "training" and one.read and one.areas]
    for turn in range(most if training else 0):
        one = training[turn % len(training)]
        place = _sound(survey, one)
        if place:
            index = place[(turn // len(training) + 1) * len(place) // (most + 1) % len(place)]
            pictures += _each(parts[one.label], [index], thumbnail)
    return pictures


def _tiles(survey: Survey) -> str:
    errors, warnings = survey.count("error"), survey.count("warning")
    lengths = [tokens for part in survey.parts for tokens in part.conversations]
    tiles = [
        _tile("Records read", f"{sum(part.read for part in survey.parts):,}"),
        _tile("Pictures and videos", f"{sum(part.media for part in survey.parts):,}"),
        _tile("Masks", f"{sum(len(part.areas) for part in survey.parts):,}"),
        _tile("Errors", f"{errors:,}", "error" if errors else "fine"),
        _tile("Warnings", f"{warnings:,}", "warning" if warnings else "fine"),
    ]
    if survey.max_length is not None and lengths:
        over = sum(tokens > survey.max_length for tokens in lengths) / len(lengths)
        tiles.append(_tile(f"Longer than {survey.max_length:,} tokens", percent(over), "warning" if over else "fine"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, number: str, kind: str = "plain") -> str:
    return f'<div class="tile"><small>{escape(name)}</small><div class="number is-{kind}">{number}</div></div>'


def _table(survey: Survey) -> str:
    heads = ["source", "records", "read", "media", "masks", "tokens", "longest"]
    if survey.max_length is not None:
        heads.append("too long")
    heads += ["errors", "warnings", "notes"]
    rows, role = [], ""
    for part in survey.parts:
        if part.role != role:
            name = "Training" if part.role == "training" else "Evaluation"
            rows.append(f'<tr class="group"><td colspan="{len(heads)}">{name}</td></tr>')
            role = part.role
        name = escape(part.label)
        name = name if part.records is None else f'<a href="#{anchor(part.label)}">{name}</a>'
        cells = [f'<td class="first">{name}</td>']
        cells += [f"<td>{cell}</td>" for cell in numbers(part, survey.max_length)]
        for severity in ("error", "warning", "note"):
            count = part.count(severity)
            cells.append(f'<td><span class="is-{severity if count else "zero"}">{count:,}</span></td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return (
        '<section id="sources"><h2>Sources</h2><p class="sub">Media are different pictures or videos; tokens the '
        'median of what training encodes, visual ones included.</p><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _findings(survey: Survey, parts: Mapping[str, Part], max_pictures: int) -> str:
    if not survey.findings:
        good = '<div class="allgood"><i>✓</i>Nothing is wrong with what was read.</div>'
        return f'<section id="findings"><h2>Findings</h2>{good}</section>'
    blocks = []
    for kind, group in by_kind(survey):
        cards = _overlap_cards(survey, parts) if kind == "overlap" else _finding_cards(group, parts)
        shown = cards[: min(CARDS, max_pictures)]
        head = (
            f'<div class="finding is-{worst(group)}"><h3><b>{len(group):,}</b> {escape(KINDS[kind].title)}</h3>'
            f"<p>{escape(KINDS[kind].advice)}.</p>"
        )
        lists = _shared_list(survey) if kind == "overlap" else ""
        pictures = f'<div class="cards">{"".join(shown)}</div>' if shown else ""
        blocks.append(f"{head}{lists}{_list(group)}{pictures}</div>")
    return (
        '<section id="findings"><h2>Findings</h2><p class="sub">An error stops a training or an evaluation. All of '
        f"them, one a line: <code>findings.jsonl</code>.</p>{''.join(blocks)}</section>"
    )


def _list(group: Sequence[Finding]) -> str:
    """A few findings of every source, folded away where there are many sources or findings."""
    by_source: dict[str, list[Finding]] = {}
    for one in group:
        by_source.setdefault(one.source, []).append(one)
    parts = []
    for source, found in by_source.items():
        lines = [f"<li><code>{escape(name_of(one))}</code> {escape(one.message)}</li>" for one in found[:SPELT_OUT]]
        if len(found) > SPELT_OUT:
            lines.append(f'<li class="rest">and {len(found) - SPELT_OUT:,} more</li>')
        is_open = " open" if worst(found) == "error" or len(group) <= SPELT_OUT else ""
        parts.append(
            f"<details{is_open}><summary>{escape(source)} · {len(found):,}</summary><ul>{''.join(lines)}</ul></details>"
        )
    return "".join(parts)


def _finding_cards(group: Sequence[Finding], parts: Mapping[str, Part]) -> list[str]:
    """Records with a finding, those that can be read, from different sources first."""
    seen: dict[str, int] = {}
    order = []
    for one in group:
        if one.kind == "defect":
            continue
        seen[one.source] = seen.get(one.source, 0) + 1
        order.append((seen[one.source], len(order), one))
    cards: list[str] = []
    for _, _, one in sorted(order)[: 4 * CARDS]:
        if len(cards) < CARDS and one.source in parts and one.index is not None:
            cards += _each(parts[one.source], [one.index], partial(record_card, badge=one.message))
    return cards


def _overlap_cards(survey: Survey, parts: Mapping[str, Part]) -> list[str]:
    cards = []
    for one in survey.shared[:CARDS]:
        try:
            pair = parts[one.source].read(one.index), parts[one.split].read(one.other)
            cards.append(pair_card(*pair, (one.source, one.split), f"{one.match.name}: {one.match.why}"))
        except UserError:
            continue
    return cards


def _shared_list(survey: Survey) -> str:
    lines = "".join(
        f"<li><code>{escape(one.source)}</code> and <code>{escape(one.split)}</code> share "
        f"{plural(one.pictures, 'picture')} or videos</li>"
        for one in survey.shared
    )
    return f"<ul>{lines}</ul>"


def _section(one: PartSurvey, part: Part, survey: Survey, max_pictures: int) -> str:
    role = "training" if one.role == "training" else "evaluation"
    head = f'<section id="{anchor(one.label)}"><h2>{escape(one.label)}</h2>'
    tasks = ", ".join(getattr(part.source, "tasks", ())).replace("_", " ")
    sub = f"{role} · {tasks} · {plural(one.read, 'record')} read of {one.records:,}"
    charts = length_chart(one.conversations, survey.max_length) + area_chart(one.areas)
    count = max_pictures if one.role == "training" else min(max_pictures, EVALUATION_CARDS)
    good = _sound(survey, one)
    cards = _each(part, [good[place] for place in evenly_spaced(len(good), count)], record_card)
    wide = " wide" if any('class="strip"' in card for card in cards) else ""
    return (
        f'{head}<p class="sub">{escape(sub)}</p><div class="charts">{charts}</div>'
        f'<div class="cards{wide}">{"".join(cards)}</div></section>'
    )


def _sound(survey: Survey, one: PartSurvey) -> list[int]:
    """The records of a source that were read and have no error."""
    bad = {found.index for found in survey.findings if found.source == one.label and found.severity == "error"}
    return [index for index in evenly_spaced(one.records or 0, survey.limit) if index not in bad]


def _each(part: Part, indices: Sequence[int], draw: Callable[[Sample], str]) -> list[str]:
    """What ``draw`` makes of some records; those that can't be read have their finding already, and are left out."""
    drawn = []
    for index in indices:
        try:
            drawn.append(draw(part.read(index)))
        except UserError:
            continue
    return drawn


def anchor(label: str) -> str:
    """Id of a source's section in the page."""
    return "source-" + re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")

"""Results and samples → one HTML page. Everything that a model or a dataset wrote is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from word2mask.apps.report.cards import card
from word2mask.apps.report.differences import differences_section
from word2mask.apps.report.pictures import data_url, spotlight
from word2mask.apps.report.samples import (
    Shown,
    choose,
    choose_changed,
    frames_of,
    masks_of,
    num_frames_of,
    rebuild,
    records_of,
)
from word2mask.apps.report.style import STYLE
from word2mask.errors import UserError
from word2mask.evaluation.comparison import Comparison, compare
from word2mask.evaluation.interface import Benchmark
from word2mask.evaluation.summary import is_reached, limit_of, load_results

#: Words over the three groups of samples.
GROUPS = {
    "random": "Drawn at random",
    "best": "Among the best",
    "worst": "Among the worst",
    "gained": "Furthest ahead of the other run",
    "lost": "Furthest behind the other run",
}


@dataclass(frozen=True)
class Run:
    """An evaluated folder.

    Attributes:
        folder: that ``tools/test.py`` wrote.
        name: how to call it on the page.
        results: its results.json.
    """

    folder: Path
    name: str
    results: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, name: str) -> Run:
        """Raises UserError where there are no results."""
        return cls(folder, name, load_results(folder))

    def entry(self, label: str) -> Mapping[str, Any] | None:
        """The results of ``"name:split"``, or ``None``."""
        return next((one for one in self.results["benchmarks"] if one["label"] == label), None)


@dataclass(frozen=True)
class Section:
    """One benchmark of the page: its results, the samples shown, and its comparison with the second run."""

    entry: Mapping[str, Any]
    benchmark: Benchmark
    shown: Sequence[Shown]
    comparison: Comparison | None = None

    @property
    def anchor(self) -> str:
        """Id of the section in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.entry["label"].lower())


def score_table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every number of the first run with its target, and the other runs' beside it; one row a metric, JSON values."""
    table = []
    for entry in runs[0].results["benchmarks"]:
        for key, value in entry["metrics"].items():
            target = entry["targets"].get(key)
            row: dict[str, Any] = {
                "benchmark": entry["label"],
                "title": entry["title"],
                "metric": key,
                "name": entry["names"].get(key, key),
                "value": value,
                "target": None if target is None else " ".join(("{} {:g}".format(*limit_of(target)),)),
                "reached": None if target is None else is_reached(target, value),
                "count": entry["count"],
                "failures": len(entry["failures"]),
            }
            for run in runs[1:]:
                other = run.entry(entry["label"])
                row[run.name] = other["metrics"].get(key) if other else None
            table.append(row)
    return table


def compare_runs(runs: Sequence[Run], resamples: int | None = None, seed: int = 0) -> dict[str, Comparison]:
    """The first run and the second on the benchmarks that both answered, by label.

    Args:
        runs: the two.
        resamples: how often samples are drawn.
        seed: of the drawing.

    Raises:
        UserError: there is no second run, the two share no benchmark, or were asked differently.
    """
    if len(runs) < 2:
        raise UserError("--compare needs two runs; name the other one too")
    found = {}
    for entry in runs[0].results["benchmarks"]:
        other = runs[1].entry(entry["label"])
        if other is None:
            continue
        if other["protocol"] != entry["protocol"]:
            raise UserError(
                f"{entry['label']}: the runs were evaluated differently ({runs[0].name}: {entry['protocol']!r}, "
                f"{runs[1].name}: {other['protocol']!r}); only numbers of one protocol can be compared"
            )
        pair = [records_of(run.folder, one) for run, one in zip(runs, (entry, other), strict=False)]
        found[entry["label"]] = compare(rebuild(entry), *pair, resamples=resamples, seed=seed)
    if not found:
        raise UserError(f"{runs[0].name} and {runs[1].name} have no benchmark in common")
    return found


def build_page(
    runs: Sequence[Run],
    count: int = 6,
    seed: int = 0,
    title: str = "word2mask",
    comparisons: Mapping[str, Comparison] | None = None,
    note: str = "",
) -> str:
    """The page of the first run, the others beside it.

    Args:
        runs: the main one first; the second one's answers stand beside the first one's.
        count: random samples shown of each benchmark.
        seed: of their choice.
        title: of the browser's tab.
        comparisons: of :func:`compare_runs`: the page then says how the first two differ, and shows where most.
        note: what a reader has to know of the runs; below the lead, as text.

    Raises:
        UserError: records or data are no longer there.
    """
    comparisons = comparisons or {}
    sections = [
        _read_section(runs, entry, count, seed, comparisons.get(entry["label"]))
        for entry in runs[0].results["benchmarks"]
    ]
    twin_name = runs[1].name if len(runs) > 1 else ""
    body = [
        "<main>",
        _header(runs, sections, note),
        _tiles(runs, sections),
        _table(runs),
        *([differences_section(list(comparisons.values()), runs[0].name, twin_name)] if comparisons else []),
        *(_section(section, twin_name) for section in sections),
        _footer(runs),
        "</main>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>" + "\n".join(body) + "</body></html>\n"
    )


def _read_section(
    runs: Sequence[Run], entry: Mapping[str, Any], count: int, seed: int, comparison: Comparison | None
) -> Section:
    benchmark = rebuild(entry)
    twin = None
    other = runs[1].entry(entry["label"]) if len(runs) > 1 else None
    if other is not None and other["origin"] == entry["origin"]:
        twin = records_of(runs[1].folder, other)
    records = records_of(runs[0].folder, entry)
    shown = choose(benchmark, records, twin, count, seed)
    if comparison is not None and twin is not None and comparison.gains:
        shown += choose_changed(benchmark, records, twin, comparison.gains, max(count // 2, 1))
    return Section(entry, benchmark, shown, comparison)


def _header(runs: Sequence[Run], sections: Sequence[Section], note: str) -> str:
    results = runs[0].results
    total = sum(entry["count"] for entry in results["benchmarks"])
    compared = ""
    if len(runs) > 1:
        compared = f" Beside it, for comparison: <b>{escape(', '.join(run.name for run in runs[1:]))}</b>."
    remark = f'\n<p class="remark">{escape(note)}</p>' if note else ""
    pictures = "".join(f'<img src="{url}" alt="">' for url in _mosaic(sections))
    return f"""<header>
<div class="brand"><i></i>word2mask</div>
<h1>Ask in words, get <em>pixels</em>.</h1>
<p class="lead">{total:,} questions about pictures and videos that the model had never seen. It reads the question
and writes its answer; wherever the answer points <span class="seg" style="--c:var(--accent)">1</span>, that word's own
state asks the segmenter for a mask.{compared}</p>{remark}
<div class="mosaic" aria-hidden="true">{pictures}</div>
</header>"""


def _mosaic(sections: Sequence[Section], most: int = 11) -> Iterator[str]:
    """Data URLs of well answered samples with masks, from all benchmarks in turn."""
    queues = [
        [
            shown
            for shown in section.shown
            if shown.why != "worst" and shown.score >= 80 and shown.record.masks and shown.sample.masks is not None
        ]
        for section in sections
    ]
    seen: set[bytes] = set()
    while len(seen) < most and any(queues):
        queues = sorted((queue for queue in queues if queue), key=len, reverse=True)
        shown = queues[0].pop()
        middle = num_frames_of(shown.sample) // 2
        frame, masks = frames_of(shown.sample, [middle])[0], masks_of(shown.record)[:, middle]
        if masks.any() and frame.tobytes() not in seen:
            seen.add(frame.tobytes())
            yield data_url(spotlight(frame, masks, 208), 82)


def _bar(value: float, target: float | None = None, kind: str = "") -> str:
    mark = "" if target is None else f'<b style="left:{min(target, 100):.1f}%"></b>'
    return f'<div class="bar {kind}"><i style="width:{max(min(value, 100), 0):.1f}%"></i>{mark}</div>'


def _tiles(runs: Sequence[Run], sections: Sequence[Section]) -> str:
    tiles = []
    for section in sections:
        entry = section.entry
        if not entry["metrics"]:
            continue  # For a challenge's server; there is no number.
        key, value = next(iter(entry["metrics"].items()))
        target = entry["targets"].get(key)
        verdict = "<span></span>"
        if target is not None:
            kind = "good" if is_reached(target, value) else "bad"
            words = "reached" if kind == "good" else "not reached"
            verdict = f'<span class="{kind}">{"{} {:g}".format(*limit_of(target))} {words}</span>'
        twins = ""
        for run in runs[1:]:
            other = run.entry(entry["label"])
            if other and key in other["metrics"]:
                number = other["metrics"][key]
                twins += _bar(number, kind="twin")
                twins += f'<div class="note"><span>{escape(run.name)}</span><span>{number:.1f}</span></div>'
        tiles.append(
            f'<a class="tile" href="#{section.anchor}"><h3>{escape(entry["title"])}</h3>'
            f"<small>{escape(entry['label'])} · {entry['count']}</small>"
            f'<div class="number">{value:.1f}<span>{escape(entry["names"].get(key, key))}</span></div>'
            f"{_bar(value, None if target is None else limit_of(target)[1])}"
            f'<div class="note">{verdict}</div>{twins}</a>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(runs: Sequence[Run]) -> str:
    others = [run.name for run in runs[1:]]
    rows, previous = [], None
    for row in score_table(runs):
        first = row["benchmark"] != previous
        previous = row["benchmark"]
        target = ""
        if row["target"]:
            kind, sign = ("good", "✓") if row["reached"] else ("bad", "✗")
            target = f'<span class="{kind}">{row["target"]} {sign}</span>'
        cells = [
            f'<td class="first">{escape(row["title"]) if first else ""}</td>',
            f"<td>{escape(row['name'])}</td>",
            f'<td class="value"><b>{row["value"]:.1f}</b></td>',
            f"<td>{target}</td>",
            *(f"<td>{'' if row[name] is None else format(row[name], '.1f')}</td>" for name in others),
            f"<td>{row['count'] if first else ''}</td>",
            f"<td>{row['failures'] if first else ''}</td>",
        ]
        rows.append(f'<tr class="{"" if first else "sub-row"}">{"".join(cells)}</tr>')
    heads = ["benchmark", "metric", runs[0].name, "target", *others, "samples", "failures"]
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return (
        '<section id="scores"><h2>All the numbers</h2><p class="sub">In percent. Every sample counts, '
        "one that could not be answered as an empty answer.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</section>"
    )


def _section(section: Section, twin_name: str) -> str:
    entry = section.entry
    numbers = " · ".join(f"{escape(entry['names'].get(k, k))} {v:.1f}" for k, v in entry["metrics"].items())
    numbers = numbers or "not scored here: the masks aren't published"
    parts = [
        f'<section id="{section.anchor}"><h2>{escape(entry["title"])}</h2>',
        f'<p class="sub">{escape(entry["label"])} · {entry["count"]} samples · {numbers}</p>',
        f"<details><summary>How it is measured</summary><p>{escape(entry['protocol'])}.</p></details>",
        _kinds(entry),
    ]
    for why, words in GROUPS.items():
        group = [shown for shown in section.shown if shown.why == why]
        if group:
            wide = " wide" if any(num_frames_of(shown.sample) > 1 for shown in group) else ""
            cards = "".join(card(section.benchmark, shown, twin_name) for shown in group)
            parts.append(f'<h3 class="group">{words}</h3><div class="cards{wide}">{cards}</div>')
    return "\n".join([*parts, "</section>"])


def _kinds(entry: Mapping[str, Any]) -> str:
    """Small bars of the headline metric for each kind of question; nothing for fewer than two."""
    key = next(iter(entry["metrics"]), None)
    kinds = [(kind, part["count"], part["metrics"]) for kind, part in entry["kinds"].items()]
    if len(kinds) < 2 or key is None:
        return ""
    bars = []
    for kind, count, metrics in kinds:
        # A kind without the headline metric (no-target questions have no Pr@) shows its own first one.
        value = metrics.get(key, next(iter(metrics.values()), 0.0))
        label = f"<span>{escape(kind.replace('_', ' '))} <small>× {count}</small></span><span>{value:.0f}</span>"
        bars.append(f'<div><div class="note">{label}</div>{_bar(value)}</div>')
    words = f"{escape(entry['names'].get(key, key))} by kind of question"
    return f'<h3 class="group">{words}</h3><div class="kinds">{"".join(bars)}</div>'


def _footer(runs: Sequence[Run]) -> str:
    lines = []
    for run in runs:
        one = run.results
        lines.append(
            f"<p><b>{escape(run.name)}</b>: {escape(one['model'])}, "
            f"checkpoint <code>{escape(one['checkpoint'])}</code> "
            f"(<code>{escape(one['checkpoint_hash'])}</code>), word2mask {escape(one['version'])}, "
            f"{escape(one['device'])}<br><code>{escape(one['command'])}</code></p>"
        )
    return f"<footer>{''.join(lines)}</footer>"

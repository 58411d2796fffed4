"""How two runs differ: the same table on a page and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from word2mask.evaluation.comparison import CONFIDENCE, Comparison, Difference


def differences_section(comparisons: Sequence[Comparison], one: str, other: str) -> str:
    """The HTML of the table, with a sentence on how to read it.

    Args:
        comparisons: benchmark by benchmark.
        one: the first run's name.
        other: the second run's name.
    """
    rows = []
    for comparison in comparisons:
        for number, difference in enumerate(comparison.differences):
            kind = ("good" if difference.value > 0 else "bad") if difference.is_clear else ""
            cells = [
                f'<td class="first">{"" if number else escape(comparison.label)}</td>',
                f"<td>{escape(difference.name)}</td>",
                f"<td>{difference.one:.1f}</td>",
                f"<td>{difference.other:.1f}</td>",
                f'<td class="value"><b class="{kind}">{difference.value:+.1f}</b></td>',
                f"<td>{_interval(difference)}</td>",
                f"<td>{'' if number else _counts(comparison)}</td>",
            ]
            rows.append(f'<tr class="{"sub-row" if number else ""}">{"".join(cells)}</tr>')
    heads = ["benchmark", "metric", one, other, "difference", f"{CONFIDENCE:.0%} interval", "better / worse / equal"]
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return (
        f'<section id="differences"><h2>{escape(one)} against {escape(other)}</h2><p class="sub">In points of a '
        "The interval is that of a paired bootstrap: the same samples drawn with replacement for both, "
        f"{_draws(comparisons)} times, those of a picture or video together. A difference whose interval holds 0 may "
        "be chance. Better, worse and equal count samples.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</section>"
    )


def differences_text(comparisons: Sequence[Comparison], one: str, other: str) -> str:
    """The table as Markdown, a row a metric."""
    heads = ("benchmark", "metric", one, other, "difference", f"{CONFIDENCE:.0%} interval", "better / worse / equal")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for comparison in comparisons:
        lines += [
            f"| {comparison.label} | {one_difference.name} | {one_difference.one:.1f} | {one_difference.other:.1f} | "
            f"{one_difference.value:+.1f} | {_interval(one_difference)} | {_counts(comparison)} |"
            for one_difference in comparison.differences
        ]
    return "\n".join(lines) + "\n"


def _interval(difference: Difference) -> str:
    return f"{difference.low:+.1f} … {difference.high:+.1f}"


def _counts(comparison: Comparison) -> str:
    return " / ".join(map(str, comparison.counts()))


def _draws(comparisons: Sequence[Comparison]) -> str:
    """``"1000"``, or ``"200 to 1000"``."""
    counts = sorted(_resamples(comparisons))
    return str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"


def _resamples(comparisons: Sequence[Comparison]) -> Iterator[int]:
    return (comparison.resamples for comparison in comparisons)

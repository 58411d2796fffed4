"""Collects what tools/quickstart.sh measured: scores against targets, the language-blind twin, times and memory.

    python benchmarks/quickstart.py work_dirs/quickstart [--write benchmarks/quickstart.md] [--readme README.md]

Prints the table; ``--write`` also writes it as a page, ``--readme`` puts the scores between the README's marks.
Computes nothing anew: the scores come from the two results.json, the times from the stages' records, and the
installation's from the environment that runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
#: Metrics that say how well the masks of what was asked for fit; on them a twin that can't read must stay below
#: BLIND_LIMIT. Not the mIoU of captions: these are asked for in words that name nothing, so nothing is hidden from it.
MASK_METRICS = {"ciou", "giou", "j&f"}
BLIND_LIMIT = 40.0
TIME_LIMIT_S = 12 * 60
INSTALL_LIMIT_S = 5 * 60
MEMORY_LIMIT_GB = 4.0

#: Where the scores stand in the README.
MARKS = ("<!-- scores: benchmarks/quickstart.py writes them -->", "<!-- end of scores -->")

SCORE_HEADINGS = ("benchmark", "metric", "target", "word2mask", "language-blind twin", "samples")
STAGE_HEADINGS = ("stage", "seconds", "peak memory, GB")


def load(path: Path) -> Any:
    """A JSON file that a stage wrote.

    Raises:
        SystemExit: it isn't there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"quickstart: can't read {path} ({error}); run bash tools/quickstart.sh first\n")
        raise SystemExit(2) from error


def mark(holds: bool) -> str:
    return "✓" if holds else "✗"


def score_rows(results: Mapping[str, Any], blind: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row a target; of a benchmark without targets its first metric."""
    blind_metrics = {one["label"]: one["metrics"] for one in blind["benchmarks"]}
    rows = []
    for one in results["benchmarks"]:
        targets = one["targets"] or {next(iter(one["metrics"])): None}
        for metric, target in targets.items():
            value, other = one["metrics"].get(metric), blind_metrics.get(one["label"], {}).get(metric)
            reached = "–" if value is None else f"{value:.1f}"
            twin = "–" if other is None else f"{other:.1f}"
            if value is not None and target is not None:
                reached += f" {mark(value >= target)}"
            if other is not None and metric in MASK_METRICS:
                twin += f" (≤ {BLIND_LIMIT:g} {mark(other <= BLIND_LIMIT)})"
            aim = "" if target is None else f"≥ {target:g}"
            rows.append((one["label"], one["names"].get(metric, metric), aim, reached, twin, str(one["count"])))
    return rows


def wall_seconds(stages: Sequence[Mapping[str, Any]]) -> float:
    """Time in which any stage ran; stages that ran side by side count once."""
    total, end = 0.0, float("-inf")
    for stage in sorted(stages, key=lambda stage: stage["started"]):
        stop = stage["started"] + stage["seconds"]
        total += max(0.0, stop - max(end, stage["started"]))
        end = max(end, stop)
    return total


def peak_memory_gb(stages: Sequence[Mapping[str, Any]]) -> float:
    """The largest sum of the peaks of stages that ran side by side: an upper bound of what was held at once."""
    return max(
        sum(
            other["peak_memory_gb"]
            for other in stages
            if other["started"] <= stage["started"] < other["started"] + other["seconds"]
        )
        for stage in stages
    )


def stage_rows(stages: Mapping[str, Mapping[str, Any]], install_s: float | None) -> list[tuple[str, ...]]:
    """One row a stage, the installation first, and the sum of all but the installation last."""
    rows = []
    if install_s is not None:
        rows.append(
            (f"installation (≤ {INSTALL_LIMIT_S})", f"{install_s:.0f} {mark(install_s <= INSTALL_LIMIT_S)}", "")
        )
    in_order = sorted(stages.items(), key=lambda item: item[1]["started"])
    rows += [(name, f"{stage['seconds']:.0f}", f"{stage['peak_memory_gb']:.2f}") for name, stage in in_order]
    seconds, memory = wall_seconds(list(stages.values())), peak_memory_gb(list(stages.values()))
    rows.append(
        (
            f"all after installation (≤ {TIME_LIMIT_S} s, ≤ {MEMORY_LIMIT_GB:g} GB)",
            f"{seconds:.0f} {mark(seconds <= TIME_LIMIT_S)}",
            f"{memory:.2f} {mark(memory <= MEMORY_LIMIT_GB)}",
        )
    )
    return rows


def installation_seconds() -> float | None:
    """What tools/environment.sh took to make this environment; ``None`` in another one."""
    path = Path(sys.prefix) / "word2mask-installed/seconds"
    return float(path.read_text()) if path.is_file() else None


def machine() -> str:
    """Processor, number of cores, memory, system and versions, in one line."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    from importlib.metadata import version

    python = platform.python_version()
    return f"{os.cpu_count()} × {name}, {memory:.0f} GB, Python {python}, torch {version('torch')}"


def commit() -> str:
    """The checked-out commit, with a plus sign where files differ from it."""
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=ROOT, capture_output=True, text=True
    )
    return run.stdout.strip() or "unknown"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def page(results: Mapping[str, Any], scores: Sequence[Sequence[str]], stages: Sequence[Sequence[str]]) -> str:
    """The committed table."""
    lines = [
        "# The quickstart's numbers",
        "",
        "Made by `bash tools/quickstart.sh`, then `python benchmarks/quickstart.py work_dirs/quickstart --write "
        f"benchmarks/quickstart.md`, at commit {commit()} on {machine()}.",
        "",
        "## Scores",
        "",
        "Percent, on scenes that training has not seen. The language-blind twin was trained in the same way, with the "
        f"words of other samples; on masks of what was asked for it must stay at {BLIND_LIMIT:g} or below (a caption "
        "is asked for in words that name nothing: there it isn't blind).",
        "",
        *markdown_table(SCORE_HEADINGS, scores),
        "",
        "How each number comes about:",
        "",
        *(f"* **{one['label']}**: {one['protocol']}." for one in results["benchmarks"]),
        "",
        "## Time and memory",
        "",
        "Memory is the proportional set size of the stage's processes.",
        "",
        *markdown_table(STAGE_HEADINGS, stages),
    ]
    return "\n".join(lines) + "\n"


def with_scores(readme: str, scores: Sequence[Sequence[str]]) -> str:
    """The README with the scores between its marks.

    Raises:
        ValueError: the marks aren't there.
    """
    before, first, rest = readme.partition(MARKS[0])
    _, second, after = rest.partition(MARKS[1])
    if not (first and second):
        raise ValueError(f"no line {MARKS[0]!r} followed by {MARKS[1]!r}")
    table = "\n".join(markdown_table(SCORE_HEADINGS, scores))
    return f"{before}{first}\n\n{table}\n\n{second}{after}"


def replace_file(path: Path, text: str) -> None:
    """Writes under the final name only when the whole text is on disk."""
    half_written = path.with_suffix(".part")
    half_written.write_text(text, encoding="utf-8")
    os.replace(half_written, path)


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the screen."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> int:
    """Reads, prints, and writes the page where one is asked for."""
    parser = argparse.ArgumentParser(description="Collects what tools/quickstart.sh measured.")
    parser.add_argument("folder", type=Path, help="the quickstart's --out")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables as Markdown")
    parser.add_argument("--readme", type=Path, metavar="README", help="also put the scores between this file's marks")
    arguments = parser.parse_args()
    results = load(arguments.folder / "evaluation/results.json")
    blind = load(arguments.folder / "evaluation_blind/results.json")
    stages = {path.stem: load(path) for path in sorted((arguments.folder / "stages").glob("*.json"))}
    scores, times = score_rows(results, blind), stage_rows(stages, installation_seconds())
    show("Scores, in percent", SCORE_HEADINGS, scores)
    show("Time and memory", STAGE_HEADINGS, times)
    if arguments.write:
        replace_file(arguments.write, page(results, scores, times))
    if arguments.readme:
        replace_file(arguments.readme, with_scores(arguments.readme.read_text(encoding="utf-8"), scores))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What an evaluation leaves behind: results.json, results.md, and the table on the screen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from word2mask.errors import UserError
from word2mask.evaluation.runner import Score

#: Of the layout of results.json.
FORMAT = 1
RESULTS_FILE = "results.json"

#: A number to reach, in percent: at least ``85``, or ``{"at_most": 40}``.
Target = float | Mapping[str, float]
#: Benchmark ``"name:split"`` → metric key → target.
Targets = Mapping[str, Mapping[str, Target]]


@dataclass(frozen=True)
class RunInfo:
    """What was evaluated, and how.

    Attributes:
        model: the config or folder as given.
        checkpoint: the file or folder of the weights.
        checkpoint_hash: of :func:`fingerprint`.
        command: the command line.
        version: of word2mask.
        device: e.g. ``"cpu"``.
        batch_size: requests answered together.
        num_ranks: processes that shared the work.
        targets: numbers to reach.
        extra: anything else worth keeping, JSON values only.
    """

    model: str
    checkpoint: str
    checkpoint_hash: str
    command: str
    version: str
    device: str
    batch_size: int
    num_ranks: int = 1
    targets: Targets = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(path: Path) -> str:
    """First 12 digits of the SHA-256 of a weight file, or of a folder's weight and config files in order of name.

    Raises:
        UserError: there is no such file, or no weights in the folder.
    """
    if path.is_dir():
        files = sorted([*path.rglob("*.safetensors"), *path.rglob("config.json")])
        if not any(file.suffix == ".safetensors" for file in files):
            raise UserError(f"{path} holds no *.safetensors")
    elif path.is_file():
        files = [path]
    else:
        raise UserError(f"there is no checkpoint at {path}")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


def limit_of(target: Target) -> tuple[str, float]:
    """A target's sign and number.

    >>> limit_of(85), limit_of({"at_most": 40})
    (('≥', 85.0), ('≤', 40.0))
    """
    return ("≤", float(target["at_most"])) if isinstance(target, Mapping) else ("≥", float(target))


def is_reached(target: Target, value: float) -> bool:
    """Whether a number is as high, or as low, as it should be."""
    sign, number = limit_of(target)
    return value >= number if sign == "≥" else value <= number


def results_to_json(
    info: RunInfo,
    scores: Sequence[Score],
    sessions: Mapping[str, Mapping[str, Any]] | None = None,
    submissions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of results.json.

    Args:
        info: what was evaluated.
        scores: of each benchmark.
        sessions: label → the session's settings for it.
        submissions: label → the zip for a challenge's server.
    """
    sessions, submissions = sessions or {}, submissions or {}
    return {
        "format": FORMAT,
        "model": info.model,
        "checkpoint": info.checkpoint,
        "checkpoint_hash": info.checkpoint_hash,
        "command": info.command,
        "version": info.version,
        "device": info.device,
        "batch_size": info.batch_size,
        "num_ranks": info.num_ranks,
        **info.extra,
        "benchmarks": [
            {
                "label": score.benchmark.label,
                "benchmark": score.benchmark.name,
                "split": score.benchmark.split,
                "title": score.benchmark.title,
                "origin": score.benchmark.origin,
                "protocol": score.benchmark.protocol,
                "preset": score.benchmark.switches.name,
                "switches": dict(score.benchmark.switches.values),
                "session": dict(sessions.get(score.benchmark.label, {})),
                "names": dict(score.benchmark.metrics),
                "metrics": score.metrics,
                "targets": dict(info.targets.get(score.benchmark.label, {})),
                "kinds": {kind: {"count": count, "metrics": m} for kind, (count, m) in score.kinds.items()},
                "count": score.count,
                "failures": score.failures,
                "seconds": round(score.seconds, 2),
                "note": score.note,
                "submission": submissions.get(score.benchmark.label),
            }
            for score in scores
        ],
    }


def load_results(folder: Path) -> dict[str, Any]:
    """The results.json of an evaluated folder.

    Raises:
        UserError: it isn't there, or not one of ours.
    """
    path = folder / RESULTS_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {RESULTS_FILE}; run tools/test.py with --out {folder} first")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise UserError(f"{path} was not written by this version of tools/test.py; evaluate again")
    return results


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Writes results.json and results.md under their final names only when complete."""
    for name, text in (
        (RESULTS_FILE, json.dumps(results, indent=1, ensure_ascii=False) + "\n"),
        ("results.md", to_markdown(results)),
    ):
        partial = folder / f"{name}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / name)
        except OSError as error:
            raise UserError(f"{folder / name} can't be written ({error.strerror}); give another --out") from error


def rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The table: benchmark, numbers, targets, samples, failures, seconds; one row a benchmark."""
    table = []
    for one in results["benchmarks"]:
        names = one["names"]
        numbers = "  ".join(f"{names.get(key, key)} {value:.1f}" for key, value in one["metrics"].items())
        targets = "  ".join(
            "{} {} {:g} {}".format(
                names.get(key, key), *limit_of(target), "✓" if is_reached(target, one["metrics"].get(key, 0.0)) else "✗"
            )
            for key, target in one["targets"].items()
        )
        if not one["metrics"]:
            numbers = "not scored here: the masks aren't published"
        table.append(
            [one["label"], numbers, targets, str(one["count"]), str(len(one["failures"])), f"{one['seconds']:.1f}"]
        )
    return table


HEADINGS = ("benchmark", "score", "target", "samples", "failures", "seconds")


def to_markdown(results: Mapping[str, Any]) -> str:
    """The whole result as a page of Markdown."""
    table = rows(results)
    lines = [
        "# Evaluation",
        "",
        f"Model `{results['model']}`, checkpoint `{results['checkpoint']}` ({results['checkpoint_hash']}), "
        f"word2mask {results['version']}, {results['device']}, batch {results['batch_size']}, "
        f"{results['num_ranks']} process(es).",
        "",
        f"    {results['command']}",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        "## Protocols",
        "",
        *(f"* **{one['label']}**: {one['protocol']}." for one in results["benchmarks"]),
    ]
    switched = [one for one in results["benchmarks"] if one.get("switches")]
    if switched:
        lines += ["", "## Switches", "", "| benchmark | preset | switches | session |", "|---|---|---|---|"]
        for one in switched:
            both = [", ".join(f"{k}={v}" for k, v in one.get(part, {}).items()) for part in ("switches", "session")]
            lines.append(f"| {one['label']} | {one['preset']} | {both[0]} | {both[1]} |")
    said = [f"* {one['label']}: {one['note']}." for one in results["benchmarks"] if one.get("note")]
    said += [
        f"* {one['label']}: submission `{one['submission']}`." for one in results["benchmarks"] if one.get("submission")
    ]
    if said:
        lines += ["", "## Notes", "", *said]
    with_kinds = [one for one in results["benchmarks"] if one["kinds"]]
    if with_kinds:
        lines += ["", "## By kind of question", "", "| benchmark | kind | samples | score |", "|---|---|---|---|"]
        for one in with_kinds:
            for kind, part in one["kinds"].items():
                numbers = "  ".join(f"{one['names'].get(key, key)} {v:.1f}" for key, v in part["metrics"].items())
                lines.append(f"| {one['label']} | {kind} | {part['count']} | {numbers} |")
    failed = [(one["label"], failure) for one in results["benchmarks"] for failure in one["failures"]]
    if failed:
        lines += ["", "## Failures (scored as empty answers)", ""]
        lines += [f"* {label} {failure['id']}: {failure['message']}" for label, failure in failed]
    return "\n".join(lines) + "\n"

"""What many videos take, from what a run over a few of them took: the one place that knows the formula.

Everything grows with the number of objects but the shards, which hold so many videos each::

    objects    = videos · objects a video
    requests   = objects · (calls + repairs) an object
    tokens     = objects · tokens an object                       (prompt and answer, by stage)
    GPU hours  = tokens of a model / tokens a second of a GPU / 3600, of both models together
    core hours = requests · the client's CPU seconds a request / 3600
    bytes, files = objects · bytes, files an object               (pictures sent, store, dataset)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from word2mask.annotate.asking import ROLES
from word2mask.data.outputs import new_file
from word2mask.errors import UserError

__all__ = ["TOKENS_PER_SECOND", "Assumptions", "Measured", "as_markdown", "read_run", "write_effort"]

#: Prompt and answer tokens that one H100 gets through with Qwen3-32B in bf16 under vLLM 0.11 with its default settings,
#: 2000 tokens in and 100 out; 5902 with FP8 under TensorRT-LLM. https://docs.gpustack.ai/latest/performance-lab,
#: qwen3-32b/h100. The tower that sees comes on top of it.
TOKENS_PER_SECOND = 3195.0

#: The effort of the last run that asked anything, beside the store.
EFFORT = "effort.json"


@dataclass(frozen=True)
class Measured:
    """What a run took.

    Attributes:
        videos: of the run.
        objects: that were looked at, kept or not.
        kept: of them.
        stages: by the prompt's name, totals: ``calls``, ``repaired``, ``pictures``, ``picture_bytes``,
            ``prompt_tokens``, ``completion_tokens``.
        dataset_bytes: of the shards.
        store_files: answers and records.
        store_bytes: of them.
        cpu_seconds: of the client for a request; ``None`` where no run on this machine has asked any.
    """

    videos: int
    objects: int
    kept: int
    stages: dict[str, dict[str, int]]
    dataset_bytes: int
    store_files: int
    store_bytes: int
    cpu_seconds: float | None


@dataclass(frozen=True)
class Assumptions:
    """What isn't measured.

    Attributes:
        videos: to be annotated.
        objects_per_video: ``None`` for as many as the run had.
        tokens_per_second: prompt and answer tokens of one GPU, for ``"vision"`` and ``"text"``.
        gpus: for the days.
        videos_per_shard: of the dataset.
    """

    videos: int
    objects_per_video: float | None
    tokens_per_second: Mapping[str, float]
    gpus: int = 8
    videos_per_shard: int = 1000

    def __post_init__(self) -> None:
        numbers = [self.videos, self.gpus, self.videos_per_shard, *self.tokens_per_second.values()]
        if min(numbers) <= 0 or (self.objects_per_video is not None and self.objects_per_video <= 0):
            raise UserError("a plan takes numbers above 0: videos, objects a video, tokens a second, GPUs")


def write_effort(folder: Path, asked: int, cpu_seconds: float, seconds: float, tokens: int) -> None:
    """Notes what a run took of its machine, for plans; of one that asked nothing there is nothing to note."""
    if asked:
        content = {"requests": asked, "cpu_seconds": cpu_seconds, "seconds": seconds, "tokens": tokens}
        with new_file(folder / EFFORT) as work:
            work.write_text(json.dumps({key: round(value, 3) for key, value in content.items()}) + "\n")


def read_run(folder: Path) -> Measured:
    """What the run of a folder took.

    Raises:
        UserError: there is no finished run, or one without an object that was asked about.
    """
    manifest, stages = (_read(folder / "dataset" / name) for name in ("manifest.json", "usage.json"))
    objects = sum(manifest["objects"].values())
    if not stages:
        raise UserError(f"{folder}: nothing was asked in this run; annotate a few videos with objects first")
    sizes = [path.stat().st_size for path in (folder / "store").glob("???/[!.]*.json")]
    effort = _read(folder / EFFORT) if (folder / EFFORT).is_file() else None
    return Measured(
        manifest["videos"],
        objects,
        manifest["objects"].get("kept", 0),
        stages,
        sum(shard["bytes"] for shard in manifest["shards"]),
        len(sizes),
        sum(sizes),
        effort and effort["cpu_seconds"] / effort["requests"],
    )


def as_markdown(found: Measured, given: Assumptions) -> str:
    """Two tables: an object by stage, and all videos."""
    rows = ["| stage | model | requests | pictures | prompt tokens | answer tokens |", "|---|---|---|---|---|---|"]
    order = [name for name in ROLES if name in found.stages]
    tokens = dict.fromkeys(given.tokens_per_second, 0.0)
    for name in order:
        stage = found.stages[name]
        tokens[ROLES[name]] += (stage["prompt_tokens"] + stage["completion_tokens"]) / found.objects
        rows.append(f"| {name} | {ROLES[name]} | {' | '.join(_cells(found, [name]))} |")
    rows.append(f"| together | | {' | '.join(_cells(found, order))} |")
    per_video = given.objects_per_video or found.objects / found.videos
    objects = given.videos * per_video
    requests = objects * _mean(found, order, "calls", "repaired")
    hours = {role: objects * tokens[role] / speed / 3600 for role, speed in given.tokens_per_second.items()}
    days = sum(hours.values()) / given.gpus / 24
    speeds = ", ".join(f"{role} {speed:,.0f}" for role, speed in given.tokens_per_second.items())
    shards = math.ceil(given.videos / given.videos_per_shard)
    core_hours = (
        "not measured" if found.cpu_seconds is None else f"{requests * found.cpu_seconds / 3600:,.0f} core hours"
    )
    prompt, answer = (_mean(found, order, f"{kind}_tokens") for kind in ("prompt", "completion"))
    lines = {
        "objects": f"{objects:,.0f}, {objects * found.kept / found.objects:,.0f} kept",
        "requests": f"{requests:,.0f}",
        "tokens": f"{objects * prompt / 1e6:,.0f} million read, {objects * answer / 1e6:,.0f} million written",
        "GPUs": f"{' + '.join(f'{value:,.0f} hours {role}' for role, value in hours.items())}; {given.gpus} GPUs: "
        f"{days:,.1f} days (tokens a second of one: {speeds})",
        "client": core_hours,
        "pictures sent": f"{_bytes(objects * _mean(found, order, 'picture_bytes'))}",
        "store": f"{objects * found.store_files / found.objects:,.0f} files, "
        f"{_bytes(objects * found.store_bytes / found.objects)}",
        "dataset": f"{shards:,} shards of {given.videos_per_shard:,} videos, "
        f"{_bytes(objects * found.dataset_bytes / found.objects)}",
    }
    table = [f"| | {given.videos:,} videos of {per_video:.2f} objects |", "|---|---|"]
    table += [f"| {name} | {text} |" for name, text in lines.items()]
    head = f"An object, in the mean of {found.objects} of {found.videos} videos ({found.kept} kept):"
    return "\n".join([head, "", *rows, "", *table, ""])


def _mean(found: Measured, names: list[str], *keys: str) -> float:
    """Of an object, over some stages."""
    return sum(found.stages[name].get(key, 0) for name in names for key in keys) / found.objects


def _cells(found: Measured, names: list[str]) -> list[str]:
    requests, pictures = _mean(found, names, "calls", "repaired"), _mean(found, names, "pictures")
    prompt, answer = _mean(found, names, "prompt_tokens"), _mean(found, names, "completion_tokens")
    return [f"{requests:.2f}", f"{pictures:.2f}", f"{prompt:,.0f}", f"{answer:,.0f}"]


def _bytes(value: float) -> str:
    """Bytes in their unit, three digits of them."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB" if value < 1000 else f"{value:,.0f} TB"


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{file}: can't be read ({error.strerror}); annotate a few videos into this folder first"
        ) from None
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); annotate into this folder again") from None

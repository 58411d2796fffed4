"""What an epoch would hold: each source's records, repeat and share, or the paths that it misses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from word2mask.data.mixture import Mixture
from word2mask.engine.build import build, is_node
from word2mask.engine.config import missing_paths
from word2mask.errors import UserError

__all__ = ["SourceRow", "list_sources"]


@dataclass(frozen=True)
class SourceRow:
    """One source of the mixture.

    Attributes:
        name: as in messages of training.
        repeat: how often an epoch shows each record.
        records: how many it has; ``None`` where it can't be read.
        visits: of an epoch.
        share: of an epoch, among the sources that can be read.
        missing: paths that were looked for in vain.
        problem: what else is wrong with it.
    """

    name: str
    repeat: float
    records: int | None = None
    visits: int = 0
    share: float = 0.0
    missing: tuple[str, ...] = ()
    problem: str = ""


def list_sources(dataset: Mapping[str, Any], model: nn.Module | None) -> list[SourceRow]:
    """The rows of a dataset node, in the order of the config; one row for a dataset that is no mixture.

    Sources are built, so that their annotation files are read, but no media.

    Args:
        dataset: the node ``data.dataset``.
        model: what the node may refer to.
    """
    mixture = dataset.get("mixture")
    if not (is_node(mixture) and "sources" in mixture):
        return [_whole_dataset(dataset, model)]
    rows: list[SourceRow] = []
    found: list[Any] = []
    for index, entry in enumerate(mixture["sources"]):
        node, repeat = entry if isinstance(entry, (list, tuple)) else (entry, 1.0)
        path = f"config.data.dataset.mixture.sources.{index}"
        missing = tuple(line.partition(": ")[2] for line in missing_paths(node))
        if missing:
            rows.append(SourceRow(_guess_name(node), repeat, missing=missing))
            continue
        try:
            source = build(node, path=path)
        except UserError as error:
            rows.append(SourceRow(_guess_name(node), repeat, problem=str(error)))
            continue
        found.append((len(rows), source, repeat))
        rows.append(SourceRow(source.name, repeat, records=len(source)))
    if found:
        others = {key: value for key, value in mixture.items() if key not in ("type", "sources", "group")}
        counted = Mixture([(source, repeat) for _, source, repeat in found], **others)
        for (place, _, _), repeat, visits in zip(found, counted.repeats, counted.epoch_counts(0), strict=True):
            rows[place] = replace(rows[place], repeat=repeat, visits=visits, share=visits / len(counted))
    return rows


def _whole_dataset(dataset: Mapping[str, Any], model: nn.Module | None) -> SourceRow:
    name = getattr(dataset["type"], "__name__", str(dataset["type"]))
    missing = tuple(line.partition(": ")[2] for line in missing_paths(dataset))
    if missing or model is None:
        return SourceRow(name, 1.0, missing=missing, problem="" if missing else "needs the model")
    count = len(build(dataset, {"model": model}, "config.data.dataset"))
    return SourceRow(name, 1.0, count, count, 1.0 if count else 0.0)


def _guess_name(node: Any) -> str:
    """What a source that can't be built would be called: its name, its file's or its folder's."""
    if not isinstance(node, Mapping):
        return "?"
    if isinstance(node.get("name"), str):
        return node["name"]
    for key in ("annotations", "folder"):
        if isinstance(node.get(key), str):
            return Path(node[key]).stem
    inner = node.get("source")
    return _guess_name(inner) if inner is not None else getattr(node.get("type"), "__name__", "?")

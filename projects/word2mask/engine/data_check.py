"""A config's sources and evaluation splits, opened one by one for checking: one that can't be opened hides no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from word2mask.data.checking.findings import Finding, finding
from word2mask.data.checking.lengths import LengthMeter
from word2mask.data.checking.records import Part, Role
from word2mask.data.sources.interface import Source
from word2mask.engine.build import build, is_node, suggest, type_name
from word2mask.engine.planning.meta_model import build_on_meta
from word2mask.engine.settings import TrainSettings
from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark

__all__ = ["Opened", "open_meter", "open_parts"]


@dataclass(frozen=True)
class Opened:
    """What a config reads.

    Attributes:
        parts: sources of training and evaluation splits that can be read.
        unopened: label, role and finding of those that can't.
    """

    parts: list[Part]
    unopened: list[tuple[str, Role, Finding]]


@dataclass(frozen=True)
class _Entry:
    """A node of the config; ``names`` are those that ``--sources`` may use."""

    role: Role
    number: int
    names: tuple[str, ...]
    opened: Source | Any = None
    problem: str = ""


def open_parts(settings: TrainSettings, names: Sequence[str] | None = None) -> Opened:
    """Opens the mixture's sources and the evaluation's splits.

    Args:
        settings: the checked config.
        names: only these: a source's name or class, or a split as ``refcoco:val``; all by default.

    Raises:
        UserError: the config's dataset is no mixture of sources, or there is no source of a name.
    """
    entries = [*_sources(settings.data["dataset"]), *_splits(settings.evaluation)]
    if names is not None:
        known = list(dict.fromkeys(name for entry in entries for name in entry.names))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UserError(f"--sources: the config has no {unknown[0]!r}{suggest(unknown[0], known)}")
        entries = [entry for entry in entries if set(entry.names) & set(names)]
    parts: list[Part] = []
    unopened: list[tuple[str, Role, Finding]] = []
    for entry, label in zip(entries, _labels(entries), strict=True):
        if entry.opened is not None:
            parts.append(Part(label, entry.role, entry.number, entry.opened, settings.seed))
            continue
        kind = "unopened" if entry.role == "training" else "not_compared"
        unopened.append((label, entry.role, finding(label, None, None, kind, entry.problem)))
    return Opened(parts, unopened)


def open_meter(settings: TrainSettings) -> tuple[LengthMeter | None, str]:
    """What measures conversations as the config encodes them, without the model's weights.

    Returns:
        the meter and an empty string, or ``None`` and why there is none.
    """
    node = settings.data["dataset"].get("encoder")
    if node is None:
        return None, "the config's dataset has no encoder"
    try:
        model = build_on_meta(settings.model, settings.precision)
        encoder = build(node, {"model": model}, "config.data.dataset.encoder")
    except UserError as error:
        return None, str(error)
    if not hasattr(encoder.media_processor.tokenizer, "encode"):
        return None, "the model's tokenizer isn't on disk"
    return LengthMeter(encoder), ""


def _sources(dataset: Mapping[str, Any]) -> Iterator[_Entry]:
    mixture = dataset.get("mixture")
    if is_node(mixture) and "sources" in mixture:
        nodes = [entry[0] if isinstance(entry, (list, tuple)) else entry for entry in mixture["sources"]]
        path = "config.data.dataset.mixture.sources.{}"
    elif isinstance(dataset["type"], type) and issubclass(dataset["type"], Source):
        nodes, path = [dataset], "config.data.dataset"
    else:
        raise UserError(
            f"config.data.dataset is a {type_name(dataset['type'])}, no mixture of sources; only those can be checked"
        )
    for number, node in enumerate(nodes):
        yield _open("training", number, node, path.format(number))


def _splits(evaluation: Any) -> Iterator[_Entry]:
    nodes = evaluation.get("benchmarks", []) if isinstance(evaluation, Mapping) else evaluation or []
    seen = set()
    for number, node in enumerate(nodes):
        # The split whole, however few of its samples this config evaluates.
        if is_node(node):
            node = {key: value for key, value in node.items() if key not in ("limit", "prompt", "title")}
        shown = repr(node)
        if shown not in seen:
            yield _open("evaluation", number, node, f"config.evaluation.benchmarks.{number}")
        seen.add(shown)


def _open(role: Role, number: int, node: Any, path: str) -> _Entry:
    """Opens a node. What is wrong with it is kept: the others are checked all the same."""
    kind = _kind(role, node)
    try:
        built = build(node, path=path)
    except (UserError, OSError) as error:
        given = node.get("name") if isinstance(node, Mapping) else None
        return _Entry(role, number, (str(given or kind), kind), problem=str(error))
    wanted = Source if role == "training" else Benchmark
    if not isinstance(built, wanted):
        raise UserError(
            f"{path}: expected a {wanted.__name__}, got {type_name(node['type']) if is_node(node) else node!r}"
        )
    source = built.source if isinstance(built, Benchmark) else built
    return _Entry(role, number, (source.name if role == "training" else kind, kind), source)


def _kind(role: Role, node: Any) -> str:
    """A source's class, or a split as ``name:split``."""
    target = node["type"] if is_node(node) else type(node)
    if role == "training":
        return type_name(target).partition(".")[0]
    split = node.get("split") if isinstance(node, Mapping) else None
    return f"{getattr(getattr(target, '__self__', None), 'name', type_name(target))}:{split}"


def _labels(entries: Sequence[_Entry]) -> list[str]:
    """A label for each that no other has: its name, with its class where that isn't enough, or a number."""
    names = [entry.names[0] for entry in entries]
    longer = [
        entry.names[0] if names.count(entry.names[0]) == 1 else f"{entry.names[0]} ({entry.names[-1]})"
        for entry in entries
    ]
    return [
        label if longer.count(label) == 1 else f"{label} {longer[: place + 1].count(label)}"
        for place, label in enumerate(longer)
    ]

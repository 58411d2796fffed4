"""A plan as tables, readable at 100 columns."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import nn

from word2mask.engine.planning.memory import MemoryEstimate
from word2mask.engine.planning.plan import Plan
from word2mask.models.trainable import GroupRow, parameter_rows

__all__ = ["WIDTH", "report"]

#: Columns that the tables fit into.
WIDTH = 100


def report(plan: Plan) -> Group:
    """Everything that a dry run says."""
    parts: list[RenderableType] = []
    if plan.model is None:
        parts.append(Text("model: can't be sketched until what is missing is there", style="yellow"))
    else:
        parts.append(parameters(plan.model))
    parts += [Text(), sources(plan), Text(length(plan))]
    if plan.memory is not None:
        parts += [Text(), memory(plan.memory, plan)]
    parts += [Text(), *lacks(plan)]
    return Group(*parts)


def parameters(model: nn.Module) -> Table:
    """What the model holds, and what of it trains."""
    table = _table("Parameters", "group", "state", "type", right=("tensors", "values", "GB"))
    rows = parameter_rows(model)
    for row in rows:
        style = "dim" if row.state == "frozen" else ""
        table.add_row(row.group, row.state, row.dtype, f"{row.tensors:,}", f"{row.parameters:,}", _gb(row), style=style)
    table.add_section()
    for state in ("frozen", "LoRA", "trained"):
        held = [row for row in rows if row.state == state]
        if held:
            table.add_row("all", state, "", *_sums(held))
    table.add_row("all", "", "", *_sums(rows), style="bold")
    return table


def sources(plan: Plan) -> Table:
    """The mixture with its effective counts."""
    table = _table("One epoch", "source", right=("records", "repeat", "samples", "share"))
    table.add_column("on disk", overflow="fold")
    for row in plan.sources:
        if row.records is None:
            table.add_row(row.name, "?", f"{row.repeat:g}", "?", "", Text(row.problem or "missing", style="yellow"))
        else:
            cells = (f"{row.records:,}", f"{row.repeat:g}", f"{row.visits:,}", f"{row.share:.1%}")
            table.add_row(row.name, *cells, "yes")
    table.add_section()
    records = sum(row.records or 0 for row in plan.sources)
    incomplete = any(row.records is None for row in plan.sources)
    table.add_row(
        "all", f"{records:,}", "", f"{plan.visits:,}", "", "of what can be read" if incomplete else "", style="bold"
    )
    return table


def length(plan: Plan) -> str:
    """How many steps, in words."""
    data, accumulate = plan.settings.data, plan.settings.accumulate
    gpus = _plural(plan.gpus, "GPU")
    samples = _plural(data.get("batch_size", 1), "sample")
    batch = f"{samples} × {gpus} × {_plural(accumulate, 'pass', 'passes')} = {plan.samples_per_step} a step"
    if plan.steps_per_epoch is None:
        return f"{batch}; steps per epoch: unknown until a source can be read"
    text = f"{batch}; {_plural(plan.steps_per_epoch, 'step')} an epoch, {plan.steps:,} in this run"
    return text + ("" if all(row.records is not None for row in plan.sources) else " (of what can be read)")


def memory(estimated: MemoryEstimate, plan: Plan) -> Table:
    """The estimate, part by part, with and without gradient checkpointing."""
    strategy = plan.settings.strategy if plan.gpus > 1 else "one process"
    load = estimated.load
    table = _table(
        f"Memory of one GPU: an estimate ({strategy}, {_plural(plan.gpus, 'GPU')})",
        "part",
        right=("GB, activations kept", "GB, checkpointed"),
    )
    for name, held in estimated.parts.items():
        table.add_row(name, *[f"{held / 1e9:,.1f}"] * 2)
    if load.tokens:
        table.add_row("language model", f"{estimated.stored / 1e9:,.1f}", f"{estimated.recomputed / 1e9:,.1f}")
    table.add_section()
    totals = [f"{estimated.total(checkpointing) / 1e9:,.1f}" for checkpointing in (False, True)]
    totals[estimated.checkpointing] += " ◀"
    table.add_row("all (◀ this config)", *totals, style="bold")
    counted = (
        f"for {_plural(load.samples, 'sample')} of {load.tokens:,} tokens, {load.frames} frames, {load.pairs} masks"
    )
    table.caption = (
        f"{counted if load.tokens else 'the activations of this kind of model are not estimated'}; "
        "formula: engine/planning/memory.py"
    )
    return table


def lacks(plan: Plan) -> list[RenderableType]:
    """What is missing, by what to do about it."""
    if not plan.lacks and plan.is_complete:
        return [Text("Everything is on disk.", style="green")]
    readers: dict[str, list[str]] = {}
    for row in plan.sources:
        for path in row.missing:
            readers.setdefault(path, []).append(row.name)
    parts: list[RenderableType] = []
    for title, needed in (("Missing on disk", True), ("Missing for evaluation only", False)):
        by_remedy: dict[tuple[str, str], list[str]] = {}
        for lack in plan.lacks:
            if lack.needed == needed:
                by_remedy.setdefault((lack.what, lack.remedy), []).append(lack.path)
        if not by_remedy:
            continue
        parts.append(Text(title, style="bold"))
        for (what, remedy), paths in by_remedy.items():
            parts.append(Text(f"  {what}: {remedy}", style="yellow"))
            for path in paths:
                names = readers.get(path, [])
                shown = f"  ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})" if names else ""
                parts.append(Text(f"    {path}{shown}"))
    return parts


def _table(title: str, *left: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _gb(row: GroupRow) -> str:
    return f"{row.num_bytes / 1e9:,.3f}"


def _sums(rows: list[GroupRow]) -> tuple[str, str, str]:
    return (
        f"{sum(row.tensors for row in rows):,}",
        f"{sum(row.parameters for row in rows):,}",
        f"{sum(row.num_bytes for row in rows) / 1e9:,.3f}",
    )

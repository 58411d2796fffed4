"""Between our model contract, ``model(batch) -> {name: scalar}``, and mmengine's ``train_step``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from word2mask.engine.distributed import gather_objects, rank_and_size, tie_unused_parameters
from word2mask.engine.operations import OperationCount
from word2mask.engine.tally import PARTS, Step
from word2mask.types import Batch


def move(batch: Any, device: torch.device) -> Any:
    """A batch on ``device``: an object with ``to``, or dicts, lists and tuples of such."""
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: move(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch)(move(value, device) for value in batch)
    return batch


class ModelAdapter(nn.Module):
    """What is handed to mmengine and to data-parallel wrappers: the model plus the sum of its losses.

    Keys that start with ``loss`` are summed. A loss that is a *mean* over items whose number differs between
    processes (labelled tokens, objects) may come with its number under ``count_<name>`` (``loss_text`` →
    ``count_text``): it is then weighted by that number, so that the mean over processes equals the mean over the global
    batch, as one process would compute it.
    Without a count the mean over processes is the plain mean. Over accumulated passes it is always the plain mean.

    What each sample of the batch adds to a loss may come as ``parts_<name>``, float32 ``[B,2]``: the sum of its items'
    losses and their number. It goes to the log as it is.

    Args:
        model: ``model(batch)`` returns scalars, and parts.

    Attributes:
        around: makes the context in which the model is called.
        ties: whether parameters that a batch has not used get a gradient of zeros
            (:func:`~word2mask.engine.distributed.tie_unused_parameters`).
        passed: modules that every batch passes; their parameters need no tie.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.around: Callable[[], AbstractContextManager] = contextlib.nullcontext
        self.ties = True
        self.passed: Sequence[nn.Module] = ()

    def forward(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One forward pass.

        Returns:
            the scalar to differentiate, and what to log, detached: scalars (all losses as weighted, their sum as
            ``loss``) and parts.

        Raises:
            TypeError: the model returned something other than a dict with a loss in it.
        """
        with self.around():
            outputs = self.model(batch)
        if not isinstance(outputs, dict) or not any(name.startswith("loss") for name in outputs):
            raise TypeError(f"{type(self.model).__name__} returned no dict with a key that starts with 'loss'")
        losses = {name: value for name, value in outputs.items() if name.startswith("loss")}
        if rank_and_size()[1] > 1:
            losses = self._weighted(losses, outputs)
        total = torch.stack([value.float() for value in losses.values()]).sum()
        log = {name: torch.as_tensor(value).detach() for name, value in {**outputs, **losses}.items()}
        log["loss"] = total.detach()
        return tie_unused_parameters(self.model, total, self.passed) if self.ties else total, log

    @staticmethod
    def _weighted(losses: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses of all processes' names in one order, each times its count over the mean count of all processes.

        A loss that this process did not return (no mask in its batch) is a zero here.
        """
        counts = {name: outputs.get(f"count_{name.removeprefix('loss_')}") for name in losses}
        ours = {name: None if count is None else float(count) for name, count in counts.items()}
        gathered = gather_objects(ours)
        weighted = {}
        for name in sorted({name for theirs in gathered for name in theirs}):
            if name not in losses:
                weighted[name] = next(iter(losses.values())).new_zeros(())
                continue
            total = sum(theirs.get(name) or 0.0 for theirs in gathered)
            is_counted = ours[name] is not None and total > 0
            weighted[name] = losses[name] * (ours[name] * len(gathered) / total if is_counted else 1.0)
        return weighted


def train_step(
    model: nn.Module,
    batches: list[Any],
    optim_wrapper: OptimWrapper,
    device: torch.device,
    count: OperationCount | None = None,
) -> Step:
    """One optimizer step over the accumulated forward passes.

    Args:
        model: a :class:`ModelAdapter`, wrapped for data parallelism or not.
        batches: one per forward pass.
        optim_wrapper: takes ``len(batches)`` losses per step.
        device: where the batches go.
        count: is told where the forward passes are.

    Returns:
        means over the passes of what the model logged; where a batch is a :class:`~word2mask.types.Batch` also its
        tokens and frames, and its losses by task and source.

    Raises:
        FloatingPointError: a loss is not finite; the message names the samples.
    """
    step = Step()
    passes: dict[str, list[float]] = {}
    for batch in batches:
        is_known = isinstance(batch, Batch)
        if is_known:
            step.add_work(batch)
        batch = move(batch, device)
        with optim_wrapper.optim_context(model), count.forward() if count else contextlib.nullcontext():
            loss, log = model(batch)
        numbers = {name: value.item() for name, value in log.items() if not name.startswith(PARTS)}
        if not math.isfinite(numbers["loss"]):
            names = getattr(batch, "names", None)
            raise FloatingPointError(f"loss is not finite: {numbers}" + (f"; samples {names}" if names else ""))
        optim_wrapper.update_params(loss)
        for name, value in numbers.items():
            passes.setdefault(name, []).append(value)
        if is_known:
            parts = {name.removeprefix(PARTS): value for name, value in log.items() if name.startswith(PARTS)}
            step.add_parts(batch, {name: value.tolist() for name, value in parts.items()})
    step.numbers = {name: sum(values) / len(values) for name, values in passes.items()}
    return step

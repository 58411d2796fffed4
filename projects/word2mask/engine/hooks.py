"""What happens around a step: numbers to console and file, checkpoints, validation."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

from word2mask.data.dataset import MixtureDataset
from word2mask.engine.checkpoint import BEST, BEST_RECORD, keep_as, saved_checkpoints, write_whole
from word2mask.engine.display import Display
from word2mask.engine.distributed import barrier, gather_objects, rank_and_size
from word2mask.engine.optimizer import autocast
from word2mask.engine.sampler import isolated_random_state
from word2mask.engine.settings import LogSettings
from word2mask.engine.strategies import unwrap
from word2mask.engine.tally import Step, Tally
from word2mask.errors import UserError


class TrainLog(Hook):
    """One line with a progress bar every ``interval`` steps, and all numbers in ``history.jsonl`` and on the display.

    ``history.jsonl`` holds one JSON object a line, over all processes since the line before: ``iter``; every loss and
    other number of the model, ``grad_norm``, ``time`` and ``data_time`` [s per step], means; ``data_share`` [0…1];
    ``samples_per_second``, ``tokens_per_second`` and ``frames_per_second``; ``task/<task>/…`` and
    ``source/<source>/…``: each ``loss_…`` as its mean over the items of that task or source, their sum ``loss``, and
    the number of ``samples``; ``lr``; ``memory`` [MiB], the peak of the process that took most; ``tflops``, of one
    device, and ``mfu`` [0…1] (:mod:`word2mask.engine.operations`). What isn't known isn't there. A resumed run cuts the
    lines after its checkpoint and goes on.

    Args:
        settings: what is logged and how often.
        folder: the work directory.
        display: shows the numbers elsewhere.
        peak: TFLOP/s of one device, or ``None``.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, settings: LogSettings, folder: Path, display: Display, peak: float | None = None):
        self.settings = settings
        self.path = folder / "history.jsonl"
        self.display = display
        self.peak = peak
        self.tally = Tally(settings.by)

    def before_train(self, runner: Any) -> None:
        """Cut the history to what the run has done already."""
        self.start = runner.iter
        self.restart_clock()
        if rank_and_size()[0] == 0:
            kept = []
            if self.start and self.path.is_file():
                lines = self.path.read_text(encoding="utf-8").splitlines()
                kept = [line for line in lines if line.endswith("}") and json.loads(line)["iter"] <= self.start]
            self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def restart_clock(self) -> None:
        """Whatever was done since the last step isn't part of the next."""
        self.clock = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Step | None = None
    ) -> None:
        """Gather the step's numbers; write them when the interval is full."""
        now = time.perf_counter()
        step = outputs or Step()
        step.numbers["time"] = now - self.clock
        self.clock = now
        self.tally.add(step)
        iteration = runner.iter + 1
        if iteration % self.settings.interval == 0 or iteration == runner.max_iters:
            self._write(runner, iteration)

    def _write(self, runner: Any, iteration: int) -> None:
        entry: dict[str, float] = {"iter": iteration, **self.tally.take()}
        entry["lr"] = max(group["lr"] for group in runner.optim_wrapper.optimizer.param_groups)
        of_processes = gather_objects((_memory(runner.strategy.device), runner.train_loop.meter.per_step()))
        entry["memory"] = max(memory for memory, _ in of_processes)
        operations = [number for _, number in of_processes if number is not None]
        if operations and entry["time"]:
            entry["tflops"] = sum(operations) / len(operations) / entry["time"] / 1e12
            if self.peak is not None:
                entry["mfu"] = entry["tflops"] / self.peak
        if rank_and_size()[0] != 0:
            return
        self._show("train", entry, entry, iteration)
        runner.logger.info(progress_line(entry, runner.max_iters))

    def write_validation(self, runner: Any, iteration: int, numbers: dict[str, float]) -> None:
        """Append the numbers of a validation, each under ``val_<name>``."""
        entry = {"iter": iteration, **{f"val_{name}": float(value) for name, value in numbers.items()}}
        if rank_and_size()[0] == 0:
            self._show("val", entry, numbers, iteration)
            runner.logger.info("validation at %d: %s", iteration, "  ".join(f"{k} {v:.4f}" for k, v in numbers.items()))
        self.restart_clock()

    def _show(self, kind: str, entry: dict[str, float], numbers: dict[str, float], iteration: int) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.display.numbers(kind, numbers, iteration)


class LogVisits(Hook):
    """How often each source of the mixture is seen: as planned when an epoch begins, and as it was when it ends.

    A table is written where it says something new; where all went as planned and goes on like that, a line says so.

    Args:
        dataset: what is trained on.
    """

    priority = "LOWEST"

    def __init__(self, dataset: MixtureDataset):
        self.dataset = dataset
        self.epoch = 0
        self._planned: tuple[int, ...] | None = None

    def before_train(self, runner: Any) -> None:
        """Say what the epoch that goes on here holds."""
        self.epoch = runner.train_loop.samples_seen // len(self.dataset)
        self._plan(runner)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """At the end of an epoch say what it was, and what the next one holds."""
        epoch = runner.train_loop.samples_seen // len(self.dataset)
        while self.epoch < epoch:
            report = "" if self._show(runner) else f"epoch {self.epoch} showed what it held"
            self.epoch += 1
            if runner.iter + 1 < runner.max_iters:
                self._plan(runner, f"{report}; " if report else "")
            elif report:
                self._say(runner, report)

    def after_train(self, runner: Any) -> None:
        """The same of an epoch that isn't whole."""
        seen = runner.train_loop.samples_seen % len(self.dataset)
        if seen:
            self._show(runner, seen)

    def _plan(self, runner: Any, report: str = "") -> None:
        if rank_and_size()[0] == 0:
            before, self._planned = self._planned, self.dataset.mixture.epoch_counts(self.epoch)
            if before == self._planned:
                self._say(runner, f"{report}epoch {self.epoch} holds the same")
            else:
                self._say(runner, f"{report}epoch {self.epoch} holds", self._planned)

    def _show(self, runner: Any, seen: int | None = None) -> bool:
        """Says what the epoch showed, or the first so many visits of it; not where that is all as planned.

        Returns:
            whether there was something to say.
        """
        moved = [sum(theirs) for theirs in zip(*gather_objects(self.dataset.take_moved()), strict=True)]
        if seen is None and not any(moved):
            return False
        if rank_and_size()[0] == 0:
            planned = self.dataset.mixture.epoch_counts(self.epoch, seen)
            part = "" if seen is None else f", of which {seen} of {len(self.dataset)} were seen,"
            counts = [count + more for count, more in zip(planned, moved, strict=True)]
            self._say(runner, f"epoch {self.epoch}{part} showed", counts)
        return True

    def _say(self, runner: Any, text: str, counts: Sequence[int] | None = None) -> None:
        if rank_and_size()[0] == 0:
            runner.logger.info(text if counts is None else f"{text}\n{self.dataset.mixture.table(counts)}")


class WarnOfShuffle(Hook):
    """Says that a mixture, which has an order of its own, is put into another one."""

    def before_train(self, runner: Any) -> None:
        """Once."""
        if rank_and_size()[0] == 0:
            runner.logger.warning(
                "data.shuffle is on, and shuffles what the mixture has ordered: its groups of like work are lost, and "
                "what an epoch shows of each source isn't logged; set data.shuffle=False"
            )


def progress_line(entry: dict[str, float], max_iters: int, width: int = 16) -> str:
    """One console line: bar, losses, learning rate, times, throughput, memory.

    >>> entry = {"iter": 5, "loss": 0.25, "lr": 1e-3, "time": 2.0, "data_time": 0.5, "memory": 7, "grad_norm": 1.0}
    >>> progress_line(entry, 10, 4)
    ' 5/10 [##..]  50% | loss 0.2500 | lr 1.00e-03 grad 1.000 | 2.000 s (data 0.500) eta 0:00:10 | 7 MiB'
    >>> rates = {"samples_per_second": 8.0, "tokens_per_second": 900.0, "tflops": 98.9, "mfu": 0.1}
    >>> progress_line({**entry, **rates, "task/refer/loss": 0.2}, 10, 4)[-58:]
    '(data 0.500) eta 0:00:10 8.0/s | 98.9 TFLOP/s 10 % | 7 MiB'
    """
    done = int(entry["iter"])

    def is_shown(name: str) -> bool:
        return not ("/" in name or name in _ELSEWHERE or name.startswith("count_") or name.endswith("_per_second"))

    parts = "  ".join(f"{name} {value:.4f}" for name, value in entry.items() if is_shown(name))
    filled = width * done // max_iters
    left = datetime.timedelta(seconds=round(entry["time"] * (max_iters - done)))
    counter = f"{done:>{len(str(max_iters))}}/{max_iters}"
    bar = f"[{'#' * filled}{'.' * (width - filled)}] {100 * done // max_iters:>3}%"
    columns = [f"{counter} {bar}", f"loss {entry['loss']:.4f}" + (f"  {parts}" if parts else "")]
    columns.append(f"lr {entry['lr']:.2e} grad {entry['grad_norm']:.3f}")
    rate = f" {entry['samples_per_second']:.1f}/s" if "samples_per_second" in entry else ""
    columns.append(f"{entry['time']:.3f} s (data {entry['data_time']:.3f}) eta {left}{rate}")
    if "tflops" in entry:
        share = f" {100 * entry['mfu']:.0f} %" if "mfu" in entry else ""
        columns.append(f"{entry['tflops']:.3g} TFLOP/s{share}")
    return " | ".join([*columns, f"{entry['memory']:.0f} MiB"])


#: Numbers with a place of their own in a line, or none.
_ELSEWHERE = {"iter", "loss", "lr", "time", "data_time", "data_share", "memory", "grad_norm", "tflops", "mfu"}


def _memory(device: torch.device) -> float:
    """Peak memory in MiB: allocated on CUDA, resident on CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class SaveCheckpoint(Hook):
    """Save every ``interval`` steps and at the end; keep the newest ``keep``.

    Args:
        interval: optimizer steps.
        keep: how many; 0 keeps all.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int, keep: int):
        self.interval = interval
        self.keep = keep
        self.saved: list[Path] = []

    def before_train(self, runner: Any) -> None:
        """A resumed run counts what it has saved before."""
        if runner.iter:
            self.saved = [path for number, path in saved_checkpoints(runner.folder).items() if number <= runner.iter]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save when it is time."""
        iteration = runner.iter + 1
        is_saved = bool(self.saved) and self.saved[-1].name == f"iter_{iteration}.pth"
        if (iteration % self.interval == 0 or iteration == runner.max_iters) and not is_saved:
            self.save(runner, iteration)

    def save(self, runner: Any, iteration: int) -> Path:
        """Save now, then delete what is beyond ``keep``."""
        path = runner.save(iteration)
        self.saved = [old for old in self.saved if old != path] + [path]
        while self.keep and len(self.saved) > self.keep:
            old = self.saved.pop(0)
            if rank_and_size()[0] == 0:
                old.unlink(missing_ok=True)
        return path


class Validate(Hook):
    """Call the validation every ``interval`` steps, with the random state set apart from training's.

    Args:
        run: ``(model, iteration) -> {name: number}``.
        interval: optimizer steps.
        log: where the numbers go.
        best: the number whose largest value says which checkpoint to keep as ``best.pth``, beside those that are kept
            anyway; ``None`` keeps none. A resumed run goes on from the best that it had.
    """

    priority = "LOW"

    def __init__(
        self,
        run: Callable[[torch.nn.Module, int], dict[str, float]],
        interval: int,
        log: TrainLog,
        best: str | None = None,
    ):
        self.run = run
        self.interval = interval
        self.log = log
        self.best = best
        self.reached: float | None = None

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Validate when it is time."""
        iteration = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        with aside(runner) as model:
            numbers = self.run(model, iteration)
        self.log.write_validation(runner, iteration, numbers)
        if self.best is not None:
            self.keep_best(runner, iteration, numbers)
            self.log.restart_clock()

    def keep_best(self, runner: Any, iteration: int, numbers: dict[str, float]) -> None:
        """Save the checkpoint as ``best.pth`` when it is better than all before.

        Raises:
            UserError: the validation has no such number.
        """
        if self.best not in numbers:
            raise UserError(
                f"config.validation.best is {self.best!r}, which the validation doesn't give; it gives "
                f"{', '.join(numbers) or 'nothing'}"
            )
        record = runner.folder / BEST_RECORD
        if self.reached is None and self.log.start and record.is_file():
            kept = json.loads(record.read_text(encoding="utf-8"))
            # A run that was resumed from before its best has yet to reach it.
            if kept["iter"] <= self.log.start:
                self.reached = kept["numbers"][self.best]
        value = numbers[self.best]
        is_better = not math.isnan(value) and (self.reached is None or value > self.reached)
        # All save or none: the first process decides, whose folder has the record.
        if not gather_objects(is_better)[0]:
            return
        self.reached = value
        path = runner.save_now(iteration)
        if rank_and_size()[0] == 0:
            keep_as(path, runner.folder / BEST)
            text = json.dumps({"iter": iteration, "by": self.best, "numbers": numbers}) + "\n"
            write_whole(record, lambda file: file.write(text.encode()))
            runner.logger.info("best so far by %s: %s", self.best, runner.folder / BEST)
        barrier()


@contextlib.contextmanager
def aside(runner: Any) -> Iterator[torch.nn.Module]:
    """The model for a look at it between two steps: in eval mode, without gradients, whole on every process, and with
    random numbers that training won't miss. Processes wait for each other at the end."""
    model = unwrap(runner.model)
    training = model.training
    model.eval()
    with (
        torch.no_grad(),
        isolated_random_state(),
        runner.strategy.gathered(),
        autocast(runner.settings.precision, runner.strategy.device),
    ):
        yield model
    model.train(training)
    barrier()

"""Train any model of the contract: from settings to the last checkpoint, on mmengine's runner, hooks and strategies."""

from __future__ import annotations

import random
import signal
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import FlexibleRunner
from mmengine.runner.base_loop import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from word2mask.data.dataset import MixtureDataset
from word2mask.engine import checkpoint as checkpoints
from word2mask.engine.adapter import ModelAdapter, train_step
from word2mask.engine.build import build
from word2mask.engine.config import config_text
from word2mask.engine.distributed import barrier, choose_device, gather_objects, rank_and_size, start_processes
from word2mask.engine.hooks import LogVisits, SaveCheckpoint, TrainLog, Validate
from word2mask.engine.inspection import parameter_table
from word2mask.engine.interruption import Interrupted, Interruption
from word2mask.engine.optimizer import set_precision
from word2mask.engine.sampler import EpochView, GlobalBatchSampler
from word2mask.engine.settings import (
    CheckpointSettings,
    DataSettings,
    LogSettings,
    ScheduleSettings,
    TrainSettings,
    ValidationSettings,
)
from word2mask.engine.strategies import strategy_class, unwrap
from word2mask.errors import UserError


class TrainLoop(BaseLoop):
    """Optimizer steps ``iter … max_iters``, each over ``accumulate`` forward passes.

    Args:
        runner: mmengine's.
        dataloader: endless, over a :class:`GlobalBatchSampler`.
        max_iters: optimizer steps.
        accumulate: forward passes per step.
    """

    max_epochs = 1
    epoch = 0

    def __init__(self, runner: Any, dataloader: DataLoader, max_iters: int, accumulate: int):
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.accumulate = accumulate
        self.iter = 0
        self.samples_seen = 0

    def run(self) -> nn.Module:
        """Train to the end.

        Raises:
            Interrupted: a signal came; the state has been saved.
        """
        sampler = self.dataloader.batch_sampler
        sampler.set_start(self.samples_seen)
        per_step = sampler.batch_size * sampler.world_size * self.accumulate
        device = self.runner.strategy.device
        interruption = Interruption()
        with interruption.catching():
            self.runner.call_hook("before_train")
            batches = iter(self.dataloader)
            self.runner.model.train()
            while self.iter < self.max_iters:
                start = time.perf_counter()
                step_batches = [next(batches) for _ in range(self.accumulate)]
                data_time = time.perf_counter() - start
                numbers = train_step(self.runner.model, step_batches, self.runner.optim_wrapper, device)
                numbers |= {"data_time": data_time, "grad_norm": self.runner.optim_wrapper.grad_norm}
                self.samples_seen += per_step
                self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=None, outputs=numbers)
                self.iter += 1
                stop = interruption.agreed(device)
                if stop and self.iter < self.max_iters:
                    raise Interrupted(stop, self.iter, self.runner.save_now(self.iter))
            self.runner.call_hook("after_train")
        return self.runner.model


class TrainRunner(FlexibleRunner):
    """mmengine's runner with our checkpoints and without its history pickles, config dump and environment survey.

    Args:
        settings: the run's.
        folder: the work directory.
        text: the config, for the record.
        **kwargs: of ``FlexibleRunner``.
    """

    def __init__(self, *, settings: TrainSettings, folder: Path, text: str, **kwargs: Any):
        self.settings = settings
        self.folder = folder
        self.text = text
        super().__init__(**kwargs)

    def dump_config(self) -> None:
        """Write the flattened config to ``config.txt``."""
        if self.rank == 0:
            (self.folder / "config.txt").write_text(self.text, encoding="utf-8")

    def build_visualizer(self, visualizer: Any = None) -> None:
        """None: numbers go through :class:`TrainLog`."""

    def get_hooks_info(self) -> str:
        """The hooks in the order in which they run."""
        return ", ".join(type(hook).__name__ for hook in self.hooks)

    def _log_env(self) -> None:
        """One line instead of a survey."""
        info = {"torch": torch.__version__, "device": str(self.strategy.device), "processes": self.world_size}
        self.logger.info("  ".join(f"{key} {value}" for key, value in info.items()))

    def train(self) -> nn.Module:
        """Prepare model, optimizer and schedulers, resume where asked, run the loop."""
        loop = self._train_loop = self.build_train_loop(self._train_loop)
        sampler = loop.dataloader.batch_sampler
        content = self.read_resume()
        self.logger.info("\n%s", parameter_table(unwrap(self.model)))
        self.strategy.prepare(
            self.model,
            optim_wrapper=self.optim_wrapper,
            param_scheduler=self.param_schedulers,
            dispatch_kwargs={"max_iters": loop.max_iters, "train_micro_batch_size_per_gpu": sampler.batch_size},
        )
        self.model = self.strategy.model
        self.optim_wrapper = self.strategy.optim_wrapper
        self.param_schedulers = self.strategy.param_schedulers
        if content is not None:
            self.go_on(content)
        self.call_hook("before_run")
        model = loop.run()
        self.call_hook("after_run")
        return model

    def save_now(self, iteration: int) -> Path:
        """Save through the checkpoint hook, so that it counts towards ``keep``."""
        return next(hook for hook in self.hooks if isinstance(hook, SaveCheckpoint)).save(self, iteration)

    def save(self, iteration: int) -> Path:
        """Write the state after ``iteration`` steps; called on all ranks, which together make it, and rank 0 writes."""
        log = next(hook for hook in self.hooks if isinstance(hook, TrainLog))
        states = gather_objects({**checkpoints.random_state(), "pending_log": log.pending})
        full = CheckpointSettings(**self.settings.checkpoint).full
        state = checkpoints.trained_state(unwrap(self.model), full, self._saved_value)
        optimizer = self.strategy.optimizer_state()
        path = self.folder / f"iter_{iteration}.pth"
        if self.rank == 0:
            per_step = self.train_dataloader.batch_sampler
            loop = self.train_loop
            meta = {
                "iter": iteration,
                "samples_seen": loop.samples_seen,
                "seed": self.settings.seed,
                "world_size": self.world_size,
                "batch_size": per_step.batch_size,
                "dataset_length": per_step.length,
                "torch": str(torch.__version__),
            }
            content = {
                "meta": meta,
                "full": full,
                "state_dict": state,
                "optimizer": optimizer,
                "schedulers": [scheduler.state_dict() for scheduler in self.param_schedulers],
                "random": states,
                "config": self.text,
            }
            checkpoints.write_checkpoint(content, self.folder, iteration)
            self.logger.info("saved %s", path)
        barrier()
        return path

    def _saved_value(self, tensor: torch.Tensor) -> torch.Tensor:
        """What of a parameter goes into a checkpoint: the whole value, which only rank 0 keeps."""
        value = self.strategy.whole(tensor)
        return value.cpu() if self.rank == 0 else value.new_empty(0)

    def read_resume(self) -> dict[str, Any] | None:
        """The checkpoint that was named, if one was; its weights are in the model, which isn't shared out yet."""
        if not self._resume:
            return None
        path = Path(self._resume)
        content = checkpoints.read_checkpoint(path)
        meta = content["meta"]
        sampler = self.train_dataloader.batch_sampler
        if meta["dataset_length"] != sampler.length:
            raise UserError(
                f"{path} was trained on {meta['dataset_length']} samples, this dataset has {sampler.length}; "
                "resume needs the same data (to start anew from its weights: --cfg-options initialise_from=…)"
            )
        if meta["seed"] != self.settings.seed:
            raise UserError(
                f"{path} was trained with seed {meta['seed']}, this run has {self.settings.seed}; "
                f"give --seed {meta['seed']}"
            )
        checkpoints.load_state(unwrap(self.model), content, path)
        return content

    def go_on(self, content: dict[str, Any]) -> None:
        """Take up optimizer, schedules, place in the data and random state where a checkpoint left them."""
        path, meta = Path(self._resume), content["meta"]
        try:
            self.strategy.load_optimizer_state(content["optimizer"])
        except ValueError as error:
            raise UserError(f"{path}: the optimizer's state does not fit this config: {error}") from error
        for scheduler, state in zip(self.param_schedulers, content["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.train_loop.iter = meta["iter"]
        self.train_loop.samples_seen = meta["samples_seen"]
        if len(content["random"]) == self.world_size:
            state = content["random"][self.rank]
            checkpoints.restore_random_state(state)
            next(hook for hook in self.hooks if isinstance(hook, TrainLog)).pending = state["pending_log"]
        else:
            self.logger.warning(
                "%s has %d processes, this run %d: dropout differs from here on",
                path,
                len(content["random"]),
                self.world_size,
            )
            seed_everything(self.settings.seed + meta["iter"] * self.world_size + self.rank)
        self.logger.info("resumed %s: iteration %d, %d samples seen", path, meta["iter"], meta["samples_seen"])


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def schedulers(settings: ScheduleSettings) -> list[dict[str, Any]]:
    """mmengine scheduler nodes: linear warm-up, then cosine, both by optimizer step."""
    warmup = round(settings.max_iters * settings.warmup_ratio)
    nodes: list[dict[str, Any]] = []
    # The warm-up reaches the full rate at its last step; of a single step it would never get there.
    warmup = warmup if warmup > 1 else 0
    if warmup:
        nodes.append(
            {"type": LinearLR, "start_factor": settings.warmup_start, "by_epoch": False, "begin": 0, "end": warmup}
        )
    cosine = {"type": CosineAnnealingLR, "eta_min_ratio": settings.final_ratio, "by_epoch": False}
    return [*nodes, {**cosine, "begin": warmup, "end": max(settings.max_iters, warmup + 1)}]


def build_dataloader(settings: DataSettings, seed: int, context: dict[str, Any]) -> DataLoader:
    """The endless loader of this process.

    Raises:
        UserError: the dataset is empty.
    """
    dataset = build(settings.dataset, context, "config.data.dataset")
    collate = build(settings.collate, context, "config.data.collate")
    if len(dataset) == 0:
        raise UserError(f"config.data.dataset: {type(dataset).__name__} is empty")
    rank, size = rank_and_size()
    workers: dict[str, Any] = {}
    if settings.num_workers:
        workers = {"prefetch_factor": settings.prefetch, "worker_init_fn": start_worker}
    return DataLoader(
        EpochView(dataset, seed),
        batch_sampler=GlobalBatchSampler(len(dataset), settings.batch_size, rank, size, seed, settings.shuffle),
        collate_fn=collate,
        num_workers=settings.num_workers,
        pin_memory=settings.pin_memory,
        # An own generator: drawing the workers' base seed must not touch the model's random state.
        generator=torch.Generator().manual_seed(seed),
        **workers,
    )


def start_worker(worker_id: int) -> None:
    """Loader workers compute with one thread each, and leave signals to the training process.

    They are forked while its handlers are set: without this, SIGTERM would not end them and Ctrl-C would reach them.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves.

    Attributes:
        checkpoint: the last one.
        model: trained, not wrapped.
    """

    checkpoint: Path | None
    model: nn.Module


def prepare_work_dir(folder: Path) -> None:
    """Create the work directory and clear interrupted writes.

    Raises:
        UserError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write_test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"work directory {folder} can't be written: {error.strerror}; choose another with --work-dir"
        ) from error
    checkpoints.remove_leftovers(folder)


def resolve_resume(resume: str | None, folder: Path) -> Path | None:
    """The checkpoint to resume from.

    Args:
        resume: ``None`` (start anew), ``"latest"`` (must exist), ``"auto"`` (start anew where there is none) or a path.
        folder: the work directory.

    Raises:
        UserError: there is no such checkpoint.
    """
    if resume is None:
        return None
    if resume in ("latest", "auto"):
        found = checkpoints.find_checkpoint(folder)
        if found is None and resume == "latest":
            raise UserError(f"nothing to resume: no checkpoint in {folder}; leave --resume out to start anew")
        return found
    if not Path(resume).is_file():
        raise UserError(f"checkpoint {resume} does not exist")
    return Path(resume)


def train(settings: TrainSettings, folder: str | Path, resume: str | None = None, launcher: str = "auto") -> Outcome:
    """Run a training to its end.

    Args:
        settings: a checked config.
        folder: the work directory.
        resume: see :func:`resolve_resume`.
        launcher: see :func:`word2mask.engine.distributed.start_processes`.

    Returns:
        the last checkpoint and the model.

    Raises:
        UserError: something that the user can put right.
        Interrupted: a signal stopped the run after a step; its state is saved.
    """
    folder = Path(folder).absolute()
    device = choose_device(settings.device)
    launcher = start_processes(launcher, device)
    rank, _ = rank_and_size()
    if rank == 0:
        prepare_work_dir(folder)
    barrier()
    source = resolve_resume(resume, folder)
    make_strategy = strategy_class(settings.strategy, launcher != "none")
    seed_everything(settings.seed)
    model = build(settings.model, path="config.model")
    set_precision(model, settings.precision)
    if settings.initialise_from is not None:
        checkpoints.load_trained(model, settings.initialise_from)
    loader = build_dataloader(DataSettings(**settings.data), settings.seed, {"model": model})
    schedule = ScheduleSettings(**settings.schedule)
    sampler = loader.batch_sampler
    max_iters = schedule.steps(sampler.length, sampler.batch_size * sampler.world_size * settings.accumulate)
    saving = CheckpointSettings(**settings.checkpoint)
    log = TrainLog(LogSettings(**settings.log), folder)
    hooks: list[Any] = [log, SaveCheckpoint(saving.interval, saving.keep)]
    if isinstance(loader.dataset.dataset, MixtureDataset) and not sampler.shuffle:
        hooks.append(LogVisits(loader.dataset.dataset))
    if settings.validation is not None:
        validation = ValidationSettings(**settings.validation)
        if not make_strategy.validates:
            raise UserError(
                f"strategy {settings.strategy!r} has no validation while it trains; train with another, or with "
                "validation=None and evaluate the checkpoints (tools/dist.sh test)"
            )
        run = build(validation.run, {"model": model}, "config.validation.run")
        hooks.append(Validate(run, validation.interval, log))
    randomness = {"seed": settings.seed, "diff_rank_seed": True, "deterministic": settings.deterministic}
    strategy = make_strategy(
        settings=settings,
        device=device,
        work_dir=str(folder),
        experiment_name=f"{folder.name}_{uuid.uuid4().hex[:6]}",  # mmengine keeps one logger a name
        env_kwargs={"launcher": launcher, "randomness": randomness},
        log_kwargs={"log_level": "INFO"},
    )
    runner = TrainRunner(
        settings=settings,
        folder=folder,
        text=config_text(settings),
        model=ModelAdapter(model),
        work_dir=str(folder),
        strategy=strategy,
        train_dataloader=loader,
        optim_wrapper={},
        param_scheduler=schedulers(replace(schedule, max_iters=max_iters)),
        train_cfg={"type": TrainLoop, "max_iters": max_iters, "accumulate": settings.accumulate},
        default_hooks={"runtime_info": None, "timer": None, "sampler_seed": None, "logger": None, "checkpoint": None},
        custom_hooks=hooks,
        launcher=launcher,
        resume=str(source) if source is not None else False,
    )
    runner.train()
    return Outcome(checkpoints.find_checkpoint(folder), model)

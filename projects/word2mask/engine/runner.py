"""Train any model of the contract: from settings to the last checkpoint, on mmengine's runner, hooks and strategies."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import FlexibleRunner
from torch import nn
from torch.utils.data import DataLoader

from word2mask.data.dataset import MixtureDataset
from word2mask.engine import checkpoint as checkpoints
from word2mask.engine.adapter import ModelAdapter
from word2mask.engine.build import build
from word2mask.engine.config import config_text
from word2mask.engine.display import Display
from word2mask.engine.distributed import barrier, choose_device, gather_objects, rank_and_size, start_processes
from word2mask.engine.hooks import LogVisits, SaveCheckpoint, TrainLog, Validate, WarnOfShuffle
from word2mask.engine.inspection import parameter_table
from word2mask.engine.loading import build_dataloader
from word2mask.engine.loop import TrainLoop
from word2mask.engine.operations import peak_tflops
from word2mask.engine.optimizer import set_precision
from word2mask.engine.picture_log import picture_log
from word2mask.engine.settings import (
    CacheFeaturesSettings,
    CheckpointSettings,
    DataSettings,
    LogSettings,
    ScheduleSettings,
    TrainSettings,
    ValidationSettings,
)
from word2mask.engine.strategies import strategy_class, unwrap
from word2mask.errors import UserError
from word2mask.models.stored_features import store_features


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
        """None: numbers go through :class:`~word2mask.engine.display.Display`."""

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
        try:
            model = loop.run()
        finally:
            self.train_log.display.close()
        self.call_hook("after_run")
        return model

    @property
    def train_log(self) -> TrainLog:
        """The hook that logs."""
        return next(hook for hook in self.hooks if isinstance(hook, TrainLog))

    def save_now(self, iteration: int) -> Path:
        """Save through the checkpoint hook, so that it counts towards ``keep``."""
        return next(hook for hook in self.hooks if isinstance(hook, SaveCheckpoint)).save(self, iteration)

    def save(self, iteration: int) -> Path:
        """Write the state after ``iteration`` steps; called on all ranks, which together make it, and rank 0 writes."""
        states = gather_objects({**checkpoints.random_state(), "pending_log": self.train_log.tally.state()})
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
            self.train_log.tally.load(state["pending_log"])
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
    """mmengine scheduler nodes: linear warm-up, then cosine or straight line, both by optimizer step."""
    warmup = round(settings.max_iters * settings.warmup_ratio)
    nodes: list[dict[str, Any]] = []
    # The warm-up reaches the full rate at its last step; of a single step it would never get there.
    warmup = warmup if warmup > 1 else 0
    if warmup:
        nodes.append(
            {"type": LinearLR, "start_factor": settings.warmup_start, "by_epoch": False, "begin": 0, "end": warmup}
        )
    decay = {
        "cosine": {"type": CosineAnnealingLR, "eta_min_ratio": settings.final_ratio},
        "linear": {"type": LinearLR, "start_factor": 1.0, "end_factor": settings.final_ratio},
    }[settings.decay]
    return [*nodes, {**decay, "by_epoch": False, "begin": warmup, "end": max(settings.max_iters, warmup + 1)}]


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


def training_hooks(
    settings: TrainSettings, folder: Path, device: torch.device, model: nn.Module, loader: DataLoader, validates: bool
) -> list[Hook]:
    """What happens around the steps.

    Args:
        settings: the run's.
        folder: the work directory.
        device: of this process.
        model: not wrapped.
        loader: of this process.
        validates: whether the strategy can use the model between steps.

    Raises:
        UserError: something is asked for that can't be had.
    """
    settings_of_log = LogSettings(**settings.log)
    saving = CheckpointSettings(**settings.checkpoint)
    display = Display(settings_of_log, folder, config_text(settings))
    peak = peak_tflops(device, settings.precision, settings_of_log.peak_tflops)
    log = TrainLog(settings_of_log, folder, display, peak)
    hooks: list[Hook] = [log, SaveCheckpoint(saving.interval, saving.keep)]
    dataset = loader.dataset.dataset
    if isinstance(dataset, MixtureDataset):
        hooks.append(WarnOfShuffle() if loader.batch_sampler.shuffle else LogVisits(dataset))
    if not validates and (settings.validation is not None or settings_of_log.pictures):
        what = "validation" if settings.validation is not None else "log.pictures"
        raise UserError(
            f"strategy {settings.strategy!r} has no {what} while it trains; train with another, or without it and "
            "evaluate the checkpoints (tools/dist.sh test)"
        )
    if settings.validation is not None:
        validation = ValidationSettings(**settings.validation)
        run = build(validation.run, {"model": model}, "config.validation.run")
        hooks.append(Validate(run, validation.interval, log, validation.best))
    if settings_of_log.pictures:
        hooks.append(picture_log(settings_of_log, model, dataset, folder, log))
    return hooks


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
    if settings.cache_features is not None:
        store_features(model, precision=settings.precision, **vars(CacheFeaturesSettings(**settings.cache_features)))
    loader = build_dataloader(DataSettings(**settings.data), settings.seed, {"model": model})
    schedule = ScheduleSettings(**settings.schedule)
    sampler = loader.batch_sampler
    max_iters = schedule.steps(sampler.length, sampler.batch_size * sampler.world_size * settings.accumulate)
    hooks = training_hooks(settings, folder, device, model, loader, make_strategy.validates)
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
        train_cfg={
            "type": TrainLoop,
            "max_iters": max_iters,
            "accumulate": settings.accumulate,
            "flops_interval": LogSettings(**settings.log).flops_interval,
        },
        default_hooks={"runtime_info": None, "timer": None, "sampler_seed": None, "logger": None, "checkpoint": None},
        custom_hooks=hooks,
        launcher=launcher,
        resume=str(source) if source is not None else False,
    )
    runner.train()
    return Outcome(checkpoints.find_checkpoint(folder), model)

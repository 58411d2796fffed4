"""The sections of a training config, and every setting's default: the schema that a config file is checked against.

A config is a Python file whose top-level names are the fields of :class:`TrainSettings`. Fields annotated *node* hold a
``dict(type=Class, ...)`` that :mod:`word2mask.engine.build` builds; the others are literals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Node = Mapping[str, Any]


@dataclass(frozen=True)
class DataSettings:
    """What is trained on.

    Attributes:
        dataset: node of a map-style dataset (``__len__``, ``__getitem__``, optionally ``set_epoch(epoch)``).
        collate: a callable or the node of one: list of items → batch.
        batch_size: items per process in one forward pass; the global batch is ``batch_size × processes × accumulate``.
        num_workers: loader processes per training process; 0 loads in the training process.
        prefetch: batches that each worker prepares ahead.
        shuffle: permute the dataset in every epoch, from the run's seed; off for a dataset that orders itself.
        pin_memory: page-locked host memory, for CUDA.
    """

    dataset: Node
    collate: Any
    batch_size: int = 1
    num_workers: int = 0
    prefetch: int = 2
    shuffle: bool = True
    pin_memory: bool = False


@dataclass(frozen=True)
class ScheduleSettings:
    """How long, and the learning rate on the way: linear warm-up, then a cosine or a straight line.

    Attributes:
        max_iters: optimizer steps of the whole run; ``None`` where ``epochs`` says how long.
        epochs: passes over the dataset instead, whatever it holds and however many processes share it.
        warmup_ratio: share of the steps spent on the warm-up.
        warmup_start: factor of the learning rate at step 0.
        final_ratio: factor of the learning rate at the last step.
        decay: how it gets there, ``"cosine"`` or ``"linear"`` (LISA).
    """

    max_iters: int | None = None
    epochs: float | None = None
    warmup_ratio: float = 0.05
    warmup_start: float = 1e-5
    final_ratio: float = 0.0
    decay: str = "cosine"

    def steps(self, samples: int, samples_per_step: int) -> int:
        """Optimizer steps of the whole run.

        Args:
            samples: length of the dataset.
            samples_per_step: the global batch, accumulated passes included.
        """
        if self.max_iters is not None:
            return self.max_iters
        return max(1, round((self.epochs or 0) * samples / samples_per_step))


@dataclass(frozen=True)
class ParameterGroupSettings:
    """How the optimizer treats different parameters.

    Attributes:
        lr_multipliers: prefix of a parameter's name → factor of the learning rate; the longest prefix wins, and a
            prefix that fits no trainable parameter is an error.
        decay_norms_and_biases: apply weight decay to one-dimensional parameters too.
        matrices: prefixes of names whose two-dimensional parameters form groups marked ``is_matrix``, for
            :class:`word2mask.engine.muon.MuonAdamW`; other optimizers take no notice of the mark.
    """

    lr_multipliers: Mapping[str, float] = field(default_factory=dict)
    decay_norms_and_biases: bool = False
    matrices: Sequence[str] = ()


@dataclass(frozen=True)
class CheckpointSettings:
    """When and what to save.

    Attributes:
        interval: optimizer steps between checkpoints; the last step is always saved.
        keep: newest checkpoints of this run to keep; 0 keeps all.
        full: save frozen weights as well.
    """

    interval: int = 1000
    keep: int = 2
    full: bool = False


@dataclass(frozen=True)
class LogSettings:
    """What is written down, and where. ``history.jsonl`` holds every number; the console a few of them.

    Attributes:
        interval: optimizer steps between lines on the console and in ``history.jsonl``; values are means over that
            interval.
        by: what losses are told apart by besides: ``"task"``, ``"source"``, both or nothing.
        flops_interval: optimizer steps from one whose floating-point operations are counted to the next
            (:mod:`word2mask.engine.operations`), the first one included; the mean of those counted gives ``tflops``,
            of one device. More often is closer to the truth where steps differ, and a counted step is slower. 0 counts
            none.
        peak_tflops: dense TFLOP/s of one device at this precision, for ``mfu``; ``None`` takes it from the data sheets
            of the devices that :data:`word2mask.engine.operations.PEAK_TFLOPS` names, and others have no ``mfu``.
        tensorboard: also write TensorBoard events, to ``tensorboard`` in the work directory.
        wandb: also write to Weights & Biases: the arguments of ``wandb.init``, e.g. ``dict(project="words")``, with
            ``mode="offline"`` where there is no network.
        pictures: samples whose question, truth and prediction are drawn side by side, to ``pictures`` in the work
            directory: a number of them, spread over the sources, or their indices in the dataset.
        pictures_interval: optimizer steps between such grids; the last step always gets one.
    """

    interval: int = 10
    by: Sequence[str] = ("task", "source")
    flops_interval: int = 50
    peak_tflops: float | None = None
    tensorboard: bool = False
    wandb: Mapping[str, Any] | None = None
    pictures: int | Sequence[int] = 0
    pictures_interval: int = 500


@dataclass(frozen=True)
class ShardingSettings:
    """Sizes of DeepSpeed's exchanges (strategies ``zero…``), in values; the other strategies need none.

    Attributes:
        overlap_comm: exchange gradients while the backward pass goes on.
        bucket_size: gradients or weights in one message; DeepSpeed reserves memory for one or two of them, but never
            for more than what trains.
        prefetch_size: ``zero3``: weights gathered ahead of the layer that is computed.
        persistent_size: ``zero3``: parameters up to this size stay whole.
    """

    overlap_comm: bool = True
    bucket_size: int = 500_000_000
    prefetch_size: int = 50_000_000
    persistent_size: int = 100_000


@dataclass(frozen=True)
class CacheFeaturesSettings:
    """What frozen encoders make of each frame, kept on disk (:mod:`word2mask.models.stored_features`).

    Attributes:
        folder: of the files; runs and processes may share it, and it may be deleted at any time between runs.
        dtype: in which features are kept: ``None`` as computed, ``"fp32"``, or ``"bf16"`` and ``"fp16"`` for half the
            size of single precision.
        limit_gb: most 10⁹ bytes in the folder; beyond it frames are encoded at every visit.
    """

    folder: str = "work_dirs/features"
    dtype: str | None = None
    limit_gb: float = 100.0


@dataclass(frozen=True)
class ValidationSettings:
    """A check during training.

    Attributes:
        run: node of a callable ``(model, iteration) -> {name: number}``, called in eval mode without gradients on
            every rank.
        interval: optimizer steps between calls; the last step is always checked.
        best: which of its numbers, the larger the better, says what the best checkpoint is: that one is kept as
            ``best.pth``, with ``best.json`` beside it; ``None`` keeps none.
    """

    run: Node
    interval: int = 1000
    best: str | None = None


@dataclass(frozen=True)
class TrainSettings:
    """A whole training config.

    Attributes:
        model: node of the model; ``model(batch)`` returns ``{name: scalar}``, names starting with ``loss`` are summed.
        data: :class:`DataSettings`.
        optimizer: node of a ``torch.optim`` class without ``params``.
        schedule: :class:`ScheduleSettings`.
        parameter_groups: :class:`ParameterGroupSettings`.
        checkpoint: :class:`CheckpointSettings`.
        log: :class:`LogSettings`.
        validation: :class:`ValidationSettings`, or ``None``.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``, by autocast; what trains is held in fp32, see
            :func:`word2mask.engine.optimizer.set_precision`.
        accumulate: forward passes per optimizer step.
        grad_clip: largest norm of the gradient, or ``None``.
        seed: of weights, data order and dropout.
        deterministic: ask torch for deterministic algorithms.
        device: ``"cpu"``, ``"cuda"``, or ``None`` for CUDA where there is one.
        strategy: how several processes share the work, one of :data:`STRATEGIES`
            (:mod:`word2mask.engine.strategies`).
        sharding: :class:`ShardingSettings`.
        cache_features: :class:`CacheFeaturesSettings`, or ``None`` to encode frames at every visit.
        initialise_from: a checkpoint of another run whose weights to start from.
        evaluation: settings of ``tools/test.py``; training does not read them.
    """

    model: Node
    data: Mapping[str, Any]
    optimizer: Node
    schedule: Mapping[str, Any]
    parameter_groups: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    log: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] | None = None
    precision: str = "fp32"
    accumulate: int = 1
    grad_clip: float | None = 1.0
    seed: int = 0
    deterministic: bool = False
    device: str | None = None
    strategy: str = "ddp"
    sharding: Mapping[str, Any] = field(default_factory=dict)
    cache_features: Mapping[str, Any] | None = None
    initialise_from: str | None = None
    evaluation: Mapping[str, Any] | Sequence[Any] | None = None


#: Sections of :class:`TrainSettings` and the class that each is checked against.
SECTIONS: dict[str, type] = {
    "data": DataSettings,
    "schedule": ScheduleSettings,
    "parameter_groups": ParameterGroupSettings,
    "checkpoint": CheckpointSettings,
    "log": LogSettings,
    "validation": ValidationSettings,
    "sharding": ShardingSettings,
    "cache_features": CacheFeaturesSettings,
}
#: How losses can be told apart, ``log.by``.
GROUPINGS = ("task", "source")
STRATEGIES = ("ddp", "zero1", "zero2", "zero2_offload", "zero3", "zero3_offload", "fsdp")
PRECISIONS = ("fp32", "bf16", "fp16")
DECAYS = ("cosine", "linear")

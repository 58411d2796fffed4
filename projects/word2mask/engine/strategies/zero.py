"""ZeRO (arXiv:1910.02054) by DeepSpeed, through mmengine's DeepSpeedStrategy."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
from collections.abc import Iterator
from typing import Any

import torch
from mmengine._strategy import deepspeed as mmengine_deepspeed
from torch import nn

from word2mask.engine.distributed import rank_and_size
from word2mask.engine.optimizer import autocast
from word2mask.engine.settings import ShardingSettings, TrainSettings
from word2mask.engine.strategies.base import Sharing, check_groups, refuse_fp16
from word2mask.engine.strategies.layers import SharedView, outside, passed_layers
from word2mask.errors import UserError
from word2mask.mllms.lengths import one_group

#: The only version that this was tried with; it uses parts of DeepSpeed that aren't documented.
VERSION = "0.19.6"

# Every new strategy would register DeepSpeed's optimizers with mmengine, which fails the second time; we use torch's.
mmengine_deepspeed.register_deepspeed_optimizers = list


def require_deepspeed(strategy: str) -> None:
    """Fail where DeepSpeed is missing or of another version.

    Raises:
        UserError: with the command that installs it.
    """
    try:
        found = importlib.metadata.version("deepspeed")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise UserError(
            f"strategy {strategy!r} needs the package deepspeed in version {VERSION}, found {found}: "
            f"pip install deepspeed=={VERSION}"
        )


class ZeroOptimWrapper(mmengine_deepspeed.DeepSpeedOptimWrapper):
    """mmengine's wrapper with the gradient's norm; DeepSpeed itself counts passes, clips and scales."""

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Nothing: autocast is entered inside of the engine, which would switch it off here."""
        yield

    @property
    def grad_norm(self) -> float | None:
        """Of the last step, before clipping."""
        norm = self.model.get_global_grad_norm()
        return None if norm is None else float(norm)


class Zero(Sharing, mmengine_deepspeed.DeepSpeedStrategy):
    """Optimizer state (stage 1), gradients (2) and weights (3) in slices.

    DeepSpeed sees a :class:`SharedView` of the model. In bf16 it holds what it sees in bf16 and updates fp32 slices.
    """

    stage = 1
    offload = False

    def __init__(self, *, settings: TrainSettings, device: torch.device, **kwargs: Any):
        require_deepspeed(settings.strategy)
        refuse_fp16(settings)
        _quiet(device)
        config = deepspeed_config(settings, self.stage, self.offload, device)
        super().__init__(settings=settings, device=device, config=config, **kwargs)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> ZeroOptimWrapper:
        """torch's optimizer, which DeepSpeed then gives its slices."""
        optimizer = self.build_optimizer(model)
        self.groups = [list(group["params"]) for group in optimizer.param_groups]
        return ZeroOptimWrapper(optimizer)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        import deepspeed
        from deepspeed.utils import set_z3_leaf_module

        layers = passed_layers(model.model)
        for _, parameter in outside(model, layers):
            parameter.data = parameter.data.to(self.device)
        for buffer in model.buffers():
            buffer.data = buffer.data.to(self.device)
        model.ties = False
        model.around = functools.partial(_surroundings, self.settings.precision, self.device, self.stage)
        if self.stage == 3:
            for layer in layers:
                # All of a layer's weights in one message, those of its adapters included.
                set_z3_leaf_module(layer, True)
        self.trained = [parameter for group in self.groups for parameter in group]
        # DeepSpeed makes the fp32 weights from the bf16 ones; they are put back as they were.
        masters = [parameter.detach().cpu().clone() for parameter in self.trained]
        _limit_buckets(self.config["zero_optimization"], sum(master.numel() for master in masters))
        engine, self.optim_wrapper.optimizer, *_ = deepspeed.initialize(
            model=SharedView(model, layers), optimizer=self.optim_wrapper.optimizer, config=self.config
        )
        self.zero = engine.optimizer
        for parameter, master in zip(self.trained, masters, strict=True):
            self._set(parameter, master)
        return engine

    # -- whole values and slices -----------------------------------------------------------------------------------

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """The value, put together from the slices; in fp32 where it trains."""
        from deepspeed import zero
        from deepspeed.utils import safe_get_full_fp32_param

        if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
            return safe_get_full_fp32_param(tensor)
        if hasattr(tensor, "ds_id"):
            with zero.GatheredParameters([tensor]):
                return tensor.detach().clone()
        return tensor.detach()

    def _set(self, parameter: nn.Parameter, value: torch.Tensor, key: str | None = None) -> None:
        """Give this process its slice of a value of the optimizer's state, or of the fp32 weights."""
        from deepspeed import utils

        value = value.to(self.device, torch.float32)
        if self.stage == 3:
            # DeepSpeed's own function can't cut a value whose size the processes don't divide.
            rank, size = rank_and_size()
            length = parameter.ds_tensor.ds_numel
            padded = nn.functional.pad(value.flatten(), (0, length * size - value.numel()))
            part = padded[rank * length : (rank + 1) * length]
            if key is None:
                utils.safe_set_local_fp32_param(parameter, part)
            else:
                utils.safe_set_local_optimizer_state(parameter, part, key)
        elif key is None:
            utils.safe_set_full_fp32_param(parameter, value)
        else:
            utils.safe_set_full_optimizer_state(parameter, value, key)

    def _slices(self) -> list[torch.Tensor]:
        """The flat fp32 tensors that torch's optimizer holds."""
        if self.stage == 3:
            return self.zero.fp32_partitioned_groups_flat
        if hasattr(self.zero, "single_partition_of_fp32_groups"):
            return self.zero.single_partition_of_fp32_groups
        return self.zero.fp32_groups_flat_partition  # DeepSpeed has a class of its own for stage 1 in bf16

    def _link_states(self) -> None:
        """DeepSpeed does this after the step of the first parameter group, when the others have no state yet."""
        if self.stage < 3:
            self.zero._hp_optimizer_states_linked = False
            self.zero._lazy_init_hp_params_optimizer_state()

    # -- the optimizer's state, as of one process ------------------------------------------------------------------

    def optimizer_state(self) -> dict[str, Any]:
        """As of one process; the tensors are on rank 0 only."""
        from deepspeed.utils import safe_get_full_optimizer_state

        inner = self.zero.optimizer
        is_first = rank_and_size()[0] == 0
        flat = self._slices()[0]
        held = inner.state.get(flat, {})
        sliced = [name for name, value in held.items() if value.shape == flat.shape]
        common = {name: value.detach().cpu().clone() for name, value in held.items() if name not in sliced}
        if held:
            self._link_states()
        state: dict[int, dict[str, Any]] = {}
        for index, parameter in enumerate(self.trained if held else ()):
            values = {name: safe_get_full_optimizer_state(parameter, name).cpu() for name in sliced}
            if is_first:
                # A copy each: torch's optimizer would count steps on all of them at once.
                state[index] = {**{name: value.clone() for name, value in common.items()}, **values}
        groups, first = [], 0
        for group, parameters in zip(inner.param_groups, self.groups, strict=True):
            groups.append({**group, "params": list(range(first, first + len(parameters)))})
            first += len(parameters)
        return {"optimizer": {"state": state, "param_groups": groups}, "scaler": {}}

    def load_optimizer_state(self, state: dict[str, Any]) -> None:
        """Each process takes its slices."""
        saved = state["optimizer"]
        check_groups(saved["param_groups"], self.groups)
        inner = self.zero.optimizer
        for group, theirs in zip(inner.param_groups, saved["param_groups"], strict=True):
            group.update({name: value for name, value in theirs.items() if name != "params"})
        if not saved["state"]:
            return
        example = saved["state"][0]
        sliced = [name for name, value in example.items() if value.shape == self._shape(self.trained[0])]
        moves = any(group.get("fused") or group.get("capturable") for group in inner.param_groups)
        for flat in self._slices():
            common = {name: value.clone() for name, value in example.items() if name not in sliced}
            if moves:
                common = {name: value.to(flat.device) for name, value in common.items()}
            inner.state[flat] = {**common, **{name: torch.zeros_like(flat) for name in sliced}}
        self._link_states()
        for index, parameter in enumerate(self.trained):
            for name in sliced:
                self._set(parameter, saved["state"][index][name], name)

    @staticmethod
    def _shape(parameter: nn.Parameter) -> torch.Size:
        return getattr(parameter, "ds_shape", parameter.shape)


class Zero1(Zero):
    """Optimizer state in slices."""


class Zero2(Zero):
    """Optimizer state and gradients in slices."""

    stage = 2


class Zero2Offload(Zero2):
    """As ``zero2``, with optimizer state and its step on the CPU."""

    offload = True


class Zero3(Zero):
    """Optimizer state, gradients and weights in slices."""

    stage = 3
    #: Weights are gathered wherever a layer is called, which in a validation differs between processes.
    validates = False


class Zero3Offload(Zero3):
    """As ``zero3``, with the slices on the CPU."""

    offload = True


def deepspeed_config(settings: TrainSettings, stage: int, offload: bool, device: torch.device) -> dict[str, Any]:
    """DeepSpeed's own configuration, https://www.deepspeed.ai/docs/config-json."""
    sharding = ShardingSettings(**settings.sharding)
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": sharding.overlap_comm,
        "contiguous_gradients": True,
        "reduce_bucket_size": sharding.bucket_size,
        "allgather_bucket_size": sharding.bucket_size,
    }
    if stage == 3:
        zero["stage3_prefetch_bucket_size"] = sharding.prefetch_size
        zero["stage3_param_persistence_threshold"] = sharding.persistent_size
    if offload:
        place = {"device": "cpu", "pin_memory": device.type == "cuda"}
        zero["offload_optimizer"] = place
        if stage == 3:
            zero["offload_param"] = place
    return {
        "train_micro_batch_size_per_gpu": settings.data.get("batch_size", 1),
        "gradient_accumulation_steps": settings.accumulate,
        "gradient_clipping": settings.grad_clip or 0.0,
        "bf16": {"enabled": settings.precision == "bf16"},
        # As under ddp: gradients are summed, over passes and over processes, in fp32.
        "data_types": {"grad_accum_dtype": "fp32"},
        "communication_data_type": "fp32",
        # torch's optimizer: DeepSpeed's own would have to be compiled on every machine.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": zero,
    }


def _limit_buckets(config: dict[str, Any], trained: int) -> None:
    """DeepSpeed reserves a whole bucket, or two: none needs to be larger than what trains."""
    for name in ("reduce_bucket_size", "allgather_bucket_size"):
        config[name] = min(config[name], trained + trained % 2)  # an even number, DeepSpeed asserts


@contextlib.contextmanager
def _surroundings(precision: str, device: torch.device, stage: int) -> Iterator[None]:
    """Where the model is called: autocast; and in stage 3 every batch passes the layers once."""
    with autocast(precision, device), one_group() if stage == 3 else contextlib.nullcontext():
        yield


def _quiet(device: torch.device) -> None:
    """Warnings only; and DeepSpeed computes where the run does, not on the first GPU that it finds."""
    from deepspeed.accelerator import get_accelerator, set_accelerator
    from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    if device.type == "cpu" and get_accelerator().device_name() != "cpu":
        set_accelerator(CPU_Accelerator())

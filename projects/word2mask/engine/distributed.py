"""Processes and devices: who takes part, on which device, and the few exchanges between them."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from word2mask.errors import UserError

#: Names a folder in which a machine's processes note what was said to the user (:mod:`word2mask.engine.launch`).
SAID = "WORD2MASK_SAID"


def tell(error: Exception, patience: float = 5.0) -> None:
    """A sentence for the user on stderr; what all processes of a machine stop with is said once, by its first.

    Args:
        error: whose message it is.
        patience: seconds for which the others wait for the first to say the same.
    """
    rank, folder = os.environ.get("RANK", "0"), os.environ.get(SAID)
    note = folder and Path(folder) / hashlib.sha256(str(error).encode()).hexdigest()
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    if note and not is_first:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if note.exists():
                return
            time.sleep(0.05)
    sys.stderr.write(f"{error}\n" if rank == "0" else f"process {rank}: {error}\n")
    sys.stderr.flush()
    if note and is_first and note.parent.is_dir():
        note.touch()


def choose_device(name: str | None) -> torch.device:
    """The device of this process: ``cuda:LOCAL_RANK`` or ``cpu``.

    Args:
        name: ``"cpu"``, ``"cuda"``, or ``None`` for CUDA where there is one.

    Raises:
        UserError: an unknown name, or CUDA where there is none.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"device is {name!r}; expected 'cpu' or 'cuda'")
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("device is 'cuda', but torch sees no CUDA device; use --device cpu")
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if local_rank >= torch.cuda.device_count():
        raise UserError(f"local rank {local_rank} has no CUDA device: there are {torch.cuda.device_count()}")
    return torch.device("cuda", local_rank)


def start_processes(launcher: str, device: torch.device) -> str:
    """Join the process group when torchrun started this process: gloo on CPU, NCCL on CUDA.

    mmengine's own start-up calls ``torch.cuda.set_device`` whatever the backend; joining before it is built avoids
    that.

    Args:
        launcher: ``"none"``, ``"pytorch"`` or ``"auto"`` (``"pytorch"`` exactly when torchrun's variables are set).
        device: of this process.

    Returns:
        the launcher used.

    Raises:
        UserError: ``"pytorch"`` asked for outside of torchrun.
    """
    variables = [
        name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ
    ]
    if launcher == "auto":
        launcher = "none" if variables else "pytorch"
    if launcher == "none":
        return launcher
    if variables:
        raise UserError(
            f"launcher 'pytorch' needs {', '.join(variables)}; start with tools/dist.sh train CONFIG PROCESSES"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return launcher


def rank_and_size() -> tuple[int, int]:
    """This process's rank and the number of processes; ``(0, 1)`` outside of a group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Sum of a small tensor over all processes, the same on each."""
    if dist.is_initialized():
        values = values.clone()
        dist.all_reduce(values)
    return values


def gather_objects(value: Any) -> list[Any]:
    """Every process's value, in order of rank, on every process."""
    if not dist.is_initialized():
        return [value]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


def leave_processes() -> None:
    """Leave the group at the end of a program, after all have come this far.

    Without it the interpreter's own end tears the group down while its threads still run, and now and then aborts a
    run that has succeeded ("terminate called without an active exception").
    """
    if dist.is_initialized():
        dist.barrier()
        gc.collect()
        dist.destroy_process_group()


def tie_unused_parameters(module: nn.Module, loss: torch.Tensor, passed: Sequence[nn.Module] = ()) -> torch.Tensor:
    """The same loss, with every trainable parameter in its graph.

    A batch without a mask never reaches the projector or the mask decoder. Data-parallel training would then wait for
    gradients that one rank never produces, and the optimizer would skip those parameters on one number of processes
    and not on another. The sum of an *empty* slice of each parameter adds an exact zero: no arithmetic forward, and a
    gradient of zeros backward, on every rank alike.

    Args:
        module: whose parameters to tie.
        loss: scalar.
        passed: parts of it that every batch passes: left out, as their weights may be elsewhere by now (FSDP).

    Returns:
        scalar with the value of ``loss``.
    """
    within = {id(parameter) for part in passed for parameter in part.parameters()}
    parameters = [p for p in module.parameters() if p.requires_grad and id(p) not in within]
    zeros = [parameter.reshape(-1)[:0].sum() for parameter in parameters]
    return loss + torch.stack([zero.to(loss) for zero in zeros]).sum() if zeros else loss

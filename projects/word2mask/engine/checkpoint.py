"""Checkpoints: ``iter_N.pth``, readable by ``torch.load(..., weights_only=True)``: tensors and plain values only.

Content: ``version``, ``meta`` (iteration, samples seen, seed, ...), ``full``, ``state_dict`` (trainable parameters
and the buffers beside them; everything when ``full``), ``optimizer``, ``schedulers``, ``random`` (one state per
rank), ``config`` (text, for the record). A file appears under its name only when it is complete and on disk.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from word2mask.errors import UserError

logger = logging.getLogger(__name__)
VERSION = 1
POINTER = "last_checkpoint"
#: The checkpoint that validation found best, and what it found.
BEST, BEST_RECORD = "best.pth", "best.json"
_NAME = re.compile(r"iter_(\d+)\.pth")


def trained_state(
    model: nn.Module, full: bool = False, whole: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.detach
) -> dict[str, torch.Tensor]:
    """What a checkpoint keeps of a model.

    Args:
        model: not wrapped.
        full: frozen weights too.
        whole: the detached value of a parameter or buffer, put together where processes hold parts of it.

    Returns:
        name → detached tensor: the trainable parameters, and the persistent buffers of modules that own one of them
        (running statistics of a norm). Tied parameters appear once.
    """
    if full:
        return {name: whole(value) for name, value in model.state_dict(keep_vars=True).items()}
    state = {name: whole(parameter) for name, parameter in model.named_parameters() if parameter.requires_grad}
    for prefix, module in model.named_modules():
        if not any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            continue
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                state[f"{prefix}.{name}" if prefix else name] = whole(buffer)
    return state


def load_trained(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a checkpoint's weights into a model built from the same config, for evaluation, export or a new run.

    Args:
        model: not wrapped, with its trainable plan applied.
        path: an ``iter_N.pth``.

    Returns:
        the checkpoint's ``meta``.

    Raises:
        UserError: the file can't be read, or its names or shapes differ from the model's (all differences are listed).
    """
    checkpoint = read_checkpoint(path)
    load_state(model, checkpoint, path)
    return checkpoint["meta"]


def load_state(model: nn.Module, checkpoint: dict[str, Any], path: str | Path) -> None:
    """Copy a read checkpoint's weights into a model, strictly.

    Raises:
        UserError: names or shapes differ.
    """
    expected = trained_state(model, checkpoint["full"])
    given = checkpoint["state_dict"]
    missing = sorted(set(expected) - set(given))
    unexpected = sorted(set(given) - set(expected))
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(expected) & set(given))
        if given[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(names)} {what} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(
            f"{path} does not fit this model: {'; '.join(problems)}. Use the config that it was trained with"
        )
    with torch.no_grad():
        for name, target in expected.items():
            target.copy_(given[name])


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it.

    Raises:
        UserError: no such file, not a checkpoint of ours, or content other than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path} does not exist")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is not a readable checkpoint (only tensors and plain values are admitted): {reason}"
        ) from error
    if not isinstance(checkpoint, dict) or checkpoint.get("version") != VERSION:
        raise UserError(f"{path} is not a checkpoint of this program (version {VERSION})")
    return checkpoint


def plain(value: Any, where: str = "checkpoint") -> Any:
    """The same value in types that ``weights_only=True`` admits.

    Raises:
        TypeError: something in it is neither a tensor nor a plain value.
    """
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item, f"{where}[{index}]") for index, item in enumerate(value))
    raise TypeError(f"{where}: {type(value).__name__} can't go into a checkpoint")


def write_checkpoint(checkpoint: dict[str, Any], folder: Path, iteration: int) -> Path:
    """Write ``iter_N.pth`` and the pointer to it, each complete or not at all.

    Returns:
        the file's path.

    Raises:
        UserError: the disk refused.
    """
    target = folder / f"iter_{iteration}.pth"
    checkpoint = plain({"version": VERSION, **checkpoint})
    try:
        write_whole(target, lambda file: torch.save(checkpoint, file))
        write_whole(folder / POINTER, lambda file: file.write(f"{target.name}\n".encode()))
    except (OSError, RuntimeError) as error:
        raise UserError(f"could not write {target}: {error}; earlier checkpoints are untouched") from error
    return target


def write_whole(target: Path, write: Any) -> None:
    """Write to a temporary neighbour, flush it to disk, and rename it: a reader sees the old file or the new one."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def keep_as(path: Path, target: Path) -> None:
    """Give a checkpoint a second name, under which it stays when the first is deleted; without a copy where it can be.

    Raises:
        UserError: the disk refused.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"could not write {target}: {error}; {path} is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)


def find_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint of a work directory: the pointer's, or the highest N where the pointer names none."""
    folder = Path(folder)
    pointer = folder / POINTER
    if pointer.is_file():
        named = folder / pointer.read_text(encoding="utf-8").strip()
        if _NAME.fullmatch(named.name) and named.is_file():
            return named
    return next(reversed(saved_checkpoints(folder).values()), None)


def saved_checkpoints(folder: str | Path) -> dict[int, Path]:
    """N → ``iter_N.pth`` of a work directory, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in Path(folder).glob("iter_*.pth"))
    return dict(sorted((int(match.group(1)), path) for match, path in found if match))


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that a killed run left in a work directory."""
    for path in [*folder.glob(".iter_*.pth.tmp"), *folder.glob(f".{POINTER}.tmp")]:
        logger.info("removing %s, left by an interrupted write", path)
        path.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """State of python's, numpy's and torch's generators, as plain values."""
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what :func:`random_state` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

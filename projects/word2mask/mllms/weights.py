"""Weights from disk into a model, one tensor at a time: memory holds the model and a tensor, not two models.

Knows no layout: whoever calls says which tensor goes where.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig, PreTrainedModel

from word2mask.errors import UserError

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

__all__ = ["INDEX_NAME", "WEIGHTS_NAME", "Piece", "TensorFolder", "built_from"]


class Piece(NamedTuple):
    """A tensor on its way into a model.

    Attributes:
        name: of the model's parameter or buffer.
        tensor: what goes there.
        origin: its name on disk, for messages.
    """

    name: str
    tensor: torch.Tensor
    origin: str


class TensorFolder(Mapping[str, torch.Tensor]):
    """The tensors of a folder's safetensors, in one file or in indexed shards, each read when it is asked for.

    Iteration goes shard by shard.

    Args:
        folder: with ``model.safetensors``, or ``model.safetensors.index.json`` and its shards.

    Raises:
        UserError: no weights, a shard that is missing or broken, or an index that doesn't fit its shards.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._files: dict[str, Any] = {}
        self._shards = self._read_index()
        for shard in dict.fromkeys(self._shards.values()):
            known, wanted = set(self._open(shard).keys()), {n for n, s in self._shards.items() if s == shard}
            if known != wanted:
                name = min(known ^ wanted)
                raise UserError(
                    f"{self.folder / INDEX_NAME}: {name} {'is' if name in wanted else 'is not'} said to be in {shard}, "
                    f"which {'lacks' if name in wanted else 'has'} it; download or export the model again"
                )

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._open(self._shards[name]).get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    def dtype(self, prefix: str = "") -> torch.dtype | None:
        """Of the first floating tensor whose name starts with ``prefix``."""
        for name in self._shards:
            if name.startswith(prefix) and (tensor := self[name]).is_floating_point():
                return tensor.dtype
        return None

    def _read_index(self) -> dict[str, str]:
        """The shard of each tensor, sorted by shard."""
        index = self.folder / INDEX_NAME
        if not index.is_file():
            return dict.fromkeys(self._open(WEIGHTS_NAME).keys(), WEIGHTS_NAME)
        try:
            shards = json.loads(index.read_text())["weight_map"]
            return {name: Path(shards[name]).name for name in sorted(shards, key=lambda name: (shards[name], name))}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{index}: can't be read ({error}); download or export the model again") from None

    def _open(self, shard: str) -> Any:
        """An open file; only the latest stays open, so that no more than one shard is mapped into memory."""
        if shard not in self._files:
            self._files.clear()
            path = self.folder / shard
            try:
                self._files[shard] = safe_open(path, framework="pt")
            except FileNotFoundError:
                # safetensors says so too where the user may not read it.
                if path.exists() and not os.access(path, os.R_OK):
                    raise UserError(
                        f"{path}: the weights may not be read by this user; give everybody the right (chmod a+r)"
                    ) from None
                message = (
                    f"{self.folder}: a file of the weights is missing ({shard}); download or export the model again"
                )
                raise UserError(message) from None
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{path}: the weights can't be read ({error}); download or export the model again"
                ) from None
        return self._files[shard]


def built_from(
    backbone: type[PreTrainedModel],
    config: PreTrainedConfig,
    pieces: Iterable[Piece],
    source: str,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "sdpa",
    tied: Mapping[str, str] | None = None,
    device: str | torch.device = "cpu",
) -> Any:
    """A transformers model whose every weight is given; in evaluation mode.

    It is built without memory, and each tensor is copied into its place in the wanted dtype as it comes.

    Args:
        backbone: transformers' class.
        config: its configuration.
        pieces: what goes where, in any order.
        source: where they come from, for messages.
        dtype: of the floating weights.
        attn_implementation: how attention is computed.
        tied: parameters that may be missing, and those that they are copies of.
        device: where the model is to lie.

    Raises:
        UserError: a tensor that the model doesn't have, that is there twice, of another shape, or missing.
    """
    config._attn_implementation = attn_implementation
    for part in (config, *(getattr(config, name) for name in config.sub_configs)):
        if part is not None:
            part.dtype = dtype
    with torch.device("meta"):
        model = backbone(config)
    _fill_tables(model, device)
    wanted = model.state_dict(keep_vars=True)
    given: set[str] = set()
    for name, tensor, origin in pieces:
        if name not in wanted or name in given:
            problem = "is there twice" if name in given else "is no part of the model that config.json describes"
            raise UserError(f"{source}: the tensor {origin} {problem}; download or export the model again")
        if wanted[name].shape != tensor.shape:
            raise UserError(
                f"{source}: the tensor {origin} has shape {list(tensor.shape)}, but config.json asks for "
                f"{list(wanted[name].shape)}; download or export the model again"
            )
        given.add(name)
        _place(model, name, tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype, copy=True))
    for name, original in (tied or {}).items():
        if name not in given and original in given:
            given.add(name)
            _place(model, name, model.get_parameter(original).detach().clone())
    missing = sorted(wanted.keys() - given)
    if missing:
        raise UserError(
            f"{source}: {len(missing)} tensors of the model are missing, the first is {missing[0]}; download or export "
            "the model again"
        )
    return model.eval()


def _place(model: torch.nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Puts a tensor where the model has one without memory."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    if leaf in module._parameters:
        trains = module._parameters[leaf].requires_grad
        module._parameters[leaf] = torch.nn.Parameter(tensor.contiguous(), requires_grad=trains)
    else:
        module._buffers[leaf] = tensor.contiguous()


def _fill_tables(model: PreTrainedModel, device: str | torch.device) -> None:
    """Computes the buffers that no file holds, such as rotary frequencies, as transformers does.

    The parameters must have no memory yet: transformers' rule fills a module's parameters too.
    """
    for name, module in model.named_modules():
        tables = [leaf for leaf in sorted(module._non_persistent_buffers_set) if module._buffers[leaf] is not None]
        if not tables:
            continue
        for leaf in tables:
            empty = module._buffers[leaf]
            nothing = torch.nan if empty.is_floating_point() else -1
            module._buffers[leaf] = torch.full_like(empty, nothing, device="cpu")
        levels = name.split(".") if name else []
        owners = (model.get_submodule(".".join(levels[:depth])) for depth in range(len(levels), -1, -1))
        next(owner for owner in owners if isinstance(owner, PreTrainedModel))._init_weights(module)
        for leaf in tables:
            table = module._buffers[leaf]
            if (table.isnan() if table.is_floating_point() else table < 0).any():
                raise RuntimeError(f"transformers doesn't fill {name}.{leaf} of {type(model).__name__}")
            module._buffers[leaf] = table.to(device)

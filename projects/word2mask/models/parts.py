"""Weights of a grounded model, part by part, on their way into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from word2mask.errors import UserError
from word2mask.mllms.weights import Piece

__all__ = ["GroundedWeights", "NamedTensors", "PartWeights", "first_dtype", "projector_widths"]


@dataclass
class PartWeights:
    """Weights of one part.

    Attributes:
        pieces: what goes where in the part's transformers model.
        dtype: that the model is to have, unless somebody asks for another.
    """

    pieces: Iterable[Piece]
    dtype: torch.dtype


@dataclass
class GroundedWeights:
    """All weights of a model; those of the large parts are read when they are placed.

    Attributes:
        mllm: of the language model with vision.
        segmenter: of the segmenter.
        projector: of the projector.
        original_decoder: of the mask decoder as it was before it was trained, if it was.
    """

    mllm: PartWeights
    segmenter: PartWeights
    projector: dict[str, torch.Tensor]
    original_decoder: dict[str, torch.Tensor] = field(default_factory=dict)


class NamedTensors(Mapping[str, torch.Tensor]):
    """Some of a folder's tensors: those whose names start with a prefix, without it.

    Args:
        tensors: of the folder.
        prefix: of the names.
        without: beginnings of names that are left out.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], prefix: str, without: tuple[str, ...] = ()) -> None:
        self._tensors, self._prefix = tensors, prefix
        self._names = [
            name.removeprefix(prefix) for name in tensors if name.startswith(prefix) and not name.startswith(without)
        ]

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def first_dtype(self, start: str = "") -> torch.dtype:
        """Of the first floating tensor whose name has this beginning."""
        return first_dtype(self[name] for name in self._names if name.startswith(start))


def projector_widths(projector: Mapping[str, torch.Tensor], source: str, prefix: str) -> dict[str, int]:
    """Arguments of a :class:`word2mask.models.projector.Projector`, by its weights.

    Args:
        projector: its state.
        source: where it comes from, for messages.
        prefix: of the names there, in the place of ``layers.``.

    Raises:
        UserError: a tensor is missing, or isn't the projector's.
    """
    known = {f"layers.{layer}.{leaf}" for layer in (0, 2) for leaf in ("weight", "bias")}
    if different := sorted(known ^ projector.keys()):
        state = "missing" if different[0] in known else "not understood"
        name = different[0].replace("layers.", prefix)
        raise UserError(f"{source}: the tensor {name} is {state}; download or export the model again")
    prompt_dim, hidden_size = projector["layers.2.weight"].shape
    return {"hidden_size": hidden_size, "prompt_dim": prompt_dim}


def first_dtype(tensors: Iterable[torch.Tensor]) -> torch.dtype:
    """Of the first floating one."""
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)

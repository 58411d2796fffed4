"""What trains, what adapts by LoRA, what stays as it is: decided in one place and shown as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from word2mask.models.trained_rows import merge_rows, train_rows
from word2mask.text.special_tokens import SPECIAL_TOKENS

__all__ = ["GroupRow", "TrainablePlan", "merge_adapters", "parameter_rows", "parameter_table"]


@dataclass(frozen=True)
class TrainablePlan:
    """Everything is frozen but the low-rank adapters and the groups named here.

    The defaults are the published recipe's (Sa2VA, arXiv:2501.04001): LoRA (arXiv:2106.09685) on every Linear of the
    language model but its head, embeddings and head in full, the connector and the projector.

    Attributes:
        lora_rank: rank of the adapters; 0 for none.
        lora_alpha: adapters are scaled by ``lora_alpha / lora_rank``.
        lora_dropout: on the adapters' input.
        lora_layers: last part of the names of the layers that get adapters, such as ``("q_proj", "v_proj")`` (LISA);
            ``None`` for every Linear of the language model.
        train: groups that train in full, names of ``model.parameter_groups()``.
        train_tokens: of embeddings and head, only the rows of the special tokens
            (:data:`word2mask.text.special_tokens.SPECIAL_TOKENS`) train; ``train`` then names neither.
    """

    lora_rank: int = 128
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    lora_layers: tuple[str, ...] | None = None
    train: tuple[str, ...] = ("embeddings", "lm_head", "connector", "projector")
    train_tokens: bool = False

    def apply(self, model: nn.Module) -> None:
        """Freezes ``model``, injects the adapters and opens the groups that train.

        Args:
            model: offers ``parameter_groups() -> {name: module}`` and ``mllm.lora_targets() -> [name]``.

        Raises:
            ValueError: a group or layers that the model doesn't have, or adapters that are already there.
        """
        groups: Mapping[str, nn.Module] = model.parameter_groups()
        unknown = sorted(set(self.train) - set(groups))
        if unknown:
            raise ValueError(
                f"TrainablePlan.train names {', '.join(unknown)}; this model has {', '.join(sorted(groups))}"
            )
        if self.train_tokens and {"embeddings", "lm_head"} & set(self.train):
            raise ValueError(
                "TrainablePlan.train_tokens trains rows of embeddings and lm_head; leave them out of train"
            )
        if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
            raise ValueError("the model already carries adapters; merge them (merge_adapters) before applying a plan")
        model.requires_grad_(False)
        if self.lora_rank:
            adapters = LoraConfig(
                r=self.lora_rank,
                lora_alpha=self.lora_alpha,
                lora_dropout=self.lora_dropout,
                target_modules=self._targets(model.mllm.lora_targets()),
                bias="none",
            )
            inject_adapter_in_model(adapters, model.mllm)
        for name in self.train:
            groups[name].requires_grad_(True)
        if self.train_tokens:
            ids = model.mllm.tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
            for name in ("embeddings", "lm_head"):
                train_rows(groups[name], ids)

    def _targets(self, names: list[str]) -> list[str]:
        """Those of the language model's layers that get adapters."""
        if self.lora_layers is None:
            return list(names)
        layers = {name.rpartition(".")[2] for name in names}
        unknown = sorted(set(self.lora_layers) - layers)
        if unknown or not self.lora_layers:
            got = ", ".join(unknown) or "nothing"
            raise ValueError(f"TrainablePlan.lora_layers names {got}; this model has {', '.join(sorted(layers))}")
        return [name for name in names if name.rpartition(".")[2] in self.lora_layers]


@torch.no_grad()
def merge_adapters(model: nn.Module) -> int:
    """Adds every adapter into the layer it adapts and removes it, in place; trained rows likewise.

    Args:
        model: any module; unchanged when it has no adapters.

    Returns:
        How many layers were merged.
    """
    merge_rows(model)
    adapted = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in adapted:
        module.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())
    return len(adapted)


@dataclass(frozen=True)
class GroupRow:
    """One line of the table.

    Attributes:
        group: name of the parameter group.
        state: ``"frozen"``, ``"LoRA"`` or ``"trained"``.
        dtype: as they are held now, e.g. ``"bfloat16"``.
        tensors: number of tensors.
        parameters: number of values in them.
        num_bytes: their size as they are held now.
    """

    group: str
    state: str
    dtype: str
    tensors: int
    parameters: int
    num_bytes: int


def parameter_rows(model: nn.Module) -> list[GroupRow]:
    """Counts every parameter once, under the most specific group that holds it.

    Args:
        model: offers ``parameter_groups()``; of one that doesn't, the children are the groups. A parameter of no group
            is counted as ``"other"``.
    """
    owner: dict[int, tuple[int, str]] = {}
    groups = model.parameter_groups() if hasattr(model, "parameter_groups") else dict(model.named_children())
    for group, module in groups.items():
        members = list(module.parameters())
        for parameter in members:
            size, _ = owner.get(id(parameter), (len(members) + 1, ""))
            if len(members) < size:
                owner[id(parameter)] = (len(members), group)
    counted: dict[tuple[str, str, str], list[int]] = {}
    for name, parameter in model.named_parameters():
        _, group = owner.get(id(parameter), (0, "other"))
        adapter = any(part.startswith("lora_") for part in name.split("."))
        state = "LoRA" if adapter else "trained" if parameter.requires_grad else "frozen"
        row = counted.setdefault((group, state, str(parameter.dtype).removeprefix("torch.")), [0, 0, 0])
        row[0] += 1
        row[1] += parameter.numel()
        row[2] += parameter.numel() * parameter.element_size()
    return [GroupRow(*kind, *row) for kind, row in counted.items()]


def parameter_table(model: nn.Module) -> str:
    """The rows as aligned text, with what trains summed up in the last line."""
    rows = parameter_rows(model)
    lines = [f"{'group':<14}{'state':<9}{'type':<10}{'tensors':>9}{'parameters':>15}{'MB':>10}"]
    for row in rows:
        megabytes = row.num_bytes / 1e6
        lines.append(
            f"{row.group:<14}{row.state:<9}{row.dtype:<10}{row.tensors:>9,}{row.parameters:>15,}{megabytes:>10,.1f}"
        )
    total = sum(row.parameters for row in rows)
    trained = sum(row.parameters for row in rows if row.state != "frozen")
    lines.append(f"trains: {trained:,} of {total:,} parameters ({trained / max(total, 1):.1%})")
    return "\n".join(lines)

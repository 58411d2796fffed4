"""What a model holds and what of it trains, as a table."""

from __future__ import annotations

from torch import nn

from word2mask.models import trainable


def parameter_table(model: nn.Module) -> str:
    """Frozen, adapted and trained parameters, by the model's own groups, or by its children where it has none."""
    if hasattr(model, "parameter_groups"):
        return trainable.parameter_table(model)
    lines = [f"{'part':<28}{'parameters':>15}{'trained':>15}"]
    parts = [*model.named_children(), ("", model)]
    for name, part in parts:
        total = sum(parameter.numel() for parameter in part.parameters())
        trained = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
        lines.append(f"{name or 'all':<28}{total:>15,}{trained:>15,}")
    return "\n".join(lines)

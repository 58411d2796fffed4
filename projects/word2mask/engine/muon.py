"""Muon for the matrices inside a network and AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from word2mask.errors import UserError


class MuonAdamW(torch.optim.Optimizer):
    """torch's Muon on the groups marked ``is_matrix``, torch's AdamW on the others.

    Muon steps along the orthogonalised momentum (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/). Its
    step is scaled to the size of AdamW's (Liu et al., 2025, arXiv:2502.16982, equation 4), so both go by one learning
    rate and one schedule.

    Args:
        params: groups; which are matrices is said by ``parameter_groups.matrices`` of the config. Embeddings, heads,
            norms and biases don't belong there.
        lr: learning rate of groups that have none of their own.
        momentum: Muon's.
        betas: AdamW's.
        weight_decay: decoupled, of groups that have none of their own.

    Raises:
        UserError: no group is marked, or a marked parameter is spread over ranks.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.1,
    ) -> None:
        groups = [{"lr": lr, "weight_decay": weight_decay, **group} for group in params]
        matrices = [group for group in groups if group.get("is_matrix")]
        others = [group for group in groups if not group.get("is_matrix")]
        if not matrices:
            raise UserError(
                "MuonAdamW: no parameter is marked as a matrix; name prefixes such as "
                '"mllm.model.model.language_model.layers." in parameter_groups.matrices, or use torch.optim.AdamW'
            )
        for parameter in (p for group in matrices for p in group["params"]):
            if isinstance(parameter, DTensor):
                raise UserError("MuonAdamW: needs whole matrices, but they are spread over ranks; use the strategy ddp")
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, momentum=momentum, adjust_lr_fn="match_rms_adamw")
        ]
        if others:
            self._parts.append(torch.optim.AdamW(others, betas=betas))
        # The parts fill in the groups' further settings; groups and state are the very objects of both.
        defaults = {"lr": lr, "weight_decay": weight_decay}
        super().__init__([group for part in self._parts for group in part.param_groups], defaults)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = closure() if closure is not None else None
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        for part, is_matrix in zip(self._parts, (True, False), strict=False):
            part.state = self.state
            part.param_groups = [group for group in self.param_groups if bool(group.get("is_matrix")) == is_matrix]

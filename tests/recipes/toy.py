"""A model and a dataset small enough to train in a test: regression through dropout, with a loss that is sometimes
absent."""

from __future__ import annotations

import os
import signal
import time

import torch
from torch import nn


class ToyDataset:
    """Item i is a fixed random vector plus noise drawn from the global generator, which the engine has to isolate."""

    def __init__(self, length: int = 20, noise: float = 0.1):
        self.length = length
        self.noise = noise
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(6, generator=generator) + self.noise * torch.randn(6)
        return {"x": x, "y": x.sum() + self.epoch, "is_grounded": torch.tensor(index % 3 == 0)}


def collate(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


class ToyModel(nn.Module):
    """Two heads over one trunk; the second is used only for grounded samples."""

    def __init__(
        self,
        hidden: int = 8,
        dropout: float = 0.1,
        is_grounding: bool = True,
        kill_at: int | None = None,
        seconds: float = 0.0,
    ):
        super().__init__()
        self.frozen = nn.Linear(6, 6)
        self.frozen.requires_grad_(False)
        self.trunk = nn.Sequential(nn.Linear(6, hidden), nn.LayerNorm(hidden), nn.Tanh(), nn.Dropout(dropout))
        self.text = nn.Linear(hidden, 1)
        self.mask = nn.Linear(hidden, 1)
        self.is_grounding = is_grounding
        self.kill_at = kill_at
        self.seconds = seconds
        self.passes = 0

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.passes += 1
        if self.kill_at == self.passes:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        hidden = self.trunk(self.frozen(batch["x"]))
        outputs = {
            "loss_text": (self.text(hidden)[:, 0].float() - batch["y"]).square().mean(),
            "count_text": torch.tensor(len(batch["x"])),
        }
        grounded = batch["is_grounded"]
        if self.is_grounding and grounded.any():
            outputs["loss_mask"] = (self.mask(hidden[grounded])[:, 0].float() - 1).abs().mean()
            outputs["count_mask"] = grounded.sum()
        return outputs


class ToyScores:
    """Gives numbers from a list, every ``interval`` steps; processes but the first find everything worse and worse."""

    def __init__(self, scores: list[float], interval: int):
        self.scores = scores
        self.interval = interval

    def __call__(self, model: nn.Module, iteration: int) -> dict[str, float]:
        score = self.scores[iteration // self.interval - 1]
        return {"score": score if os.environ.get("RANK", "0") == "0" else -float(iteration)}


class ToyValidation:
    """Draws random numbers, which must not disturb training."""

    def __init__(self, offset: float):
        self.offset = offset

    def __call__(self, model: nn.Module, iteration: int) -> dict[str, float]:
        torch.randn(3)
        assert not model.training
        return {"iteration": iteration + self.offset}

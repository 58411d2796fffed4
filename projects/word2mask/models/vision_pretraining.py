"""Dense supervised pretraining of a vision tower: every patch says what it shows and where that begins and ends.

Stands for the pretraining that any published vision tower has had. The heads are thrown away afterwards.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from word2mask.data.shapes_world.vision_stream import NUM_RANKS, NUM_STANDINGS, OUTLINE_SIDE
from word2mask.errors import UserError
from word2mask.mllms.internvl import InternVL

#: Classes of each head. Those of objects don't count the background, which would drown the others.
PATCH_CLASSES = {"object": 2, "shape": 8, "colour": 8, "texture": 3, "size": 2, "background": 5, "pattern": 5}
#: The shape of an object is the hardest thing to see from one of its patches.
HEAD_WEIGHTS = {"shape": 2.0, "background": 0.5, "pattern": 0.5}


class VisionPretraining(nn.Module):
    """The vision tower of an MLLM with one linear head per question.

    Args:
        mllm: its vision tower is trained, the rest stays.
        box_weight: of the box loss.
        outline_weight: of the loss of the silhouettes: 64 numbers tell more of a shape than its name does.
        standing_weight: of the loss of the standings: which is the second from the left, the biggest, the only one.
    """

    def __init__(
        self, mllm: InternVL, box_weight: float = 5.0, outline_weight: float = 4.0, standing_weight: float = 2.0
    ) -> None:
        super().__init__()
        self.mllm = mllm.requires_grad_(False)
        self.tower = mllm.parameter_groups()["vision"].requires_grad_(True)
        width = mllm.model.config.vision_config.hidden_size
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name, classes in PATCH_CLASSES.items()})
        self.box_head = nn.Linear(width, 4)
        self.outline_head = nn.Linear(width, OUTLINE_SIDE**2)
        self.standing_head = nn.Linear(width, NUM_STANDINGS * NUM_RANKS)
        self.box_weight, self.outline_weight, self.standing_weight = box_weight, outline_weight, standing_weight

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Losses ``loss_<head>``, ``loss_box``, ``loss_outline``, ``loss_standing``, and accuracies ``acc_<head>``.

        Args:
            batch: of :class:`word2mask.data.shapes_world.vision_stream.VisionStream`, stacked.
        """
        states = self.tower(pixel_values=batch["pixel_values"]).last_hidden_state[:, 1:]
        states = self.norm(states).flatten(0, 1)
        results: dict[str, torch.Tensor] = {}
        for name, head in self.heads.items():
            target = batch[name].flatten()
            here = target >= 0
            logits = head(states[here]).float()
            results[f"loss_{name}"] = HEAD_WEIGHTS.get(name, 1.0) * nn.functional.cross_entropy(logits, target[here])
            results[f"acc_{name}"] = (logits.argmax(-1) == target[here]).float().mean()
        here = batch["object"].flatten() > 0
        boxes = self.box_head(states[here]).float().sigmoid()
        error = (boxes - batch["box"].flatten(0, 1)[here]).abs()
        results["loss_box"] = self.box_weight * error.mean()
        results["box_error"] = error.mean().detach()
        outlines = self.outline_head(states[here]).float()
        results["loss_outline"] = self.outline_weight * nn.functional.binary_cross_entropy_with_logits(
            outlines, batch["outline"].flatten(0, 1)[here]
        )
        ranks = self.standing_head(states[here]).float().unflatten(-1, (NUM_STANDINGS, NUM_RANKS))
        target = batch["standing"].flatten(0, 1)[here]
        results["loss_standing"] = self.standing_weight * nn.functional.cross_entropy(
            ranks.flatten(0, 1), target.flatten()
        )
        results["acc_standing"] = (ranks.argmax(-1) == target)[target >= 0].float().mean()
        return results


def with_pretrained_vision(mllm: InternVL, checkpoint: str) -> InternVL:
    """Gives an MLLM the vision tower of a pretraining run; in place.

    Args:
        mllm: of the same vision configuration.
        checkpoint: an ``iter_N.pth`` of :class:`VisionPretraining`.

    Raises:
        UserError: there is no such file, or it holds no vision tower.
    """
    if not Path(checkpoint).is_file():
        raise UserError(f"{checkpoint}: no such checkpoint; run pretrain_vision_shapes.py first")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    vision = mllm.parameter_groups()["vision"]
    inside = next(name for name, module in mllm.named_modules() if module is vision)
    # The tower has two names, as part of the MLLM and beside it; a checkpoint of a run keeps the first of them.
    tower = {
        name.removeprefix(prefix): value
        for prefix in ("tower.", f"mllm.{inside}.")
        for name, value in state.items()
        if name.startswith(prefix)
    }
    if not tower:
        raise UserError(f"{checkpoint}: holds no vision tower; give a checkpoint of pretrain_vision_shapes.py")
    vision.load_state_dict(tower)
    return mllm

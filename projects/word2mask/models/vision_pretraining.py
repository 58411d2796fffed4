"""Dense supervised pretraining of a vision tower: every patch says what it shows and where that begins and ends.

Stands for the pretraining that any published vision tower has had. The heads are thrown away afterwards.
"""

from __future__ import annotations

import torch
from torch import nn

from word2mask.mllms.internvl import InternVL

#: Classes of each head. Only ``object`` counts the background, which would drown the others.
PATCH_CLASSES = {"object": 2, "shape": 8, "colour": 8, "texture": 3, "size": 2}
#: The shape of an object is the hardest thing to see from one of its patches.
HEAD_WEIGHTS = {"shape": 2.0}


class VisionPretraining(nn.Module):
    """The vision tower of an MLLM with one linear head per question.

    Args:
        mllm: its vision tower is trained, the rest stays.
        box_weight: of the box loss.
    """

    def __init__(self, mllm: InternVL, box_weight: float = 5.0) -> None:
        super().__init__()
        self.mllm = mllm.requires_grad_(False)
        self.tower = mllm.parameter_groups()["vision"].requires_grad_(True)
        width = mllm.model.config.vision_config.hidden_size
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name, classes in PATCH_CLASSES.items()})
        self.box_head = nn.Linear(width, 4)
        self.box_weight = box_weight

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Losses ``loss_<head>`` and ``loss_box``, and the accuracy of each head as ``acc_<head>``.

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
        return results

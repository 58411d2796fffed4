"""Pretraining of a promptable segmenter on pictures: whatever is prompted is segmented, without classes or language.

Prompts are drawn, and a second one corrects the first answer, as SAM's were (arXiv:2304.02643, §5 and appendix A).
What is ours: clicks may be vague and their embeddings noisy, because a language model's single token will later take
the click's place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from word2mask.data.shapes_world.promptable import PromptableBatch
from word2mask.losses.masks import dice_loss, mask_cross_entropy
from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter

__all__ = ["PromptablePretraining"]


class PromptablePretraining(nn.Module):
    """A segmenter with the losses of promptable segmentation.

    Args:
        segmenter: what is trained, all of it.
        prompt_noise: largest standard deviation of the noise on a click's embedding, whose entries are about 1.
        bare_clicks: share of training steps in which clicks come without the empty point that belongs to them, as
            LISA's language tokens will.
        cross_entropy_weight, dice_weight, iou_weight, object_weight: of the four losses. SAM has no object score:
            where the largest logit of its mask stands for one, ``object_weight`` is best 0.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        prompt_noise: float = 0.3,
        bare_clicks: float = 0.0,
        cross_entropy_weight: float = 10.0,
        dice_weight: float = 1.0,
        iou_weight: float = 0.5,
        object_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.prompt_noise = prompt_noise
        self.bare_clicks = bare_clicks
        self.weights = {
            "loss_mask": cross_entropy_weight,
            "loss_dice": dice_weight,
            "loss_iou": iou_weight,
            "loss_object": object_weight,
        }

    def forward(self, batch: PromptableBatch) -> dict[str, torch.Tensor]:
        """Weighted losses ``loss_mask``, ``loss_dice``, ``loss_iou``, ``loss_object`` and, for the log, ``iou``.

        Raises:
            ValueError: the batch is of clips, which a segmenter without a memory can't follow.
        """
        features = self.segmenter.encode_frames(batch.pixels)
        rounds = self._rounds(features, batch)
        names = rounds[0].keys()
        return {name: torch.stack([losses[name] for losses in rounds]).mean() for name in names}

    def _rounds(self, features: FrameFeatures, batch: PromptableBatch) -> list[dict[str, torch.Tensor]]:
        """Losses of one answer after another."""
        num_frames = batch.frame_index.shape[1]
        if num_frames != 1:
            name = type(self.segmenter).__name__
            raise ValueError(
                f"{name} is pretrained on pictures, got clips of {num_frames} frames; set clip_every=0 in the dataset"
            )
        return self._segment(features, batch)

    # ---------------------------------------------------------------- pictures

    def _segment(self, features: FrameFeatures, batch: PromptableBatch) -> list[dict[str, torch.Tensor]]:
        """One click on every object and some on nothing; then a box, several points, or a correction."""
        num_objects = len(batch.clicks)
        targets = batch.targets[:, 0]
        nothing = targets.new_zeros(len(batch.empty_clicks), *targets.shape[1:])
        frames = torch.cat([batch.frame_index[:, 0], batch.empty_frames])
        first = self._click(features, frames, torch.cat([batch.clicks, batch.empty_clicks]))
        rounds = [self._losses(first, torch.cat([targets, nothing]))]
        chosen = torch.randperm(num_objects, device=frames.device)[: (num_objects + 1) // 2]
        second = self._second_prompt(features, frames[chosen], batch, chosen, first[chosen], targets[chosen])
        rounds.append(self._losses(second, targets[chosen]))
        return rounds

    def _click(self, features: FrameFeatures, frames: torch.Tensor, clicks: torch.Tensor) -> Decoded:
        """Masks from one click each, its embedding disturbed while training.

        Half of the time one more empty point stands beside it, as beside Sa2VA's language token.
        """
        num_points = 1 + int(self.training and torch.rand(()).item() < 0.5)
        labels = torch.full((len(clicks), num_points), -1, dtype=torch.long, device=clicks.device)
        labels[:, 0] = 1
        points = clicks.unsqueeze(1).expand(-1, num_points, -1)
        sparse = self.segmenter.embed_points(len(clicks), points, labels)
        if self.training and self.prompt_noise > 0:
            strength = self.prompt_noise * torch.rand(len(clicks), 1, device=clicks.device)
            noise = strength * torch.randn_like(sparse[:, 0])
            sparse = torch.cat([(sparse[:, 0] + noise).unsqueeze(1), sparse[:, 1:]], dim=1)
        if self.training and self.bare_clicks and torch.rand(()).item() < self.bare_clicks:
            sparse = sparse[:, :1]
        return self.segmenter.decode_embeddings(features, frames, sparse)

    def _second_prompt(
        self,
        features: FrameFeatures,
        frames: torch.Tensor,
        batch: PromptableBatch,
        chosen: torch.Tensor,
        first: Decoded,
        targets: torch.Tensor,
    ) -> Decoded:
        """Masks from a box (40 %), three points (20 %), or the first mask and a click where it is wrong (40 %)."""
        draw = torch.rand(()).item()
        if draw < 0.4:
            return self.segmenter.decode_points(features, frames, boxes=batch.boxes[chosen])
        if draw < 0.6:
            return self.segmenter.decode_points(features, frames, batch.points[chosen], batch.point_labels[chosen])
        logits = first.mask_logits.detach()
        point, label = self._correction(logits, targets)
        points = torch.stack([batch.clicks[chosen], point], dim=1)
        labels = torch.stack([torch.ones_like(label), label], dim=1)
        return self.segmenter.decode_points(features, frames, points, labels, mask_logits=logits)

    def _correction(self, logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A point ``[P,2]`` where mask and target differ (anywhere on the target if nowhere) and its label ``[P]``."""
        side = targets.shape[-1]
        predicted = F.interpolate(logits.unsqueeze(1), size=(side, side), mode="bilinear").squeeze(1) > 0
        wanted = targets > 0.5
        weight = (predicted != wanted).flatten(1).float() + 1e-4 * wanted.flatten(1) + 1e-8
        cell = torch.multinomial(weight, 1).squeeze(1)
        label = wanted.flatten(1).gather(1, cell.unsqueeze(1)).squeeze(1).long()
        point = torch.stack([cell % side, cell // side], dim=1).float() + 0.5
        return point * (self.segmenter.side / side) - 0.5, label

    # ---------------------------------------------------------------- losses

    def _losses(self, decoded: Decoded, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses of P masks against ``[P,S/2,S/2]`` shares; an empty target teaches absence and an empty mask."""
        logits = F.interpolate(
            decoded.mask_logits.unsqueeze(1), size=targets.shape[-2:], mode="bilinear", align_corners=False
        ).squeeze(1)
        wanted = targets > 0.5
        present = wanted.flatten(1).any(dim=1)
        with torch.no_grad():
            predicted = logits > 0
            intersection = (predicted & wanted).flatten(1).sum(1)
            union = (predicted | wanted).flatten(1).sum(1)
            iou = intersection / union.clamp_min(1)
        weight = present.to(logits.dtype)
        count = weight.sum().clamp_min(1)
        losses = {
            "loss_mask": mask_cross_entropy(logits, targets).mean(),
            "loss_dice": (dice_loss(logits, targets) * weight).sum() / count,
            "loss_iou": ((decoded.iou - iou).abs() * weight).sum() / count,
            "loss_object": F.binary_cross_entropy_with_logits(decoded.object_logits, weight),
        }
        weighted = {name: self.weights[name] * loss for name, loss in losses.items()}
        return weighted | {"iou": (iou * weight).sum() / count}

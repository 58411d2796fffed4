"""The training loss of a grounded model: text, and for every (object, frame) a mask.

Knows tensors only: neither models nor data. It refuses to guess: when the numbers of predicted and true masks differ,
it raises and names the sample, because cutting to the smaller number would train the wrong object.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from word2mask.losses.masks import Border, dice_loss, mask_cross_entropy, sample_points, sample_uncertain_points
from word2mask.ops.boxes import box_distance

__all__ = ["GroundingLoss"]


class GroundingLoss:
    """``text_weight · CE(text) + mask_weight · CE(mask) + dice_weight · dice(mask)`` (Sa2VA, arXiv:2501.04001, eq. 2).

    Each term is returned weighted and by name; whoever trains adds them up. Mask terms average over all (object, frame)
    pairs of the batch, the text term over all labelled tokens of the batch.

    Args:
        mask_weight: of the sigmoid cross entropy; 2.0 in the published recipe.
        dice_weight: of the dice loss; 0.5 in the published recipe.
        text_weight: of the token cross entropy; 1.0 in the published recipe.
        object_weight: of the cross entropy between the segmenter's object score and "is any pixel of the object in
            this frame?"; 0 (off) in the published recipe.
        num_points: points per mask, chosen by :func:`sample_uncertain_points`; 12544 in the published recipe.
            ``None`` takes every pixel of the ground truth instead, against logits enlarged to it: the better choice
            for small pictures.
        oversample: see :func:`sample_uncertain_points`.
        importance: see :func:`sample_uncertain_points`.
        box_weight: of how far prompts are from the object's box; 0 (off) in the published recipe. It tells a model
            that can't find objects yet where they are, which a mask from a wrong place hardly does. For prompts that
            are boxes it is 1 - GIoU (Rezatofighi et al., 2019) plus five times the mean distance of the edges; for
            free tokens the squared distance from those that the segmenter makes of the box, in units of their spread.
        dice_eps: see :func:`word2mask.losses.masks.dice_loss`; 1.0 in Sa2VA's recipe, 1e-3 in LISA's, which divides
            its sums by 1000 before it adds 1e-6.
        coarse_truth: with ``num_points``, for parity with the published loss: the true mask is first cut down to the
            logits' grid by taking the nearest pixel, and points outside its outermost pixel centres fade to 0.
    """

    def __init__(
        self,
        mask_weight: float = 2.0,
        dice_weight: float = 0.5,
        text_weight: float = 1.0,
        object_weight: float = 0.0,
        num_points: int | None = 12544,
        oversample: float = 3.0,
        importance: float = 0.75,
        coarse_truth: bool = False,
        dice_eps: float = 1.0,
        box_weight: float = 0.0,
    ) -> None:
        if coarse_truth and num_points is None:
            raise ValueError("coarse_truth goes with sampled points; leave it out, or set num_points")
        self.coarse_truth = coarse_truth
        self.dice_eps = dice_eps
        self.box_weight = box_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.text_weight = text_weight
        self.object_weight = object_weight
        self.num_points = num_points
        self.oversample = oversample
        self.importance = importance

    @property
    def needs_masks(self) -> bool:
        """Whether masks have to be decoded: without weights of theirs, boxes alone are learned, in far less time."""
        return bool(self.mask_weight or self.dice_weight or self.object_weight)

    def text(
        self, logits: torch.Tensor, labels: torch.Tensor, names: Sequence[str], rows: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Mean cross entropy of the labelled tokens.

        Args:
            logits: ``[K,V]``, only of the K positions whose next token is labelled.
            labels: int64 ``[K]``, the next tokens.
            names: the B samples of the batch, for messages.
            rows: int64 ``[K]``, the sample that each position is in.

        Returns:
            ``{"loss_text"}``, scalar; with ``rows`` also ``"parts_text"``, float32 ``[B,2]``, detached: for each sample
            the sum of its tokens' weighted losses, and their number.

        Raises:
            ValueError: K is 0, or the lengths differ.
        """
        if logits.shape[0] != labels.shape[0]:
            raise ValueError(f"{_quote(names)}: {logits.shape[0]} rows of logits but {labels.shape[0]} labels")
        if not len(labels):
            raise ValueError(f"{_quote(names)}: no token carries a label; a training batch needs at least one answer")
        each = functional.cross_entropy(logits.float(), labels, reduction="none")
        losses = {"loss_text": self.text_weight * each.mean()}
        if rows is not None:
            weighted = torch.stack([self.text_weight * each.detach(), torch.ones_like(each)], dim=1)
            losses["parts_text"] = weighted.new_zeros(len(names), 2).index_add_(0, rows, weighted)
        return losses

    def masks(
        self,
        mask_logits: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        void: Sequence[torch.Tensor | None],
        names: Sequence[str],
        object_logits: Sequence[torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Mask losses over the samples that have objects.

        Args:
            mask_logits: per sample ``[N,T,h,w]``, at the segmenter's resolution.
            masks: per sample bool ``[N,T,H,W]``, at any resolution.
            void: per sample bool ``[T,H,W]`` or ``[N,T,H,W]``, or ``None``.
            names: of these samples, for messages.
            object_logits: per sample ``[N,T]``; only read where ``object_weight`` isn't 0.

        Returns:
            ``{"loss_mask", "loss_dice"}`` and, where asked for, ``"loss_object"``; scalars. For each ``loss_x`` also
            ``parts_x``, float32 ``[samples,2]``, detached: the sum of the weighted losses of a sample's (object, frame)
            pairs, and the number of pairs.

        Raises:
            ValueError: counts of objects or frames differ between prediction and truth; the message names the sample.
        """
        if not len(mask_logits) == len(masks) == len(void) == len(names) or not len(names):
            raise ValueError(
                f"expected one entry a sample, got {len(mask_logits)}, {len(masks)}, {len(void)}, {len(names)}"
            )
        cross_entropies, dices, presences = [], [], []
        for index, name in enumerate(names):
            logits, target, ignored = mask_logits[index], masks[index], void[index]
            if logits.shape[:2] != target.shape[:2]:
                raise ValueError(
                    f"{name}: {logits.shape[0]} [SEG] on {logits.shape[1]} frames but masks of {target.shape[0]} "
                    f"objects on {target.shape[1]} frames; each [SEG] needs one mask a frame"
                )
            if ignored is not None:
                ignored = ignored.expand_as(target).flatten(0, 1)
            positions = self._positions(logits.flatten(0, 1), target.flatten(0, 1), ignored)
            cross_entropies.append(mask_cross_entropy(*positions))
            dices.append(dice_loss(*positions, eps=self.dice_eps))
            if object_logits is not None and self.object_weight:
                present = target.flatten(2).any(2).to(object_logits[index].dtype)
                presence = functional.binary_cross_entropy_with_logits(object_logits[index], present, reduction="none")
                presences.append(presence.flatten())
        losses = _mean("mask", self.mask_weight, cross_entropies) | _mean("dice", self.dice_weight, dices)
        return losses | _mean("object", self.object_weight, presences) if presences else losses

    def boxes(
        self, prompts: Sequence[torch.Tensor], tokens: Sequence[torch.Tensor], seen: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Mean squared distance of prompts from the tokens of their objects' boxes.

        Args:
            prompts: per sample ``[N,2,C]``.
            tokens: per sample ``[N,T,2,C]``, both in units of the spread of boxes' tokens.
            seen: per sample bool ``[N,T]``, where the object has a box.

        Returns:
            ``{"loss_box", "parts_box"}`` as :meth:`masks` has them; where no object has a box, the loss is 0.
        """
        distances = [
            ((prompt[:, None].float() - token) ** 2).mean(dim=(2, 3))[there]
            for prompt, token, there in zip(prompts, tokens, seen, strict=True)
        ]
        return self._of_boxes(distances, prompts)

    def edges(
        self, predicted: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor], seen: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """How far predicted boxes are from their objects'.

        Args:
            predicted: per sample ``[N,4]``, (x1, y1, x2, y2) in shares of the square.
            boxes: per sample ``[N,T,4]``, likewise.
            seen: per sample bool ``[N,T]``, where the object has a box.

        Returns:
            ``{"loss_box", "parts_box"}`` as :meth:`masks` has them; where no object has a box, the loss is 0.
        """
        distances = []
        for own, box, there in zip(predicted, boxes, seen, strict=True):
            pairs = own[:, None].expand_as(box)[there].float(), box[there].float()
            distances.append(box_distance(*pairs))
        return self._of_boxes(distances, predicted)

    def _of_boxes(self, distances: list[torch.Tensor], predicted: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        if not any(len(each) for each in distances):
            nothing = predicted[0].sum() * 0.0
            return {"loss_box": nothing, "parts_box": nothing.detach().new_zeros(len(predicted), 2)}
        return _mean("box", self.box_weight, distances)

    @property
    def _border(self) -> Border:
        return "zeros" if self.coarse_truth else "border"

    def _positions(
        self, logits: torch.Tensor, target: torch.Tensor, void: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Where the loss is taken: P sampled points or all pixels of ``target``; each ``[M,P]`` or ``[M,H,W]``."""
        logits, target = logits.float(), target.float()
        if self.num_points is None:
            logits = functional.interpolate(logits[:, None], target.shape[-2:], mode="bilinear", align_corners=False)[
                :, 0
            ]
            return logits, target, void
        points = sample_uncertain_points(
            logits, self.num_points, self.oversample, self.importance, void, border=self._border
        )
        if self.coarse_truth:
            target = functional.interpolate(target[:, None], logits.shape[-2:], mode="nearest")[:, 0]
        return (
            sample_points(logits, points, border=self._border),
            sample_points(target, points, border=self._border),
            None if void is None else sample_points(void.float(), points, mode="nearest") > 0.5,
        )


def _mean(name: str, weight: float, parts: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weighted mean over all values of all samples, ``[M_b]`` each, and what each sample adds to it."""
    sums = [torch.stack([weight * part.detach().sum(), part.new_full((), len(part))]) for part in parts]
    return {f"loss_{name}": weight * torch.cat(list(parts)).mean(), f"parts_{name}": torch.stack(sums)}


def _quote(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

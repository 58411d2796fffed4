"""GroundedMLLM: the state of ``[SEG]`` in a language model prompts a segmenter.

Knows no image processing, no tokenizer and no file: tensors in, losses or masks out. The same methods serve training
and inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.decoding import Generated
from word2mask.mllms.interface import MLLM, MLLMOutput, SegState
from word2mask.models.guide import Guide, GuidePlan
from word2mask.models.pointer import Pointer, Scene, exchanges, whole_frames
from word2mask.models.projector import CornerProjector, PointingProjector, Projector
from word2mask.models.trainable import TrainablePlan, merge_adapters
from word2mask.ops.boxes import boxes_of
from word2mask.ops.linear import use_onednn
from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter
from word2mask.text.special_tokens import IGNORE_INDEX
from word2mask.types import Batch

__all__ = ["GroundedMLLM", "ObjectMasks", "ProjectorStart", "PromptFrames", "SegState", "clear_frames"]

PromptFrames = Literal["all", "first"]
ProjectorStart = Literal["random", "points", "box", "corners", "pointing"]

#: A frame shows an object clearly when it shows at least this share of the largest view of it.
CLEAR_SHARE = 0.5


@dataclass
class ObjectMasks:
    """What the segmenter says about N objects on T frames of one sample.

    Attributes:
        mask_logits: ``[N,T,S/4,S/4]``.
        object_logits: ``[N,T]``, positive where the object is in the frame.
        iou: ``[N,T]``, the segmenter's own estimate of its mask's quality.
        tokens: ``[N,T,C]``, what a tracker makes object pointers from.
    """

    mask_logits: torch.Tensor
    object_logits: torch.Tensor
    iou: torch.Tensor
    tokens: torch.Tensor

    def on_frame(self, objects: Sequence[int], place: int) -> Decoded:
        """Some of the objects on one of the frames."""
        rows = list(objects)
        return Decoded(
            self.mask_logits[rows, place],
            self.iou[rows, place],
            self.object_logits[rows, place],
            self.tokens[rows, place],
        )


class GroundedMLLM(nn.Module):
    """An MLLM whose ``[SEG]`` states prompt a segmenter through a projector (Sa2VA, arXiv:2501.04001).

    Any number of objects per sample, any mix of text-only, image and video samples in a batch: nothing is padded to a
    fixed number of objects, and a sample without media brings no pretend image. Every frame passes the image encoder
    once, whatever the number of objects.

    Args:
        mllm: language model with vision; gets the special tokens that it lacks.
        segmenter: promptable segmenter.
        projector: D→C; built to fit when ``None``.
        projector_start: where a projector that is built here starts: at ``"random"`` (torch's own, as published) or at
            tokens like the segmenter's own ``"points"``, which lets a frozen decoder be steered in far fewer steps; or
            at two tokens like the corners of a ``"box"``, which say more of an object than a point; ``"corners"`` is
            a :class:`~word2mask.models.projector.CornerProjector`, whose tokens are always a box's, and ``"pointing"``
            a :class:`~word2mask.models.projector.PointingProjector`, which takes the box from the visual tokens that a
            ``[SEG]`` means, after as many layers as the ``guide`` says, which teaches it.
        loss: what training minimises; needed for :meth:`forward` only.
        guide: what else masks teach the language model while it trains, as the group ``"guide"``; no part of the
            exported model.
        trainable: what trains; ``None`` leaves ``requires_grad`` as it is.
        seg_state: which state stands for an object: the one computed ``"at"`` the ``[SEG]`` token (Sa2VA) or the one
            just ``"before"`` it, which predicted it (LISA). A property of trained weights, saved with them.
        prompt_frames: on which of the frames that the language model sees a ``[SEG]`` prompts the segmenter: ``"all"``
            (Sa2VA, whose decoder learns to find an object by what it is), or the ``"first"`` that shows the object
            clearly, from where the tracker follows it. The latter suits a frozen decoder, which knows prompts as
            places, and an object that moves has no one place. A property of trained weights, saved with them.
    """

    def __init__(
        self,
        mllm: MLLM,
        segmenter: Segmenter,
        projector: Projector | CornerProjector | None = None,
        projector_start: ProjectorStart = "random",
        loss: GroundingLoss | None = None,
        guide: GuidePlan | None = None,
        trainable: TrainablePlan | None = None,
        seg_state: SegState = "at",
        prompt_frames: PromptFrames = "all",
    ) -> None:
        super().__init__()
        if prompt_frames not in ("all", "first"):
            raise ValueError(f'prompt_frames must be "all" or "first", got {prompt_frames!r}')
        if seg_state not in ("at", "before"):
            raise ValueError(f'seg_state must be "at" or "before", got {seg_state!r}')
        self.mllm = mllm.with_grounding_tokens()
        self.segmenter = segmenter
        self.mllm.share_encoder(segmenter.model)
        self.projector = projector or self._new_projector(projector_start, guide)
        if loss is not None and loss.box_weight and self.projector.num_tokens != 2:
            raise ValueError(
                f"GroundingLoss.box_weight is for prompts of two tokens, these have {self.projector.num_tokens}; set "
                'projector_start="box" or box_weight=0'
            )
        widths = (self.projector.hidden_size, self.projector.prompt_dim)
        if widths != (mllm.hidden_size, segmenter.prompt_dim):
            raise ValueError(
                f"projector maps {widths[0]} to {widths[1]}, but the language model has width {mllm.hidden_size} "
                f"and the segmenter's prompts {segmenter.prompt_dim}"
            )
        use_onednn(self)
        self.loss = loss
        own = self.projector.pointer if isinstance(self.projector, PointingProjector) else None
        if own is not None:
            self.mllm.keep_middle(own.layer)
        self.guide = None
        if guide is not None:
            if own is not None and own.layer != guide.layer:
                raise ValueError(f"the projector points after {own.layer} layers, its guide speaks of {guide.layer}")
            grid = self.mllm.keep_middle(guide.layer)
            heads = own or Pointer(mllm.hidden_size, grid, guide.layer, not self.mllm.tells_boxes)
            self.guide = Guide(guide, None if own else heads)
        self.trainable = trainable
        self.seg_state: SegState = seg_state
        self.prompt_frames: PromptFrames = prompt_frames
        if trainable is not None:
            if {"mask_decoder", "segmenter"} & set(trainable.train):
                segmenter.keep_original_decoder()
            trainable.apply(self)

    def _new_projector(self, start: ProjectorStart, guide: GuidePlan | None) -> Projector | CornerProjector:
        if start not in get_args(ProjectorStart):
            raise ValueError(f"projector_start must be one of {get_args(ProjectorStart)}, got {start!r}")
        widths = self.mllm.hidden_size, self.segmenter.prompt_dim
        if start == "pointing" and guide is None:
            raise ValueError('projector_start="pointing" needs a guide: nothing else teaches it where to point')
        if start in ("corners", "pointing"):
            if start == "corners":
                by_corners = CornerProjector(*widths)
            else:
                grid = self.mllm.keep_middle(guide.layer)
                by_corners = PointingProjector(*widths, grid, guide.layer, not self.mllm.tells_boxes)
            by_corners.take_code(*self.segmenter.box_code())
            return by_corners
        projector = Projector(*widths, num_tokens=2 if start == "box" else 1)
        if start == "points":
            projector.start_at(*self.segmenter.prompt_statistics())
        if start == "box":
            projector.start_at(*self.segmenter.box_statistics())
        return projector

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts that a :class:`TrainablePlan` may open: the MLLM's own, ``"projector"``, ``"segmenter"`` and its
        parts.

        The published recipe trains the segmenter's ``"mask_decoder"``. The decoder as it was then stays beside it,
        because SAM 2's memory was trained with that one (Sa2VA-i, arXiv:2509.19082).
        """
        groups = dict(self.mllm.parameter_groups())
        groups.update(projector=self.projector, segmenter=self.segmenter, **self.segmenter.parameter_groups())
        return groups if self.guide is None else {**groups, "guide": self.guide}

    def train(self, mode: bool = True) -> GroundedMLLM:
        """As usual, but a part that doesn't train stays in evaluation mode: no dropout, no drop path there."""
        super().train(mode)
        if mode and self.trainable is not None:
            for module in self.modules():
                parameters = list(module.parameters())
                if parameters and not any(parameter.requires_grad for parameter in parameters):
                    module.eval()
        return self

    def merge(self) -> None:
        """Adds the adapters into the weights, for export; the plan is forgotten."""
        merge_adapters(self.mllm)
        self.trainable = self.guide = None

    # -- training --------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch.

        Returns:
            ``{"loss_text"}`` and, when any sample has objects, ``{"loss_mask", "loss_dice"}``; scalars, weighted. For
            each ``loss_x``, ``count_x`` is the number of items (tokens, masks) that it is the mean of, so that several
            processes can be averaged as one would, and ``parts_x``, float32 ``[B,2]``, holds for each sample the sum of
            its items' losses and their number, detached, so that losses can be told apart by what they are of.

        Raises:
            ValueError: a batch without labels, or objects, masks and frames that don't agree; the sample is named.
        """
        if self.loss is None:
            raise ValueError("GroundedMLLM has no loss: give it a GroundingLoss to train")
        if batch.labels is None:
            raise ValueError(f"{batch.names[0]}: the batch has no labels; it was encoded for serving, not for training")
        output = self.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells)
        hidden = output.hidden
        labels = batch.labels[:, 1:]
        labelled = labels != IGNORE_INDEX
        rows = labelled.nonzero()[:, 0]
        losses = self.loss.text(self.mllm.logits(hidden[:, :-1][labelled]), labels[labelled], batch.names, rows)
        losses["count_text"] = labelled.sum()

        grounded = [index for index, positions in enumerate(batch.seg_positions) if len(positions)]
        if not grounded:
            return losses
        self._check(batch, grounded)
        scenes = [self._scene(output, batch.input_ids, index, batch.seg_positions[index]) for index in grounded]
        states = [
            self._rows(hidden[index], batch.seg_positions[index], scene)
            for index, scene in zip(grounded, scenes, strict=True)
        ]
        prompts = self.prompts(states)
        views = [self._view(batch, index) for index in grounded]
        frames, frame_index, masks, void = (list(parts) for parts in zip(*views, strict=True))
        if self.guide is not None:
            losses |= self.guide(self._pointer, scenes, [batch.masks[index] for index in grounded])
        mask_losses = {}
        if self.loss.box_weight:
            by_corners = isinstance(self.projector, CornerProjector)
            mask_losses = self._edge_losses(states, masks) if by_corners else self._box_losses(prompts, masks)
        if self.loss.needs_masks:
            features = self.encode_frames(torch.cat(frames))
            objects = self.segment(features, prompts, frame_index, [len(item) for item in frames])
            mask_losses |= self.loss.masks(
                [
                    self.segmenter.without_padding(item.mask_logits, target.shape[-2:])
                    for item, target in zip(objects, masks, strict=True)
                ],
                masks,
                void,
                [batch.names[index] for index in grounded],
                [item.object_logits for item in objects],
            )
        pairs = torch.tensor(sum(index.numel() for index in frame_index), device=hidden.device)
        for name, value in mask_losses.items():
            if name.startswith("parts_"):
                losses[name] = value.new_zeros(len(batch.names), 2)
                losses[name][grounded] = value
            else:
                losses |= {name: value, name.replace("loss_", "count_"): pairs}
        return losses

    def _scene(self, output: MLLMOutput, input_ids: torch.Tensor, index: int, segs: torch.Tensor) -> Scene | None:
        """What a pointer reads of one sample of a batch, if there is one."""
        if self._pointer is None:
            return None
        ids, embedded = input_ids[index], output.embedded[index]
        visual = ids == self.mllm.context_id
        turn_start = self.mllm.tokenizer.encode(self.mllm.template.user_prefix.rstrip(), add_special_tokens=False)
        asked = exchanges(ids, segs, turn_start) & ~visual
        visual = whole_frames(visual, len(self._pointer.places))
        boxes = self.mllm.told_boxes(embedded[visual]) if self.mllm.tells_boxes else None
        return self._pointer.scene(output.middle[index], embedded, segs, visual, asked, boxes)

    @property
    def _pointer(self) -> Pointer | None:
        """The projector's heads, or those of the guide alone."""
        if isinstance(self.projector, PointingProjector):
            return self.projector.pointer
        return None if self.guide is None else self.guide.pointer

    def _rows(self, hidden: torch.Tensor, positions: torch.Tensor, scene: Scene | None) -> torch.Tensor:
        """What the projector is to know of the objects at these positions."""
        states = self.seg_states(hidden, positions)
        return self.projector.rows(states, scene) if isinstance(self.projector, PointingProjector) else states

    def _box_losses(self, prompts: list[torch.Tensor], masks: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """How far prompts are from the boxes of their objects; masks are bool ``[N,T',H,W]`` per sample."""
        _, spread = self.segmenter.box_statistics()
        boxes, seen = zip(*(boxes_of(item) for item in masks), strict=True)
        tokens = []
        for box, mask in zip(boxes, masks, strict=True):
            height, width = mask.shape[-2:]
            filled = self.segmenter.processor.content_size(height, width)
            scale = torch.tensor([filled[1] / width, filled[0] / height], device=box.device).repeat(2)
            with torch.no_grad():
                flat = (box * scale).flatten(0, 1)
                embedded = self.segmenter.embed_points(len(flat), boxes=flat)[:, :2]
            tokens.append(embedded.float().unflatten(0, box.shape[:2]) / spread)
        return self.loss.boxes([item.float() / spread for item in prompts], tokens, seen)

    def _edge_losses(self, states: list[torch.Tensor], masks: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same where prompts are boxes."""
        boxes, seen = zip(*(boxes_of(item) for item in masks), strict=True)
        shares = []
        for box, mask in zip(boxes, masks, strict=True):
            height, width = mask.shape[-2:]
            filled = self.segmenter.processor.content_size(height, width)
            side = self.segmenter.processor.side
            scale = torch.tensor([filled[1] / width, filled[0] / height], device=box.device).repeat(2) / side
            outer = torch.tensor([0.0, 0.0, 1.0, 1.0], device=box.device)  # as boxes_of ends at the last pixel
            shares.append((box + outer) * scale)
        return self.loss.edges([self.projector.boxes(item) for item in states], shares, seen)

    def _view(self, batch: Batch, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """What the segmenter is asked about one sample.

        Returns:
            frames ``[F,3,S,S]``, the frames of each object among them ``[N,T']``, masks ``[N,T',H,W]``, void
            ``[N,T',H,W]``.
        """
        frames, masks, void = batch.segmenter_frames[index], batch.masks[index], batch.void[index]
        everything = torch.arange(len(frames), device=masks.device).expand(len(masks), -1)
        chosen = everything if self.prompt_frames == "all" else clear_frames(masks)[:, None]
        needed, frame_index = chosen.unique(return_inverse=True)
        rows = torch.arange(len(masks), device=masks.device)[:, None]
        return frames[needed], frame_index, masks[rows, chosen], None if void is None else void[chosen]

    def seg_states(self, hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Rows of ``hidden [L,D]`` that stand for the objects: ``[N,D]``."""
        return hidden[positions if self.seg_state == "at" else positions - 1]

    def objects_of(
        self, output: MLLMOutput, input_ids: torch.Tensor, index: int, positions: torch.Tensor
    ) -> torch.Tensor:
        """What the projector is to know of the objects of one sample.

        Args:
            output: of the MLLM, for a batch.
            input_ids: ``[B,L]``, of the batch.
            index: of the sample.
            positions: int64 ``[N]``, of its ``[SEG]``.

        Returns:
            ``[N,D]``, or the ``[N,D+4]`` of :meth:`~word2mask.models.projector.PointingProjector.rows`.
        """
        return self._rows(output.hidden[index], positions, self._scene(output, input_ids, index, positions))

    @torch.no_grad()
    def objects_of_answers(self, batch: Batch, generated: Generated) -> list[torch.Tensor]:
        """The same of answers that were just written, ``[B]`` of ``[N_b,…]``.

        States that were met on the way are enough for a projector that asks for no more. One that points reads prompts
        and answers again, in one pass, where an answer has an object.

        Args:
            batch: the prompts.
            generated: what :meth:`~word2mask.mllms.interface.MLLM.write` made of them, with this model's ``seg_state``.
        """
        if not isinstance(self.projector, PointingProjector):
            return generated.seg_hidden
        if not any(len(states) for states in generated.seg_hidden):
            return [self.projector.no_rows(states) for states in generated.seg_hidden]
        input_ids, output, positions = self.mllm.read_with_answers(batch, generated.ids)
        return [self.objects_of(output, input_ids, index, found) for index, found in enumerate(positions)]

    @staticmethod
    def _check(batch: Batch, grounded: Sequence[int]) -> None:
        for index in grounded:
            name, num_objects = batch.names[index], len(batch.seg_positions[index])
            masks, frames = batch.masks[index], batch.segmenter_frames[index]
            if masks is None or frames is None:
                raise ValueError(
                    f"{name}: {num_objects} [SEG] in the answer but no {'masks' if masks is None else 'frames'}"
                )
            if masks.shape[0] != num_objects or masks.shape[1] != len(frames):
                raise ValueError(
                    f"{name}: {num_objects} [SEG] and {len(frames)} frames, but masks of {masks.shape[0]} objects "
                    f"on {masks.shape[1]} frames"
                )

    # -- shared by training and inference --------------------------------------------------------------------------

    def prompts(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Prompts of several samples in one pass of the projector, which sees rows of ``[SEG]`` and nothing else.

        Args:
            states: per sample ``[N,D]``, N may be 0.

        Returns:
            Per sample ``[N,K,C]``.
        """
        counts = [len(item) for item in states]
        return list(self.projector(torch.cat(list(states))).split(counts))

    def encode_frames(self, pixels: torch.Tensor) -> FrameFeatures:
        """Image features of F frames, without a graph where the segmenter is frozen.

        Args:
            pixels: float32 ``[F,3,S,S]``, as the segmenter's processor makes them.
        """
        trains = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.segmenter.parameters())
        with torch.set_grad_enabled(trains):
            return self.segmenter.encode_frames(pixels)

    def segment(
        self,
        features: FrameFeatures,
        prompts: Sequence[torch.Tensor],
        frame_index: Sequence[torch.Tensor],
        num_frames: Sequence[int],
    ) -> list[ObjectMasks]:
        """Masks of every object on frames of its own sample, each frame for itself (no memory).

        Args:
            features: of the samples' frames, one sample after the other, ΣF.
            prompts: per sample ``[N,K,C]``.
            frame_index: per sample int64 ``[N,T]``, which of the sample's frames to look at for each object.
            num_frames: per sample F.

        Returns:
            Per sample :class:`ObjectMasks` ``[N,T,…]``.
        """
        places, tokens, first = [], [], 0
        for prompt, index, count in zip(prompts, frame_index, num_frames, strict=True):
            places.append((index + first).flatten())
            tokens.append(prompt.repeat_interleave(index.shape[1], dim=0))
            first += count
        decoded = self.segmenter.decode(features, torch.cat(places), torch.cat(tokens))
        pairs = [len(item) for item in places]
        fields = (decoded.mask_logits, decoded.object_logits, decoded.iou, decoded.tokens)
        parts = zip(*(field.split(pairs) for field in fields), strict=True)
        return [
            ObjectMasks(*(part.unflatten(0, index.shape) for part in found))
            for index, found in zip(frame_index, parts, strict=True)
        ]


def clear_frames(masks: torch.Tensor) -> torch.Tensor:
    """The first frame that shows each object clearly.

    Args:
        masks: bool ``[N,T,H,W]``.

    Returns:
        int64 ``[N]``: the first frame with at least :data:`CLEAR_SHARE` of the object's largest area; 0 where it is
        never seen.
    """
    area = masks.flatten(2).sum(2).float()
    return (area >= CLEAR_SHARE * area.amax(1, keepdim=True)).int().argmax(1)

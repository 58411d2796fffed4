"""What every segmenter offers: frames in once, then any number of prompts against the encoded frames.

A segmenter turns a prompt (a vector from a language model, points, a box, a coarse mask) into the mask of one object
on one frame. It knows nothing of language, of videos on disk, or of losses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from word2mask.ops.images import bytes_to_normalized, frames_to_tensor, normalize, resize, resize_bytes

#: Logits that stand for a given mask, outside and inside (Meta's ``_use_mask_as_output``).
GIVEN_MASK_LOGITS = (-10.0, 10.0)
#: Mask logits that go back into the decoder are kept within this of zero (facebookresearch/sam2,
#: ``SAM2VideoPredictor.add_new_points_or_box``).
LOGIT_LIMIT = 32.0


@dataclass(frozen=True)
class FrameProcessor:
    """A segmenter's preprocessing; small and picklable, so data workers can hold it.

    Attributes:
        side: S, the side of the square that the network sees.
        resampling: how frames come to that size. ``"bicubic"`` is Pillow's, rounded to bytes, with which the published
            Sa2VA (``DirectResize``) and Meta's own video loader feed SAM 2; ``"bilinear"`` is antialiased, in floats.
    """

    side: int
    resampling: Literal["bilinear", "bicubic"] = "bilinear"

    def content_size(self, height: int, width: int) -> tuple[int, int]:
        """How much of the square a frame ``H × W`` fills, ``(h, w)`` in pixels of the S × S input."""
        return self.side, self.side

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        """uint8 RGB frames ``[T,H,W,3]`` → float32 ``[T,3,S,S]``, aspect not kept, ImageNet statistics."""
        size = (self.side, self.side)
        if self.resampling == "bicubic" or frames.shape[1:3] == size:
            return bytes_to_normalized(resize_bytes(frames, size))
        return normalize(resize(frames_to_tensor(frames), size))


@dataclass
class FrameFeatures:
    """Encoded frames, shared by every object that is asked about.

    Attributes:
        levels: feature maps, finest first: for SAM 2 ``[F,C/8,S/4,S/4]``, ``[F,C/4,S/8,S/8]``, ``[F,C,S/16,S/16]``.
    """

    levels: list[torch.Tensor]

    def __len__(self) -> int:
        return self.levels[-1].shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | torch.Tensor) -> FrameFeatures:
        """The features of some frames; one integer keeps the frame dimension."""
        if isinstance(index, int):
            index = [index]
        return FrameFeatures([level[index] for level in self.levels])

    def detach(self) -> FrameFeatures:
        """The same features outside the autograd graph."""
        return FrameFeatures([level.detach() for level in self.levels])

    @staticmethod
    def concatenate(parts: Sequence[FrameFeatures]) -> FrameFeatures:
        """Frames of several encodings one after another."""
        return FrameFeatures([torch.cat(levels) for levels in zip(*(part.levels for part in parts), strict=True)])


@dataclass
class Decoded:
    """Masks for P (object, frame) pairs.

    Attributes:
        mask_logits: float ``[P,S/4,S/4]``; above zero means object. Never suppressed by the object score.
        iou: float ``[P]``, the IoU that the decoder predicts for its own mask, 0…1.
        object_logits: float ``[P]``; above zero means that the object is on the frame.
        tokens: float ``[P,C]``, the decoder's output token of the mask, from which trackers make object pointers;
            ``[P,0]`` of a segmenter that doesn't track.
    """

    mask_logits: torch.Tensor
    iou: torch.Tensor
    object_logits: torch.Tensor
    tokens: torch.Tensor

    def __len__(self) -> int:
        return self.mask_logits.shape[0]

    def __getitem__(self, index: slice | Sequence[int] | torch.Tensor) -> Decoded:
        """The results of some pairs."""
        return Decoded(self.mask_logits[index], self.iou[index], self.object_logits[index], self.tokens[index])


class Segmenter(nn.Module, ABC):
    """A promptable segmenter. Subclasses register nothing: contract tests find them by this base class.

    Attributes:
        side: S, the side of the square input.
        prompt_dim: C, the width of a prompt token.
        mask_side: S/4, the side of mask logits.
        dtype: of the weights.
    """

    side: int
    prompt_dim: int
    mask_side: int
    dtype: torch.dtype
    #: transformers' class of :attr:`model`.
    backbone: ClassVar[type]
    #: Whether it has a memory, with which :class:`word2mask.segmenters.tracker.Tracker` follows objects in videos.
    tracks: bool = False
    model: Any

    @classmethod
    def assemble(cls, model: Any) -> Self:
        """Wraps a :attr:`backbone` that was read elsewhere."""
        return cls(model)

    @property
    def processor(self) -> FrameProcessor:
        """The preprocessing that belongs to this segmenter."""
        return FrameProcessor(self.side)

    def without_padding(self, mask_logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Mask logits that show the frame and nothing else.

        Args:
            mask_logits: float ``[…,S/4,S/4]``, as :meth:`decode` gives them.
            size: ``(H, W)`` of the frame.

        Returns:
            The input itself where frames fill the square; else ``[…,H,W]`` with what was filled up cut away.
        """
        return mask_logits

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan may open, beside the segmenter as a whole."""
        return {"mask_decoder": self.model.mask_decoder}

    def keep_original_decoder(self, state: dict[str, torch.Tensor] | None = None) -> Self:
        """Called before the mask decoder trains; a segmenter that tracks objects keeps a copy of it for that.

        Args:
            state: of the decoder to keep; ``None`` copies the present one.
        """
        return self

    def encoder_modules(self) -> list[nn.Module]:
        """Everything that :meth:`encode_frames` computes with."""
        return [self.model.vision_encoder]

    @abstractmethod
    def encode_frames(self, pixels: torch.Tensor) -> FrameFeatures:
        """Encodes frames once.

        Args:
            pixels: float ``[F,3,S,S]`` from :meth:`FrameProcessor.prepare_frames`.
        """

    @abstractmethod
    def decode(
        self, features: FrameFeatures, frame_index: torch.Tensor, prompts: torch.Tensor, multimask: bool | None = None
    ) -> Decoded:
        """Masks for P (object, frame) pairs from prompt embeddings, each pair alone, without memory.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``, the frame of each pair.
            prompts: float ``[P,K,C]``, K prompt tokens a pair (Sa2VA has K = 1).
            multimask: whether to take the best of several candidate masks by predicted IoU; ``None`` follows the
                segmenter's own configuration.
        """

    def decode_points(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        mask_logits: torch.Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """Masks for P (object, frame) pairs from geometric prompts, in any combination.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            points: float ``[P,K,2]``, (x, y) in pixels of the S × S input; whole numbers are the middles of pixels.
            labels: int64 ``[P,K]``, 1 on the object, 0 off it, -1 for a point that isn't there.
            boxes: float ``[P,4]``, (x1, y1, x2, y2), likewise.
            mask_logits: float ``[P,S/4,S/4]``, a coarse mask to start from.
            multimask: as in :meth:`decode`.
        """
        sparse = self.embed_points(len(frame_index), points, labels, boxes)
        dense = None if mask_logits is None else self.embed_masks(mask_logits)
        return self.decode_embeddings(features, frame_index, sparse, dense, multimask=multimask)

    @abstractmethod
    def embed_points(
        self,
        num_pairs: int,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sparse prompt embeddings ``[P,K',C]`` of points and boxes; see :meth:`decode_points`."""

    def coarse_mask_logits(self, masks: torch.Tensor) -> torch.Tensor:
        """Masks of a frame, bool ``[N,H,W]``, as logits float32 ``[N,S/4,S/4]`` to start from: -10 off them, 10 on.

        These are the values that SAM 2 gives masks from outside (facebookresearch/sam2, ``_use_mask_as_output``).
        """
        height, width = self.processor.content_size(*masks.shape[-2:])
        shares = masks[:, None].float()
        shares = functional.interpolate(shares, (height, width), mode="bilinear", align_corners=False, antialias=True)
        shares = functional.pad(shares, (0, self.side - width, 0, self.side - height))
        side = (self.mask_side, self.mask_side)
        shares = functional.interpolate(shares, side, mode="bilinear", align_corners=False, antialias=True)
        outside, inside = GIVEN_MASK_LOGITS
        return shares[:, 0] * (inside - outside) + outside

    def embed_masks(self, mask_logits: torch.Tensor) -> torch.Tensor:
        """Dense prompt embeddings ``[P,C,S/16,S/16]`` of coarse masks ``[P,S/4,S/4]``."""
        return self.model.prompt_encoder.mask_embed(mask_logits.unsqueeze(1).to(self.dtype))

    @abstractmethod
    def decode_embeddings(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        sparse: torch.Tensor,
        dense: torch.Tensor | None = None,
        *,
        multimask: bool | None = None,
    ) -> Decoded:
        """Runs the mask decoder on embeddings that are ready.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            sparse: float ``[P,K',C]``.
            dense: float ``[P,C,S/16,S/16]``; ``None`` means "no mask given".
            multimask: as in :meth:`decode`.
        """

    @property
    def has_candidates(self) -> bool:
        """Whether the decoder offers several masks of one prompt (``multimask``)."""
        return self.model.config.mask_decoder_config.num_multimask_outputs > 0

    @abstractmethod
    def encoder_values(self, num_frames: int) -> int:
        """About how many values the image encoder holds at its peak, when nothing of it is kept for gradients."""

    @torch.no_grad()
    def prompt_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean ``[C]`` and standard deviation ``[C]`` of the tokens of points all over the frame, 16 × 16."""
        ticks = (torch.arange(16, device=next(self.parameters()).device) + 0.5) * (self.side / 16)
        points = torch.cartesian_prod(ticks, ticks).unsqueeze(1)
        labels = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
        tokens = self.embed_points(len(points), points, labels)[:, 0].float()
        return tokens.mean(0), tokens.std(0)

    @torch.no_grad()
    def box_code(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How a box becomes two tokens (SAM, arXiv:2304.02643, appendix A).

        Returns:
            frequencies ``[2,C/2]`` and corners ``[2,C]``: the token of corner i at (x, y), in shares of the square, is
            sin and cos of 2π (2x - 1, 2y - 1) · frequencies, side by side, plus ``corners[i]``.
        """
        frequencies = self.model.prompt_encoder.shared_embedding.positional_embedding
        # Half a pixel is added to every point, so this is the square's own corner.
        at_zero = torch.full((1, 4), -0.5, device=frequencies.device)
        angles = -2 * math.pi * frequencies.sum(0)
        return frequencies, self.embed_points(1, boxes=at_zero)[0, :2] - torch.cat([angles.sin(), angles.cos()])

    @torch.no_grad()
    def box_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean ``[2,C]`` and standard deviation ``[2,C]`` of the tokens of a box's two corners, all over the frame."""
        ticks = (torch.arange(16, device=next(self.parameters()).device) + 0.5) * (self.side / 16)
        places = torch.cartesian_prod(ticks, ticks)
        tokens = self.embed_points(len(places), boxes=places.repeat(1, 2))[:, :2].float()
        return tokens.mean(0), tokens.std(0)

    @abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Writes configuration and weights into ``folder``."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: str | Path) -> Segmenter:
        """Reads what :meth:`save_pretrained` wrote."""

    @classmethod
    @abstractmethod
    def tiny(cls) -> Segmenter:
        """Random weights, under a million parameters, for tests."""

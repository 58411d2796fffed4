"""SAM (arXiv:2304.02643) over transformers' own modules, promptable by language embeddings as in LISA.

Pictures keep their aspect: the longest side becomes S, the rest of the square is filled up to the right and below, and
masks are cut back to the picture. SAM has no memory: objects are followed through videos by their masks alone
(:mod:`word2mask.segmenters.follower`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import SamConfig, SamModel

from word2mask.ops.images import frames_to_tensor, normalize, resize_bytes
from word2mask.segmenters.interface import Decoded, FrameFeatures, FrameProcessor, Segmenter
from word2mask.segmenters.pairs import pairs_by_frame
from word2mask.segmenters.sam_files import read_sam, sam_config
from word2mask.segmenters.sam_keys import FREQUENCY_COPIES
from word2mask.segmenters.tensor_files import built_from_state

__all__ = ["PaddedFrameProcessor", "SAMSegmenter"]


@dataclass(frozen=True)
class PaddedFrameProcessor(FrameProcessor):
    """SAM's preprocessing: longest side to S by Pillow's bilinear, rounded to bytes, then zeros after normalisation.

    As ``ResizeLongestSide`` and ``Sam.preprocess`` of facebookresearch/segment-anything (dca509f).
    """

    def content_size(self, height: int, width: int) -> tuple[int, int]:
        """How much of the square a frame ``H × W`` fills, ``(h, w)`` in pixels of the S × S input, at least one."""
        scale = self.side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        """uint8 RGB frames ``[T,H,W,3]`` → float32 ``[T,3,S,S]``, aspect kept, ImageNet statistics."""
        resized = resize_bytes(frames, self.content_size(*frames.shape[1:3]), "bilinear")
        pixels = normalize(frames_to_tensor(resized))
        return F.pad(pixels, (0, self.side - pixels.shape[-1], 0, self.side - pixels.shape[-2]))


class SAMSegmenter(Segmenter):
    """SAM with a ViT of any size.

    Args:
        model: transformers' model; it stays reachable as :attr:`model`, and its parameters are this module's.
    """

    backbone: ClassVar[type] = SamModel

    def __init__(self, model: SamModel) -> None:
        super().__init__()
        self.model = model
        self.side: int = model.config.vision_config.image_size
        self.prompt_dim: int = model.config.prompt_encoder_config.hidden_size

    # ---------------------------------------------------------------- construction

    @classmethod
    def from_config(cls, config: SamConfig, position_scale: float = 1.0) -> SAMSegmenter:
        """Random weights: torch's own layers (transformers' are too small to say anything), normal frequencies.

        Args:
            config: of any size.
            position_scale: standard deviation of the random frequencies that encode positions.
        """
        model = SamModel(config)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
                    module.reset_parameters()
            frequencies = position_scale * torch.randn_like(model.shared_image_embedding.positional_embedding)
            for copy in FREQUENCY_COPIES:
                model.get_parameter(copy).copy_(frequencies)
            for name, parameter in model.vision_encoder.named_parameters():
                if name.endswith(("pos_embed", "rel_pos_h", "rel_pos_w")):
                    nn.init.trunc_normal_(parameter, std=0.02)
        return cls(model)

    @classmethod
    def from_architecture(
        cls, architecture: str, side: int = 1024, position_scale: float = 1.0, seed: int | None = None
    ) -> SAMSegmenter:
        """Random weights of a named architecture (see :func:`word2mask.segmenters.sam_files.sam_config`)."""
        if seed is None:
            return cls.from_config(sam_config(architecture, side), position_scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls.from_config(sam_config(architecture, side), position_scale)

    @classmethod
    def tiny(cls) -> SAMSegmenter:
        """0.2 M random parameters, side 64."""
        return cls.from_architecture("test", side=64, seed=0).eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> SAMSegmenter:
        """Reads SAM from disk, whichever way it was written.

        Args:
            folder: a folder with ``config.json`` and ``model.safetensors`` (transformers' layout, and what
                :meth:`save_pretrained` writes), or a file: Meta's own ``.pth``, or ``.safetensors`` with Meta's names
                or transformers'. The size of a file is seen from its tensors.
            dtype: of the weights.

        Raises:
            UserError: no such file, one of another kind, or weights that are not all of SAM's and no others.
        """
        config, state = read_sam(folder)
        return cls(built_from_state(SamModel, config, state, dtype, str(folder))).eval()

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Writes ``config.json`` and ``model.safetensors``.

        Args:
            folder: made if need be.
            dtype: of the floating-point weights on disk; ``None`` keeps the model's own.
        """
        if dtype is None:
            self.model.save_pretrained(folder)
            return
        state = {
            name: value.to(dtype).contiguous() if value.is_floating_point() else value
            for name, value in self.model.state_dict().items()
        }
        self.model.save_pretrained(folder, state_dict=state)

    # ---------------------------------------------------------------- frames

    def encode_frames(self, pixels: torch.Tensor) -> FrameFeatures:
        """Encodes frames once for all objects; see :meth:`Segmenter.encode_frames`.

        One frame at a time: the four layers of ViT-H that look at the whole picture have a gigabyte of attention each
        for one frame in single precision.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, self.side, self.side):
            raise ValueError(f"expected pixels [F,3,{self.side},{self.side}], got {list(pixels.shape)}")
        encoder = self.model.vision_encoder
        return FrameFeatures([torch.cat([encoder(frame[None]).last_hidden_state for frame in pixels.to(self.dtype)])])

    def encoder_values(self, num_frames: int) -> int:
        """Of one frame, whose attention over the whole picture is the largest: its matrix and the positions' share."""
        vision = self.model.config.vision_config
        cells = (self.side // vision.patch_size) ** 2
        return 8 * cells * vision.hidden_size + 2 * vision.num_attention_heads * cells**2

    @property
    def processor(self) -> PaddedFrameProcessor:
        """The preprocessing that belongs to SAM."""
        return PaddedFrameProcessor(self.side)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.model.mask_decoder.iou_token.weight.dtype

    @property
    def mask_side(self) -> int:
        """S/4, the side of mask logits."""
        return 4 * self.model.config.prompt_encoder_config.image_embedding_size

    def without_padding(self, mask_logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """By way of S x S, as ``Sam.postprocess_masks``; float32. See :meth:`Segmenter.without_padding`."""
        height, width = self.processor.content_size(*size)
        flat = mask_logits.reshape(-1, 1, *mask_logits.shape[-2:]).float()
        if not len(flat):
            return flat.new_zeros(*mask_logits.shape[:-2], *size)
        square = F.interpolate(flat, (self.side, self.side), mode="bilinear", align_corners=False)
        frame = F.interpolate(square[..., :height, :width], tuple(size), mode="bilinear", align_corners=False)
        return frame.reshape(*mask_logits.shape[:-2], *size)

    # ---------------------------------------------------------------- prompts → masks

    def decode(
        self, features: FrameFeatures, frame_index: torch.Tensor, prompts: torch.Tensor, multimask: bool | None = None
    ) -> Decoded:
        """LISA's injection: the language tokens alone are the sparse prompt, and there is no mask prompt.

        See :meth:`Segmenter.decode`; gradients reach ``prompts``. ``multimask=None`` is the single mask.
        """
        if prompts.ndim != 3 or prompts.shape[-1] != self.prompt_dim or len(prompts) != len(frame_index):
            raise ValueError(
                f"expected prompts [{len(frame_index)},K,{self.prompt_dim}] for {len(frame_index)} pairs, "
                f"got {list(prompts.shape)}"
            )
        return self.decode_embeddings(features, frame_index, prompts.to(self.dtype), multimask=multimask)

    def embed_points(
        self,
        num_pairs: int,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sparse prompt embeddings ``[P,K',C]``: points, one padding point where there is no box, then its corners."""
        if (points is None) != (labels is None):
            raise ValueError("points and labels go together")
        encoder = self.model.prompt_encoder
        device = encoder.no_mask_embed.weight.device
        parts = [torch.zeros(num_pairs, 0, self.prompt_dim, dtype=self.dtype, device=device)]
        if points is not None and labels is not None:
            embedded = encoder._embed_points(points.unsqueeze(1), labels.unsqueeze(1), pad=boxes is None)
            parts.append(embedded.squeeze(1).to(self.dtype))
        if boxes is not None:
            parts.append(encoder._embed_boxes(boxes.unsqueeze(1)).squeeze(1).to(self.dtype))
        return torch.cat(parts, dim=1)

    def decode_embeddings(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        sparse: torch.Tensor,
        dense: torch.Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """Runs the mask decoder on embeddings that are ready.

        SAM has no object score: the largest mask logit stands for it, which is above zero where the mask has a pixel.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            sparse: float ``[P,K',C]``.
            dense: float ``[P,C,S/16,S/16]``; ``None`` means "no mask given".
            multimask: as in :meth:`Segmenter.decode`; ``None`` is the single mask.
        """
        (level,) = features.levels
        if not len(frame_index):  # transformers' attention can't reshape nothing
            masks = level.new_zeros(0, self.mask_side, self.mask_side)
            return Decoded(masks, masks[:, 0, 0], masks[:, 0, 0], masks.new_zeros(0, 0))
        encoder = self.model.prompt_encoder
        if dense is None:
            images, order = pairs_by_frame(frame_index)
            dense = encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(len(images), -1, *level.shape[-2:])
        else:
            images, order = frame_index, torch.arange(len(frame_index), device=frame_index.device)[:, None]
        grid = self.model.get_image_wide_positional_embeddings().to(level.dtype)
        masks, iou = self.model.mask_decoder(
            image_embeddings=level[images],
            image_positional_embeddings=grid.expand(len(images), -1, -1, -1),
            sparse_prompt_embeddings=sparse[order],
            dense_prompt_embeddings=dense,
            multimask_output=bool(multimask),
        )
        masks, iou = masks.flatten(0, 1), iou.flatten(0, 1)
        back, best = order.flatten().argsort(), iou.argmax(dim=-1)
        chosen = masks[back, best[back]]
        return Decoded(
            mask_logits=chosen,
            iou=iou[back, best[back]],
            object_logits=chosen.flatten(1).amax(dim=1),
            tokens=chosen.new_zeros(len(chosen), 0),
        )

"""One step of SAM 2's memory for N objects: what a frame leaves behind, and how the next one reads it.

:class:`word2mask.segmenters.tracker.Tracker` decides what is kept and for how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import NO_OBJ_SCORE, get_1d_sine_pe

from word2mask.segmenters.interface import GIVEN_MASK_LOGITS, Decoded, FrameFeatures
from word2mask.segmenters.memory_attention import KeptKeys, attend

__all__ = ["MemoryFrame", "MemorySteps"]


@dataclass
class MemoryFrame:
    """What N objects remember of one frame.

    Attributes:
        features: bfloat16 ``[N,M,S/16,S/16]``, spatial memory (M = 64); bfloat16 as in Meta's code, which halves it.
        pointers: float ``[N,C]``, one object pointer each.
    """

    features: torch.Tensor
    pointers: torch.Tensor


class MemorySteps:
    """The memory of :class:`word2mask.segmenters.sam2.SAM2Segmenter`, which has what these methods lean on.

    Attributes:
        model: transformers' model.
        side: S.
        dtype: of the weights.
        mask_side: S/4.
    """

    model: Sam2VideoModel
    side: int
    dtype: torch.dtype
    mask_side: int

    def suppress_absent(self, decoded: Decoded) -> torch.Tensor:
        """Mask logits ``[P,S/4,S/4]`` with those of absent objects set to -1024, as SAM 2 tracks them."""
        present = (decoded.object_logits > 0)[:, None, None]
        return torch.where(present, decoded.mask_logits, NO_OBJ_SCORE)

    def enlarge(self, mask_logits: torch.Tensor) -> torch.Tensor:
        """Mask logits ``[P,h,w]`` at the input's resolution, ``[P,S,S]``."""
        size = (self.side, self.side)
        enlarged = F.interpolate(mask_logits.unsqueeze(1).float(), size=size, mode="bilinear", align_corners=False)
        return enlarged.squeeze(1).to(mask_logits.dtype)

    def object_pointers(self, tokens: torch.Tensor, object_logits: torch.Tensor) -> torch.Tensor:
        """Object pointers ``[P,C]`` of mask tokens ``[P,C]``; absent objects share a learned pointer."""
        present = (object_logits > 0).to(tokens.dtype).unsqueeze(-1)
        return present * self.model.object_pointer_proj(tokens) + (1 - present) * self.model.no_object_pointer

    def remember(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        mask_logits: torch.Tensor,
        object_logits: torch.Tensor,
        pointers: torch.Tensor,
        binarize: bool = False,
    ) -> MemoryFrame:
        """Encodes frames and their masks into memory.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            mask_logits: float ``[P,S,S]``.
            object_logits: float ``[P]``.
            pointers: float ``[P,C]``.
            binarize: threshold the mask first; SAM 2 does so on frames that were prompted.
        """
        model, config = self.model, self.model.config
        given = mask_logits.unsqueeze(1)
        shares = (given > 0).to(self.dtype) if binarize else given.sigmoid().to(self.dtype)
        scaled = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory, _ = model.memory_encoder(features.levels[-1][frame_index], scaled)
        if model.occlusion_spatial_embedding_parameter is not None:
            absent = (object_logits <= 0).to(memory.dtype).view(-1, 1, 1, 1)
            memory = memory + absent * model.occlusion_spatial_embedding_parameter[..., None, None]
        return MemoryFrame(memory.to(torch.bfloat16), pointers)

    def remember_decoded(
        self, features: FrameFeatures, frame_index: torch.Tensor, decoded: Decoded, binarize: bool = False
    ) -> MemoryFrame:
        """Memory of frames with the masks that the decoder found; see :meth:`remember`."""
        pointers = self.object_pointers(decoded.tokens, decoded.object_logits)
        masks = self.enlarge(self.suppress_absent(decoded))
        return self.remember(features, frame_index, masks, decoded.object_logits, pointers, binarize)

    def remember_masks(
        self, features: FrameFeatures, frame_index: torch.Tensor, masks: torch.Tensor
    ) -> tuple[MemoryFrame, Decoded]:
        """Memory of frames whose masks are given from outside; the mask itself becomes the output.

        The pointer comes from the decoder prompted with the mask, by the single-mask token as in Meta's
        ``_use_mask_as_output`` (transformers 5.23 takes the three-mask head there, which Meta's training never does).

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            masks: bool ``[P,h,w]``, any resolution.
        """
        size = (self.side, self.side)
        shares = masks.unsqueeze(1).to(self.dtype)
        if tuple(masks.shape[-2:]) != size:
            shares = F.interpolate(shares.float(), size=size, mode="bilinear", align_corners=False, antialias=True)
            shares = shares.to(self.dtype)
        outside, inside = GIVEN_MASK_LOGITS
        full = shares * (inside - outside) + outside
        low_size = (self.mask_side, self.mask_side)
        low = F.interpolate(full.float(), size=low_size, mode="bilinear", align_corners=False, antialias=True)
        decoded = self.decode_embeddings(
            features,
            frame_index,
            self.embed_points(len(masks)),
            self.embed_masks(self.model.mask_downsample(shares).squeeze(1)),
            # Meta and transformers both leave the "no memory" embedding out on this path.
            conditioned=features.levels[-1][frame_index],
            multimask=False,
        )
        pointers = self.object_pointers(decoded.tokens, decoded.object_logits)
        present = masks.flatten(1).any(dim=1)
        object_logits = torch.where(present, inside, outside).to(self.dtype)
        pointers = torch.where(present[:, None], pointers, self.model.no_object_pointer)
        # From the small mask, as in Meta's video predictor; their training and transformers take the full one.
        coarse = self.enlarge(low.squeeze(1).to(self.dtype))
        memory = self.remember(features, frame_index, coarse, object_logits, pointers, binarize=True)
        given = Decoded(low.squeeze(1).to(self.dtype), torch.ones_like(decoded.iou), object_logits, decoded.tokens)
        return memory, given

    def attend_memory(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        memories: Sequence[tuple[int, torch.Tensor]],
        pointers: Sequence[tuple[int, torch.Tensor]],
        max_pointers: int | None = None,
        kept: KeptKeys | None = None,
    ) -> torch.Tensor:
        """Conditions the coarsest features of P pairs on what their objects remember.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            memories: (frames ago, spatial memory ``[P,M,h,w]``); 0 marks a conditioning frame, whenever it was.
            pointers: (signed frames ago, object pointers ``[P,C]``).
            max_pointers: the span by which a pointer's age is normalised; ``None`` takes the configuration's.
            kept: of :meth:`kept_keys`, where the same memories are read by several frames.

        Returns:
            float ``[P,C,S/16,S/16]``, for ``conditioned`` of :meth:`decode_embeddings`.
        """
        model, dtype = self.model, self.dtype
        frames = features.levels[-1]
        num_pairs, (channels, height, width) = len(frame_index), frames.shape[1:]
        if num_pairs == 0:
            return frames[frame_index]
        grid = self._grid_encoding(height, width, model.mem_dim, frames)
        temporal = model.memory_temporal_positional_encoding
        tokens = [memory.to(dtype).flatten(2).transpose(1, 2) for _, memory in memories]
        encodings = [grid + temporal[ago - 1].view(1, 1, -1) for ago, _ in memories]
        num_pointer_tokens = 0
        if pointers:
            span = (max_pointers or model.config.max_object_pointers_in_encoder) - 1
            splits = channels // model.mem_dim
            told = torch.stack([pointer.to(dtype) for _, pointer in pointers], dim=1)
            tokens.append(told.reshape(num_pairs, -1, model.mem_dim))  # a pointer is `splits` tokens
            num_pointer_tokens = splits * len(pointers)
            if model.config.enable_temporal_pos_encoding_for_object_pointers:
                age = torch.tensor([ago for ago, _ in pointers], device=told.device, dtype=torch.float32) / span
                encoding = get_1d_sine_pe(age, dim=channels).to(dtype)
                encoding = model.temporal_positional_encoding_projection_layer(encoding)
                encodings.append(encoding.repeat_interleave(splits, dim=0).unsqueeze(0))
            else:
                encodings.append(torch.zeros_like(tokens[-1][:1]))
        placed = frames.flatten(2).transpose(1, 2) + 0.1 * self._grid_encoding(height, width, channels, frames)
        attended = attend(
            model.memory_attention,
            placed,
            frame_index,
            torch.cat(tokens, dim=1),
            torch.cat(encodings, dim=1),
            num_pointer_tokens,
            None if kept is None else kept.keys([(ago - 1, memory) for ago, memory in memories], num_pointer_tokens),
        )
        return attended.transpose(1, 2).reshape(num_pairs, channels, height, width)

    def kept_keys(self, features: FrameFeatures) -> KeptKeys:
        """Where keys of memories are kept while one video is followed; the weights must stay as they are.

        Args:
            features: any frame of it.
        """
        frames, model = features.levels[-1], self.model
        grid = self._grid_encoding(frames.shape[2], frames.shape[3], model.mem_dim, frames)
        ages = model.memory_temporal_positional_encoding.flatten(1).to(frames.dtype)
        return KeptKeys(model.memory_attention, grid, ages)

    def _grid_encoding(self, height: int, width: int, channels: int, like: torch.Tensor) -> torch.Tensor:
        """Sine encoding of the grid's positions, ``[1,h·w,channels]``, in the dtype of ``like``."""
        encoding = self.model.memory_encoder.position_encoding
        table = encoding.build_sine_position_embedding(
            torch.Size((1, channels, height, width)),
            like.device,
            like.dtype,
            channels // 2,
            encoding.normalize,
            encoding.scale,
            encoding.temperature,
        )
        return table.flatten(2).transpose(1, 2)

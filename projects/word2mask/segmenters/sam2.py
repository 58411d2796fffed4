"""SAM 2 (arXiv:2408.00714) over transformers' own modules, promptable by language embeddings.

transformers' video session takes one object at a time and no embedding prompts, so this adapter calls the image
encoder, prompt encoder, mask decoder, memory attention and memory encoder of ``Sam2VideoModel`` itself, for P
(object, frame) pairs at a time. :class:`word2mask.segmenters.tracker.Tracker` keeps the memory bank; here is one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import NO_OBJ_SCORE, get_1d_sine_pe

from word2mask.errors import UserError
from word2mask.segmenters.architectures import initialise, sam2_config
from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter

__all__ = ["MemoryFrame", "SAM2Segmenter"]

#: Logits that stand for a given mask, outside and inside (Meta's ``_use_mask_as_output``).
GIVEN_MASK_LOGITS = (-10.0, 10.0)


@dataclass
class MemoryFrame:
    """What N objects remember of one frame.

    Attributes:
        features: bfloat16 ``[N,M,S/16,S/16]``, spatial memory (M = 64); bfloat16 as in Meta's code, which halves it.
        pointers: float ``[N,C]``, one object pointer each.
    """

    features: torch.Tensor
    pointers: torch.Tensor


def _chain_pointwise(features: torch.Tensor, first: nn.Conv2d, second: nn.Conv2d) -> torch.Tensor:
    """``second(first(features))`` of two 1 x 1 convolutions as one, without the wide map between them.

    For Hiera-L at 1024 that map is 256 channels of 256 x 256, of which the decoder keeps 32.
    """
    inner, outer = first.weight[:, :, 0, 0], second.weight[:, :, 0, 0]
    bias = outer @ first.bias + second.bias
    return F.conv2d(features, (outer @ inner)[:, :, None, None], bias)


class SAM2Segmenter(Segmenter):
    """SAM 2 or 2.1 of any size.

    Args:
        model: transformers' model; it stays reachable as :attr:`model`, and its parameters are this module's.
    """

    backbone: ClassVar[type] = Sam2VideoModel

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model = model
        self.side: int = model.config.image_size
        self.prompt_dim: int = model.config.prompt_encoder_config.hidden_size

    # ---------------------------------------------------------------- construction

    @classmethod
    def from_config(cls, config: Sam2VideoConfig, position_scale: float = 1.0) -> SAM2Segmenter:
        """Random weights for training from scratch; see :func:`word2mask.segmenters.architectures.initialise`."""
        model = Sam2VideoModel(config)
        initialise(model, position_scale)
        return cls(model)

    @classmethod
    def from_architecture(
        cls, architecture: str, side: int, position_scale: float = 1.0, seed: int | None = None
    ) -> SAM2Segmenter:
        """Random weights of a named architecture (see :func:`word2mask.segmenters.architectures.sam2_config`)."""
        if seed is None:
            return cls.from_config(sam2_config(architecture, side), position_scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls.from_config(sam2_config(architecture, side), position_scale)

    @classmethod
    def tiny(cls) -> SAM2Segmenter:
        """0.9 M random parameters, side 64. transformers fixes the memory width at 64, so C can't be under 128."""
        return cls.from_architecture("test", side=64, position_scale=0.5, seed=0).eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> SAM2Segmenter:
        """Reads a folder with ``config.json`` and ``model.safetensors`` (transformers' own layout).

        Raises:
            UserError: no such folder, a file missing, or weights that don't fit the configuration.
        """
        folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name}: no such file; give a folder that SAM2Segmenter.save_pretrained wrote"
                )
        model, info = Sam2VideoModel.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        wrong = {key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info.get(key)}
        if wrong or info.get("mismatched_keys"):
            raise UserError(f"{folder}: weights don't fit config.json: {wrong or info['mismatched_keys']}")
        return cls(model).eval()

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Writes ``config.json`` and ``model.safetensors``.

        Args:
            folder: made if need be.
            dtype: of the floating-point weights on disk; ``None`` keeps the model's own.
        """
        state = self.model.state_dict()
        if dtype is not None:
            state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
        self.model.save_pretrained(folder, state_dict={key: value.contiguous() for key, value in state.items()})

    # ---------------------------------------------------------------- frames

    def encode_frames(self, pixels: torch.Tensor) -> FrameFeatures:
        """Encodes frames once for all objects; see :meth:`Segmenter.encode_frames`.

        Runs backbone and neck without the neck's positional encodings, which it would make for every level and frame
        and which one level needs (:meth:`_grid_encoding`).
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, self.side, self.side):
            raise ValueError(f"expected pixels [F,3,{self.side},{self.side}], got {list(pixels.shape)}")
        vision, decoder = self.model.vision_encoder, self.model.mask_decoder
        stages = vision.backbone(pixels.to(self.dtype)).intermediate_hidden_states
        laterals, fused_levels = vision.neck.convs, vision.neck.fpn_top_down_levels
        last = len(stages) - 1
        levels: list[torch.Tensor] = []
        above: torch.Tensor | None = None
        for stage in range(last, -1, -1):
            features, lateral = stages[stage].permute(0, 3, 1, 2), laterals[last - stage]
            skip = {0: decoder.conv_s0, 1: decoder.conv_s1}.get(stage)
            if skip is not None and stage not in fused_levels:
                levels.insert(0, _chain_pointwise(features, lateral, skip))
                continue
            above, below = lateral(features), above
            if below is not None and stage in fused_levels:
                above = above + F.interpolate(below, scale_factor=2.0, mode="nearest")
            levels.insert(0, above if skip is None else skip(above))
        levels = levels[: self.model.num_feature_levels]
        return FrameFeatures(levels)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.model.no_memory_embedding.dtype

    @property
    def mask_side(self) -> int:
        """S/4, the side of mask logits."""
        return self.model.prompt_encoder.mask_input_size[0]

    # ---------------------------------------------------------------- prompts → masks

    def decode(
        self, features: FrameFeatures, frame_index: torch.Tensor, prompts: torch.Tensor, multimask: bool | None = None
    ) -> Decoded:
        """Sa2VA's injection: the embeddings of "no point", then the language tokens; no memory, no mask prompt.

        See :meth:`Segmenter.decode`; gradients reach ``prompts``.
        """
        if prompts.ndim != 3 or prompts.shape[-1] != self.prompt_dim or len(prompts) != len(frame_index):
            raise ValueError(
                f"expected prompts [{len(frame_index)},K,{self.prompt_dim}] for {len(frame_index)} pairs, "
                f"got {list(prompts.shape)}"
            )
        nothing = self.embed_points(len(prompts))
        sparse = torch.cat([nothing, prompts.to(nothing.dtype)], dim=1)
        return self.decode_embeddings(features, frame_index, sparse, multimask=multimask)

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
        """Masks from points, boxes or coarse masks; see :meth:`Segmenter.decode_points`."""
        sparse = self.embed_points(len(frame_index), points, labels, boxes)
        dense = None if mask_logits is None else self.embed_masks(mask_logits)
        return self.decode_embeddings(features, frame_index, sparse, dense, multimask=multimask)

    def embed_points(
        self,
        num_pairs: int,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sparse prompt embeddings ``[P,K',C]``: points, then the corners of the box, then one padding point.

        Without points or boxes there are two padding points: Meta's code puts an empty one in and its prompt encoder
        adds another. Tracked frames and Sa2VA's language prompts were trained with both.
        """
        if (points is None) != (labels is None):
            raise ValueError("points and labels go together")
        if points is None:
            device, num_empty = self.model.no_memory_embedding.device, int(boxes is None)
            points = torch.zeros(num_pairs, num_empty, 2, device=device)
            labels = torch.full((num_pairs, num_empty), -1, dtype=torch.long, device=device)
        if boxes is not None:
            # A box is two points of labels 2 and 3, in Meta's predictor as in the embedding table.
            corners = torch.tensor([2, 3], device=labels.device).expand(num_pairs, 2)
            points = torch.cat([points, boxes.view(num_pairs, 2, 2).to(points.dtype)], dim=1)
            labels = torch.cat([labels, corners], dim=1)
        encoder = self.model.prompt_encoder
        return encoder._embed_points(points.unsqueeze(1), labels.unsqueeze(1), pad=True).squeeze(1).to(self.dtype)

    @torch.no_grad()
    def prompt_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation over the tokens of points on a 16 × 16 grid."""
        ticks = (torch.arange(16, device=self.model.no_memory_embedding.device) + 0.5) * (self.side / 16)
        points = torch.cartesian_prod(ticks, ticks).unsqueeze(1)
        labels = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
        tokens = self.embed_points(len(points), points, labels)[:, 0].float()
        return tokens.mean(0), tokens.std(0)

    def embed_masks(self, mask_logits: torch.Tensor) -> torch.Tensor:
        """Dense prompt embeddings ``[P,C,S/16,S/16]`` of coarse masks ``[P,S/4,S/4]``."""
        return self.model.prompt_encoder.mask_embed(mask_logits.unsqueeze(1).to(self.dtype))

    def decode_embeddings(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        sparse: torch.Tensor,
        dense: torch.Tensor | None = None,
        conditioned: torch.Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """Runs the mask decoder on embeddings that are ready.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            sparse: float ``[P,K',C]``.
            dense: float ``[P,C,S/16,S/16]``; ``None`` means "no mask given".
            conditioned: float ``[P,C,S/16,S/16]``, the coarsest features after memory attention; ``None`` takes the
                plain features plus the "no memory" embedding.
            multimask: as in :meth:`Segmenter.decode`.

        Raises:
            UserError: several candidate masks asked of a decoder that has one.
        """
        model = self.model
        config = model.config
        if multimask is None:
            multimask = config.multimask_output_in_sam
        if multimask and config.mask_decoder_config.num_multimask_outputs == 0:
            raise UserError("this SAM 2 has a single mask output (num_multimask_outputs = 0): use multimask=False")
        if conditioned is None:
            no_memory = model.no_memory_embedding.view(1, -1, 1, 1)
            conditioned = features.levels[-1][frame_index] + no_memory
        num_pairs, channels, height, width = conditioned.shape
        if num_pairs == 0:  # transformers' attention can't reshape nothing
            masks = conditioned.new_zeros(0, self.mask_side, self.mask_side)
            return Decoded(masks, masks[:, 0, 0], masks[:, 0, 0], conditioned.new_zeros(0, channels))
        if dense is None:
            dense = model.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(num_pairs, -1, height, width)
        grid = model.get_image_wide_positional_embeddings().to(conditioned.dtype)
        masks, iou, tokens, object_logits = model.mask_decoder(
            image_embeddings=conditioned,
            image_positional_embeddings=grid.expand(num_pairs, -1, -1, -1),
            sparse_prompt_embeddings=sparse.unsqueeze(1),
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[level[frame_index] for level in features.levels[:-1]],
        )
        masks, iou, tokens = masks[:, 0], iou[:, 0], tokens[:, 0]
        pairs = torch.arange(num_pairs, device=masks.device)
        best = iou.argmax(dim=-1)
        # With one candidate the decoder's stability fallback may have swapped the mask, never the token.
        return Decoded(
            mask_logits=masks[pairs, best],
            iou=iou[pairs, best],
            object_logits=object_logits[:, 0, 0],
            tokens=tokens[pairs, best],
        )

    # ---------------------------------------------------------------- memory: one step of it

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
        memory = self.remember(features, frame_index, full.squeeze(1), object_logits, pointers, binarize=True)
        given = Decoded(low.squeeze(1).to(self.dtype), torch.ones_like(decoded.iou), object_logits, decoded.tokens)
        return memory, given

    def attend_memory(
        self,
        features: FrameFeatures,
        frame_index: torch.Tensor,
        memories: Sequence[tuple[int, torch.Tensor]],
        pointers: Sequence[tuple[int, torch.Tensor]],
        max_pointers: int | None = None,
    ) -> torch.Tensor:
        """Conditions the coarsest features of P pairs on what their objects remember.

        Args:
            features: encoded frames.
            frame_index: int64 ``[P]``.
            memories: (frames ago, spatial memory ``[P,M,h,w]``); 0 marks a conditioning frame, whenever it was.
            pointers: (signed frames ago, object pointers ``[P,C]``).
            max_pointers: the span by which a pointer's age is normalised; ``None`` takes the configuration's.

        Returns:
            float ``[P,C,S/16,S/16]``, for ``conditioned`` of :meth:`decode_embeddings`.
        """
        model, dtype = self.model, self.dtype
        current = features.levels[-1][frame_index]
        num_pairs, channels, height, width = current.shape
        if num_pairs == 0:
            return current
        grid = self._grid_encoding(height, width, model.mem_dim, current)
        temporal = model.memory_temporal_positional_encoding
        keys = [memory.to(dtype).flatten(2).permute(2, 0, 1) for _, memory in memories]
        encodings = [(grid + temporal[ago - 1]).expand(-1, num_pairs, -1) for ago, _ in memories]
        num_pointer_tokens = 0
        if pointers:
            span = (max_pointers or model.config.max_object_pointers_in_encoder) - 1
            splits = channels // model.mem_dim
            tokens = torch.stack([pointer.to(dtype) for _, pointer in pointers])
            tokens = tokens.reshape(-1, num_pairs, splits, model.mem_dim).transpose(1, 2).flatten(0, 1)
            if model.config.enable_temporal_pos_encoding_for_object_pointers:
                age = torch.tensor([ago for ago, _ in pointers], device=tokens.device, dtype=torch.float32) / span
                encoding = get_1d_sine_pe(age, dim=channels).to(dtype)
                encoding = model.temporal_positional_encoding_projection_layer(encoding)
                encoding = encoding.unsqueeze(1).expand(-1, num_pairs, -1).repeat_interleave(splits, dim=0)
            else:
                encoding = torch.zeros_like(tokens)
            keys.append(tokens)
            encodings.append(encoding)
            num_pointer_tokens = len(tokens)
        attended = model.memory_attention(
            current_vision_features=current.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=self._grid_encoding(height, width, channels, current),
            memory=torch.cat(keys),
            memory_posision_embeddings=torch.cat(encodings),  # the misspelling is transformers' own
            num_object_pointer_tokens=num_pointer_tokens,
        )
        # [1,P,h·w,C]: transformers swaps the first two of four dimensions, not "sequence first".
        return attended[0].transpose(1, 2).reshape(num_pairs, channels, height, width)

    def _grid_encoding(self, height: int, width: int, channels: int, like: torch.Tensor) -> torch.Tensor:
        """Sine encoding of the grid's positions, ``[h·w,1,channels]``, in the dtype of ``like``."""
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
        return table.flatten(2).permute(2, 0, 1)

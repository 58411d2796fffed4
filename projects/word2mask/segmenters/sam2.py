"""SAM 2 (arXiv:2408.00714) over transformers' own modules, promptable by language embeddings.

transformers' video session takes one object at a time and no embedding prompts, so this adapter calls the image
encoder, prompt encoder, mask decoder, memory attention and memory encoder of ``Sam2VideoModel`` itself, for P
(object, frame) pairs at a time. The memory is in :mod:`word2mask.segmenters.sam2_memory`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel

from word2mask.errors import UserError
from word2mask.ops.linear import linear, use_onednn
from word2mask.segmenters.architectures import initialise, sam2_config
from word2mask.segmenters.hiera import make_lean
from word2mask.segmenters.interface import Decoded, FrameFeatures, FrameProcessor, Segmenter
from word2mask.segmenters.mask_decoder import make_lean_decoder
from word2mask.segmenters.pairs import pairs_by_frame
from word2mask.segmenters.sam2_files import ORIGINAL_DECODER_FILE, build_sam2, read_sam2
from word2mask.segmenters.sam2_image_part import HAS_NO_MEMORY
from word2mask.segmenters.sam2_memory import MemoryFrame, MemorySteps

__all__ = ["MemoryFrame", "SAM2Segmenter"]


def _chain_pointwise(features: torch.Tensor, first: nn.Conv2d, second: nn.Conv2d) -> torch.Tensor:
    """``second(first(features))`` of two 1 x 1 convolutions as one, without the wide map between them.

    For Hiera-L at 1024 that map is 256 channels of 256 x 256, of which the decoder keeps 32.
    """
    inner, outer = first.weight[:, :, 0, 0], second.weight[:, :, 0, 0]
    return _pointwise(features, outer @ inner, outer @ first.bias + second.bias)


def _pointwise(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A 1 x 1 convolution of ``[F,H,W,K]`` by weights ``[N,K]``, to ``[F,N,H,W]``."""
    return linear(features, weight, bias).permute(0, 3, 1, 2)


class SAM2Segmenter(MemorySteps, Segmenter):
    """SAM 2 or 2.1 of any size.

    Args:
        model: transformers' model; it stays reachable as :attr:`model`, and its parameters are this module's. The
            blocks of its trunk and its mask decoder become lean ones (:mod:`word2mask.segmenters.hiera`,
            :mod:`word2mask.segmenters.mask_decoder`), in place.
        original_decoder: the mask decoder as it was before ``model``'s was trained, if it was; never trains itself.
    """

    backbone: ClassVar[type] = Sam2VideoModel
    tracks = True

    def __init__(self, model: Sam2VideoModel, original_decoder: nn.Module | None = None) -> None:
        super().__init__()
        make_lean(model.vision_encoder)
        make_lean_decoder(model)
        use_onednn(model)
        self.model = model
        self.original_decoder = None if original_decoder is None else original_decoder.requires_grad_(False).eval()
        self.side: int = model.config.image_size
        self.prompt_dim: int = model.config.prompt_encoder_config.hidden_size
        self.tracks = not getattr(model.config, HAS_NO_MEMORY, False)

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
        """Reads SAM 2 from disk, whichever way it was written.

        Args:
            folder: a folder with ``config.json`` and ``model.safetensors`` (transformers' layout, and what
                :meth:`save_pretrained` writes), or a file: Meta's own ``.pt``, or ``.safetensors`` with Meta's names or
                transformers'. The size and version of a file are seen from its tensors. A file without any of the
                memory's tensors is the image part alone: it segments pictures, and has no memory.
            dtype: of the weights.

        Raises:
            UserError: no such file, one of another kind, or weights that are not all of SAM 2's and no others.
        """
        files = read_sam2(folder)
        segmenter = cls(build_sam2(files, dtype, str(folder))).eval()
        if files.original_decoder is not None:
            segmenter.keep_original_decoder(files.original_decoder)
        return segmenter

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Writes ``config.json`` and ``model.safetensors``, and the original decoder into a file of its own.

        Args:
            folder: made if need be.
            dtype: of the floating-point weights on disk; ``None`` keeps the model's own.
        """

        def contiguous(module: nn.Module) -> dict[str, torch.Tensor]:
            return {
                key: (value.to(dtype) if dtype is not None and value.is_floating_point() else value).contiguous()
                for key, value in module.state_dict().items()
            }

        self.model.save_pretrained(folder, state_dict=contiguous(self.model))
        if self.original_decoder is not None:
            save_file(contiguous(self.original_decoder), Path(folder) / ORIGINAL_DECODER_FILE)

    # ---------------------------------------------------------------- two decoders

    def keep_original_decoder(self, state: dict[str, torch.Tensor] | None = None) -> Self:
        """Keeps a mask decoder beside the one that trains, for :meth:`propagator`; in place.

        Args:
            state: of the decoder; ``None`` copies the present one, unless one is kept already.

        Raises:
            UserError: ``state`` is of another decoder.
        """
        if self.original_decoder is None or state is not None:
            decoder = copy.deepcopy(self.model.mask_decoder).requires_grad_(False).eval()
            if state is not None:
                try:
                    decoder.load_state_dict(state)
                except RuntimeError as error:
                    raise UserError(f"the original mask decoder isn't of this SAM 2: {error}") from None
            self.original_decoder = decoder
        return self

    def propagator(self) -> SAM2Segmenter:
        """This segmenter with its original decoder in the place of the trained one; all else is shared, not copied."""
        if self.original_decoder is None:
            return self
        model = copy.copy(self.model)
        model._modules = {**self.model._modules, "mask_decoder": self.original_decoder}
        propagator = type(self)(model)
        propagator.training = self.training
        return propagator

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As usual, but the original decoder never trains."""
        super().requires_grad_(requires_grad)
        if self.original_decoder is not None:
            self.original_decoder.requires_grad_(False)
        return self

    # ---------------------------------------------------------------- frames

    def encoder_modules(self) -> list[nn.Module]:
        """Trunk, neck and the decoder's two convolutions of fine features, which run once a frame."""
        decoder = self.model.mask_decoder
        return [self.model.vision_encoder, decoder.conv_s0, decoder.conv_s1]

    def encode_frames(self, pixels: torch.Tensor) -> FrameFeatures:
        """Encodes frames once for all objects; see :meth:`Segmenter.encode_frames`.

        Runs backbone and neck without the neck's positional encodings, which it would make for every level and frame
        and which one level needs (:meth:`_grid_encoding`).
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, self.side, self.side):
            raise ValueError(f"expected pixels [F,3,{self.side},{self.side}], got {list(pixels.shape)}")
        vision, decoder = self.model.vision_encoder, self.model.mask_decoder
        # The decoder's two convolutions may train while the trunk doesn't, which then takes its way without gradients.
        trains = pixels.requires_grad or any(parameter.requires_grad for parameter in vision.backbone.parameters())
        with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
            stages = vision.backbone(pixels.to(self.dtype)).intermediate_hidden_states
        laterals, fused_levels = vision.neck.convs, vision.neck.fpn_top_down_levels
        last = len(stages) - 1
        levels: list[torch.Tensor] = []
        above: torch.Tensor | None = None
        for stage in range(last, -1, -1):
            features, lateral = stages[stage], laterals[last - stage]
            skip = {0: decoder.conv_s0, 1: decoder.conv_s1}.get(stage)
            if skip is not None and stage not in fused_levels:
                levels.insert(0, _chain_pointwise(features, lateral, skip))
                continue
            above, below = _pointwise(features, lateral.weight[:, :, 0, 0], lateral.bias), above
            if below is not None and stage in fused_levels:
                above = above + F.interpolate(below, scale_factor=2.0, mode="nearest")
            levels.insert(0, above if skip is None else skip(above))
        levels = levels[: self.model.num_feature_levels]
        return FrameFeatures(levels)

    def encoder_values(self, num_frames: int) -> int:
        """Eight maps of Hiera's first stage; see :meth:`Segmenter.encoder_values`."""
        width = self.model.config.vision_config.backbone_config.hidden_size
        return 8 * num_frames * (self.side // 4) ** 2 * width

    @property
    def processor(self) -> FrameProcessor:
        """The preprocessing that belongs to the weights; the configuration remembers how frames are resized."""
        return FrameProcessor(self.side, getattr(self.model.config, "frame_resampling", "bilinear"))

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
        if not len(frame_index):  # transformers' attention can't reshape nothing
            masks = features.levels[-1].new_zeros(0, self.mask_side, self.mask_side)
            return Decoded(masks, masks[:, 0, 0], masks[:, 0, 0], masks.new_zeros(0, self.prompt_dim))
        images, order = frame_index, torch.arange(len(frame_index), device=frame_index.device)[:, None]
        if conditioned is None:
            if dense is None:
                images, order = pairs_by_frame(frame_index)
            conditioned = (features.levels[-1] + model.no_memory_embedding.view(1, -1, 1, 1))[images]
        height, width = conditioned.shape[-2:]
        if dense is None:
            dense = model.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(len(images), -1, height, width)
        grid = model.get_image_wide_positional_embeddings().to(conditioned.dtype)
        masks, iou, tokens, object_logits = model.mask_decoder(
            image_embeddings=conditioned,
            image_positional_embeddings=grid.expand(len(images), -1, -1, -1),
            sparse_prompt_embeddings=sparse[order],
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[level[images] for level in features.levels[:-1]],
        )
        masks, iou, tokens, object_logits = (part.flatten(0, 1) for part in (masks, iou, tokens, object_logits))
        best = iou.argmax(dim=-1)
        # With one candidate the decoder's stability fallback may have swapped the mask, never the token.
        back = order.flatten().argsort()
        return Decoded(
            mask_logits=masks[back, best[back]],
            iou=iou[back, best[back]],
            object_logits=object_logits[back, 0],
            tokens=tokens[back, best[back]],
        )

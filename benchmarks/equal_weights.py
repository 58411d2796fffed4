"""Ours with the seeded weights of the published Sa2VA over InternVL, read through the key maps of its layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from published_sa2va import Geometry, seeded_state
from transformers import InternVLForConditionalGeneration, Sam2VideoConfig, Sam2VideoModel

from word2mask.mllms.internvl import InternVL
from word2mask.mllms.internvl_layout import pieces, transformers_config
from word2mask.mllms.internvl_processor import InternVLSettings
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.projector import Projector
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.sam2_keys import from_meta

#: Where SAM 2's and the projector's tensors stand among the published ones; all others are InternVL's.
SEGMENTER, PROJECTOR = "grounding_encoder.sam2_model.", "text_hidden_fcs."


def segmenter_config(geometry: Geometry) -> Sam2VideoConfig:
    """SAM 2.0 at a geometry."""
    widths = [geometry.trunk * 2**stage for stage in range(4)]
    return Sam2VideoConfig(
        image_size=geometry.side,
        vision_config=dict(
            model_type="sam2_vision_model",
            backbone_config=dict(
                model_type="sam2_hiera_det_model",
                hidden_size=geometry.trunk,
                num_attention_heads=geometry.trunk_heads,
                image_size=[geometry.side] * 2,
                window_positional_embedding_background_size=[geometry.background] * 2,
                blocks_per_stage=list(geometry.stages),
                embed_dim_per_stage=widths,
                num_attention_heads_per_stage=[geometry.trunk_heads * 2**stage for stage in range(4)],
                window_size_per_stage=list(geometry.windows),
                global_attention_blocks=list(geometry.everywhere),
            ),
            backbone_channel_list=widths[::-1],
            backbone_feature_sizes=[[geometry.side // stride] * 2 for stride in (4, 8, 16)],
            fpn_hidden_size=geometry.width,
        ),
        prompt_encoder_config=dict(hidden_size=geometry.width, image_size=geometry.side),
        # Meta's code has these three as constants.
        mask_decoder_config=dict(
            hidden_size=geometry.width, mlp_dim=2048, num_attention_heads=8, iou_head_hidden_dim=256
        ),
        memory_attention_hidden_size=geometry.width,
        memory_attention_num_layers=geometry.memory_layers,
        memory_attention_feed_forward_hidden_size=geometry.memory_mlp,
        memory_attention_rope_feat_sizes=[geometry.side // 16] * 2,
        memory_encoder_hidden_size=geometry.width,
        mask_downsampler_embed_dim=geometry.width,
        memory_fuser_embed_dim=geometry.width,
        memory_fuser_intermediate_dim=4 * geometry.width,
        enable_occlusion_spatial_embedding=False,
        enable_temporal_pos_encoding_for_object_pointers=False,
        frame_resampling="bicubic",
    )


def equal_model(
    geometry: Geometry,
    shapes: Mapping[str, tuple[int, ...]],
    raw: dict[str, Any],
    tokenizer: Any,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> GroundedMLLM:
    """Ours with the weights that :meth:`published_sa2va.Published.model` has.

    Args:
        geometry: of the model.
        shapes: published name → shape of every tensor.
        raw: the published ``config.json``.
        tokenizer: knows the special tokens.
        settings: of :class:`InternVLSettings`, beside the template, which ``raw`` says.
        **options: of :class:`GroundedMLLM`.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {SEGMENTER: {}, PROJECTOR: {}, "": {}}
    for name, tensor in seeded_state(shapes).items():
        prefix = next(prefix for prefix in parts if name.startswith(prefix))
        parts[prefix][name.removeprefix(prefix)] = tensor
    config = transformers_config(raw, tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), "the published config")
    language = InternVLForConditionalGeneration(config)
    language.load_state_dict({piece[0]: piece[1] for piece in pieces(parts[""], config, "the published weights")})
    segmenter = Sam2VideoModel(segmenter_config(geometry))
    segmenter.load_state_dict(from_meta(parts[SEGMENTER]))
    projector = Projector(geometry.hidden, geometry.width)
    projector.layers.load_state_dict(parts[PROJECTOR])
    mllm = InternVL(language, tokenizer, InternVLSettings(template=raw["template"], **(settings or {})))
    if options.pop("gradient_checkpointing", False):
        mllm.checkpoint_gradients(True)
    return GroundedMLLM(mllm, SAM2Segmenter(segmenter), projector, **options)

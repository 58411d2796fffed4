"""SAM 2 architectures by name, as transformers configurations, and weights to start training them from.

``image_size`` doesn't cascade in transformers: it must agree in five places, which is what :func:`sam2_config` is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel

from word2mask.errors import UserError

#: Meta's released sizes (sam2/configs/sam2.1/*.yaml at 2b90b9f), and ours for pictures of about 128 pixels.
_BACKBONES: dict[str, dict[str, Any]] = {
    "tiny": dict(width=96, heads=1, blocks=[1, 2, 7, 2], windows=[8, 4, 14, 7], everywhere=[5, 7, 9], background=7),
    "small": dict(width=96, heads=1, blocks=[1, 2, 11, 2], windows=[8, 4, 14, 7], everywhere=[7, 10, 13], background=7),
    "base_plus": dict(
        width=112, heads=2, blocks=[2, 3, 16, 3], windows=[8, 4, 14, 7], everywhere=[12, 16, 20], background=14
    ),
    "large": dict(
        width=144, heads=2, blocks=[2, 6, 36, 4], windows=[8, 4, 16, 8], everywhere=[23, 33, 43], background=7
    ),
    "shapes": dict(
        width=32, heads=1, blocks=[1, 2, 3, 1], windows=[8, 4, 0, 0], everywhere=[4, 5], background=5, mlp=2.0
    ),
    "test": dict(width=8, heads=1, blocks=[1, 1, 1, 1], windows=[8, 4, 4, 2], everywhere=[], background=4),
}

_RELEASED = ("tiny", "small", "base_plus", "large")

#: Everything but the backbone. Meta's sizes share the defaults of transformers, which are SAM 2.1's.
_HEADS: dict[str, dict[str, Any]] = {
    "shapes": dict(
        hidden=128,
        decoder_heads=4,
        decoder_narrowing=1,
        decoder_mlp=512,
        candidates=0,
        memory_layers=2,
        memory_mlp=512,
        fuser=256,
        memory_frames=5,
        pointers=8,
    ),
    "test": dict(
        hidden=128,
        decoder_heads=4,
        decoder_narrowing=4,
        decoder_mlp=32,
        candidates=3,
        memory_layers=1,
        memory_mlp=32,
        fuser=32,
        memory_frames=4,
        pointers=6,
    ),
}


def sam2_config(architecture: str, side: int = 1024, version: str = "2.1") -> Sam2VideoConfig:
    """The configuration of a named SAM 2.

    Args:
        architecture: ``tiny``, ``small``, ``base_plus`` or ``large`` (Meta's), ``shapes`` (2.8 M parameters for the
            embedded dataset, one mask per prompt) or ``test`` (random weights for tests).
        side: S, a multiple of 32.
        version: ``"2.1"``, or ``"2.0"``, whose memory doesn't mark absent objects and doesn't encode how old an object
            pointer is. Published Sa2VA models contain 2.0.

    Raises:
        UserError: an unknown name or version, or an impossible side.
    """
    if version not in ("2.0", "2.1"):
        raise UserError(f'SAM 2 has the versions "2.0" and "2.1", got {version!r}')
    if architecture not in _BACKBONES:
        raise UserError(f"no SAM 2 architecture called {architecture!r}; there are {', '.join(sorted(_BACKBONES))}")
    if side <= 0 or side % 32:
        raise UserError(f"SAM 2's side must be a multiple of 32, got {side}")
    backbone = _BACKBONES[architecture]
    widths = [backbone["width"] * 2**stage for stage in range(4)]
    # A window of 0 here means the whole map of that stage; only maps of a few cells have it.
    windows = [window or side // 4 // 2**stage for stage, window in enumerate(backbone["windows"])]
    heads = _HEADS.get(architecture)
    hidden = heads["hidden"] if heads else 256
    settings: dict[str, Any] = {}
    decoder: dict[str, Any] = {}
    additions = version == "2.1"
    if heads:
        decoder = dict(
            mlp_dim=heads["decoder_mlp"],
            num_attention_heads=heads["decoder_heads"],
            attention_downsample_rate=heads["decoder_narrowing"],
            iou_head_hidden_dim=hidden,
            num_multimask_outputs=heads["candidates"],
            dynamic_multimask_via_stability=heads["candidates"] > 0,
        )
        settings = dict(
            num_maskmem=heads["memory_frames"],
            max_object_pointers_in_encoder=heads["pointers"],
            multimask_output_in_sam=heads["candidates"] > 0,
            memory_attention_hidden_size=hidden,
            memory_attention_num_layers=heads["memory_layers"],
            memory_attention_feed_forward_hidden_size=heads["memory_mlp"],
            memory_attention_dropout=0.0,
            memory_attention_rope_dropout=0.0,
            memory_encoder_hidden_size=hidden,
            mask_downsampler_embed_dim=hidden,
            memory_fuser_embed_dim=hidden,
            memory_fuser_intermediate_dim=heads["fuser"],
        )
    return Sam2VideoConfig(
        image_size=side,
        vision_config=dict(
            model_type="sam2_vision_model",
            backbone_config=dict(
                model_type="sam2_hiera_det_model",
                hidden_size=backbone["width"],
                mlp_ratio=backbone.get("mlp", 4.0),
                num_attention_heads=backbone["heads"],
                image_size=[side, side],
                window_positional_embedding_background_size=[backbone["background"]] * 2,
                blocks_per_stage=backbone["blocks"],
                embed_dim_per_stage=widths,
                num_attention_heads_per_stage=[backbone["heads"] * 2**stage for stage in range(4)],
                window_size_per_stage=windows,
                global_attention_blocks=backbone["everywhere"],
            ),
            backbone_channel_list=widths[::-1],
            backbone_feature_sizes=[[side // stride] * 2 for stride in (4, 8, 16)],
            fpn_hidden_size=hidden,
        ),
        prompt_encoder_config=dict(hidden_size=hidden, image_size=side),
        mask_decoder_config=dict(hidden_size=hidden, **decoder),
        memory_attention_rope_feat_sizes=[side // 16, side // 16],
        enable_occlusion_spatial_embedding=additions,
        enable_temporal_pos_encoding_for_object_pointers=additions,
        # Ours, beside transformers' settings: see FrameProcessor.
        frame_resampling="bicubic" if architecture in _RELEASED else "bilinear",
        **settings,
    )


def released_sam2(state: Mapping[str, torch.Tensor], source: str) -> tuple[str, str]:
    """Which of Meta's releases the state of a ``Sam2VideoModel`` is: architecture and version for :func:`sam2_config`.

    Raises:
        UserError: it is none of them.
    """
    table = state.get("vision_encoder.backbone.pos_embed")
    if table is None:
        raise UserError(f"{source}: no tensor of SAM 2's image encoder in it; give the weights of SAM 2.0 or 2.1")
    prefix = "vision_encoder.backbone.blocks."
    num_blocks = len({name.split(".")[3] for name in state if name.startswith(prefix)})
    found = (table.shape[1], num_blocks)
    sizes = {(_BACKBONES[name]["width"], sum(_BACKBONES[name]["blocks"])): name for name in _RELEASED}
    if found not in sizes:
        known = ", ".join(f"{name} {size}" for size, name in sizes.items())
        raise UserError(
            f"{source}: a SAM 2 of width and depth {found}, which Meta hasn't released ({known}); "
            "give a folder with its config.json"
        )
    return sizes[found], "2.1" if "occlusion_spatial_embedding_parameter" in state else "2.0"


@torch.no_grad()
def initialise(model: Sam2VideoModel, position_scale: float = 1.0) -> None:
    """Draws weights for training from scratch, in place.

    Linear and convolution layers get torch's own initialisation instead of transformers' normal(0, 0.02), which is too
    small for narrow networks to start learning from; embeddings are normal(0, 1) as in Meta's code.

    Args:
        model: of any size.
        position_scale: standard deviation of the random frequencies that encode positions. Small pictures want about
            0.5, so that near points have similar encodings. Kept in the weights, because transformers' config admits
            integers only.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            module.reset_parameters()
    frequencies = position_scale * torch.randn_like(model.shared_image_embedding.positional_embedding)
    # transformers keeps two copies of one matrix, for the image grid and for the prompts.
    model.shared_image_embedding.positional_embedding.copy_(frequencies)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(frequencies)
    for parameter in (
        model.no_memory_embedding,
        model.memory_temporal_positional_encoding,
        model.no_object_pointer,
        model.vision_encoder.backbone.pos_embed,
        model.vision_encoder.backbone.pos_embed_window,
    ):
        nn.init.trunc_normal_(parameter, std=0.02)
    # Labels would drown positions at normal(0, 1): a position's encoding has entries of 0.7.
    model.prompt_encoder.point_embed.weight.mul_(0.25)
    _match_positions(model.mask_decoder.transformer)


def _match_positions(transformer: nn.Module, gain: float = 2.0) -> None:
    """Starts the decoder's cross attentions as comparisons of positions: keys are projected as queries are.

    Token and image positions share one encoding, so a prompt attends to its surroundings, and they to it, from the
    first step. With independent projections a narrow decoder spends hundreds of steps finding that out.
    """
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in attentions:
        attention.q_proj.weight.mul_(gain)
        attention.k_proj.weight.copy_(attention.q_proj.weight)

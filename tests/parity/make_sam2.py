"""Runs Meta's SAM 2 at a small geometry and keeps what it gives, for ``test_sam2_parity.py``.

    python tests/parity/make_sam2.py CHECKOUT

CHECKOUT is a clone of https://github.com/facebookresearch/sam2 at 2b90b9f5ceec907a1c18123530e92e794ad901a4 (the files
here were made with that one). Only ``sam2/modeling`` and the video predictor are imported; the options are those of
``build_sam2_video_predictor`` with ``apply_postprocessing`` but for the filling of holes, which needs a CUDA extension.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import sam2_weights as shared  # noqa: E402


def make_importable(checkout: Path) -> None:
    """Meta's package without hydra and iopath, which the parts used here don't need."""
    package = types.ModuleType("sam2")
    package.__path__ = [str(checkout / "sam2")]
    files = types.ModuleType("iopath.common.file_io")
    files.g_pathmgr = None
    sys.modules.update(
        {"sam2": package, "iopath": types.ModuleType("iopath"), "iopath.common": types.ModuleType("iopath.common")}
    )
    sys.modules["iopath.common.file_io"] = files


def build(predictor: type, small: bool, version: str) -> torch.nn.Module:
    """The video predictor: of the shared small geometry, or Hiera-L with nothing but names and shapes of interest."""
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.transformer import RoPEAttention

    width, side = (shared.WIDTH, shared.SIDE) if small else (256, 1024)
    trunk = (
        Hiera(
            embed_dim=shared.TRUNK_WIDTH,
            num_heads=1,
            stages=(1, 1, 1, 1),
            global_att_blocks=(),
            window_pos_embed_bkg_spatial_size=(4, 4),
            window_spec=(8, 4, 4, 2),
        )
        if small
        else Hiera(
            embed_dim=144,
            num_heads=2,
            stages=(2, 6, 36, 4),
            global_att_blocks=(23, 33, 43),
            window_pos_embed_bkg_spatial_size=(7, 7),
            window_spec=(8, 4, 16, 8),
        )
    )
    neck = FpnNeck(
        PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000),
        d_model=width,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    cells = [side // 16, side // 16]
    attention = dict(rope_theta=10000.0, feat_sizes=cells, embedding_dim=width, num_heads=1, downsample_rate=1)
    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=shared.MEMORY_MLP if small else 2048,
        dropout=0.0,
        pos_enc_at_attn=False,
        self_attention=RoPEAttention(**attention),
        d_model=width,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttention(**attention, rope_k_repeat=True, kv_in_dim=64),
    )
    additions = dict(
        no_obj_embed_spatial=True,
        add_tpos_enc_to_obj_ptrs=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
    )
    return predictor(
        image_encoder=ImageEncoder(trunk, neck, scalp=1),
        memory_attention=MemoryAttention(
            d_model=width, pos_enc_at_input=True, layer=layer, num_layers=1 if small else 4
        ),
        memory_encoder=MemoryEncoder(
            out_dim=64,
            in_dim=width,
            position_encoding=PositionEmbeddingSine(num_pos_feats=64, normalize=True, scale=None, temperature=10000),
            mask_downsampler=MaskDownSampler(embed_dim=width, kernel_size=3, stride=2, padding=1),
            fuser=Fuser(CXBlock(width, kernel_size=7, padding=3, layer_scale_init_value=1e-6), num_layers=2),
        ),
        num_maskmem=shared.NUM_MEMORIES if small else 7,
        max_obj_ptrs_in_encoder=shared.NUM_POINTERS if small else 16,
        image_size=side,
        sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0,
        use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        multimask_output_for_tracking=True,
        use_multimask_token_for_obj_ptr=True,
        multimask_min_pt_num=0,
        multimask_max_pt_num=1,
        use_mlp_for_obj_ptr_proj=True,
        sam_mask_decoder_extra_args=dict(
            dynamic_multimask_via_stability=True,
            dynamic_multimask_stability_delta=0.05,
            dynamic_multimask_stability_thresh=0.98,
        ),
        binarize_mask_from_pts_for_mem_enc=True,
        **(additions if version == "2.1" else dict(add_tpos_enc_to_obj_ptrs=False)),
    ).eval()


def start(model: torch.nn.Module) -> dict:
    """A video session on the shared frames."""
    import sam2.sam2_video_predictor as module

    module.load_video_frames = lambda **_: (shared.pixels(), shared.SIDE, shared.SIDE)
    return model.init_state("")


def propagated(model: torch.nn.Module, state: dict) -> torch.Tensor:
    """Low-resolution mask logits ``[T,N,S/4,S/4]`` of a session whose prompts are given."""
    found: dict[int, torch.Tensor] = {}
    for reverse in (False, True):
        for t, _, _ in model.propagate_in_video(state, reverse=reverse):
            objects = [state["output_dict_per_obj"][index] for index in range(shared.NUM_OBJECTS)]
            kinds = ("cond_frame_outputs", "non_cond_frame_outputs")
            outputs = [next(item[kind][t] for kind in kinds if t in item[kind]) for item in objects]
            found.setdefault(t, torch.cat([output["pred_masks"][:, 0] for output in outputs]))
    return torch.stack([found[t] for t in range(shared.NUM_FRAMES)])


@torch.inference_mode()
def language_masks(model: torch.nn.Module) -> torch.Tensor:
    """Mask logits ``[N,S/4,S/4]`` on frame 2 from language tokens behind an empty point, without memory (Sa2VA)."""
    output = model.forward_image(shared.pixels()[2:3])
    _, features, _, sizes = model._prepare_backbone_features(output)
    features[-1] = features[-1] + model.no_mem_embed
    maps = [item.permute(1, 2, 0).reshape(1, -1, *size) for item, size in zip(features, sizes, strict=True)]
    empty = (torch.zeros(shared.NUM_OBJECTS, 1, 2), -torch.ones(shared.NUM_OBJECTS, 1, dtype=torch.int32))
    sparse, dense = model.sam_prompt_encoder(points=empty, boxes=None, masks=None)
    masks, iou, _, _ = model.sam_mask_decoder(
        image_embeddings=maps[-1].expand(shared.NUM_OBJECTS, -1, -1, -1),
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=torch.cat([sparse, shared.language_prompts()], dim=1),
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=False,
        high_res_features=[item.expand(shared.NUM_OBJECTS, -1, -1, -1) for item in maps[:-1]],
    )
    return masks[torch.arange(shared.NUM_OBJECTS), iou.argmax(-1)]


def main() -> None:
    """Writes the list of names and the results of both versions."""
    make_importable(Path(sys.argv[1]))
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    torch.set_num_threads(1)
    names = build(SAM2VideoPredictor, small=False, version="2.0").state_dict()
    lines = (f"{name} {'x'.join(map(str, value.shape))}\n" for name, value in names.items())
    (FOLDER / "sam2_0_large_names.txt").write_text("".join(lines))
    for version in ("2.0", "2.1"):
        model = build(SAM2VideoPredictor, small=True, version=version)
        model.load_state_dict({name: shared.weight(name, value.shape) for name, value in model.state_dict().items()})
        results = {"language": language_masks(model)}
        points, labels = shared.clicks()
        state = start(model)
        for index in range(shared.NUM_OBJECTS):
            model.add_new_points_or_box(state, 2, index, points=points[index], labels=labels[index])
        results["clicks"] = propagated(model, state)
        state = start(model)
        for index in range(shared.NUM_OBJECTS):
            model.add_new_points_or_box(state, 3, index, box=shared.boxes()[index])
        results["box"] = propagated(model, state)
        state = start(model)
        for t, given in shared.masks().items():
            for index in range(shared.NUM_OBJECTS):
                model.add_new_mask(state, t, index, given[index])
        results["masks"] = propagated(model, state)
        kept = {name: shared.kept(value).clone() for name, value in results.items()}
        save_file(kept, FOLDER / f"sam2_{version.replace('.', '_')}_reference.safetensors")


if __name__ == "__main__":
    main()

"""SAM on disk: transformers' folder, Meta's own ``.pth``, or a file of safetensors in either's names; its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import SamConfig

from word2mask.errors import UserError
from word2mask.segmenters.sam_keys import from_meta, is_meta
from word2mask.segmenters.tensor_files import READERS, State, read_model_type, read_safetensors

__all__ = ["read_sam", "released_sam", "sam_config"]

#: Meta's sizes (segment_anything/build_sam.py at dca509f), ours for pictures of about 128 pixels, and one for tests.
_BACKBONES: dict[str, dict[str, Any]] = {
    "vit_b": dict(width=768, layers=12, heads=12, everywhere=[2, 5, 8, 11]),
    "vit_l": dict(width=1024, layers=24, heads=16, everywhere=[5, 11, 17, 23]),
    "vit_h": dict(width=1280, layers=32, heads=16, everywhere=[7, 15, 23, 31]),
    "shapes": dict(width=144, layers=6, heads=4, everywhere=[2, 5], window=10, patch=8),
    "test": dict(width=32, layers=2, heads=2, everywhere=[1], window=3),
}
_RELEASED = ("vit_b", "vit_l", "vit_h")
#: Everything but the backbone; Meta's sizes share transformers' defaults.
_HEADS: dict[str, dict[str, Any]] = {
    "shapes": dict(
        hidden_size=128,
        mlp_dim=512,
        num_attention_heads=4,
        attention_downsample_rate=1,
        iou_head_hidden_dim=128,
        num_multimask_outputs=0,
    ),
    "test": dict(
        hidden_size=64, mlp_dim=64, num_attention_heads=4, attention_downsample_rate=2, iou_head_hidden_dim=32
    ),
}
#: Of Meta's sizes, and of what doesn't say otherwise.
_PATCH = 16


def sam_config(architecture: str, side: int = 1024) -> SamConfig:
    """The configuration of a named SAM.

    Args:
        architecture: ``vit_b``, ``vit_l``, ``vit_h`` (Meta's), ``shapes`` (2.3 M parameters for the embedded dataset,
            one mask per prompt, patches of 8 pixels, so that its masks are S/2 wide and not S/4) or ``test`` (random
            weights for tests).
        side: S, a multiple of the patch: 16, or 8 of ``shapes``.

    Raises:
        UserError: an unknown name, or an impossible side.
    """
    if architecture not in _BACKBONES:
        raise UserError(f"no SAM architecture called {architecture!r}; there are {', '.join(_BACKBONES)}")
    backbone = _BACKBONES[architecture]
    patch = backbone.get("patch", _PATCH)
    if side <= 0 or side % patch:
        raise UserError(f"SAM's side must be a multiple of {patch}, got {side}")
    heads = _HEADS.get(architecture, {})
    prompt_dim = heads.get("hidden_size", 256)
    return SamConfig(
        vision_config=dict(
            hidden_size=backbone["width"],
            num_hidden_layers=backbone["layers"],
            num_attention_heads=backbone["heads"],
            global_attn_indexes=backbone["everywhere"],
            window_size=backbone.get("window", 14),
            image_size=side,
            patch_size=patch,
            output_channels=prompt_dim,
            num_pos_feats=prompt_dim // 2,
        ),
        prompt_encoder_config=dict(hidden_size=prompt_dim, image_size=side, patch_size=patch),
        # As in Meta's code (TwoWayTransformer has torch's default); transformers' own default is 1e-6 here.
        mask_decoder_config=dict(heads, layer_norm_eps=1e-5),
        # Two copies of the frequencies, as the state has them.
        tie_word_embeddings=False,
    )


def released_sam(state: Mapping[str, torch.Tensor], source: str) -> str:
    """Which of Meta's releases the state of a ``SamModel`` is: the architecture for :func:`sam_config`.

    Raises:
        UserError: it is none of them.
    """
    table = state.get("vision_encoder.pos_embed")
    if table is None:
        raise UserError(f"{source}: no tensor of SAM's image encoder in it; give the weights of SAM (ViT-B, L or H)")
    prefix = "vision_encoder.layers."
    found = (table.shape[-1], len({name.split(".")[2] for name in state if name.startswith(prefix)}))
    sizes = {(_BACKBONES[name]["width"], _BACKBONES[name]["layers"]): name for name in _RELEASED}
    if found not in sizes:
        known = ", ".join(f"{name} {size}" for size, name in sizes.items())
        raise UserError(
            f"{source}: a SAM of width and depth {found}, which Meta hasn't released ({known}); give a folder with its "
            "config.json"
        )
    return sizes[found]


def read_sam(path: str | Path) -> tuple[SamConfig, State]:
    """Reads a folder or file; see :meth:`word2mask.segmenters.sam.SAMSegmenter.from_pretrained`.

    Returns:
        transformers' configuration, and the state of a ``SamModel``.

    Raises:
        UserError: nothing there, a file of another kind, or tensors that aren't SAM's.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; give Meta's .pth, or a folder with config.json and weights")
    if path.suffix not in READERS:
        raise UserError(f"{path}: SAM is read from a folder, a .pth or a .safetensors file, not from {path.suffix!r}")
    tensors = READERS[path.suffix](path)
    state = from_meta(tensors, str(path)) if is_meta(tensors) else _with_both_frequencies(tensors)
    return sam_config(released_sam(state, str(path))), state


def _read_folder(folder: Path) -> tuple[SamConfig, State]:
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise UserError(
                f"{file}: no such file; give a folder that SAMSegmenter.save_pretrained wrote, or Meta's .pth file"
            )
    family = read_model_type(config_file)
    if family != SamConfig.model_type:
        raise UserError(f"{config_file}: model_type is {family!r}, expected 'sam'; give the folder of a SAM")
    config = SamConfig.from_pretrained(folder, local_files_only=True)
    config.tie_word_embeddings = False
    return config, _with_both_frequencies(read_safetensors(weights))


def _with_both_frequencies(state: State) -> State:
    """transformers' own folders keep one copy of the frequencies, as it ties the two."""
    one, other = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
    for present, absent in ((one, other), (other, one)):
        if present in state and absent not in state:
            state[absent] = state[present].clone()
    return state

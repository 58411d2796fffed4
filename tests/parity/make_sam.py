"""Runs Meta's SAM at a small geometry and keeps what it gives, for ``test_sam_parity.py``.

    python tests/parity/make_sam.py CHECKOUT

CHECKOUT is a clone of https://github.com/facebookresearch/segment-anything at dca509fe793f601edb92606367a655c15ac00fdf
(``sam_reference.safetensors`` was made with that one, by torch 2.13.0). Only ``modeling`` and ``utils/transforms.py``
are imported; torchvision, which the latter needs for Pillow's own resizing, is stood in for by that.
"""

from __future__ import annotations

import sys
import types
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import sam_cases as cases  # noqa: E402


def make_importable(checkout: Path) -> None:
    """Meta's package without its predictor, and Pillow in the place of torchvision."""
    package = types.ModuleType("segment_anything")
    package.__path__ = [str(checkout / "segment_anything")]
    utils = types.ModuleType("segment_anything.utils")
    utils.__path__ = [str(checkout / "segment_anything" / "utils")]
    functional = types.ModuleType("torchvision.transforms.functional")
    functional.to_pil_image = Image.fromarray
    functional.resize = lambda image, size: image.resize(size[::-1], Image.Resampling.BILINEAR)
    torchvision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    sys.modules |= {
        "segment_anything": package,
        "segment_anything.utils": utils,
        "torchvision": torchvision,
        "torchvision.transforms": transforms,
        "torchvision.transforms.functional": functional,
    }


def build() -> torch.nn.Module:
    """As ``build_sam.py`` does, smaller."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    cells = cases.SIDE // cases.PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=cases.DEPTH,
            embed_dim=cases.WIDTH,
            img_size=cases.SIDE,
            mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=cases.HEADS,
            patch_size=cases.PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=cases.EVERYWHERE,
            window_size=cases.WINDOW,
            out_chans=cases.PROMPT_DIM,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=cases.PROMPT_DIM,
            image_embedding_size=(cells, cells),
            input_image_size=(cases.SIDE, cases.SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=cases.PROMPT_DIM, mlp_dim=cases.DECODER_MLP, num_heads=cases.DECODER_HEADS
            ),
            transformer_dim=cases.PROMPT_DIM,
            iou_head_depth=3,
            iou_head_hidden_dim=cases.IOU_WIDTH,
        ),
    ).eval()


@torch.inference_mode()
def main() -> None:
    """Writes the results."""
    make_importable(Path(sys.argv[1]))
    from segment_anything.utils.transforms import ResizeLongestSide

    torch.set_num_threads(1)
    model = build()
    model.load_state_dict({name: cases.weight(name, value.shape) for name, value in model.state_dict().items()})
    transform = ResizeLongestSide(cases.SIDE)
    results: dict[str, torch.Tensor] = {}
    points, labels = cases.clicks()
    prompts = {
        "clicks": dict(points=(points, labels), boxes=None, masks=None),
        "boxes": dict(points=None, boxes=cases.boxes(), masks=None),
        "both": dict(points=(points, labels), boxes=cases.boxes(), masks=None),
        "coarse": dict(points=None, boxes=None, masks=cases.coarse_masks()[:, None]),
    }
    for number, size in enumerate(cases.SIZES):
        resized = transform.apply_image(cases.picture(*size))
        pixels = model.preprocess(torch.from_numpy(resized).permute(2, 0, 1).contiguous())[None]
        features = model.image_encoder(pixels)
        results |= {f"{number}.pixels": pixels, f"{number}.features": features}
        embedded = {name: model.prompt_encoder(**prompt) for name, prompt in prompts.items()}
        empty, dense = model.prompt_encoder(points=None, boxes=None, masks=None)
        assert empty.shape[1] == 0
        embedded["language"] = (cases.language_prompts(), dense)  # as LISA puts them in
        for name, (sparse, dense) in embedded.items():
            for multimask in (False, True):
                masks, iou = model.mask_decoder(
                    image_embeddings=features,
                    image_pe=model.prompt_encoder.get_dense_pe(),
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=multimask,
                )
                best = iou.argmax(1)
                rows = torch.arange(len(iou))
                key = f"{number}.{name}.{'best' if multimask else 'single'}"
                results |= {key: masks[rows, best], f"{key}.iou": iou[rows, best]}
        single = results[f"{number}.language.single"][:, None]
        results[f"{number}.language.frame"] = model.postprocess_masks(single, resized.shape[:2], size)[:, 0]
    save_file({key: value.contiguous().clone() for key, value in results.items()}, FOLDER / "sam_reference.safetensors")


if __name__ == "__main__":
    main()

"""The lean mask decoder against transformers' own forward, on equal weights."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoMaskDecoder

from word2mask.segmenters import SAM2Segmenter
from word2mask.segmenters.mask_decoder import LeanMaskDecoder, make_lean_decoder

WIDTH, SIZE = 32, (4, 6)


def decoder(**options) -> Sam2VideoMaskDecoder:
    """A small one with random weights, biases among them."""
    config = Sam2VideoMaskDecoderConfig(
        hidden_size=WIDTH, mlp_dim=48, num_attention_heads=4, iou_head_hidden_dim=24, **options
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    built = Sam2VideoMaskDecoder(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    return built


def lean_of(model: Sam2VideoMaskDecoder) -> LeanMaskDecoder:
    holder = SimpleNamespace(mask_decoder=copy.deepcopy(model))
    make_lean_decoder(holder)
    assert type(holder.mask_decoder) is LeanMaskDecoder and type(model) is Sam2VideoMaskDecoder
    return holder.mask_decoder


def asked(frames: int = 2, objects: int = 3) -> dict:
    """Frames of :data:`SIZE`, other for each, and two prompt tokens an object."""
    torch.manual_seed(1)
    height, width = SIZE
    return dict(
        image_embeddings=torch.randn(frames, WIDTH, height, width),
        image_positional_embeddings=torch.randn(1, WIDTH, height, width).expand(frames, -1, -1, -1),
        sparse_prompt_embeddings=torch.randn(frames, objects, 2, WIDTH),
        dense_prompt_embeddings=torch.randn(frames, WIDTH, height, width),
        high_resolution_features=[
            torch.randn(frames, WIDTH // 8, 4 * height, 4 * width),
            torch.randn(frames, WIDTH // 4, 2 * height, 2 * width),
        ],
    )


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("multimask", [False, True], ids=["one mask", "candidates"])
@pytest.mark.parametrize("stability", [False, True], ids=["", "by stability"])
def test_same_as_transformers(objects, multimask, stability):
    # The widest threshold, so that the fallback to another candidate is taken.
    options = dict(dynamic_multimask_via_stability=stability, dynamic_multimask_stability_thresh=1.1)
    model, inputs = decoder(**options), asked(objects=objects)
    with torch.no_grad():
        expected, found = (one(multimask_output=multimask, **inputs) for one in (model, lean_of(model)))
    for part, other in zip(found, expected, strict=True):
        assert part.shape == other.shape
        assert (part - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("multimask", [False, True], ids=["one mask", "candidates"])
def test_same_gradients_and_none_is_missing(multimask):
    """A weight without a gradient would stop training on several processes."""
    model = decoder().train()
    lean = lean_of(model)
    gradients = []
    for one in (model, lean):
        inputs = asked()
        features = [inputs["sparse_prompt_embeddings"], inputs["image_embeddings"], *inputs["high_resolution_features"]]
        for feature in features:
            feature.requires_grad_(True)
        masks, iou, tokens, present = one(multimask_output=multimask, **inputs)
        sum(part.square().mean() for part in (masks, iou, tokens, present)).backward()
        gradients.append([*(p.grad for p in one.parameters()), *(feature.grad for feature in features)])
    names = [*(name for name, _ in model.named_parameters()), "prompts", "frames", "finest", "finer"]
    for name, one, other in zip(names, *gradients, strict=True):
        if name.startswith("conv_s"):  # the encoder's part
            assert one is None and other is None
            continue
        if name.endswith("k_proj.bias"):  # softmax doesn't see it: zero, but for rounding
            assert max(one.abs().max(), other.abs().max()) <= 1e-5, name
            continue
        assert (one - other).abs().max() <= 1e-4 * one.abs().max() + 1e-6, name


def test_objects_of_a_frame_do_not_see_each_other():
    lean, inputs = lean_of(decoder()), asked()
    with torch.no_grad():
        together = lean(multimask_output=True, **inputs)
        inputs["sparse_prompt_embeddings"] = inputs["sparse_prompt_embeddings"][:, 1:2]
        alone = lean(multimask_output=True, **inputs)
    for part, other in zip(together, alone, strict=True):
        assert torch.allclose(part[:, 1:2], other, rtol=1e-4, atol=1e-5)


def test_what_the_lean_one_does_not_know_is_left_to_transformers(monkeypatch):
    model, inputs = decoder(), asked(objects=1)
    target = torch.randn(WIDTH)
    left = []
    plain = Sam2VideoMaskDecoder.forward
    monkeypatch.setattr(Sam2VideoMaskDecoder, "forward", lambda *given, **more: left.append(1) or plain(*given, **more))
    with torch.no_grad():
        lean_of(model)(multimask_output=False, target_embedding=target, **inputs)
        assert left
        left.clear()
        lean_of(model)(multimask_output=False, target_embedding=None, **inputs)
        assert not left


def test_a_segmenter_has_one_and_so_have_its_copies_and_its_original():
    segmenter = SAM2Segmenter.tiny().keep_original_decoder()
    for one in (segmenter, copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter)), segmenter.propagator()):
        assert type(one.model.mask_decoder) is LeanMaskDecoder

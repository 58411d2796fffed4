"""Our SAM against Meta's code (facebookresearch/segment-anything at dca509f): pixels, features, masks of every prompt.

``make_sam.py`` wrote what is expected here; weights and inputs are drawn alike on both sides.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import SamModel

from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam_files import sam_config
from word2mask.segmenters.sam_keys import from_meta, to_meta
from word2mask.segmenters.tensor_files import built_from_state

sys.path.insert(0, str(Path(__file__).parent))
import sam_cases as cases

#: Largest difference, as a share of the largest value.
TOLERANCE = 1e-5
PICTURES = range(len(cases.SIZES))


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return load_file(Path(__file__).parent / "sam_reference.safetensors")


@pytest.fixture(scope="module")
def segmenter() -> SAMSegmenter:
    config = sam_config("test", side=cases.SIDE)
    with torch.device("meta"):
        names = to_meta(SamModel(config).state_dict())
    weights = {name: cases.weight(name, value.shape) for name, value in names.items()}
    return SAMSegmenter(built_from_state(SamModel, config, from_meta(weights), torch.float32, "seeded")).eval()


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_references_say_something(expected):
    """Masks are neither empty nor full, and differ between prompts by far more than rounding."""
    for key, masks in expected.items():
        if key.endswith((".single", ".best", ".frame")):
            share = (masks > 0).float().mean(dim=(-2, -1))
            assert ((share > 0.02) & (share < 0.98)).any(), key
            assert (masks[0] - masks[1]).abs().max() > 0.05 * masks.abs().max(), key
    for number in PICTURES:
        assert not torch.equal(expected[f"{number}.clicks.single"], expected[f"{number}.both.single"])


@pytest.mark.parametrize("number", PICTURES)
def test_pixels(segmenter, expected, number):
    frames = cases.picture(*cases.SIZES[number])[None]
    assert_equal(segmenter.processor.prepare_frames(frames), expected[f"{number}.pixels"])


@torch.no_grad()
@pytest.mark.parametrize("number", PICTURES)
def test_features(segmenter, expected, number):
    (level,) = segmenter.encode_frames(expected[f"{number}.pixels"]).levels
    assert_equal(level, expected[f"{number}.features"])


@torch.no_grad()
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("prompt", ["language", "clicks", "boxes", "both", "coarse"])
@pytest.mark.parametrize("number", PICTURES)
def test_masks(segmenter, expected, number, prompt, multimask):
    points, labels = cases.clicks()
    given = {
        "clicks": dict(points=points, labels=labels),
        "boxes": dict(boxes=cases.boxes()),
        "both": dict(points=points, labels=labels, boxes=cases.boxes()),
        "coarse": dict(mask_logits=cases.coarse_masks()),
    }
    features = segmenter.encode_frames(expected[f"{number}.pixels"])
    every = torch.zeros(cases.NUM_OBJECTS, dtype=torch.long)
    if prompt == "language":
        decoded = segmenter.decode(features, every, cases.language_prompts(), multimask=multimask)
    else:
        decoded = segmenter.decode_points(features, every, **given[prompt], multimask=multimask)
    key = f"{number}.{prompt}.{'best' if multimask else 'single'}"
    assert_equal(decoded.mask_logits, expected[key])
    assert_equal(decoded.iou, expected[f"{key}.iou"])


@torch.no_grad()
@pytest.mark.parametrize("number", PICTURES)
def test_masks_of_the_picture(segmenter, expected, number):
    """What was filled up is cut away, by way of S x S."""
    ours = segmenter.without_padding(expected[f"{number}.language.single"], cases.SIZES[number])
    assert_equal(ours, expected[f"{number}.language.frame"])

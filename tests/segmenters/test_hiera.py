"""The lean blocks of Hiera against transformers' own forward, on equal weights."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from transformers import Sam2HieraDetConfig
from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModel, Sam2MultiScaleBlock

from word2mask.segmenters import SAM2Segmenter, hiera
from word2mask.segmenters.hiera import LeanBlock, make_lean


def trunk(windows: tuple[int, ...], everywhere: tuple[int, ...] = (), heads: int = 2, layers: int = 2):
    """A small trunk with random weights, biases among them."""
    config = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=heads,
        blocks_per_stage=[layers] * 4,
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[heads, heads, 2 * heads, 2 * heads],
        window_size_per_stage=list(windows),
        global_attention_blocks=list(everywhere),
        window_positional_embedding_background_size=[4, 4],
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(sum(windows))
    built = Sam2HieraDetModel(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    return built


def lean_of(model: Sam2HieraDetModel) -> Sam2HieraDetModel:
    lean = copy.deepcopy(model)
    make_lean(lean)
    assert all(type(block) is LeanBlock for block in lean.blocks)
    assert all(type(block) is Sam2MultiScaleBlock for block in model.blocks)
    return lean


CASES = {
    # Sides of the maps are 32, 16, 8, 4 and less.
    "windows that fit": ((8, 4, 4, 2), (), (128, 128)),
    "over the edge by most of a window": ((8, 4, 14, 7), (5,), (256, 256)),
    "over the edge on one side": ((8, 4, 6, 3), (), (128, 192)),
    "over the edge at the pooling": ((8, 6, 6, 3), (5,), (128, 160)),
    "one window beyond the whole map": ((16, 16, 16, 16), (), (64, 64)),
}


@pytest.mark.parametrize("band", [hiera.BAND_VALUES, 1], ids=["whole maps", "a row of windows at a time"])
@pytest.mark.parametrize(("windows", "everywhere", "size"), CASES.values(), ids=CASES)
def test_same_as_transformers(windows, everywhere, size, band, monkeypatch):
    monkeypatch.setattr(hiera, "BAND_VALUES", band)
    model = trunk(windows, everywhere)
    lean = lean_of(model)
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = (one(pixels).intermediate_hidden_states for one in (model, lean))
    for level, other in zip(found, expected, strict=True):
        assert level.shape == other.shape
        assert (level - other).abs().max() <= 1e-5 * other.abs().max()


def test_zeros_beyond_the_edge_count(monkeypatch):
    """Left out of the scores, they would change what comes out: the test above would see it."""
    model = trunk((8, 4, 14, 7))
    lean, pixels = lean_of(model), torch.randn(1, 3, 256, 256)
    monkeypatch.setattr(hiera.math, "log", lambda number: float("-inf"))
    with torch.no_grad():
        expected, found = (one(pixels).last_hidden_state for one in (model, lean))
    assert (found - expected).abs().max() > 1e-3 * expected.abs().max()


def test_same_gradients():
    model = trunk((8, 4, 14, 7))
    lean, pixels = lean_of(model), torch.randn(1, 3, 256, 256)
    for one in (model, lean):
        sum(level.square().mean() for level in one(pixels).intermediate_hidden_states).backward()
    for (name, one), other in zip(model.named_parameters(), lean.parameters(), strict=True):
        assert (one.grad - other.grad).abs().max() <= 1e-4 * one.grad.abs().max() + 1e-7, name


def test_bands_are_for_passes_without_gradients(monkeypatch):
    monkeypatch.setattr(hiera, "BAND_VALUES", 1)
    lean, pixels = lean_of(trunk((8, 4, 4, 2))), torch.randn(1, 3, 128, 128)
    rows, plain = [], LeanBlock._of_windows
    monkeypatch.setattr(
        LeanBlock, "_of_windows", lambda self, map, stride: rows.append(len(map[0])) or plain(self, map, stride)
    )
    lean(pixels)
    assert rows[0] == 32
    rows.clear()
    lean.requires_grad_(False)(pixels)
    assert rows[:4] == [8] * 4


def test_sides_that_do_not_pool_evenly_are_left_to_transformers(monkeypatch):
    model = trunk((8, 5, 5, 3))
    lean, pixels = lean_of(model), torch.randn(1, 3, 128, 128)
    left = []
    plain = Sam2MultiScaleBlock.forward
    monkeypatch.setattr(Sam2MultiScaleBlock, "forward", lambda *given, **more: left.append(1) or plain(*given, **more))
    with torch.no_grad():
        found = lean(pixels).last_hidden_state
        assert left, "the blocks that pool with windows of 5 are these"
        assert torch.allclose(found, model(pixels).last_hidden_state, rtol=1e-4, atol=1e-5)


def test_a_segmenter_has_lean_blocks_and_copies_of_it_too():
    segmenter = SAM2Segmenter.tiny()
    for one in (segmenter, copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter))):
        blocks = [module for module in one.modules() if isinstance(module, Sam2MultiScaleBlock)]
        assert blocks and all(type(block) is LeanBlock for block in blocks)

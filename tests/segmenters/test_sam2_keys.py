"""Names of SAM 2's tensors, in both directions, against the list of Meta's own model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import Sam2VideoModel

from word2mask.errors import UserError
from word2mask.segmenters import SAM2Segmenter
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.sam2_keys import FREQUENCIES, FREQUENCY_COPIES, from_meta, is_meta, to_meta


@pytest.fixture(scope="module")
def published(repository: Path) -> dict[str, torch.Tensor]:
    """SAM 2.0 Hiera-L without values: names and shapes as tests/parity/make_sam2.py wrote them."""
    lines = (repository / "tests/parity/sam2_0_large_names.txt").read_text().splitlines()
    named = (line.split(" ") for line in lines)
    return {name: torch.empty([int(n) for n in shape.split("x")], device="meta") for name, shape in named}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return SAM2Segmenter.tiny().model.state_dict()


def test_the_list_is_that_of_the_published_checkpoints(published):
    assert len(published) == 900
    assert Counter(name.split(".")[0] for name in published) == {
        "image_encoder": 594, "memory_attention": 106, "memory_encoder": 40, "sam_prompt_encoder": 17,
        "sam_mask_decoder": 131, "obj_ptr_proj": 6, "mask_downsample": 2, "maskmem_tpos_enc": 1, "no_mem_embed": 1,
        "no_mem_pos_enc": 1, "no_obj_ptr": 1,
    }  # fmt: skip


@pytest.mark.parametrize("layer_scale", ["gamma", "g_weight"])
def test_all_tensors_of_sam_2_0_large_have_their_place(published, layer_scale):
    spelt = {name.replace(".gamma", f".{layer_scale}"): tensor for name, tensor in published.items()}
    with torch.device("meta"):
        expected = Sam2VideoModel(sam2_config("large", version="2.0")).state_dict()
    state = from_meta(spelt)
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    back = to_meta(state, layer_scale=layer_scale)
    assert {name: tensor.shape for name, tensor in back.items()} == {
        name: tensor.shape for name, tensor in spelt.items()
    }


@pytest.mark.parametrize("architecture", ["tiny", "small", "base_plus", "large"])
@pytest.mark.parametrize(("version", "extra"), [("2.0", 0), ("2.1", 3)])
def test_every_released_model_maps_both_ways(architecture, version, extra):
    with torch.device("meta"):
        expected = Sam2VideoModel(sam2_config(architecture, version=version)).state_dict()
    tensors = to_meta(expected)
    assert sum(name.startswith(("no_obj_embed", "obj_ptr_tpos")) for name in tensors) == extra
    assert set(from_meta(tensors)) == set(expected)


def test_values_survive_the_round_trip(state):
    again = from_meta(to_meta(state))
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_places_of_tensors_that_are_stacked_or_doubled(state):
    tensors = to_meta(state)
    for label in range(4):
        row = tensors[f"sam_prompt_encoder.point_embeddings.{label}.weight"]
        assert torch.equal(row[0], state["prompt_encoder.point_embed.weight"][label])
    assert all(torch.equal(tensors[FREQUENCIES], state[name]) for name in FREQUENCY_COPIES)


def test_a_part_of_a_model_maps_alone(state):
    decoder = {name: tensor for name, tensor in state.items() if name.startswith("mask_decoder.")}
    tensors = to_meta(decoder, complete=False)
    assert len(tensors) == len(decoder) and all(name.startswith("sam_mask_decoder.") for name in tensors)
    assert from_meta(tensors, complete=False).keys() == decoder.keys()
    with pytest.raises(UserError, match="missing"):
        to_meta(decoder)


@pytest.mark.parametrize(
    ("stranger", "named"),
    [
        ("image_encoder.trunk.blocks.0.attn.rel_pos", "rel_pos"),
        ("sam_mask_decoder.output_upscaling.2.weight", r"output_upscaling\.2"),
        ("something", "something"),
        ("memory_encoder.fuser.layers.0.g_weight", "gamma"),  # both spellings at once
    ],
)
def test_an_unknown_name_is_named(state, stranger, named):
    with pytest.raises(UserError, match=f"weights.pt: [12] tensors are not SAM 2's, the first is '.*{named}"):
        from_meta(to_meta(state) | {stranger: torch.zeros(1)}, source="weights.pt")


@pytest.mark.parametrize(
    "name",
    [
        "no_mem_embed",
        "sam_prompt_encoder.point_embeddings.2.weight",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "image_encoder.trunk.blocks.2.proj.bias",  # a projection has weight and bias
        "obj_ptr_tpos_proj.bias",  # the additions of 2.1 come together
        "memory_encoder.fuser.layers.1.dwconv.weight",
    ],
)
def test_a_missing_name_is_named(state, name):
    tensors = to_meta(state)
    del tensors[name]
    with pytest.raises(UserError, match=f"1 tensors of SAM 2 are missing, the first is '{name}'"):
        from_meta(tensors)


def test_a_gap_in_repeated_modules_is_named(state):
    tensors = {name: tensor for name, tensor in to_meta(state).items() if ".blocks.1." not in name}
    with pytest.raises(UserError, match=r"image_encoder\.trunk\.blocks\.1"):
        from_meta(tensors)


def test_frequencies_that_differ_cannot_be_written_as_one(state):
    changed = state | {FREQUENCY_COPIES[0]: state[FREQUENCY_COPIES[0]] + 1}
    with pytest.raises(UserError, match="differ"):
        to_meta(changed)


def test_layouts_are_told_apart(state):
    assert is_meta(to_meta(state)) and not is_meta(state)

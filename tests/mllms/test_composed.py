"""Models from parts: what the connector sees, one encoder for words and masks, folders that hold it once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from word2mask.errors import UserError
from word2mask.mllms import efficientnet_lite as lite
from word2mask.mllms.composed import CONTEXT, ComposedMLLM
from word2mask.mllms.composed_backbone import ComposedBackbone, ComposedConfig, GroupingConnector, tower_width
from word2mask.mllms.encoded_once import EncodedOnce
from word2mask.mllms.internvl import InternVL
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.ops.images import IMAGENET_MEAN, IMAGENET_STD
from word2mask.ops.linear import use_onednn
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.types import Media


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A small causal language model as transformers writes it, one matrix for embeddings and head."""
    folder = tmp_path_factory.mktemp("language")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


with safe_open(Path(__file__).parents[1] / "parity/efficientnet_lite_reference.safetensors", "pt") as _file:
    #: Of Lite2; Lite0 has fewer blocks.
    _LITE2 = _file.metadata()["names"].splitlines()
_BLOCKS = len(lite.efficientnet_lite(lite.lite_config(0)).encoder.blocks)
PORT_NAMES = [name for name in _LITE2 if not name.startswith("_blocks.") or int(name.split(".")[1]) < _BLOCKS]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)


def composed(language) -> ComposedMLLM:
    return ComposedMLLM.from_parts(language, SAM2Segmenter.tiny(), connector_group=2)


# ---------------------------------------------------------------------- the parts


class Named(torch.nn.Module):
    """A tower that gives each cell its own number."""

    def forward(self, pixels: torch.Tensor) -> object:
        numbers = torch.arange(16.0).view(1, 16, 1).expand(len(pixels), -1, 2) + torch.tensor([0.0, 100.0])
        return type("Output", (), {"last_hidden_state": numbers})


def test_neighbouring_cells_stand_side_by_side():
    """Token 1 of a 4 × 4 grid in groups of two is the cells (0,2), (0,3), (1,2), (1,3), channel by channel; each cell
    is normed by itself."""
    model = ComposedMLLM.tiny().model
    model.config.connector_group, model.model.vision_tower = 2, Named()
    model.model.vision_tower.weight = torch.nn.Parameter(torch.zeros(()))
    features = model.grid_features(torch.zeros(1, 3, 8, 8))
    assert features.shape == (1, 2, 2, 8)
    assert features[0, 0, 1].tolist() == [2, 3, 6, 7, 102, 103, 106, 107]
    connector = GroupingConnector(width=2, group=2, hidden_size=8)
    connector.linear_1 = connector.linear_2 = torch.nn.Identity()
    connector.linear_1.weight = torch.zeros(())
    seen = connector(features)
    assert seen.shape == (1, 4, 8)
    # A cell's two numbers are 100 apart: -1 and 1 after the norm; GELU(-1) and GELU(1) follow.
    expected = torch.nn.functional.gelu(torch.tensor([-1.0] * 4 + [1.0] * 4))
    torch.testing.assert_close(seen[0, 1], expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_classifier_stands_beside_the_tower(language, tmp_path):
    """What the classifier says at each size stands beside what the tower says; folders keep it."""
    weights = tmp_path / "efficientnet-lite0.pth"
    torch.manual_seed(0)
    network = lite.efficientnet_lite(lite.lite_config(0))
    names = {lite.renamed(name): name for name in PORT_NAMES}
    torch.save({names[name]: value for name, value in network.state_dict().items()}, weights)
    segmenter = SAM2Segmenter.tiny()
    model = ComposedMLLM.from_parts(
        language, segmenter, connector_group=2, classifier=weights, classifier_scales=(1, 2)
    )
    pixels = torch.randn(2, 3, model.processor.side, model.processor.side)
    features = model.model.grid_features(pixels)
    own = tower_width(model.model.config.vision_config) * 4
    side = model.processor.grid_side
    assert features.shape == (2, side, side, own + 2 * 1280)
    mean, std = (torch.tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    for place, scale in enumerate((1, 2)):
        size = (32 * side * scale, 32 * side * scale)
        square = torch.nn.functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
        states = network.eval()(((square * std + mean) * 255 - 127) / 128).last_hidden_state
        expected = torch.nn.functional.avg_pool2d(states, scale).permute(0, 2, 3, 1)
        found = features[..., own + 1280 * place : own + 1280 * (place + 1)]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert len(model.frame_encoder()[2]) == 2
    save_grounded(GroundedMLLM(model, segmenter).eval(), tmp_path / "copy")
    copy = load_grounded(tmp_path / "copy").mllm
    assert torch.equal(copy.visual_tokens(pixels), model.visual_tokens(pixels))


@torch.no_grad()
def test_tokens_are_told_their_places(language, tmp_path):
    """Blank pictures give tokens that differ by the segmenter's own code of their places, and no others do."""
    segmenter = SAM2Segmenter.tiny()
    model = ComposedMLLM.from_parts(language, segmenter, connector_group=1, names_places=True)
    connector = model.model.model.multi_modal_projector
    code = segmenter.model.get_image_wide_positional_embeddings()[0]
    side = model.processor.grid_side
    block = code.shape[-1] // side
    torch.testing.assert_close(connector.places[1], code[:, :block, block : 2 * block].mean(dim=(1, 2)))
    blank = torch.zeros(1, side, side, connector.linear_1.in_features)
    tokens = connector(blank)[0]
    torch.testing.assert_close(tokens[1] - tokens[0], connector.place(connector.places[1] - connector.places[0]))
    save_grounded(GroundedMLLM(model, segmenter).eval(), tmp_path / "copy")
    copy = load_grounded(tmp_path / "copy").mllm
    assert torch.equal(copy.model.model.multi_modal_projector.places, connector.places)


@torch.no_grad()
def test_tokens_tell_boxes(language, tmp_path):
    """A head that says nothing tells of a square around each token; folders keep the head."""
    segmenter = SAM2Segmenter.tiny()
    assert not ComposedMLLM.from_parts(language, segmenter).tells_boxes
    model = ComposedMLLM.from_parts(language, segmenter, connector_group=1, names_places=True, tells_boxes=True)
    assert model.tells_boxes
    side = model.processor.grid_side
    tokens = torch.randn(2 * side**2, model.hidden_size)
    head = model.model.model.multi_modal_projector.box
    written = {name: value.clone() for name, value in head.state_dict().items()}
    torch.nn.init.zeros_(head[2].weight)
    torch.nn.init.zeros_(head[2].bias)
    boxes = model.told_boxes(tokens).view(2, side, side, 4)
    size = torch.sigmoid(torch.tensor(-1.0))
    torch.testing.assert_close(boxes[..., 2:] - boxes[..., :2], size.expand(2, side, side, 2))
    middle = torch.tensor([1.5 / side, 0.5 / side])  # second column, first row
    torch.testing.assert_close((boxes[1, 0, 1, :2] + boxes[1, 0, 1, 2:]) / 2, middle)
    head.load_state_dict(written)
    save_grounded(GroundedMLLM(model, segmenter).eval(), tmp_path / "copy")
    copy = load_grounded(tmp_path / "copy").mllm
    assert copy.tells_boxes and torch.equal(copy.told_boxes(tokens), model.told_boxes(tokens))
    with pytest.raises(NotImplementedError, match="InternVL tells no boxes"):
        InternVL.tiny().told_boxes(tokens)


@torch.no_grad()
def test_a_flat_tower_gives_its_patches_without_the_class_token():
    config = ComposedConfig(
        vision_config=dict(
            model_type="clip_vision_model",
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        ),
        text_config=dict(
            model_type="llama",
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            intermediate_size=16,
        ),
        connector_group=2,
    )
    model = ComposedBackbone(config).eval()
    pixels = torch.randn(2, 3, 32, 32)
    expected = model.model.vision_tower(pixels).last_hidden_state[:, 1:]
    cells = model.grid_features(pixels).unflatten(-1, (16, 2, 2)).permute(0, 1, 4, 2, 5, 3)  # n,t,g,t,g,C
    assert torch.equal(cells.reshape(2, 4, 4, 16), expected.view(2, 4, 4, 16))
    assert model.visual_tokens(pixels).shape == (2, 4, 16)


@torch.no_grad()
def test_the_language_model_is_the_published_one(language):
    model = composed(language)
    reference = LlamaForCausalLM.from_pretrained(language).eval()
    ids = torch.tensor([model.tokenizer.encode("what is it")])
    ours = model(ids, torch.ones_like(ids), {}).hidden
    size = reference.config.vocab_size
    torch.testing.assert_close(model.logits(ours)[..., :size], reference(ids).logits, atol=1e-5, rtol=1e-5)
    assert model.model.lm_head.weight is not model.model.get_input_embeddings().weight
    assert model.tokenizer.convert_tokens_to_ids(CONTEXT) == size
    torch.testing.assert_close(model.model.lm_head.weight[size], reference.lm_head.weight.mean(dim=0))


def test_the_square_is_the_one_that_the_segmenter_sees(language):
    model, segmenter = composed(language), SAM2Segmenter.tiny()
    segmenter.model.config.frame_resampling = "bicubic"
    frames = picture(40, 90)[None]
    seen = model.processor.prepare_media(Media("image", frames)).tensors["pixel_values"]
    assert torch.equal(seen, segmenter.processor.prepare_frames(frames))


# ----------------------------------------------------------------- one encoder


def test_frames_are_found_one_by_one():
    calls = []

    def forward(pixels: torch.Tensor) -> dict:
        calls.append(len(pixels))
        return {"states": pixels.flatten(1), "stages": (pixels + 1, pixels + 2)}

    once = EncodedOnce(forward)
    first, second, third = (torch.full((1, 3, 2, 2), float(value)) for value in range(3))
    once(torch.cat([first, second, third]))
    found = once(torch.cat([third, first]))
    assert calls == [3] and (once.encoded, once.found) == (3, 2)
    assert torch.equal(found["stages"][1], torch.cat([third, first]) + 2)
    assert torch.equal(found["states"], torch.cat([third, first]).flatten(1))
    once(torch.cat([first, first + 9]))
    assert calls == [3, 2]
    once.forget()
    once(first)
    assert calls == [3, 2, 1]


def test_what_carries_a_graph_is_not_kept():
    scale = torch.ones((), requires_grad=True)
    once = EncodedOnce(lambda pixels: {"states": pixels * scale})
    pixels = torch.ones(1, 3, 2, 2)
    once(pixels)
    once(pixels)
    assert (once.encoded, once.found) == (2, 0)


@torch.no_grad()
def test_words_and_masks_share_one_pass(language):
    segmenter = SAM2Segmenter.tiny()
    mllm = composed(language)
    model = GroundedMLLM(mllm, segmenter).eval()
    assert mllm.model.model.vision_tower is segmenter.model.vision_encoder.backbone
    pixels = torch.randn(2, 3, 64, 64)
    expected = SAM2Segmenter.tiny().encode_frames(pixels)
    trunk = segmenter.model.vision_encoder.backbone.forward
    trunk.encoded = trunk.found = 0
    tokens = mllm.visual_tokens(pixels)
    features = model.encode_frames(pixels.clone())
    assert (trunk.encoded, trunk.found) == (2, 2)
    alone = composed(language)
    use_onednn(alone)  # as the grounded one does, or sums come in another order
    assert torch.equal(tokens, alone.visual_tokens(pixels))
    for level, other in zip(features.levels, expected.levels, strict=True):
        assert torch.equal(level, other)
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(names)) and sum("blocks.0.attn.qkv.weight" in name for name in names) == 1


def test_another_encoder_stays_its_own(language):
    other = SAM2Segmenter.tiny()
    with torch.no_grad():
        other.model.vision_encoder.backbone.pos_embed += 1
    mllm = composed(language)
    GroundedMLLM(mllm, other)
    assert mllm.shared_encoder is None
    assert mllm.model.model.vision_tower is not other.model.vision_encoder.backbone


@torch.no_grad()
def test_a_folder_holds_the_encoder_once(language, tmp_path):
    segmenter = SAM2Segmenter.tiny()
    model = GroundedMLLM(composed(language), segmenter).eval()
    save_grounded(model, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert not any("vision_tower" in name for name in stored)
    assert sum("blocks.0.attn.qkv.weight" in name for name in stored) == 1
    again = load_grounded(tmp_path)
    assert again.mllm.model.model.vision_tower is again.segmenter.model.vision_encoder.backbone
    pixels = torch.randn(1, 3, 64, 64)
    assert torch.equal(again.mllm.visual_tokens(pixels), model.mllm.visual_tokens(pixels))


def test_what_is_wrong_is_said(language, tmp_path):
    with pytest.raises(UserError, match="no such language model; bring it"):
        ComposedMLLM.from_parts(tmp_path / "none", SAM2Segmenter.tiny())
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(UserError, match="not a causal language model that transformers can read"):
        ComposedMLLM.from_parts(tmp_path, SAM2Segmenter.tiny())
    with pytest.raises(UserError, match="2 cells a side don't fall into groups of 3"):
        ComposedMLLM.from_parts(language, SAM2Segmenter.tiny(), connector_group=3)


def test_a_gguf_file_needs_its_package(language, tmp_path, monkeypatch):
    monkeypatch.setattr("word2mask.mllms.composed.AutoTokenizer.from_pretrained", _without_package)
    (tmp_path / "model.gguf").write_bytes(b"")
    with pytest.raises(UserError, match=r'read by the package gguf; install it \(pip install -e "\.\[gguf\]"\)'):
        ComposedMLLM.from_parts(tmp_path / "model.gguf", SAM2Segmenter.tiny())


def _without_package(*arguments: object, **settings: object) -> None:
    raise ImportError("gguf")

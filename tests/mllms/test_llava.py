"""LLaVA: its preprocessing against transformers', its states against transformers' own forward, its two layouts."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from word2mask.errors import UserError
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.llava_processor import CONTEXT, IMAGE_END, IMAGE_START, LLaVAProcessor, LLaVASettings
from word2mask.text.templates import chat_template
from word2mask.types import Media

SIZES = [(48, 80), (80, 48), (31, 57), (32, 32), (200, 90), (20, 21)]


@pytest.fixture(scope="module")
def model() -> LLaVA:
    return LLaVA.tiny()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)


def processor(squaring: str, side: int = 32, marks: bool = False) -> LLaVAProcessor:
    return LLaVAProcessor(None, chat_template("vicuna_v1"), squaring, marks, side, side // 8)


# ---------------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("squaring", ["pad", "crop"])
def test_pixels_equal_transformers(size, squaring):
    frame = picture(*size)
    settings = dict(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    if squaring == "crop":
        theirs = CLIPImageProcessorPil(**settings)
    else:
        theirs = LlavaImageProcessorPil(do_pad=True, **settings)
    expected = theirs(Image.fromarray(frame), return_tensors="pt")["pixel_values"]
    ours = processor(squaring).prepare_media(Media("image", frame[None])).tensors["pixel_values"]
    assert ours.shape == expected.shape == (1, 3, 32, 32)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_a_videos_frames_are_pictures():
    frames = np.stack([picture(48, 80), picture(48, 80)[::-1]])
    ours = processor("pad")
    video = ours.prepare_media(Media("video", frames))
    for t in range(2):
        alone = ours.prepare_media(Media("image", frames[t : t + 1]))
        assert torch.equal(video.tensors["pixel_values"][t], alone.tensors["pixel_values"][0])
    assert video.placeholder == "\n".join([CONTEXT * 16] * 2)
    assert ours.media_token_count(Media("video", frames)) == 32


def test_marks_stand_around_each_picture():
    prepared = processor("pad", marks=True).prepare_media(Media("image", picture(32, 32)[None]))
    assert prepared.placeholder == IMAGE_START + CONTEXT * 16 + IMAGE_END


def test_regions_are_squared_like_the_picture():
    region = np.zeros((1, 16, 32), bool)
    region[0, :, 16:] = True  # the right half of a wide picture
    padded = processor("pad").region_cells(region, (4, 4))[0].int().tolist()
    assert padded == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]
    cropped = processor("crop").region_cells(region, (4, 4))[0].int().tolist()
    assert cropped == [[0, 0, 1, 1]] * 4
    away = np.zeros((1, 16, 32), bool)
    away[0, 12:, :4] = True  # cropped away, to the left of the middle
    cells = processor("crop").region_cells(away, (4, 4))[0].int().tolist()
    assert cells == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


# ------------------------------------------------------------------------ states


@torch.no_grad()
def test_states_equal_transformers(model):
    media = Media("image", picture(40, 30)[None])
    prepared = model.processor.prepare_media(media)
    ids = torch.tensor([model.tokenizer.encode("ab" + prepared.placeholder + "\nwhat is it")])
    mask = torch.ones_like(ids)
    expected = model.model(
        input_ids=ids, pixel_values=prepared.tensors["pixel_values"], attention_mask=mask, output_hidden_states=True
    )
    ours = model(ids, mask, prepared.tensors).hidden
    torch.testing.assert_close(ours, expected.hidden_states[-1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.logits(ours), expected.logits, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------ layouts


def original_names(state: dict[str, torch.Tensor], linear: bool = False) -> dict[str, torch.Tensor]:
    """The language model and projector as LLaVA's own folders name them."""
    projector = {"linear_1.": "" if linear else "0.", "linear_2.": "2."}
    named = {}
    for name, tensor in state.items():
        if name.startswith("model.multi_modal_projector."):
            layer = name.split(".")[2] + "."
            if linear and layer == "linear_2.":
                continue
            named["model.mm_projector." + projector[layer] + name.split(".")[-1]] = tensor
        elif not name.startswith("model.vision_tower."):
            named[name.replace("model.language_model.", "model.")] = tensor
    return named


def original_config(model: LLaVA, **changes) -> dict:
    text = model.model.config.text_config
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    return {
        "model_type": "llava",
        "architectures": ["LlavaLlamaForCausalLM"],
        **{key: getattr(text, key) for key in (*keys, "max_position_embeddings", "vocab_size", "rms_norm_eps")},
        "image_aspect_ratio": "pad",
        "mm_hidden_size": 32,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "openai/clip-small",
    } | changes


def write_clip(model: LLaVA, folder, whole: bool) -> None:
    """The vision tower as a folder of CLIP, in the names of published files, alone or with the text tower."""
    vision = model.model.config.vision_config
    if whole:
        text = CLIPTextConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=64
        )
        clip = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16))
        clip.vision_model.load_state_dict(model.model.model.vision_tower.state_dict())
    else:
        clip = CLIPVisionModel(vision)
        clip.load_state_dict(model.model.model.vision_tower.state_dict())
    clip.save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    if not any(name.startswith("vision_model.") for name in state):
        state = {f"vision_model.{name}": tensor for name, tensor in state.items()}
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def states(model: LLaVA) -> torch.Tensor:
    prepared = model.processor.prepare_media(Media("image", picture(40, 30)[None]))
    ids = torch.tensor([model.tokenizer.encode(prepared.placeholder + "\nwhat is it")])
    with torch.no_grad():
        return model(ids, torch.ones_like(ids), prepared.tensors).hidden


@pytest.mark.parametrize("whole", [False, True], ids=["vision tower alone", "whole CLIP"])
@pytest.mark.parametrize("kind", ["safetensors", "bin", "shards of bin", "with its own vision tower"])
def test_llavas_own_layout(model, tmp_path, kind, whole):
    folder = tmp_path / "llava-v1.5-tiny"
    folder.mkdir()
    write_clip(model, tmp_path / "clip-small", whole)
    (folder / "config.json").write_text(json.dumps(original_config(model)))
    model.tokenizer.save_pretrained(folder)
    named = original_names(model.model.state_dict())
    named["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    if kind == "safetensors":
        save_file(named, folder / "model.safetensors")
    elif kind == "bin":
        torch.save(named, folder / "pytorch_model.bin")
    elif kind == "shards of bin":
        shards = {name: f"pytorch_model-0000{1 + ('lm_head' in name)}-of-00002.bin" for name in named}
        for shard in set(shards.values()):
            torch.save({name: named[name] for name in named if shards[name] == shard}, folder / shard)
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shards}))
    else:
        vision = model.model.model.vision_tower.state_dict()
        named |= {f"model.vision_tower.vision_tower.vision_model.{name}": value for name, value in vision.items()}
        save_file(named, folder / "model.safetensors")
        broken = load_file(tmp_path / "clip-small" / "model.safetensors")
        save_file(
            {name: torch.zeros_like(value) for name, value in broken.items()}, tmp_path / "clip-small/model.safetensors"
        )
    again = LLaVA.from_pretrained(folder)
    assert again.settings == LLaVASettings("vicuna_v1", "pad", False, 2048)
    expected, state = model.model.state_dict(), again.model.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)
    assert torch.equal(states(again), states(model))


def test_llava_1_has_one_layer_and_marks(model, tmp_path):
    """A linear projector is transformers' two layers, the second of which changes nothing."""
    folder = tmp_path / "llava-v1-tiny"
    folder.mkdir()
    write_clip(model, tmp_path / "clip", whole=True)
    tokenizer = pickle.loads(pickle.dumps(model.tokenizer))
    tokenizer.add_tokens([IMAGE_START, IMAGE_END], special_tokens=True)
    tokenizer.save_pretrained(folder)
    named = original_names(model.model.state_dict(), linear=True)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        named[name] = torch.cat([named[name], torch.ones(2, 32)])
    config = original_config(
        model, mm_projector_type="linear", mm_use_im_start_end=True, image_aspect_ratio="square", mm_vision_tower="x"
    )
    (folder / "config.json").write_text(json.dumps(config))
    save_file(named, folder / "model.safetensors")
    again = LLaVA.from_pretrained(folder, vision_tower=tmp_path / "clip")
    assert again.settings == LLaVASettings("llava_v1", "crop", True, 2048)
    features = torch.randn(3, 32)
    connector = again.model.model.multi_modal_projector
    expected = features @ named["model.mm_projector.weight"].T + named["model.mm_projector.bias"]
    torch.testing.assert_close(connector(features), expected)


def test_a_tokenizer_without_the_context_token_gets_it(model, tmp_path):
    """Such as all of LLaVA's own; its rows are means, which are never the likeliest."""
    from word2mask.text.byte_tokenizer import byte_tokenizer

    folder = tmp_path / "llava"
    folder.mkdir()
    write_clip(model, tmp_path / "clip-small", whole=False)
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    named = original_names(model.model.state_dict())
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        named[name] = named[name][: len(tokenizer)].clone()
    save_file(named, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(original_config(model)))
    again = LLaVA.from_pretrained(folder)
    assert again.tokenizer.convert_tokens_to_ids(CONTEXT) == len(tokenizer) == again.model.config.image_token_index
    for weight in (again.model.get_input_embeddings().weight, again.model.lm_head.weight):
        assert len(weight) == len(tokenizer) + 1
        torch.testing.assert_close(weight[-1], weight[:-1].mean(dim=0))
    again.save_pretrained(tmp_path / "saved")
    assert torch.equal(states(LLaVA.from_pretrained(tmp_path / "saved")), states(again))


def test_names_of_older_hf_folders(model, tmp_path):
    """Published ``llava-hf`` folders were written before transformers moved its parts."""
    model.save_pretrained(tmp_path)
    (tmp_path / "mllm_settings.json").unlink()
    renamed = {}
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        part = name.removeprefix("model.").removeprefix("language_model.model.")
        part = part.removeprefix("vision_tower.vision_model.").removeprefix("vision_tower.")
        part = part.removeprefix("language_model.").removeprefix("lm_head.")
        if "lm_head" in name:
            renamed["language_model.lm_head.weight"] = tensor
        elif "vision_tower" in name:
            renamed[f"vision_tower.vision_model.{part}"] = tensor
        elif "projector" in name:
            renamed[part] = tensor
        else:
            renamed[f"language_model.model.{part}"] = tensor
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = LLaVA.from_pretrained(tmp_path)
    assert again.settings == LLaVASettings()
    assert torch.equal(states(again), states(model))


def test_what_is_missing_is_named(model, tmp_path):
    folder = tmp_path / "llava"
    folder.mkdir()
    model.tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(original_config(model)))
    with pytest.raises(UserError, match=r"no weights in it \(model.safetensors or pytorch_model.bin\)"):
        LLaVA.from_pretrained(folder)
    named = original_names(model.model.state_dict())
    save_file(named, folder / "model.safetensors")
    with pytest.raises(UserError, match="its vision tower openai/clip-small isn't here"):
        LLaVA.from_pretrained(folder)
    write_clip(model, tmp_path / "clip-small", whole=True)
    save_file(named | {"model.layers.7.extra": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.layers\.7\.extra"):
        LLaVA.from_pretrained(folder)
    del named["model.mm_projector.2.bias"]
    save_file(named, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"the first is model\.multi_modal_projector\.linear_2\.bias"):
        LLaVA.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(original_config(model, mm_projector_type="mlp3x_gelu")))
    with pytest.raises(UserError, match="mm_projector_type is 'mlp3x_gelu'"):
        LLaVA.from_pretrained(folder)


def test_a_pickle_with_anything_but_tensors_is_refused(model, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(original_config(model)))
    model.tokenizer.save_pretrained(tmp_path)
    torch.save({"model.norm.weight": "text"}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="expected a dictionary of tensors"):
        LLaVA.from_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not weights that torch can read safely"):
        LLaVA.from_pretrained(tmp_path)
    index = {"weight_map": {"model.embed_tokens.weight": "lost.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    write_clip(model, tmp_path / "clip", whole=True)
    with pytest.raises(UserError, match=r"a file of the weights is missing \(lost.bin\)"):
        LLaVA.from_pretrained(tmp_path, vision_tower=tmp_path / "clip")


def test_settings_are_checked(model):
    with pytest.raises(UserError, match='squaring must be "pad" or "crop"'):
        LLaVA.assemble(model.model, model.tokenizer, {"squaring": "stretch"})
    with pytest.raises(UserError, match="the tokenizer lacks <im_start>, <im_end>"):
        LLaVA.assemble(model.model, model.tokenizer, {"image_marks": True})

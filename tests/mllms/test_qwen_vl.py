"""Qwen2.5-VL and Qwen3-VL: equal to transformers' own forward and generation, their folders, their prompts."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLImageProcessorPil

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.mllms.decoding import left_padded
from word2mask.mllms.qwen_processor import PUBLISHED_INFERENCE, QwenVLSettings, thinned_cells
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.tiling import region_cells
from word2mask.types import Media, Request, Turn

FAMILIES = [Qwen25VL, Qwen3VL]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda cls: cls.__name__)
def model(request):
    torch.manual_seed(0)
    model = request.param.tiny().with_grounding_tokens().eval()
    with torch.no_grad():  # larger than at initialisation, so that answers differ and vision counts
        for group in ("llm", "connector"):
            for parameter in model.parameter_groups()[group].parameters():
                if parameter.ndim == 2:
                    parameter.mul_(6)
    return model


def media(kind: str, frames: int, height: int, width: int) -> Media:
    pixels = RNG.integers(0, 255, (frames, height, width, 3), dtype=np.uint8)
    return Media(kind, pixels, tuple(range(frames)))


def batch_of(model, *asked: tuple[str, Media | None]):
    encoder = Encoder(model.processor, None, model.max_length)
    examples = [encoder.encode_request(Request((Turn("user", text),), shown)) for text, shown in asked]
    return collate(examples, model.tokenizer.pad_token_id)


@pytest.fixture(scope="module")
def batch(model):
    return batch_of(
        model,
        ("where?", media("image", 1, 30, 50)),
        ("hello", None),
        ("what moves here", media("video", 3, 20, 30)),
        ("and this", media("image", 1, 64, 16)),
    )


def token_types(model, ids: torch.Tensor) -> torch.Tensor:
    return (ids == model.model.config.image_token_id).int()


@pytest.mark.parametrize("padding", ["right", "left"])
def test_states_equal_transformers_own(model, batch, padding):
    ids, mask = batch.input_ids, batch.attention_mask
    if padding == "left":
        ids, mask, _ = left_padded(ids, mask, model.tokenizer.pad_token_id)
    ours = model(ids, mask, batch.mllm_media).hidden
    expected = model.model.model(
        input_ids=ids, attention_mask=mask, mm_token_type_ids=token_types(model, ids), **batch.mllm_media
    ).last_hidden_state
    torch.testing.assert_close(ours[mask.bool()], expected[mask.bool()], rtol=1e-3, atol=1e-4)


def test_answers_equal_transformers_own(model, batch):
    """Of transformers' ``generate`` on the same prompts, padded on the left as it wants them."""
    ids, mask, _ = left_padded(batch.input_ids, batch.attention_mask, model.tokenizer.pad_token_id)
    stop = [model.tokenizer.convert_tokens_to_ids(token) for token in model.template.stop]
    expected = model.model.generate(
        input_ids=ids,
        attention_mask=mask,
        mm_token_type_ids=token_types(model, ids),
        **batch.mllm_media,
        max_new_tokens=10,
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=model.tokenizer.pad_token_id,
    )[:, ids.shape[1] :]
    answers = model.generate(batch, 10).ids
    assert len({tuple(answer.tolist()) for answer in answers}) > 1
    for answer, row in zip(answers, expected.tolist(), strict=True):
        ended = [place for place, token in enumerate(row) if token in stop]
        assert answer.tolist() == row[: ended[0] if ended else None]


def test_states_before_the_final_norm(model, batch, tmp_path):
    """Other states, the same words."""
    model.save_pretrained(tmp_path)
    raw = type(model).from_pretrained(tmp_path, normed_states=False).eval()
    states = raw(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
    normed = model(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
    assert (states - normed).abs().max() > 0.1
    torch.testing.assert_close(raw.logits(states), model.logits(normed))
    for ours, theirs in zip(raw.generate(batch, 6).ids, model.generate(batch, 6).ids, strict=True):
        assert ours.tolist() == theirs.tolist()


def test_vision_reaches_the_states(model, batch):
    """Other pixels, other states: through the places in the text and, in Qwen3-VL, through DeepStack alone too."""
    before = model(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
    other = batch.mllm_media | {"pixel_values": batch.mllm_media["pixel_values"].flip(0)}
    after = model(batch.input_ids, batch.attention_mask, other).hidden
    assert (after[0, -1] - before[0, -1]).abs().max() > 1e-2
    assert torch.equal(after[1], before[1])
    if isinstance(model, Qwen3VL):
        mergers = model.model.model.visual.deepstack_merger_list
        with torch.no_grad():
            kept = [merger.linear_fc2.weight.clone() for merger in mergers]
            for merger in mergers:
                merger.linear_fc2.weight.mul_(-1)
            without = model(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
            for merger, weight in zip(mergers, kept, strict=True):
                merger.linear_fc2.weight.copy_(weight)
        assert len(mergers) == 1 and (without[0, -1] - before[0, -1]).abs().max() > 1e-2


def test_large_regions_are_thinned_evenly():
    whole, small = torch.ones(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    small[2:5, 3:6] = True
    cells = thinned_cells(torch.stack([whole, small]), 20)
    quarters = cells[0].view(2, 4, 2, 4).sum((1, 3))
    assert quarters.tolist() == [[5, 5], [5, 5]]
    assert cells[0, ::2, ::2].all()
    assert torch.equal(cells[1], small)
    left = thinned_cells(whole.repeat(1, 1, 1)[:, :3], 1)
    assert left.nonzero().tolist() == [[0, 0, 0]]


def test_a_region_over_a_whole_picture_is_capped():
    """By default at the 256 cells that the published models mark regions on; a small region keeps all of its cells."""
    tiny = Qwen25VL.tiny().with_grounding_tokens()
    assert QwenVLSettings().region_max_tokens == 256
    processor = dataclasses.replace(tiny.processor, settings=dataclasses.replace(tiny.settings, region_max_tokens=7))
    regions = np.ones((2, 60, 40), bool)
    regions[1, 20:] = False
    shown = media("image", 1, 60, 40)
    example = Encoder(processor, None, tiny.max_length).encode_request(Request((Turn("user", "what"),), shown, regions))
    grid = processor.prepare_media(shown).grid
    marked = region_cells(regions, grid).flatten(1).sum(1).tolist()
    assert marked[0] == grid[0] * grid[1] > 7 > marked[1]
    assert example.region_cells.flatten(1).sum(1).tolist() == [7, marked[1]]
    context = tiny.model.config.image_token_id
    assert int((example.input_ids == context).sum()) == marked[0] + 7 + marked[1]
    with torch.no_grad():
        batch = collate([example], tiny.tokenizer.pad_token_id)
        hidden = tiny(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden
    assert hidden.shape[:2] == example.input_ids[None].shape


def test_no_cap_under_one_token():
    with pytest.raises(UserError, match="region_max_tokens must be 1 or more, got 0"):
        QwenVLSettings(region_max_tokens=0)


def test_regions_are_copies_of_their_own_frames_tokens(model):
    shown = media("video", 2, 20, 30)
    regions = np.zeros((2, 20, 30), bool)
    regions[0, :10], regions[1, 19, 29] = True, True
    encoder = Encoder(model.processor, None, model.max_length)
    example = encoder.encode_request(Request((Turn("user", "what"),), shown, regions), region_frames=(1, 0))
    batch = collate([example], 0)
    inputs = model._inputs(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells)
    features = model.visual_tokens(**batch.mllm_media)
    cells = example.region_cells.flatten(1)
    copied = torch.cat([region.nonzero().flatten() for region in cells])
    assert cells.shape[1] == len(features.tokens) and len(copied) == cells.sum()
    assert copied[-1] < len(features.tokens) // 2 <= copied[0]
    torch.testing.assert_close(inputs.embeddings[inputs.places][len(features.tokens) :], features.tokens[copied])
    assert len(inputs.deepstack) == len(features.deepstack) == int(isinstance(model, Qwen3VL))
    for placed, feature in zip(inputs.deepstack, features.deepstack, strict=True):
        torch.testing.assert_close(placed, torch.cat([feature, feature[copied]]))


def test_frames_are_pictures_on_lines_of_their_own(model):
    prepared = model.processor.prepare_media(media("video", 3, 16, 24))
    assert re.fullmatch(
        r"(<\|vision_start\|>(<\|image_pad\|>){6}<\|vision_end\|>\n){2}"
        r"<\|vision_start\|>(<\|image_pad\|>){6}<\|vision_end\|>",
        prepared.placeholder,
    )
    assert prepared.grid == (2, 3) and prepared.tensors["image_grid_thw"].tolist() == [[1, 4, 6]] * 3


def test_limits_are_those_of_the_published_recipe():
    """512…2048 visual tokens of Qwen2.5-VL for a picture and 128…512 for a frame; Qwen3-VL's tokens are larger."""
    for family, patch in ((Qwen25VL, 14), (Qwen3VL, 16)):
        processor = family.tiny().processor
        object.__setattr__(processor, "patch", patch)
        object.__setattr__(processor, "settings", QwenVLSettings())
        counts = [
            processor.media_token_count(Media(kind, np.zeros((1, side, side, 3), np.uint8)))
            for kind in ("image", "video")
            for side in (100, 5000)
        ]
        # Squares of so many tokens a side: 23² ≥ 512, 45² ≤ 2048, 12² ≥ 128, 22² ≤ 512 times 28² pixels of a token.
        assert counts == ([529, 2025, 144, 484] if patch == 14 else [400, 1521, 100, 361])


def test_a_picture_that_cant_be_fitted(model):
    with pytest.raises(UserError, match="a.jpg: 1000 by 2 pixels is more than 200 times as long as wide; crop it"):
        model.processor.prepare_media(Media("image", np.zeros((1, 2, 1000, 3), np.uint8), name="a.jpg"))
    with pytest.raises(UserError, match="0 < least <= most, got 9 and 8"):
        QwenVLSettings(min_pixels=9, max_pixels=8)


def test_the_published_inferences_prompt():
    """As ``apply_chat_template`` of Qwen2.5-VL-3B-Instruct spells it (its ``chat_template.json``)."""
    tiny = Qwen25VL.tiny()
    model = Qwen25VL.assemble(tiny.model, tiny.tokenizer, {**PUBLISHED_INFERENCE, "max_length": 20_000})
    text = model.tokenizer.decode(batch_of(model, ("Please segment it.", media("video", 2, 400, 401))).input_ids[0])
    count = model.processor.media_token_count(media("image", 1, 400, 401))
    frame = "<|vision_start|>" + "<|image_pad|>" * count + "<|vision_end|>"
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        + frame * 2
        + "\nPlease segment it.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_folder_is_transformers_own(model, tmp_path):
    """What we write, transformers reads: weights and picture processor."""
    model.save_pretrained(tmp_path)
    again = model.backbone.from_pretrained(tmp_path)
    assert torch.equal(again.lm_head.weight, model.model.lm_head.weight)
    processor = Qwen2VLImageProcessorPil.from_pretrained(tmp_path)
    shown = media("image", 1, 30, 50)
    expected = processor(images=[Image.fromarray(shown.frames[0])], return_tensors="pt")
    ours = model.processor.prepare_media(shown).tensors
    assert torch.equal(ours["image_grid_thw"], expected["image_grid_thw"])
    assert (ours["pixel_values"] - expected["pixel_values"]).abs().max() < 2.01 / 255 / min(model.settings.image_std)


def published_folder(model, folder, tied: bool):
    """A base model as it lies on the Hub: keys of transformers 4, a picture processor's file, nothing of ours."""
    model.save_pretrained(folder)
    (folder / "mllm_settings.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = tied
    (folder / "config.json").write_text(json.dumps(config))
    state = load_file(folder / "model.safetensors")
    if tied:
        del state["lm_head.weight"]
    if isinstance(model, Qwen25VL):
        names = {"model.language_model.": "model.", "model.visual.": "visual."}
        for new, old in names.items():
            state = {old + key.removeprefix(new) if key.startswith(new) else key: t for key, t in state.items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_a_published_base_model(model, tmp_path, tied):
    folder = published_folder(model, tmp_path, tied)
    statistics = json.loads((folder / "preprocessor_config.json").read_text())
    statistics["image_mean"] = [0.1, 0.2, 0.3]
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    again = type(model).from_pretrained(folder, max_length=99)
    assert again.settings.image_mean == (0.1, 0.2, 0.3) and again.settings.image_std == model.settings.image_std
    assert again.settings.min_pixels == 512 * 28**2 and again.max_length == 99
    table, head = again.model.get_input_embeddings().weight, again.model.lm_head.weight
    assert torch.equal(table, model.model.get_input_embeddings().weight)
    assert torch.equal(head, table if tied else model.model.lm_head.weight)
    assert head.data_ptr() != table.data_ptr()
    with torch.no_grad():
        head[0] += 1
    again.save_pretrained(tmp_path / "trained")
    trained = type(model).from_pretrained(tmp_path / "trained")
    assert torch.equal(trained.model.lm_head.weight, head) and not torch.equal(trained.model.lm_head.weight, table)


def test_folders_that_dont_fit(model, tmp_path):
    folder = published_folder(model, tmp_path, tied=False)
    statistics = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics | {"patch_size": 99}))
    with pytest.raises(UserError, match="patch_size is 99, but the vision tower of config.json has 4"):
        type(model).from_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    state = load_file(folder / "model.safetensors")
    save_file(state | {"lm_head.scale": torch.ones(1)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"config\.json: {'not understood': \['lm_head\.scale'\]}; download"):
        type(model).from_pretrained(folder)
    del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"don't fit config\.json: {'missing': \['lm_head\.weight'\]}; download"):
        type(model).from_pretrained(folder)
    other = next(family for family in FAMILIES if family is not type(model))
    with pytest.raises(UserError, match=f"is of model_type '{model.model_type}', expected '{other.model_type}'"):
        other.from_pretrained(folder)


def test_a_tokenizer_of_another_family(model):
    from word2mask.text.byte_tokenizer import byte_tokenizer

    with pytest.raises(UserError, match=r"doesn't know <\|vision_start\|>"):
        type(model).assemble(model.model, byte_tokenizer(), {})

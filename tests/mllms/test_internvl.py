"""InternVL: media in their places, batched generation, grounding tokens, files."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.mllms import internvl
from word2mask.mllms.decoding import StopRule, is_right_padded, left_padded
from word2mask.mllms.internvl import CONTEXT, InternVL, InternVLSettings
from word2mask.mllms.lengths import length_groups
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.special_tokens import BOX_START, SEG, SPECIAL_TOKENS
from word2mask.text.templates import chat_template
from word2mask.types import Media, Request, Turn

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> InternVL:
    torch.manual_seed(0)
    model = InternVL.tiny().eval().with_grounding_tokens()
    with torch.no_grad():  # larger than at initialisation, so that answers differ and [SEG] occurs in them
        for parameter in model.model.model.language_model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
        model.model.lm_head.weight[model.tokenizer.convert_tokens_to_ids(SEG)] *= 40
    return model


def picture(height: int, width: int) -> Media:
    return Media("image", RNG.integers(0, 255, (1, height, width, 3), dtype=np.uint8))


def requests() -> list[Request]:
    regions = np.zeros((2, 32, 64), bool)
    regions[0, :16, :16] = True
    regions[1, 30, 60] = True
    video = Media("video", RNG.integers(0, 255, (3, 20, 30, 3), dtype=np.uint8), (0, 2, 4))
    return [
        Request((Turn("user", "where?"),), picture(32, 32)),
        Request((Turn("user", "hello, who are you"),)),
        Request((Turn("user", "what is region1"),), picture(32, 64), regions),
        Request((Turn("user", "what moves"),), video),
    ]


def encode(model: InternVL, asked: list[Request]):
    encoder = Encoder(model.processor, None, model.max_length)
    return [encoder.encode_request(request) for request in asked]


def test_tokens_match_the_features(model):
    examples = encode(model, requests())
    context = model.tokenizer.convert_tokens_to_ids(CONTEXT)
    counts = [int((example.input_ids == context).sum()) for example in examples]
    assert [counts[0], counts[1], counts[3]] == [16, 0, 48]
    assert counts[2] == 48 + int(examples[2].region_cells.sum())  # two tiles, thumbnail, and the copied cells
    for request, count in zip(requests(), counts, strict=True):
        if request.media is not None and request.regions is None:
            assert model.processor.media_token_count(request.media) == count


def test_batched_states_equal_single_ones(model):
    examples = encode(model, requests())
    batch = collate(examples, model.tokenizer.pad_token_id)
    together = model(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden
    for row, example in enumerate(examples):
        alone = collate([example], 0)
        states = model(alone.input_ids, alone.attention_mask, alone.mllm_media, alone.region_cells).hidden[0]
        torch.testing.assert_close(together[row, : len(states)], states, rtol=1e-3, atol=1e-4)


def test_regions_are_copies_of_the_thumbnails_tokens(model):
    example = encode(model, requests())[2]
    batch = collate([example], 0)
    embedded = model._embed(batch.input_ids, batch.mllm_media, batch.region_cells)[0]
    visual = embedded[batch.input_ids[0] == model.tokenizer.convert_tokens_to_ids(CONTEXT)]
    thumbnail = model.visual_tokens(batch.mllm_media["pixel_values"])[-1]
    copied = torch.cat([thumbnail[cells.flatten()] for cells in example.region_cells])
    torch.testing.assert_close(visual[48:], copied)


def test_a_videos_regions_are_on_its_first_frame(model):
    media = Media("video", RNG.integers(0, 255, (3, 20, 30, 3), dtype=np.uint8), (0, 1, 2))
    assert model.processor.prepare_media(media).tensors["region_tile"].tolist() == [0]
    assert model.processor.prepare_media(picture(32, 64)).tensors["region_tile"].tolist() == [2]


@pytest.mark.parametrize("seg_state", ["at", "before"])
def test_batched_answers_equal_single_ones(model, seg_state):
    examples = encode(model, requests())
    together = model.generate(collate(examples, model.tokenizer.pad_token_id), 12, seg_state)
    assert any(len(states) for states in together.seg_hidden)
    for row, example in enumerate(examples):
        alone = model.generate(collate([example], 0), 12, seg_state)
        assert together.ids[row].tolist() == alone.ids[0].tolist()
        torch.testing.assert_close(together.seg_hidden[row], alone.seg_hidden[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_states_are_those_of_a_full_pass_even_at_the_last_token(model, limit):
    """The answer is put behind the prompt and read in one pass without a cache: the states agree."""
    example = encode(model, requests())[0]
    seg = model.tokenizer.convert_tokens_to_ids(SEG)
    for seg_state, shift in (("at", 0), ("before", 1)):
        answer = model.generate(collate([example], 0), limit, seg_state)
        ids = torch.cat([example.input_ids, answer.ids[0]])[None]
        hidden = model(ids, torch.ones_like(ids), example.mllm_media).hidden[0]
        places = (ids[0] == seg).nonzero().flatten()
        assert len(answer.seg_hidden[0]) == len(places)
        torch.testing.assert_close(answer.seg_hidden[0], hidden[places - shift], rtol=1e-3, atol=1e-4)


def test_exchanges_equal_conversations_of_their_own(model, monkeypatch):
    example = encode(model, requests())[0]
    ids, end = example.input_ids, len(example.input_ids) - 12
    other = torch.cat([ids[end : end + 4], ids[-2:]])
    monkeypatch.setattr(internvl, "length_groups", partial(length_groups, pass_cost=0))
    rests = (ids[end:], torch.cat([other, other]), other, ids[end : end + 3])
    layer = model.parameter_groups()["llm"].layers[0]
    middle = []
    found = model.forward_exchanges(ids[None, :end], example.mllm_media, torch.tensor([0] * 4), rests, middle_layer=1)
    handle = layer.register_forward_hook(lambda module, inputs, output: middle.append(output))
    for row, rest in enumerate(rests):
        whole = torch.cat([ids[:end], rest])[None]
        hidden = model(whole, torch.ones_like(whole), example.mllm_media).hidden[0]
        torch.testing.assert_close(found.prefix[0], hidden[:end], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.exchanges[row, : len(rest)], hidden[end:], rtol=1e-3, atol=1e-4)
        assert not found.exchanges[row, len(rest) :].any()
        torch.testing.assert_close(found.middle_prefix[0], middle[row][0, :end], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.middle_exchanges[row, : len(rest)], middle[row][0, end:], rtol=1e-3, atol=1e-4)
    handle.remove()


def test_media_without_places_and_places_without_media(model):
    ids = torch.tensor([[model.tokenizer.convert_tokens_to_ids(CONTEXT)]])
    with pytest.raises(ValueError, match="without media"):
        model(ids, torch.ones_like(ids), {})
    with pytest.raises(ValueError, match="1 <IMG_CONTEXT> in the text, but 16 visual"):
        model(ids, torch.ones_like(ids), {"pixel_values": torch.zeros(1, 3, 32, 32)})


def test_new_tokens_start_from_related_ones():
    model = InternVL.tiny()
    before = len(model.tokenizer)
    rows = model.model.get_input_embeddings().weight.clone()
    model.with_grounding_tokens().with_grounding_tokens()
    assert len(model.tokenizer) == before + len(SPECIAL_TOKENS)
    table, ids = model.model.get_input_embeddings().weight, model.tokenizer.get_added_vocab()
    assert torch.equal(table[:before], rows)
    assert torch.equal(table[ids[SEG]], rows[ids[BOX_START]])
    torch.testing.assert_close(table[ids["<vp>"]], rows.mean(dim=0))
    assert model.model.lm_head.weight.shape[0] == before + len(SPECIAL_TOKENS)


def test_groups_and_lora_targets(model):
    groups = model.parameter_groups()
    assert sorted(groups) == ["connector", "embeddings", "llm", "lm_head", "vision"]
    targets = model.lora_targets()
    assert len(targets) == 2 * 7 and all(isinstance(model.get_submodule(name), torch.nn.Linear) for name in targets)


def test_saved_and_read_again(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = InternVL.from_pretrained(tmp_path).eval()
    assert again.settings == model.settings
    batch = collate(encode(model, requests()), 0)
    torch.testing.assert_close(
        again(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden,
        model(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden,
    )
    assert InternVL.from_pretrained(tmp_path, max_tiles=1).settings == InternVLSettings(max_tiles=1, max_length=2048)


def test_a_folder_that_holds_no_mllm(tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing"):
        InternVL.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(UserError, match="'llava', expected 'internvl'"):
        InternVL.from_pretrained(tmp_path)


def test_processor_is_picklable_and_tiny_is_tiny(model):
    again = pickle.loads(pickle.dumps(model.processor))
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000


def test_left_padding():
    ids, mask = torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    moved, moved_mask, positions = left_padded(ids, mask, 0)
    assert moved.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert moved_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert is_right_padded(mask) and not is_right_padded(moved_mask)


def test_stop_strings_without_a_token_of_their_own():
    tokenizer = byte_tokenizer()
    rule = StopRule(tokenizer, chat_template("phi3_chat"))
    ids = tokenizer.encode("yes<|end|>")
    assert rule.stop_length(ids) == len(tokenizer.encode("yes"))
    assert rule.stop_length(ids[:-1]) is None
    assert rule.stop_length(tokenizer.encode("no<|im_end|>")) == 2

"""Every MLLM writes as its settings say, and goes on with a conversation without reading anything twice."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import word2mask.mllms
from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.mllms.composed import ComposedMLLM
from word2mask.mllms.interface import MLLM, Kept
from word2mask.text.special_tokens import SEG
from word2mask.types import Generation, Media, Request, Turn

for module in pkgutil.iter_modules(word2mask.mllms.__path__):
    importlib.import_module(f"word2mask.mllms.{module.name}")


def families(cls: type) -> set[type]:
    found = {cls} if not inspect.isabstract(cls) and cls.__module__.startswith("word2mask.") else set()
    return found.union(*(families(child) for child in cls.__subclasses__()))


FAMILIES = sorted(families(MLLM), key=lambda cls: cls.__name__)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda cls: cls.__name__)
def model(request) -> MLLM:
    """With larger weights, so that answers differ, and ``[SEG]`` in the place of a token that it likes to say."""
    model = request.param.tiny().with_grounding_tokens().eval()
    with torch.no_grad():
        for parameter in model.parameter_groups()["llm"].parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
        said = written(model, batch_of(model, ask("where?", media=picture())), Generation(max_new_tokens=9)).ids[0]
        head = model.parameter_groups()["lm_head"].weight
        pair = [model.tokenizer.convert_tokens_to_ids(SEG), int(said.mode().values)]
        head[pair] = head[pair[::-1]]
    return model


def picture(seed: int = 0) -> Media:
    return Media("image", np.random.default_rng(seed).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8))


def batch_of(model: MLLM, *requests: Request):
    encoder = Encoder(model.processor, None, model.max_length)
    return collate([encoder.encode_request(request) for request in requests], model.tokenizer.pad_token_id)


def ask(*texts: str, media: Media | None = None, regions: np.ndarray | None = None) -> Request:
    turns = [Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]
    return Request(tuple(turns), media, regions)


def written(model: MLLM, batch, *settings: Generation, kept: Kept | None = None):
    writing = model.write(batch, settings, kept=kept)
    while True:
        try:
            next(writing)
        except StopIteration as end:
            return end.value


def watch_columns(model: MLLM) -> list[int]:
    """How many columns the language model reads in each pass from here on."""
    read: list[int] = []

    def note(module, arguments, options):
        read.append(options["inputs_embeds"].shape[1])

    model.language_model.register_forward_pre_hook(note, with_kwargs=True)
    return read


@pytest.mark.parametrize("beams", [1, 3])
def test_a_conversation_goes_on_as_if_it_were_read_anew(model, monkeypatch, beams):
    settings, kept = Generation(max_new_tokens=14, num_beams=beams), Kept()
    first = written(model, batch_of(model, ask("where?", media=picture())), settings, kept=kept)
    answer = model.tokenizer.decode(first.ids[0])
    batch = batch_of(model, ask("where?", answer, "and what else is there?", media=picture()))
    # [SEG] in the place of what the model would say first, so that there is one.
    seg, said = (
        model.tokenizer.convert_tokens_to_ids(SEG),
        int(written(model, batch, Generation(max_new_tokens=1)).ids[0][0]),
    )
    logits = model.logits

    def swapped(hidden):
        scores = logits(hidden).clone()
        scores[..., [seg, said]] = scores[..., [said, seg]]
        return scores

    monkeypatch.setattr(model, "logits", swapped)
    anew = written(model, batch, settings)
    monkeypatch.setattr(model, "see", None)  # the picture's tokens are kept
    read = watch_columns(model)
    gone_on = written(model, batch, settings, kept=kept)
    assert gone_on.ids[0].tolist() == anew.ids[0].tolist()
    assert len(anew.seg_hidden[0]) or beams > 1
    torch.testing.assert_close(gone_on.seg_hidden[0], anew.seg_hidden[0], **CLOSE)
    # The question, and not the picture before it, which alone has more columns than that.
    context = model.tokenizer.convert_tokens_to_ids(model.processor.context_token)
    assert max(read) < batch.input_ids.shape[1] - int((batch.input_ids == context).sum())


def test_another_region_keeps_the_picture_and_reads_the_rest(model, monkeypatch):
    regions = np.zeros((1, 32, 32), bool)
    regions[:, :16, :16] = True
    settings, kept = Generation(max_new_tokens=5), Kept()
    written(model, batch_of(model, ask("what?", media=picture(), regions=regions)), settings, kept=kept)
    for marked in (regions[:, ::-1], regions[:, :, ::-1], regions):
        batch = batch_of(model, ask("what?", media=picture(), regions=marked.copy()))
        anew = written(model, batch, settings)
        gone_on = written(model, batch, settings, kept=kept)
        assert gone_on.ids[0].tolist() == anew.ids[0].tolist()
        torch.testing.assert_close(gone_on.seg_hidden[0], anew.seg_hidden[0], **CLOSE)


def test_what_was_interrupted_is_not_relied_upon(model):
    """Stopped between two tokens, and in the middle of a pass, where some layers have read a column and some not."""
    settings, kept = Generation(max_new_tokens=8), Kept()
    writing = model.write(batch_of(model, ask("where?", media=picture())), [settings], kept=kept)
    next(writing), next(writing), writing.close()
    layer = kept.cache.layers[0]
    other = ask("what is it then, and why?", media=picture())
    for _ in range(2):
        gone_on = written(model, batch_of(model, other), settings, kept=kept)
        assert gone_on.ids[0].tolist() == written(model, batch_of(model, other), settings).ids[0].tolist()
        layer = kept.cache.layers[0]
        layer.keys = torch.cat([layer.keys, layer.keys[..., -1:, :]], dim=-2)


def test_beams_are_transformers_own(model):
    """As transformers' whole model searches, given ids and pictures; of two answers as likely, either."""
    if isinstance(model, ComposedMLLM):
        pytest.skip("put together here: transformers has no whole model of it that could search")
    batch = batch_of(model, ask("what do you see?", media=picture(3)))
    ids = model.tokenizer.eos_token_id
    ours = written(model, batch, Generation(max_new_tokens=6, num_beams=4)).ids[0].tolist()
    media = {name: value for name, value in batch.mllm_media.items() if name != "region_tile"}
    if "image_grid_thw" in media:
        media["mm_token_type_ids"] = (
            batch.input_ids == model.tokenizer.convert_tokens_to_ids(model.processor.context_token)
        ).int()
    elif "Smol" in type(model).__name__:
        media["pixel_values"] = media["pixel_values"][None]
    theirs = model.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        **media,
        max_new_tokens=6,
        num_beams=4,
        do_sample=False,
        eos_token_id=ids,
        pad_token_id=model.tokenizer.pad_token_id,
    )[0, batch.input_ids.shape[1] :].tolist()
    theirs = [token for token in theirs if token not in (ids, model.tokenizer.pad_token_id)]
    assert len(ours) > 2 and len(ours) == len(theirs)
    # Random weights leave some words as likely as others, and rounding decides between them.
    likely = [likelihood(model, batch, answer) for answer in (ours, theirs)]
    assert ours == theirs or likely[0] == pytest.approx(likely[1], abs=1e-4)


def likelihood(model, batch, answer: list[int]) -> float:
    """Log-probability of an answer."""
    ids = torch.cat([batch.input_ids[0], torch.tensor(answer)])[None]
    hidden = model(ids, torch.ones_like(ids), batch.mllm_media).hidden[0, -len(answer) - 1 : -1]
    logits = model.logits(hidden).float().log_softmax(-1)
    return logits.gather(1, torch.tensor(answer)[:, None]).sum().item()


def test_beam_states_are_those_of_one_pass(model):
    batch = batch_of(model, ask("where?", media=picture()))
    for seg_state, shift in (("at", 0), ("before", 1)):
        answer = model.generate(batch, 0, seg_state, settings=[Generation(max_new_tokens=7, num_beams=2)])
        ids = torch.cat([batch.input_ids[0], answer.ids[0]])[None]
        hidden = model(ids, torch.ones_like(ids), batch.mllm_media).hidden[0]
        places = (ids[0] == model.tokenizer.convert_tokens_to_ids(SEG)).nonzero().flatten()
        torch.testing.assert_close(answer.seg_hidden[0], hidden[places - shift], rtol=1e-3, atol=1e-4)


def test_each_row_has_its_own_settings(model):
    """Drawn and likeliest, short and long, side by side and alone."""
    asked = [ask("where?", media=picture()), ask("hello, who are you"), ask("what?", media=picture(2)), ask("and?")]
    settings = [
        Generation(max_new_tokens=9, do_sample=True, temperature=2.0, seed=1),
        Generation(max_new_tokens=3),
        Generation(max_new_tokens=6, do_sample=True, top_k=5, top_p=0.9, seed=2),
        Generation(max_new_tokens=7),
    ]
    together = written(model, batch_of(model, *asked), *settings)
    for row, (request, own) in enumerate(zip(asked, settings, strict=True)):
        alone = written(model, batch_of(model, request), own)
        assert together.ids[row].tolist() == alone.ids[0].tolist()
        assert len(alone.ids[0]) <= own.max_new_tokens
        torch.testing.assert_close(together.seg_hidden[row], alone.seg_hidden[0], rtol=1e-3, atol=1e-4)


def test_beams_stand_alone(model):
    with pytest.raises(ValueError, match="one prompt at a time, got 2"):
        written(model, batch_of(model, ask("a"), ask("b")), Generation(num_beams=2), Generation())

"""Every MLLM keeps the contract of mllms/interface.py. Families are found, not listed."""

import importlib
import inspect
import pickle
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import word2mask.mllms
from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.decoding import left_padded
from word2mask.mllms.interface import MLLM
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan, parameter_rows
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.special_tokens import SEG, SPECIAL_TOKENS
from word2mask.types import Media, Request, Sample, Turn

for module in pkgutil.iter_modules(word2mask.mllms.__path__):
    importlib.import_module(f"word2mask.mllms.{module.name}")


def families(cls: type) -> set[type]:
    found = {cls} if not inspect.isabstract(cls) and cls.__module__.startswith("word2mask.") else set()
    return found.union(*(families(child) for child in cls.__subclasses__()))


FAMILIES = sorted(families(MLLM), key=lambda cls: cls.__name__)
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def loud(model: MLLM) -> MLLM:
    """With weights larger than at initialisation, so that answers differ and ``[SEG]`` occurs in them."""
    groups = model.parameter_groups()
    with torch.no_grad():
        for parameter in groups["llm"].parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
        groups["lm_head"].weight[model.tokenizer.convert_tokens_to_ids(SEG)] *= 40
    return model.eval()


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda cls: cls.__name__)
def model(request) -> MLLM:
    return loud(request.param.tiny().with_grounding_tokens())


def media(kind: str, *shape: int) -> Media:
    frames = np.random.default_rng(sum(shape)).integers(0, 255, (*shape, 3), dtype=np.uint8)
    return Media(kind, frames, tuple(range(len(frames))))


def requests() -> list[Request]:
    """A picture, words alone, a picture with two marked regions, a video, a video with a marked region."""
    regions = np.zeros((2, 32, 64), bool)
    regions[0, :16, :16] = True
    regions[1, 30, 60] = True
    on_video = np.zeros((1, 20, 30), bool)
    on_video[0, 5:15, 10:30] = True
    return [
        Request((Turn("user", "where?"),), media("image", 1, 32, 32)),
        Request((Turn("user", "hello, who are you"),)),
        Request((Turn("user", "what is region1"),), media("image", 1, 32, 64), regions),
        Request((Turn("user", "what moves"),), media("video", 3, 20, 30)),
        Request((Turn("user", "and this"),), media("video", 2, 20, 30), on_video),
    ]


def encode(model: MLLM) -> list:
    encoder = Encoder(model.processor, None, model.max_length)
    return [encoder.encode_request(request) for request in requests()]


def batch_of(model: MLLM, examples: list):
    return collate(examples, model.tokenizer.pad_token_id)


def states(model: MLLM, batch) -> torch.Tensor:
    return model(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden


def test_there_are_families():
    assert "InternVL" in {cls.__name__ for cls in FAMILIES}


def test_placeholders_match_what_is_counted(model):
    context = model.tokenizer.convert_tokens_to_ids(model.processor.context_token)
    for request, example in zip(requests(), encode(model), strict=True):
        placed = int((example.input_ids == context).sum())
        own = model.processor.media_token_count(request.media) if request.media else 0
        marked = 0 if request.regions is None else int(example.region_cells.sum())
        assert placed == own + marked and (own > 0) == (request.media is not None)
        if request.regions is not None:
            assert example.region_cells.flatten(1).any(dim=1).all()


def test_batched_states_equal_single_ones(model):
    examples = encode(model)
    together = states(model, batch_of(model, examples))
    assert together.shape == (len(examples), max(len(example.input_ids) for example in examples), model.hidden_size)
    for row, example in enumerate(examples):
        alone = states(model, batch_of(model, [example]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, **CLOSE)


def test_padding_on_the_left_changes_nothing(model):
    examples = encode(model)
    batch = batch_of(model, examples)
    right = states(model, batch)
    ids, mask, _ = left_padded(batch.input_ids, batch.attention_mask, model.tokenizer.pad_token_id)
    left = model(ids, mask, batch.mllm_media, batch.region_cells).hidden
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        torch.testing.assert_close(left[row, -length:], right[row, :length], **CLOSE)


def test_what_comes_later_changes_nothing(model):
    """The states of a prompt don't depend on what follows it: no token looks ahead, positions count from the left."""
    example = encode(model)[0]
    batch = batch_of(model, [example])
    longer = torch.cat([batch.input_ids, batch.input_ids[:, -3:]], dim=1)
    hidden = model(longer, torch.ones_like(longer), batch.mllm_media).hidden
    torch.testing.assert_close(hidden[:, :-3], states(model, batch), **CLOSE)


def test_marked_regions_are_seen(model):
    """Marking another cell changes the states of what follows, and of nothing before it."""
    example = encode(model)[2]
    before = states(model, batch_of(model, [example]))[0]
    example.region_cells = example.region_cells.flip(2)
    after = states(model, batch_of(model, [example]))[0]
    start = int((example.input_ids == model.tokenizer.convert_tokens_to_ids("<vp>")).nonzero()[0])
    torch.testing.assert_close(after[: start + 1], before[: start + 1], **CLOSE)
    assert (after[-1] - before[-1]).abs().max() > 1e-2


def test_regions_show_the_frame_that_they_are_on(model):
    """On a video of two equal frames it makes no difference on which of them a region is; on another video it does."""
    shown, region = media("video", 2, 20, 30), np.zeros((1, 20, 30), bool)
    region[0, 5:15, 10:30] = True
    still = replace(shown, frames=shown.frames[[0, 0]])
    encoder = Encoder(model.processor, None, model.max_length)

    def last_state(video: Media, place: int) -> torch.Tensor:
        asked = Request((Turn("user", "what is region1"),), video, region)
        return states(model, batch_of(model, [encoder.encode_request(asked, region_frames=[place])]))[0, -1]

    torch.testing.assert_close(last_state(still, 0), last_state(still, 1), **CLOSE)
    assert (last_state(shown, 0) - last_state(shown, 1)).abs().max() > 1e-2


@pytest.mark.parametrize("seg_state", ["at", "before"])
def test_batched_answers_equal_single_ones(model, seg_state):
    examples = encode(model)
    together = model.generate(batch_of(model, examples), 12, seg_state)
    assert any(len(found) for found in together.seg_hidden)
    for row, example in enumerate(examples):
        alone = model.generate(batch_of(model, [example]), 12, seg_state)
        assert together.ids[row].tolist() == alone.ids[0].tolist()
        torch.testing.assert_close(together.seg_hidden[row], alone.seg_hidden[0], **CLOSE)


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_answers_are_those_of_full_passes_without_a_cache(model, limit):
    """The answer is put behind the prompt and read in one pass: its tokens are the likeliest, its states agree."""
    seg = model.tokenizer.convert_tokens_to_ids(SEG)
    for example in encode(model):
        batch = batch_of(model, [example])
        for seg_state, shift in (("at", 0), ("before", 1)):
            answer = model.generate(batch, limit, seg_state)
            ids = torch.cat([example.input_ids, answer.ids[0]])[None]
            hidden = model(ids, torch.ones_like(ids), batch.mllm_media, batch.region_cells).hidden[0]
            first = len(example.input_ids) - 1
            likeliest = model.logits(hidden[first:]).argmax(dim=-1)
            assert likeliest[: len(answer.ids[0])].tolist() == answer.ids[0].tolist()
            places = (ids[0] == seg).nonzero().flatten()
            assert len(answer.seg_hidden[0]) == len(places)
            torch.testing.assert_close(answer.seg_hidden[0], hidden[places - shift], **CLOSE)


def test_no_answers_while_checkpointing_gradients():
    """Layers that checkpoint keep no cache, so that answers would be nonsense."""
    model = FAMILIES[0].tiny().checkpoint_gradients()
    batch = batch_of(model, encode(model)[:1])
    assert len(model.generate(batch, 2).ids) == 1
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        model.train().generate(batch, 2)


def test_media_and_their_places_must_agree(model):
    ids = torch.tensor([[model.tokenizer.convert_tokens_to_ids(model.processor.context_token)]])
    with pytest.raises(ValueError, match="1 "):
        model(ids, torch.ones_like(ids), {})
    tensors = model.processor.prepare_media(media("image", 1, 32, 32)).tensors
    with pytest.raises(ValueError, match="1 .* visual tokens"):
        model(ids, torch.ones_like(ids), tensors)


def test_grounding_tokens_are_added_once(model):
    fresh = type(model).tiny()
    before = len(fresh.tokenizer)
    rows = fresh.parameter_groups()["embeddings"].weight.clone()
    fresh.with_grounding_tokens().with_grounding_tokens()
    assert len(fresh.tokenizer) == before + len(SPECIAL_TOKENS)
    assert torch.equal(fresh.parameter_groups()["embeddings"].weight[:before], rows)
    for group in ("embeddings", "lm_head"):
        assert fresh.parameter_groups()[group].weight.shape[0] >= len(fresh.tokenizer)


def test_groups_hold_every_parameter(model):
    groups = model.parameter_groups()
    assert sorted(groups) == ["connector", "embeddings", "llm", "lm_head", "vision"]
    held = {id(parameter) for group in groups.values() for parameter in group.parameters()}
    assert held == {id(parameter) for parameter in model.parameters()}
    parts = [{id(parameter) for parameter in groups[name].parameters()} for name in ("vision", "connector", "llm")]
    assert not parts[0] & parts[1] and not parts[1] & parts[2] and all(parts)


def test_lora_targets_are_the_language_models_linear_layers(model):
    llm = model.parameter_groups()["llm"]
    linear = {id(layer) for layer in llm.modules() if isinstance(layer, torch.nn.Linear)}
    assert {id(model.get_submodule(name)) for name in model.lora_targets()} == linear and linear


def test_saved_and_read_again(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert again.settings == model.settings
    batch = batch_of(model, encode(again))
    torch.testing.assert_close(states(again, batch), states(model, batch), rtol=0, atol=0)


def test_a_folder_that_holds_something_else(model, tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing"):
        type(model).from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="'bert', expected '"):
        type(model).from_pretrained(tmp_path)


def test_ways_to_compute_attention(model, tmp_path):
    model.save_pretrained(tmp_path)
    eager = type(model).from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert eager.model.config._attn_implementation == "eager" != model.model.config._attn_implementation
    batch = batch_of(model, encode(model))
    torch.testing.assert_close(states(eager, batch), states(model, batch), **CLOSE)
    with pytest.raises(UserError, match="'flash' is unknown; choose one of sdpa"):
        type(model).from_pretrained(tmp_path, attn_implementation="flash")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="needs a CUDA device and the package flash-attn"):
            type(model).from_pretrained(tmp_path, attn_implementation="flash_attention_2")


SCRATCH = [cls for cls in FAMILIES if hasattr(cls, "from_scratch")]


@pytest.mark.parametrize("family", SCRATCH, ids=lambda cls: cls.__name__)
def test_options_of_a_model_from_scratch(family):
    tokenizer = family.tiny().tokenizer
    sizes = dict(patch=8, vision_size=32, vision_layers=2, vision_heads=2, hidden_size=32, layers=1, heads=2)
    model = family.from_scratch(tokenizer, **sizes, attn_implementation="eager", gradient_checkpointing=True)
    assert model.model.config.get_text_config()._attn_implementation == "eager"
    assert model.model.config.vision_config._attn_implementation == "eager"
    assert model.model.is_activation_checkpointing
    plain = family.from_scratch(tokenizer, **sizes)
    assert plain.model.config.get_text_config()._attn_implementation == "sdpa"
    assert not plain.model.is_activation_checkpointing
    with pytest.raises(UserError, match="'flash' is unknown"):
        family.from_scratch(tokenizer, **sizes, attn_implementation="flash")


def test_half_precision(model, tmp_path):
    """In bfloat16 everything runs, with media as the data workers make them, and stays near single precision."""
    model.save_pretrained(tmp_path)
    half = type(model).from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    batch = batch_of(model, encode(model))
    hidden = states(half, batch)
    assert hidden.dtype == torch.bfloat16
    real = batch.attention_mask.bool()
    # Two layers of small random weights, a mantissa of 8 bits.
    difference = (hidden.float() - states(model, batch))[real]
    assert difference.norm() < 0.2 * states(model, batch)[real].norm()
    answer = half.generate(batch, 4)
    assert len(answer.ids) == len(batch.names) and all(found.dtype == torch.bfloat16 for found in answer.seg_hidden)


def test_processor_is_picklable_and_tiny_is_tiny(model):
    again = pickle.loads(pickle.dumps(model.processor))
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    first, second = (p.prepare_media(media("image", 1, 40, 30)).tensors for p in (again, model.processor))
    assert all(torch.equal(first[key], second[key]) for key in second)
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000


def samples() -> list[Sample]:
    masks = np.zeros((1, 1, 32, 64), bool)
    masks[0, 0, 4:20, 10:40] = True
    regions = np.ones((1, 20, 30), bool)
    asked = (Turn("user", "where is it"), Turn("assistant", f"It is {SEG}."))
    told = (Turn("user", "tell"), Turn("assistant", "A lot."))
    return [
        Sample("s", "0", "refer", asked, media("image", 1, 32, 64), masks),
        Sample("s", "1", "chat", told),
        Sample("s", "2", "region", told, media("video", 2, 20, 30), regions=regions),
    ]


def grounded(family: type[MLLM], plan: TrainablePlan) -> GroundedMLLM:
    torch.manual_seed(0)
    return GroundedMLLM(family.tiny(), SAM2Segmenter.tiny(), loss=GroundingLoss(), trainable=plan)


def gradients(model: GroundedMLLM, checkpointed: bool) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], int]:
    """Losses, gradients, and how many values were kept for the backward pass in the language model's layers."""
    model.mllm.checkpoint_gradients(checkpointed)
    model.train()
    model.zero_grad()
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
    batch = collate([encoder(sample) for sample in samples()], model.mllm.tokenizer.pad_token_id)
    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = {name: value for name, value in model(batch).items() if name.startswith("loss_")}
    sum(losses.values()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return losses, found, kept


#: LoRA with everything else frozen, the published recipe, and the language model trained in full.
PLANS = {
    "adapters": TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0, train=("projector",)),
    "published": TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0),
    "in full": TrainablePlan(lora_rank=0, train=("llm", "connector", "lm_head", "projector")),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)
def test_checkpointed_gradients_equal_kept_ones(family, plan):
    model = grounded(family, PLANS[plan])
    if plan != "in full":  # adapters start at zero, where half of their gradients are zero too
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
    losses, found, kept = gradients(model, checkpointed=False)
    again, recomputed, kept_then = gradients(model, checkpointed=True)
    assert kept_then < 0.75 * kept
    torch.testing.assert_close(again, losses)
    assert found.keys() == recomputed.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    for name in found:
        torch.testing.assert_close(recomputed[name], found[name], rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(gradients(model, checkpointed=False)[2], kept)


def holds(module: torch.nn.Module) -> bool:
    return any(True for _ in module.parameters())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)
def test_a_plan_without_the_connector_leaves_all_of_vision_frozen(family):
    model = grounded(family, TrainablePlan(lora_rank=2, train=("embeddings", "lm_head", "projector")))
    frozen = {row.group for row in parameter_rows(model) if row.state == "frozen"}
    assert {"vision", "connector", "llm"} <= frozen
    groups = model.mllm.parameter_groups()
    for name in ("vision", "connector"):
        assert not any(parameter.requires_grad for parameter in groups[name].parameters())
    model.train()
    for name in ("vision", "connector"):
        assert not any(layer.training for part in groups[name].children() for layer in part.modules() if holds(layer))

    # Checkpointing makes no graph there either, which would cost as much as training it.
    model.mllm.checkpoint_gradients()
    shown: list[bool] = []
    for layer in (*groups["vision"].modules(), *groups["connector"].modules()):
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda module, inputs, output: shown.append(output.requires_grad))
    assert states(model.mllm, batch_of(model.mllm, encode(model.mllm))).requires_grad
    assert shown and not any(shown)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)
def test_exported_and_read_again(family, tmp_path):
    model = grounded(family, TrainablePlan(lora_rank=2)).eval()
    model.merge()
    save_grounded(model, tmp_path)
    again = load_grounded(tmp_path)
    assert type(again.mllm) is family and again.mllm.settings == model.mllm.settings
    batch = batch_of(model.mllm, encode(model.mllm))
    assert torch.equal(states(again.mllm, batch), states(model.mllm, batch))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)
def test_served(family):
    """Requests of every kind through a session, alone and side by side, with a mask of the media's size each."""
    model = GroundedMLLM(family.tiny(), SAM2Segmenter.tiny())
    loud(model.mllm)
    session = Session(model, key_frames=2)
    asked = [replace(request, max_new_tokens=8) for request in requests()]
    together = session.batch(asked)
    assert any(result.segments for result in together)
    for request, result in zip(asked, together, strict=True):
        alone = session.ask(request)
        assert alone.raw_text == result.raw_text and len(alone.segments) == len(result.segments)
        for first, second in zip(alone.segments, result.segments, strict=True):
            assert first.masks.shape == request.media.frames.shape[:3]
            assert (first.masks == second.masks).mean() > 0.99

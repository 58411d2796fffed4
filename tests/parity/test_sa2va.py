"""Ours against the published Sa2VA on equal seeded weights: ids, states, prompts, mask logits, losses, answers.

What the published code computes lies in ``sa2va/``; ``make_sa2va.py`` made it, and README.md says how.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.inference.session import Session
from word2mask.inference.tracking import ObjectFinder
from word2mask.losses import grounding
from word2mask.losses.grounding import GroundingLoss
from word2mask.losses.masks import sample_uncertain_points
from word2mask.mllms.internvl_layout import pieces
from word2mask.mllms.internvl_processor import InternVLProcessor
from word2mask.models.grounded import GroundedMLLM, ObjectMasks
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2_keys import from_meta
from word2mask.text.conversation import encode_conversation, region_prefix
from word2mask.text.special_tokens import IGNORE_INDEX
from word2mask.text.templates import chat_template
from word2mask.types import Batch, Example, Media, Request, Sample, Turn

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "sa2va"
#: Largest difference allowed, as a share of the tensor's largest value.
TOLERANCE = 1e-4


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


published = _load(HERE.parents[1] / "benchmarks" / "published_sa2va.py")
equal = _load(HERE.parents[1] / "benchmarks" / "equal_weights.py")
made = _load(HERE / "sa2va_cases.py")
GEOMETRY = published.Geometry()


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """What the published code computed."""
    return dict(np.load(FOLDER / "expected.npz"))


def tokenizer(**tokens: str) -> PreTrainedTokenizerFast:
    """The tokenizer of the reference."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(FOLDER / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        **tokens,
    )


def equal_model(**options: object) -> GroundedMLLM:
    """Ours with the weights of the reference, drawn from its names and read through the key maps."""
    shapes = json.loads((FOLDER / "shapes.json").read_text())
    raw = json.loads((FOLDER / "config.json").read_text())
    settings = {"region_sampling": "nearest"}
    return equal.equal_model(GEOMETRY, shapes, raw, tokenizer(), settings, **options)


@pytest.fixture(scope="module")
def model() -> GroundedMLLM:
    return equal_model(loss=GroundingLoss()).eval()


def encoder(model: GroundedMLLM) -> Encoder:
    return Encoder(model.mllm.processor, model.segmenter.processor, max_length=8192)


def sample(case: dict, seed: int = 0, masks: np.ndarray | None = None) -> Sample:
    """A conversation of the reference as a sample of ours."""
    media = regions = None
    if case["medium"] is not None:
        kind, count, height, width = case["medium"]
        frames = np.stack([published.seeded_picture(seed + index, height, width) for index in range(count)])
        media = Media(kind, frames, tuple(range(count)), "reference")
        if case.get("regions"):
            regions = published.seeded_masks(seed, case["regions"], height, width)
    turns = [Turn(role, text) for pair in case["turns"] for role, text in zip(("user", "assistant"), pair, strict=True)]
    segs = sum(answer.count("[SEG]") for _, answer in case["turns"])
    if masks is None and segs:
        masks = np.zeros((segs, *media.frames.shape[:3]), dtype=bool) if media else None
    return Sample("reference", "0", "refer", tuple(turns), media, masks, regions=regions)


def difference(ours: torch.Tensor, theirs: np.ndarray, scale: float | None = None) -> float:
    """The largest difference as a share of the largest value, after checking the shape."""
    theirs = torch.from_numpy(np.asarray(theirs))
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / (scale or theirs.abs().max()))


@pytest.mark.parametrize("template", made.TEMPLATES)
@pytest.mark.parametrize("name", sorted(made.CONVERSATIONS))
def test_ids_and_labels(template: str, name: str) -> None:
    """Token for token, and the labels with them.

    The published encoding ends in one more separator: after the last answer, where it has no label and nothing follows.
    """
    theirs = np.load(FOLDER / "conversations.npz")
    words = tokenizer(**({"bos_token": "<|endoftext|>"} if template == "internlm2_chat" else {}))
    processor = InternVLProcessor(
        words, chat_template(template), max_tiles=12, side=448, grid_side=16, region_sampling="nearest"
    )
    case = sample(made.CONVERSATIONS[name])
    media = processor.prepare_media(case.media) if case.media else None
    prefix = ""
    if case.regions is not None:
        cells = processor.region_cells(case.regions, media.grid)
        prefix = region_prefix(cells.flatten(1).sum(1).tolist(), processor.context_token)
    encoded = encode_conversation(case.turns, words, processor.template, media.placeholder if media else "", prefix)
    separator = words.encode(processor.template.separator, add_special_tokens=False)
    assert separator
    assert [*encoded.input_ids.tolist(), *separator] == theirs[f"{template}/{name}/input_ids"].tolist()
    assert [*encoded.labels.tolist(), *[-100] * len(separator)] == theirs[f"{template}/{name}/labels"].tolist()


@pytest.mark.parametrize("name", sorted(made.CONVERSATIONS))
def test_states_and_text_loss(model: GroundedMLLM, expected: dict[str, np.ndarray], name: str) -> None:
    example = encoder(model)(sample(made.CONVERSATIONS[name])) if name != "chat" else text_only(model)
    batch = collate([example], model.mllm.tokenizer.pad_token_id)
    with torch.no_grad():
        hidden = model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden
        labels = batch.labels[0, 1:]
        labelled = labels != IGNORE_INDEX
        loss = model.loss.text(model.mllm.logits(hidden[0, :-1][labelled]), labels[labelled], [name])["loss_text"]
    theirs = expected[f"hidden/{name}"]
    assert difference(hidden[0, ::7][: len(theirs)], theirs[: len(hidden[0, ::7])]) <= TOLERANCE
    assert difference(loss, expected[f"hidden/{name}/text_loss"]) <= TOLERANCE


def text_only(model: GroundedMLLM) -> Example:
    """The conversation without media; ours refuses its ``[SEG]`` without a mask, so it is encoded by hand."""
    turns = sample(made.CONVERSATIONS["chat"]).turns
    encoded = encode_conversation(turns, model.mllm.tokenizer, model.mllm.template)
    return Example("chat", "chat", encoded.input_ids, encoded.labels, encoded.seg_positions[:0], {})


def share_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mask losses are taken at the points of the reference."""
    points = made.shared_points()
    monkeypatch.setattr(
        grounding, "sample_uncertain_points", lambda logits, *_, **__: points.expand(len(logits), -1, -1)
    )


def training_batch(model: GroundedMLLM, name: str) -> Batch:
    """A training sample of the reference, alone."""
    _, count, height, width = made.TRAINED[name]["medium"]
    masks = published.seeded_masks(3, 5 * count, height, width).reshape(5, count, height, width)
    example = encoder(model)(sample(made.TRAINED[name], masks=masks))
    return collate([example], model.mllm.tokenizer.pad_token_id)


@pytest.mark.parametrize("name", sorted(made.TRAINED))
def test_training_step(
    model: GroundedMLLM, expected: dict[str, np.ndarray], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts, mask logits of every object on every frame, and the three losses.

    Both take the mask losses at the same points: the same 256 for every mask, so that the order of masks, which is
    frame by frame there and object by object here, doesn't matter.
    """
    share_points(monkeypatch)
    monkeypatch.setattr(model, "loss", GroundingLoss(num_points=made.NUM_POINTS, coarse_truth=True))
    seen = {}

    def segment(features: object, prompts: list[torch.Tensor], *rest: object) -> list[ObjectMasks]:
        seen["prompts"], seen["objects"] = prompts[0], GroundedMLLM.segment(model, features, prompts, *rest)[0]
        return [seen["objects"]]

    monkeypatch.setattr(model, "segment", segment)
    with torch.no_grad():
        losses = model(training_batch(model, name))
    assert difference(seen["prompts"][:, 0], expected[f"trained/{name}/prompts"]) <= TOLERANCE
    logits = seen["objects"].mask_logits.transpose(0, 1)[:, :, ::3, ::3]
    scale = float(expected[f"trained/{name}/mask_scale"])
    assert difference(logits, expected[f"trained/{name}/mask_logits"], scale) <= TOLERANCE
    for ours, theirs in (("loss_text", "llm_loss"), ("loss_mask", "loss_mask"), ("loss_dice", "loss_dice")):
        assert difference(losses[ours], expected[f"trained/{name}/{theirs}"]) <= TOLERANCE, ours


@pytest.fixture(scope="module")
def learning() -> GroundedMLLM:
    """All that the published recipe trains, with adapters drawn from their layers' names, activations checkpointed."""
    plan = TrainablePlan(
        lora_rank=made.LORA["rank"],
        lora_alpha=made.LORA["alpha"],
        lora_dropout=0.0,
        train=("embeddings", "lm_head", "connector", "projector", "mask_decoder"),
    )
    loss = GroundingLoss(num_points=made.NUM_POINTS, coarse_truth=True)
    model = equal_model(loss=loss, trainable=plan, gradient_checkpointing=True).train()
    assert made.seeded_adapters(model) == 14 * GEOMETRY.layers
    return model


def renamed(values: dict[str, torch.Tensor], model: GroundedMLLM) -> dict[str, torch.Tensor]:
    """Tensors under published names → under our own, through the key maps."""
    parts: dict[str, dict[str, torch.Tensor]] = {equal.SEGMENTER: {}, equal.PROJECTOR: {}, "": {}}
    for name, tensor in values.items():
        prefix = next(prefix for prefix in parts if name.startswith(prefix))
        parts[prefix][name.removeprefix(prefix)] = tensor
    ours = {f"segmenter.model.{name}": tensor for name, tensor in from_meta(parts[equal.SEGMENTER]).items()}
    ours |= {f"projector.layers.{name}": tensor for name, tensor in parts[equal.PROJECTOR].items()}
    language = pieces(parts[""], model.mllm.model.config, "the published weights")
    return ours | {f"mllm.model.{piece[0]}": piece[1] for piece in language}


def published_gradients(model: GroundedMLLM) -> dict[str, torch.Tensor]:
    """Gradients of all that trains, flat and under the published names; 0 where there is none.

    The key maps say where each published value went: they are given the values' places instead of the values.
    """
    gradients = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }
    shapes = json.loads((FOLDER / "shapes.json").read_text())
    places, start = {}, 0
    for name, shape in shapes.items():
        end = start + int(np.prod(shape))
        places[name] = torch.arange(start, end, dtype=torch.float64).reshape(shape)
        start = end
    everything = torch.full((start,), float("nan"))
    for name, place in renamed(places, model).items():
        if name in gradients:
            everything[place.long().flatten()] = gradients.pop(name).flatten()
    found = {name: everything[place.long().flatten()] for name, place in places.items()}
    found = {name: values for name, values in found.items() if not values.isnan().any()}
    for name, gradient in gradients.items():  # what the key maps don't know: the adapters
        layer = name.removeprefix("mllm.model.model.language_model.")
        assert ".lora_" in layer and layer != name, name
        found[f"language_model.model.{layer}"] = gradient.flatten()
    return found


@pytest.mark.parametrize("name", sorted(made.TRAINED))
def test_gradients(
    learning: GroundedMLLM, expected: dict[str, np.ndarray], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one backward pass: of the states at ``[SEG]``, of the prompts, and of every weight that trains."""
    share_points(monkeypatch)
    seen: dict[str, torch.Tensor] = {}

    def prompts(states: list[torch.Tensor]) -> list[torch.Tensor]:
        found = GroundedMLLM.prompts(learning, states)
        seen["prompts"] = found[0]
        return found

    monkeypatch.setattr(learning, "prompts", prompts)
    hook = learning.mllm.register_forward_hook(lambda *given: seen.update(states=given[-1].hidden))
    learning.zero_grad(set_to_none=True)
    batch = training_batch(learning, name)
    losses = learning(batch)
    hook.remove()
    for value in seen.values():
        value.retain_grad()
    sum(value for key, value in losses.items() if key.startswith("loss_")).backward()

    theirs = {key.removeprefix(f"gradients/{name}/"): value for key, value in expected.items()}
    for key, value in zip(("loss_text", "loss_dice", "loss_mask"), theirs["losses"], strict=True):
        assert difference(losses[key].detach(), value) <= TOLERANCE, key
    for key, ours in {
        "states": seen["states"].grad[0, batch.seg_positions[0]],
        "prompts": seen["prompts"].grad[:, 0],
        "seg_embedding": learning.mllm.model.get_input_embeddings().weight.grad[
            learning.mllm.tokenizer.convert_tokens_to_ids("[SEG]")
        ],
    }.items():
        assert difference(ours, theirs[key]) <= TOLERANCE, key
    gradients, names = published_gradients(learning), expected["gradients/names"].tolist()
    assert sorted(gradients) == names
    for row, key in enumerate(names):
        ours, scale = gradients[key], float(theirs["scales"][row])
        if scale <= made.NO_GRADIENT:  # README.md says which and why
            assert ours.abs().max() <= made.NO_GRADIENT, key
            continue
        kept = ours[made.gradient_entries(key, len(ours))]
        assert difference(kept, theirs["entries"][row], scale) <= TOLERANCE, key
        assert difference(ours.norm(), theirs["norms"][row]) <= TOLERANCE, key


def test_points(expected: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same candidates, the same are chosen."""
    numbers = iter(np.random.RandomState(11).uniform(size=(2, 3, 96, 2)).astype(np.float32))
    monkeypatch.setattr(torch, "rand", lambda count, many, _, **__: torch.from_numpy(next(numbers)[:count, :many]))
    logits = torch.from_numpy(expected["points/logits"])
    chosen = sample_uncertain_points(logits, 32, 3.0, 0.75, border="zeros")
    np.testing.assert_array_equal(chosen.numpy(), expected["points/chosen"])


@pytest.fixture
def answering(model: GroundedMLLM, expected: dict[str, np.ndarray]) -> Iterator[GroundedMLLM]:
    """The model with the rows of its output layer that make it answer with a ``[SEG]``."""
    weight, tokens = model.mllm.model.lm_head.weight, expected["planted/tokens"].astype(np.int64)
    bias = model.segmenter.model.mask_decoder.pred_obj_score_head.proj_out.bias
    before = weight.data.clone()
    weight.data[tokens] = torch.from_numpy(expected["planted/rows"])
    bias.data += made.OBJECT_SHIFT
    yield model
    weight.data.copy_(before)
    bias.data -= made.OBJECT_SHIFT


@pytest.mark.parametrize("name", sorted(made.ASKED))
def test_answer(
    answering: GroundedMLLM, expected: dict[str, np.ndarray], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text, prompt, mask logits and masks of ``predict_forward``: a picture, and a video with four frames to follow."""
    count, height, width = made.ASKED[name]
    frames = np.stack([published.seeded_picture(index, height, width) for index in range(count)])
    session = Session(answering, key_frame_choice="first", procedure="sa2va")
    seen: dict[str, torch.Tensor] = {}
    logits: list[torch.Tensor] = []

    def prompts(states: list[torch.Tensor]) -> list[torch.Tensor]:
        seen["prompts"] = GroundedMLLM.prompts(answering, states)
        return seen["prompts"]

    enlarge = ObjectFinder.at_original_size

    def at_original_size(finder: ObjectFinder, masks: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        logits.append(answering.segmenter.enlarge(masks))
        return enlarge(finder, masks, size)

    monkeypatch.setattr(answering, "prompts", prompts)
    monkeypatch.setattr(ObjectFinder, "at_original_size", at_original_size)
    result = session.ask(Request((Turn("user", made.question(name)),), Media(name, frames, tuple(range(count)))))
    assert result.raw_text + "<|im_end|>" == str(expected[f"predicted/{name}/text"])
    assert difference(seen["prompts"][0][0, 0], expected[f"predicted/{name}/prompt"]) <= TOLERANCE
    assert difference(torch.cat(logits)[:, ::7, ::7], expected[f"predicted/{name}/logits"]) <= TOLERANCE
    theirs = np.unpackbits(expected[f"predicted/{name}/masks"])[: count * height * width]
    assert (result.segments[0].masks.ravel() != theirs).mean() <= TOLERANCE
    if name == "video":  # both ways of remembering an object have been gone
        assert 0 < (result.segments[0].scores > 0.5).sum() < count

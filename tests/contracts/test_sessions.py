"""Every MLLM in a session: a conversation is what is asked at once, a batch what is asked alone, and what was shown in
any turn stays where it was."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import word2mask.mllms
from word2mask.inference.session import Session
from word2mask.mllms.composed import ComposedMLLM
from word2mask.mllms.interface import MLLM
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.special_tokens import SEG
from word2mask.types import Generation, Media, Request, Turn, VisualPrompt

for module in pkgutil.iter_modules(word2mask.mllms.__path__):
    importlib.import_module(f"word2mask.mllms.{module.name}")

SHARED = "ComposedMLLM, one encoder for words and masks"


def families(cls: type) -> set[type]:
    found = {cls} if not inspect.isabstract(cls) and cls.__module__.startswith("word2mask.") else set()
    return found.union(*(families(child) for child in cls.__subclasses__()))


FAMILIES = {cls.__name__: cls for cls in sorted(families(MLLM), key=lambda cls: cls.__name__)}


@pytest.fixture(scope="module", params=[*FAMILIES, SHARED])
def session(request: pytest.FixtureRequest) -> Session:
    """With larger weights, so that answers differ."""
    mllm = FAMILIES.get(request.param, ComposedMLLM).tiny()
    segmenter = SAM2Segmenter.tiny()
    if request.param == SHARED:
        trunk = segmenter.model.vision_encoder.backbone
        mllm.model.model.vision_tower.load_state_dict(trunk.state_dict())
    torch.manual_seed(0)
    model = GroundedMLLM(mllm, segmenter).eval()
    assert (getattr(model.mllm, "shared_encoder", None) is not None) == (request.param == SHARED)
    with torch.no_grad():
        for parameter in model.mllm.parameter_groups()["llm"].parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    mark = model.mllm.tokenizer.convert_tokens_to_ids(SEG)

    def say(_: object, __: object, logits: torch.Tensor) -> torch.Tensor:
        """``[SEG]`` in the place of every even token, which a random model would hardly say."""
        best, token = logits.max(dim=-1)
        return logits.index_copy(
            -1, torch.tensor([mark]), torch.where(token % 2 == 0, best + 1, -best.abs())[..., None]
        )

    model.mllm.parameter_groups()["lm_head"].register_forward_hook(say)
    return Session(model, key_frames=2)


def clip(num_frames: int, seed: int = 0, size: tuple[int, int] = (32, 32)) -> Media:
    frames = np.random.default_rng(seed).integers(0, 255, (num_frames, *size, 3), dtype=np.uint8)
    return Media("video" if num_frames > 1 else "image", frames, tuple(range(num_frames)))


def ask(*texts: str, **options: object) -> Request:
    turns = [Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]
    return Request(tuple(turns), **options)


def shown(frame: int, left: int) -> VisualPrompt:
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:20, left : left + 12] = True
    return VisualPrompt(frame, mask=mask)


def batch_requests() -> list[Request]:
    """Requests of mixed kinds."""
    few = Generation(max_new_tokens=8)
    return [
        ask("Hi", generation=few),
        ask("Where is the circle?", media=clip(1, 1), generation=few),
        ask("And now?", media=clip(4, 2), generation=Generation(max_new_tokens=5)),
        ask("What is region1?", media=clip(1, 3), prompts=(shown(0, 4),), generation=few),
        ask("Where?", "There.", "And region1?", media=clip(4, 4), prompts=(shown(3, 9),), generation=few),
        ask(
            "Draw.", media=clip(1, 5), generation=Generation(max_new_tokens=8, do_sample=True, temperature=2.0, seed=3)
        ),
    ]


def assert_equal(one, other) -> int:
    """Raises unless two answers are equal; returns the number of their objects."""
    assert (one.raw_text, one.text, one.num_frames) == (other.raw_text, other.text, other.num_frames)
    assert len(one.segments) == len(other.segments)
    for first, second in zip(one.segments, other.segments, strict=True):
        assert (first.phrase, first.span) == (second.phrase, second.span)
        np.testing.assert_array_equal(np.asarray(first.masks), np.asarray(second.masks))
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)
    return len(one.segments)


def test_a_conversation_is_what_is_asked_at_once(session: Session) -> None:
    video, objects = clip(5), 0
    talk = session.converse(video)
    generation = Generation(max_new_tokens=10)
    for text in ("Where is it?", "And the other one?", "Why?"):
        request = ask(*(turn.text for turn in talk.turns), text, media=video, generation=generation)
        objects += assert_equal(talk.ask(text, generation=generation), session.ask(request))
    assert objects


def test_regions_of_later_turns_stay_where_they_were_shown(session: Session) -> None:
    """The first turn's on the first frame, the second's on another one, which joins those that are seen."""
    video, prompts = clip(6), (shown(0, 2), shown(3, 18))
    talk, generation = session.converse(video), Generation(max_new_tokens=6)
    texts = ("What is region1?", "And what is region2 beside region1?", "Where is region2?")
    shown_in = (prompts[:1], prompts[1:], ())
    for turn, (text, own) in enumerate(zip(texts, shown_in, strict=True)):
        so_far = prompts[: min(turn + 1, 2)]
        request = ask(*(said.text for said in talk.turns), text, media=video, prompts=so_far, generation=generation)
        assert_equal(talk.ask(text, own, generation), session.ask(request))
    assert talk.prompts == prompts


def test_a_batch_is_what_is_asked_alone(session: Session) -> None:
    requests = batch_requests()
    together = session.batch(requests)
    assert sum(assert_equal(one, session.ask(request)) for one, request in zip(together, requests, strict=True))

"""The adapter for lmms-eval: its messages, and its model class over a stand-in for its two classes and over itself."""

from __future__ import annotations

import abc
import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.apps.chat_benchmarks import manifest
from word2mask.apps.chat_benchmarks.messages import cut, to_request
from word2mask.data.fixtures import write_frames
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.export.folder import save_hf
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Result

HAS_LMMS_EVAL = importlib.util.find_spec("lmms_eval") is not None


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def user(*content: dict) -> dict:
    return {"role": "user", "content": list(content)}


PICTURE = {"type": "image", "url": Image.new("RGBA", (6, 4), (200, 0, 0, 255))}


def test_a_question_about_a_picture():
    messages = [
        {"role": "system", "content": [text("Be brief.")]},
        user(PICTURE, text("What is it?"), text("A. a cat ")),
    ]
    request = to_request(messages, 16, "mme[3]")
    assert [(turn.role, turn.text) for turn in request.turns] == [("user", "Be brief.\nWhat is it?\nA. a cat")]
    assert (request.media.kind, request.media.frames.shape, request.max_new_tokens) == ("image", (1, 4, 6, 3), 16)
    assert request.media.frames[0, 0, 0].tolist() == [200, 0, 0]


def test_videos_and_earlier_turns(tmp_path):
    write_frames(tmp_path / "clip", (8, 12), [{"red": (0, 0, 4, 4)}] * 3)
    on_disk = {"type": "video", "url": str(tmp_path / "clip"), "start_time": None, "end_time": None}
    messages = [user(on_disk, text("Where?")), {"role": "assistant", "content": [text("Left.")]}, user(text("Sure?"))]
    request = to_request(messages, 8, "videomme[0]")
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"]
    assert isinstance(request.media, VideoFile)
    assert len(request.media) == 3
    frames = {"type": "video", "url": [Image.new("RGB", (6, 4))] * 5}
    assert to_request([user(frames, text("?"))], 8, "x[0]").media.frames.shape == (5, 4, 6, 3)
    assert to_request([user(text("Hello?"))], 8, "x[0]").media is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([PICTURE, PICTURE], r"mme\[3\]: 2 pictures or videos in one conversation; word2mask looks at one"),
        ([{"type": "audio", "url": "a.wav"}], r"mme\[3\]: a message holds audio"),
        ([{"type": "video", "url": "a.mp4", "start_time": 2.0}], "a part of a video is asked about"),
        ([{"type": "image", "url": "/nowhere/a.jpg"}], "no such"),
        ([{"type": "image", "url": 7}], r"image is given as int; expected a path or a PIL picture"),
        ([{"type": "video", "url": [Image.new("RGB", (6, 4)), Image.new("RGB", (4, 4))]}], "of several sizes"),
    ],
)
def test_messages_that_it_does_not_take(content, message):
    with pytest.raises(UserError, match=message):
        to_request([user(*content, text("?"))], 8, "mme[3]")


@pytest.mark.parametrize(
    ("answer", "until", "expected"),
    [("A\n\nBecause", ["\n\n"], "A"), ("A, B", ["; ", ","], "A"), (" A ", None, "A"), ("A", "A", ""), ("A", [""], "A")],
)
def test_answers_end_where_a_task_says(answer, until, expected):
    assert cut(answer, until) == expected


@dataclass
class StandInInstance:
    request_type: str
    arguments: tuple
    idx: int
    metadata: dict = field(default_factory=dict)

    @property
    def args(self) -> tuple:
        return self.arguments


class StandInModel(abc.ABC):
    """What lmms-eval 0.7.3 has in ``lmms_eval.api.model.lmms``, as far as a model is concerned."""

    is_simple = True

    def __init__(self) -> None:
        self._rank, self._world_size, self.task_dict = 0, 1, {}

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...

    @property
    def rank(self) -> int:
        return self._rank


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param(
            "lmms-eval",
            marks=[pytest.mark.reference, pytest.mark.skipif(not HAS_LMMS_EVAL, reason="lmms-eval isn't installed")],
        ),
    ]
)
def library(request, monkeypatch):
    """``(model class, Instance)``, over lmms-eval or over a stand-in for it."""
    name = "word2mask.apps.chat_benchmarks.model"
    if request.param == "stand-in":
        for module, members in (("model", {"lmms": StandInModel}), ("instance", {"Instance": StandInInstance})):
            stand_in = ModuleType(f"lmms_eval.api.{module}")
            vars(stand_in).update(members)
            monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
        for package in ("lmms_eval", "lmms_eval.api"):
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    yield module.Word2Mask, importlib.import_module("lmms_eval.api.instance").Instance
    sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("exported") / "hf"
    save_hf(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).eval(), path)
    return path


def instances(kind, count: int, **settings) -> list:
    """As lmms-eval's ``ConfigurableMessagesTask.construct_requests`` makes them."""
    return [
        kind(
            request_type="generate_until",
            arguments=("context", lambda doc: doc, {"max_new_tokens": 4, **settings}, number, "toy", "test"),
            idx=0,
            metadata={"task": "toy", "doc_id": number, "repeats": 1},
        )
        for number in range(count)
    ]


def documents() -> dict:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)) for _ in range(5)]
    words = ("What is it?", "Why?", "How many of them are there, and where?", "A or B?", "Which one is the largest?")
    asked = [
        [user({"type": "image", "url": picture}, text(question))]
        for picture, question in zip(pictures, words, strict=True)
    ]
    return {"toy": {"test": asked}}


def test_it_answers_as_a_session_does(library, folder):
    model_class, instance = library
    assert model_class.is_simple is False
    model = model_class(str(folder), device="cpu", batch_size="2", max_batch_size=64)
    model.task_dict = documents()
    assert (model.device.type, model.rank, model.batch_size) == ("cpu", 0, 2)
    answers = model.generate_until(instances(instance, 5))
    session = Session.from_pretrained(folder)
    requests = [to_request(doc, 4, "toy") for doc in documents()["toy"]["test"]]
    assert answers == [session.ask(request).text.strip() for request in requests]


def test_answers_keep_their_order(library, folder, monkeypatch):
    model_class, instance = library
    model = model_class(str(folder), device="cpu", batch_size=2)
    model.task_dict = documents()
    asked = []

    def answer(requests):
        asked.append(len(requests))
        return [Result(request.turns[-1].text, "", [], None, 0) for request in requests]

    monkeypatch.setattr(model.session, "batch", answer)
    words = [doc[0]["content"][1]["text"] for doc in documents()["toy"]["test"]]
    assert model.generate_until(instances(instance, 5)) == words
    assert asked == [2, 2, 1]


def test_a_request_that_fails(library, folder, monkeypatch, caplog):
    model_class, instance = library
    broken = documents()
    broken["toy"]["test"][1] = [user(PICTURE, PICTURE, text("Which?"))]

    def answer(requests):
        if any(request.media.frames.shape[1:3] == (1, 1) for request in requests):
            raise RuntimeError("out of memory")
        return [Result("yes\nno", "yes", [], None, 0) for _ in requests]

    broken["toy"]["test"][3] = [user({"type": "image", "url": Image.new("RGB", (1, 1))}, text("Which?"))]
    model = model_class(str(folder), device="cpu", batch_size=4, on_failure="empty")
    model.task_dict = broken
    monkeypatch.setattr(model.session, "batch", answer)
    assert model.generate_until(instances(instance, 5, until=["\n"])) == ["yes", "", "yes", "", "yes"]
    assert "2 requests counted as empty answers: toy[1]: 2 pictures or videos" in caplog.text
    assert "toy[3]: out of memory" in caplog.text
    strict = model_class(str(folder), device="cpu")
    strict.task_dict = broken
    with pytest.raises(UserError, match=r"toy\[1\]: 2 pictures .* \(on_failure=empty goes on without it\)"):
        strict.generate_until(instances(instance, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype is fp32 or bf16 or fp16, got 'int8'"),
        ({"batch_size": "auto"}, "batch_size must be 1 or more, got 'auto'"),
        ({"on_failure": "skip"}, "on_failure is raise or empty, got 'skip'"),
        ({"pretrained": "nowhere"}, "nowhere"),
    ],
)
def test_bad_settings(library, folder, options, message):
    model_class, _ = library
    with pytest.raises(UserError, match=message):
        model_class(**{"pretrained": str(folder), "device": "cpu", **options})


def test_what_it_does_not_offer(library, folder):
    model_class, _ = library
    model = model_class(str(folder), device="cpu")
    for method in (model.loglikelihood, model.generate_until_multi_round):
        with pytest.raises(NotImplementedError, match="choose a task of the kind generate_until"):
            method([])


@pytest.mark.reference
@pytest.mark.skipif(not HAS_LMMS_EVAL, reason="lmms-eval isn't installed")
def test_lmms_eval_finds_and_builds_it(folder):
    from lmms_eval.models.registry_v2 import ModelRegistryV2
    from lmms_eval.protocol import ChatMessages

    registry = ModelRegistryV2()
    for one in registry._coerce_payload_to_manifests(manifest):
        registry.register_manifest(one)
    model_class = registry.get_model_class("word2mask")
    settings = {"batch_size": 1, "max_batch_size": None, "device": "cpu"}
    model = model_class.create_from_arg_string(f"pretrained={folder},key_frames=3", settings)
    assert model.session.key_frames == 3
    model.task_dict = documents()
    # What a task gives is what its own message classes take.
    ChatMessages(messages=model.task_dict["toy"]["test"][0])
    model.clean()

"""A model in this process: what it is given, what it costs, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from jsonschema import Draft202012Validator

from word2mask.annotate.answers import SCHEMAS
from word2mask.annotate.client import Refused, user_message
from word2mask.annotate.limits import TokenBudget
from word2mask.annotate.local_model import LocalModel
from word2mask.annotate.settings import Endpoint
from word2mask.errors import UserError

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A language model of random weights over single bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, eos_token="<end>")
    saved.save_pretrained(tmp_path)
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    # Rows to spare, as many models have.
    LlamaForCausalLM(LlamaConfig(vocab_size=264, eos_token_id=256, **sizes)).save_pretrained(tmp_path)
    return tmp_path


def test_an_answer_and_its_tokens(folder: Path) -> None:
    budget = TokenBudget(None)
    model = LocalModel(Endpoint(f"local:{folder}", ""), budget)
    generation = {"max_tokens": 5, "temperature": 0.0, "seed": 0}
    found = asyncio.run(model.complete([user_message("Hi")], generation, None))
    # "<user>Hi<a>" is 11 bytes.
    assert (found.prompt_tokens, found.completion_tokens) == (11, 5)
    assert (budget.prompt_tokens, budget.completion_tokens) == (11, 5)
    assert asyncio.run(model.complete([user_message("Hi")], generation, None)) == found
    assert model.name.startswith(f"{folder.name}@")
    with pytest.raises(Refused, match="doesn't see pictures"):
        asyncio.run(model.complete([user_message("Hi", ["data:image/jpeg;base64,"])], generation, None))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_answer_follows_its_schema(folder: Path, name: str) -> None:
    """Of a model that knows nothing, whatever it draws and however little room it has."""
    pytest.importorskip("llguidance", reason="answers are held to schemas by llguidance (extra annotate)")
    model = LocalModel(Endpoint(f"local:{folder}", ""), TokenBudget(None))
    assert model.identity == [model.name, "schema"]
    texts = set()
    for seed in range(16):
        # Temperatures under which it repeats one letter for ever, and under which it draws any.
        generation = {"max_tokens": (120, 200)[seed % 2], "temperature": (0.0, 0.05, 1.0, 4.0)[seed % 4], "seed": seed}
        found = asyncio.run(model.complete([user_message("Hi")], generation, SCHEMAS[name]))
        content = json.loads(found.text)
        Draft202012Validator(SCHEMAS[name]).validate(content)
        assert list(content) == list(SCHEMAS[name]["properties"])
        assert found.completion_tokens <= generation["max_tokens"]
        texts.add(found.text)
    assert len(texts) > 4


def test_every_text_gets_its_share(folder: Path) -> None:
    """One that goes on for ever leaves room for the others."""
    pytest.importorskip("llguidance", reason="answers are held to schemas by llguidance (extra annotate)")
    model = LocalModel(Endpoint(f"local:{folder}", ""), TokenBudget(None))
    generation = {"max_tokens": 400, "temperature": 0.0, "seed": 0}
    # One letter is always the likeliest.
    model._model.lm_head = torch.nn.Linear(16, 264)
    with torch.no_grad():
        model._model.lm_head.weight.zero_()
        model._model.lm_head.bias.zero_()[model._processor.convert_tokens_to_ids("a")] = 1
    found = asyncio.run(model.complete([user_message("Hi")], generation, SCHEMAS["video"]))
    content = json.loads(found.text)
    assert set(content["description"]) == set(content["short"]) == {"a"}
    # 400 tokens without {"description": "x", "short": "x"} and what closing may take.
    assert len(content["description"]) == pytest.approx(175, abs=10)
    assert len(content["short"]) == pytest.approx(175, abs=20)


def test_too_little_room_for_any_answer_is_said(folder: Path) -> None:
    pytest.importorskip("llguidance", reason="answers are held to schemas by llguidance (extra annotate)")
    model = LocalModel(Endpoint(f"local:{folder}", ""), TokenBudget(None))
    with pytest.raises(UserError, match="max_tokens is 40, and an answer of description, short may take"):
        asyncio.run(
            model.complete([user_message("Hi")], {"max_tokens": 40, "temperature": 0.0, "seed": 0}, SCHEMAS["video"])
        )


@pytest.mark.parametrize("case", ["not installed", "no end", "not asked for"])
def test_where_answers_cannot_be_held_it_is_said(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if case == "not installed":
        monkeypatch.setitem(sys.modules, "llguidance", None)
        monkeypatch.setitem(sys.modules, "llguidance.hf", None)
    elif case == "no end":
        for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
            content = json.loads((folder / file).read_text())
            content.pop("eos_token_id", None), content.pop("eos_token", None)
            (folder / file).write_text(json.dumps(content | ({"eos_token_id": None} if file == "config.json" else {})))
    structure = "none" if case == "not asked for" else "schema"
    model = LocalModel(Endpoint(f"local:{folder}", "", structure=structure), TokenBudget(None))
    assert model.identity == [model.name, "none"]
    expected = {
        "not installed": ["llguidance isn't installed; pip install -e '.[annotate]'"],
        "no end": ["no token ends an answer"],
        "not asked for": [],
    }[case]
    warnings = [record.message for record in caplog.records if "held to their schema" in record.message]
    assert len(warnings) == len(expected) and all(part in line for part, line in zip(expected, warnings, strict=True))
    found = asyncio.run(
        model.complete([user_message("Hi")], {"max_tokens": 5, "temperature": 0.0, "seed": 0}, SCHEMAS["video"])
    )
    assert found.completion_tokens == 5  # it writes as it likes


def test_a_whole_run_with_a_model_of_this_process(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, start_service: Callable, make_sav: Callable
) -> None:
    """The captions are scripted; a model of random weights compares them, and no answer of it is off its form."""
    pytest.importorskip("llguidance", reason="answers are held to schemas by llguidance (extra annotate)")
    from word2mask.annotate.engines.local import run_local
    from word2mask.annotate.settings import Limits, Settings
    from word2mask.annotate.store import Store

    place, service = tmp_path_factory.mktemp("run"), start_service()
    settings = Settings(
        Endpoint(service.url, "script"),
        Endpoint(f"local:{folder}", ""),
        Limits(concurrency=4),
        frames=3,
        max_tokens=160,
        temperature=1.0,
    )
    records = run_local(make_sav(place, 4), place, settings, Store(place / "store"))
    objects = [found for record in records for found in record.objects]
    assert sum("compare" in found.usage for found in objects) >= 4
    for found in objects:
        # An empty text where one is needed is the model's own fault, and no matter of form.
        assert found.status != "failed" or found.detail.endswith("is empty"), found.detail


def test_what_is_no_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="give a folder that transformers wrote"):
        LocalModel(Endpoint(f"local:{tmp_path / 'absent'}", ""), TokenBudget(None))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        LocalModel(Endpoint(f"local:{folder}", ""), TokenBudget(None))

"""A model in this process: what it is given, what it costs, and what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

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
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE).save_pretrained(tmp_path)
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(LlamaConfig(vocab_size=256, eos_token_id=None, **sizes)).save_pretrained(tmp_path)
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


def test_what_is_no_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="give a folder that transformers wrote"):
        LocalModel(Endpoint(f"local:{tmp_path / 'absent'}", ""), TokenBudget(None))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        LocalModel(Endpoint(f"local:{folder}", ""), TokenBudget(None))

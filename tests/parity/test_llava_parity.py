"""Conversations as LLaVA's own code encodes them (haotian-liu/LLaVA at c121f04; ``make_llava.py`` ran it)."""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path

import pytest

from word2mask.mllms.llava_processor import CONTEXT
from word2mask.text.conversation import encode_conversation
from word2mask.text.templates import chat_template
from word2mask.types import Turn

sys.path.insert(0, str(Path(__file__).parent))
from llava_cases import CONVERSATIONS, PICTURE, llama_tokenizer

EXPECTED = json.loads((Path(__file__).parent / "llava_ids.json").read_text())


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", EXPECTED)
def test_ids(template, conversation):
    tokenizer = llama_tokenizer()
    tokenizer.add_tokens([CONTEXT], special_tokens=True)
    context = tokenizer.convert_tokens_to_ids(CONTEXT)
    turns = [Turn("assistant" if index % 2 else "user", text) for index, text in enumerate(CONVERSATIONS[conversation])]
    encoded = encode_conversation(turns, tokenizer, chat_template(template), CONTEXT * 5)
    runs = [(token, len(list(run))) for token, run in groupby(encoded.input_ids.tolist())]
    assert [length for token, length in runs if token == context] == [5]
    ids = [token for run, length in runs for token in ([PICTURE] if run == context else [run] * length)]
    assert ids == EXPECTED[template][conversation]


def test_answers_end_where_labels_end():
    """What an answer is trained on decodes to the answer and its stop."""
    tokenizer = llama_tokenizer()
    turns = [Turn("user", "Hi."), Turn("assistant", "Yes: it is.")]
    encoded = encode_conversation(turns, tokenizer, chat_template("vicuna_v1"))
    answer = encoded.labels[encoded.labels != -100]
    assert tokenizer.decode(answer) == "Yes: it is.</s>"

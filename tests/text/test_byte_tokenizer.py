"""Byte-level tokenizers."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from word2mask.text.byte_tokenizer import STRUCTURE_TOKENS, byte_tokenizer
from word2mask.text.special_tokens import SPECIAL_TOKENS


@pytest.fixture(scope="module")
def trained():
    return byte_tokenizer(["the red circle is at [[12, 34, 5, 99]]", "the blue star"] * 20, 300)


@pytest.mark.parametrize(
    "text", ["the red circle", "Où est l'étoile ★?", "漢字\n\n\tЖ  \U0001f600", "", "[[1, 22, 333, 4]]"]
)
def test_any_text_round_trips(trained, text):
    assert trained.decode(trained.encode(text)) == text
    assert byte_tokenizer().decode(byte_tokenizer().encode(text)) == text


def test_a_coordinate_is_one_token(trained):
    assert len(trained.encode("12")) == 1
    assert trained.convert_ids_to_tokens(trained.encode("[[12, 34]]")) == ["[[", "12", ",Ġ", "34", "]]"]


def test_structure_is_there_and_grounding_is_not(trained):
    vocabulary = trained.get_vocab()
    assert all(token in vocabulary for token in STRUCTURE_TOKENS)
    assert not any(token in vocabulary for token in SPECIAL_TOKENS)
    assert (trained.eos_token, trained.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_saved_and_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>user\nthe red circle at [[12, 34]] ★<|im_end|>"
    assert again.encode(text) == trained.encode(text)

"""SentencePiece models without sentencepiece: the same ids and texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from word2mask.errors import UserError
from word2mask.text.sentencepiece_model import byte_pair_tokenizer, read_sentencepiece

PARITY = Path(__file__).resolve().parents[1] / "parity"
EXPECTED = json.loads((PARITY / "sentencepiece.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["plain", "prefixed"])
def test_ids_and_texts_are_sentencepieces(name):
    model = read_sentencepiece(PARITY / f"sentencepiece_{name}.model")
    assert model.add_dummy_prefix == (name == "prefixed")
    assert model.pieces[:3] == (("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3))
    tokenizer = byte_pair_tokenizer(model)
    for text, ids, back in zip(EXPECTED["inputs"], EXPECTED[name]["ids"], EXPECTED[name]["texts"], strict=True):
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids, text
        assert tokenizer.decode(ids, skip_special_tokens=False) == back


def test_a_piece_that_is_called_something_else():
    model = read_sentencepiece(PARITY / "sentencepiece_plain.model")
    index = next(i for i, (piece, _, _) in enumerate(model.pieces) if piece == "[UNUSED_TOKEN_3]")
    tokenizer = byte_pair_tokenizer(model, {index: "<|im_end|>"})
    assert tokenizer.token_to_id("<|im_end|>") == index and tokenizer.token_to_id("[UNUSED_TOKEN_3]") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "it ends too early"),
        (lambda content: b"\x0b" + content, "a field of kind 3"),
        (lambda content: content + b"\x12\x02\x18\x01", "model_type is 1, and only 2"),
        (lambda content: content + b"\x1a\x02\x20\x01", "remove_extra_whitespaces is 1, and only 0"),
        (lambda content: content + b"\x1a\x03\x12\x01x", "size of precompiled_charsmap is 1, and only 0"),
        (lambda content: content + b"\x1a\x02\x18\x01", "user-defined symbols together with add_dummy_prefix"),
    ],
)
def test_models_of_other_kinds(tmp_path, change, message):
    """Fields of a message that are there twice: the last counts."""
    file = tmp_path / "tokenizer.model"
    file.write_bytes(change((PARITY / "sentencepiece_plain.model").read_bytes()))
    with pytest.raises(UserError, match=message):
        read_sentencepiece(file)

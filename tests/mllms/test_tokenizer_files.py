"""Tokenizers from folders of every kind, without running what lies beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from word2mask.errors import UserError
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.conversation import plain_ids

PARITY = Path(__file__).resolve().parents[1] / "parity"


def token(content: str, special: bool = True) -> dict:
    settings = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"content": content, "special": special, **settings}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the published folders with InternLM2 have it: pieces of no use are called something else, tokens are added."""
    shutil.copyfile(PARITY / "sentencepiece_plain.model", tmp_path / "tokenizer.model")
    added = {0: "<unk>", 1: "<s>", 2: "</s>", 3: "<|im_end|>", 4: "<|im_start|>", 420: "<IMG_CONTEXT>", 421: "[SEG]"}
    config = {
        "tokenizer_class": "InternLM2Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "added_tokens_decoder": {str(index): token(content) for index, content in added.items()},
        "bos_token": "<s>",
        "eos_token": token("</s>"),
        "model_max_length": 8192,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_internlm2_without_its_code(folder):
    tokenizer = read_tokenizer(folder)
    expected = json.loads((PARITY / "sentencepiece.json").read_text(encoding="utf-8"))
    for text, ids in zip(expected["inputs"][1:5], expected["plain"]["ids"][1:5], strict=True):
        assert tokenizer.encode(text, add_special_tokens=False) == ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode("<|im_start|>the[SEG]<|im_end|>\n", add_special_tokens=False)[0] == 4
    assert tokenizer.encode("the[SEG]") == [1, *tokenizer.encode("the", add_special_tokens=False), 421]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (1, 2, 2, 422)
    assert "[SEG]" in tokenizer.get_added_vocab() and 421 not in plain_ids("[SEG]", tokenizer)


def test_internlm2_written_and_read_again(folder, tmp_path_factory):
    tokenizer, target = read_tokenizer(folder), tmp_path_factory.mktemp("again")
    tokenizer.save_pretrained(target)
    again = read_tokenizer(target)
    text = "the red  circle[SEG]<|im_end|>\n"
    assert again.encode(text) == tokenizer.encode(text) and again.get_vocab() == tokenizer.get_vocab()


def test_added_tokens_that_do_not_follow_the_pieces(folder):
    (folder / "added_tokens.json").write_text(json.dumps({"<vp>": 430}))
    with pytest.raises(UserError, match="the added token <vp> should have the id 430, but 422 is next"):
        read_tokenizer(folder)


def test_beside_code_the_class_is_looked_up_by_name(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "sa2va_chat", "auto_map": {"AutoConfig": "nowhere.Nothing"}}')
    assert read_tokenizer(tmp_path).get_vocab() == byte_tokenizer().get_vocab()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "NoTokenizer"}))
    with pytest.raises(UserError, match="tokenizer_class 'NoTokenizer' is unknown"):
        read_tokenizer(tmp_path)


def test_no_tokenizer(tmp_path):
    with pytest.raises(UserError, match="its tokenizer can't be read"):
        read_tokenizer(tmp_path)

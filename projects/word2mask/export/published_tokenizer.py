"""A tokenizer in the files that transformers 4 reads, with which the published Sa2VA code runs.

transformers 5 names classes and settings that release 4 doesn't know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["save_tokenizer"]

#: Classes of transformers 5 that release 4 has under the same name, with vocabulary and merges in files of their own.
_BYTE_PAIR = ("Qwen2Tokenizer",)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Writes ``tokenizer.json``, ``tokenizer_config.json`` and, for the slow class, vocabulary and merges.

    Args:
        tokenizer: one of transformers' that is backed by the library tokenizers.
        folder: where to.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(backend, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    name = type(tokenizer).__name__
    is_byte_pair = name in _BYTE_PAIR and backend["model"]["type"] == "BPE"
    added = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        for token in backend["added_tokens"]
    }
    named = {kind: getattr(tokenizer, kind) for kind in ("bos_token", "eos_token", "pad_token", "unk_token")}
    special = [token["content"] for token in added.values() if token["special"]]
    config = {
        **named,
        "tokenizer_class": name if is_byte_pair else "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "additional_special_tokens": [token for token in special if token not in named.values()],
        "clean_up_tokenization_spaces": False,
        "model_max_length": tokenizer.model_max_length,
        "split_special_tokens": False,
    }
    if is_byte_pair:
        vocabulary = backend["model"]["vocab"]
        _write(folder / "vocab.json", vocabulary)
        later = {token["content"]: int(index) for index, token in added.items() if token["content"] not in vocabulary}
        _write(folder / "added_tokens.json", later)
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in backend["model"]["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
        config |= {"add_prefix_space": False, "errors": "replace"}
    _write(folder / "tokenizer_config.json", config)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

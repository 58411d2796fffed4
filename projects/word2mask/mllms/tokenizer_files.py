"""A tokenizer from a folder, whatever wrote it; no code of the folder runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from word2mask.errors import UserError
from word2mask.text.sentencepiece_model import byte_pair_tokenizer, read_sentencepiece

#: Classes that lie as code beside InternLM2, and the special tokens that they have unless the folder says otherwise.
_INTERNLM2 = ("InternLM2Tokenizer", "InternLM2TokenizerFast")
_INTERNLM2_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}


def read_tokenizer(folder: str | Path) -> Any:
    """The folder's tokenizer.

    Where code lies beside it (``auto_map``), ``AutoTokenizer`` would ask whether to run it; there the tokenizer's class
    is looked up by name in transformers and nowhere else.

    Raises:
        UserError: none is there, or of a kind that is unknown.
    """
    folder = Path(folder)
    try:
        config, model_config = (_read(folder / name) for name in ("tokenizer_config.json", "config.json"))
        name = config.get("tokenizer_class") or "PreTrainedTokenizerFast"
        if name in _INTERNLM2 and not (folder / "tokenizer.json").is_file():
            return _internlm2_tokenizer(folder, config)
        if name in _INTERNLM2:
            return transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        if "auto_map" not in config and "auto_map" not in model_config:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        known = getattr(transformers, name, None)
        if known is None:
            raise UserError(f"{folder / 'tokenizer_config.json'}: tokenizer_class {name!r} is unknown to transformers")
        return known.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: its tokenizer can't be read ({error}); download or export the model again"
        ) from None


def _internlm2_tokenizer(folder: Path, config: dict[str, Any]) -> Any:
    """InternLM2's own tokenizer class, from the SentencePiece model that it reads.

    Tokens that are added, or that take the place of a piece, are those of ``tokenizer_config.json``; older folders have
    the former in ``added_tokens.json``.
    """
    tokens = {int(index): token for index, token in config.get("added_tokens_decoder", {}).items()}
    for content, index in _read(folder / "added_tokens.json").items():
        tokens.setdefault(index, {"content": content, "special": True})
    model = read_sentencepiece(folder / "tokenizer.model")
    backend = byte_pair_tokenizer(model, {index: token["content"] for index, token in tokens.items()})
    for index in sorted(tokens):
        settings = {key: bool(value) for key, value in tokens[index].items() if key not in ("content", "__type")}
        token = AddedToken(tokens[index]["content"], **{"normalized": False, "special": True} | settings)
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        if backend.token_to_id(token.content) != index:
            raise UserError(
                f"{folder}: the added token {token.content} should have the id {index}, but "
                f"{backend.token_to_id(token.content)} is next; get the tokenizer's files again"
            )
    named = {
        kind: token["content"] if isinstance(token, dict) else token
        for kind, default in _INTERNLM2_NAMES.items()
        if (token := config.get(kind, default)) is not None
    }
    if config.get("add_bos_token", True):
        bos = named["bos_token"]
        backend.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=False,
        padding_side="right",
        model_max_length=config.get("model_max_length"),
        **named,
    )


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}

"""A tokenizer from a folder, whatever wrote it; no code of the folder runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoTokenizer

from word2mask.errors import UserError


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
        if "auto_map" not in config and "auto_map" not in model_config:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        name = config.get("tokenizer_class") or "PreTrainedTokenizerFast"
        known = getattr(transformers, name, None)
        if known is None:
            raise UserError(f"{folder / 'tokenizer_config.json'}: tokenizer_class {name!r} is unknown to transformers")
        return known.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: its tokenizer can't be read ({error}); download or export the model again"
        ) from None


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}

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

    Raises:
        UserError: none is there, or of a kind that is unknown.
    """
    folder = Path(folder)
    file = folder / "tokenizer_config.json"
    try:
        config = json.loads(file.read_text()) if file.is_file() else {}
        if "auto_map" not in config:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # Beside such a tokenizer lies code, which AutoTokenizer would ask about; the class alone is looked at.
        known = getattr(transformers, config.get("tokenizer_class") or "", None)
        if known is None:
            raise UserError(f"{file}: tokenizer_class {config.get('tokenizer_class')!r} is unknown to transformers")
        return known.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: its tokenizer can't be read ({error}); download or export the model again"
        ) from None

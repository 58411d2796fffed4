"""Starts the web page in a Hugging Face Space."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "projects"))


def model_folder() -> str:
    """The model's folder: beside this file, or fetched from the hub by its name."""
    name = os.environ.get("WORD2MASK_MODEL", str(HERE / "model"))
    if Path(name).is_dir() or name.startswith(("/", ".")):
        return name
    from huggingface_hub import snapshot_download

    # Weights, configuration and tokenizer; no code, which nothing here would run anyway.
    return snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"])


def main() -> int:
    """The page, at the address that the Space shows."""
    from word2mask.apps.web.command import main as open_page

    device = os.environ.get("WORD2MASK_DEVICE", "cpu")
    return open_page([model_folder(), "--host", "0.0.0.0", "--port", "7860", "--device", device])


if __name__ == "__main__":
    sys.exit(main())

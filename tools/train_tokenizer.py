"""Train the tokenizer of the small base MLLM on the shapes world's own language.

python tools/train_tokenizer.py --out pretrained/internvl_shapes [--vocab-size 1200] [--lines 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects"))

import numpy as np

from word2mask.data.shapes_world.base_talk import base_lines
from word2mask.data.shapes_world.language import corpus
from word2mask.errors import UserError
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.questions import wordings


def train(vocab_size: int, num_lines: int, seed: int) -> object:
    """A tokenizer for everything that the shapes world says and is asked."""
    rng = np.random.default_rng(seed)
    words = [*wordings(), "user", "assistant", "system"]
    lines = corpus(rng, num_lines) + base_lines(rng, num_lines // 4) + words * 20
    return byte_tokenizer(lines, vocab_size)


def main(arguments: list[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(description="Train the tokenizer of the small base MLLM.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the tokenizer's files to")
    parser.add_argument("--vocab-size", type=int, default=1200)
    parser.add_argument("--lines", type=int, default=20000, help="lines of text to learn from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.out.exists() and not options.out.is_dir():
            raise UserError(f"--out {options.out} is a file; give a folder")
        tokenizer = train(options.vocab_size, options.lines, options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(options.out)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.getLogger("train_tokenizer").info("%d tokens, written to %s", len(tokenizer), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes ``sentencepiece.model`` and ``sentencepiece.json``: a small model, and what sentencepiece makes of some texts.

    python tests/parity/make_sentencepiece.py

It was run with sentencepiece 0.2.1.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece

HERE = Path(__file__).resolve().parent
CORPUS = (
    "Please segment the red circle in this image.",
    "Sure, it is the dog on the left; the dog runs.",
    "What is  in the picture?  Two people and a house, near 2024 cars.",
    "    def f(x): return x + 1",
    "请把图中的红色圆圈分割出来。好的，这是一只狗。",
)
TEXTS = (
    "",
    "Please segment the dog.",
    "  two  spaces and a tab\tand\nlines\n\n",
    "the red circle, 17 of them; naïve café",
    "请分割红色的狗 and 🐕",
    "[UNUSED_TOKEN_3]the[UNUSED_TOKEN_30]",
    "</s><s> <unk> ▁under",
)


def main() -> None:
    """Train, and encode."""
    found = {}
    for name, prefix in (("plain", False), ("prefixed", True)):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 4),
            model_writer=model,
            model_type="bpe",
            vocab_size=420,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=prefix,
            user_defined_symbols=[] if prefix else ["[UNUSED_TOKEN_3]", "[UNUSED_TOKEN_30]"],
        )
        (HERE / f"sentencepiece_{name}.model").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        ids = [processor.encode(text) for text in TEXTS]
        found[name] = {"ids": ids, "texts": [processor.decode(row) for row in ids]}
    content = {"made_by": f"sentencepiece {sentencepiece.__version__}", "inputs": TEXTS, **found}
    (HERE / "sentencepiece.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

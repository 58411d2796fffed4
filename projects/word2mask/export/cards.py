"""What goes with exported weights: the model card, and defaults of generation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers import GenerationConfig

from word2mask import __version__
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import parameter_rows

__all__ = ["model_card", "published_card", "write_generation_config"]

_USE = """```bash
python tools/infer.py THIS_FOLDER picture.jpg "Please segment the red circle." --out answer
```

```python
import word2mask
from transformers import AutoModel

model = AutoModel.from_pretrained("THIS_FOLDER")
answer = model.predict_forward(image=picture, text="Please segment the red circle.")
answer["prediction"], answer["prediction_masks"]  # words, and one bool [frames, height, width] for each [SEG]
```"""

_USE_PUBLISHED = """With word2mask, which runs no code of this folder:

```bash
python tools/infer.py THIS_FOLDER picture.jpg "Please segment the red circle." --out answer
```

```python
from word2mask.export.hf import Word2MaskModel

model = Word2MaskModel.from_pretrained("THIS_FOLDER")
answer = model.predict_forward(image=picture, text="<image>Please segment the red circle.")
```

With ByteDance's own code: weights and `config.json` are in the layout of the published Sa2VA folders, whose `.py` files
are not here. Copy them from a published folder of the same family next to `config.json`; then
`AutoModel.from_pretrained("THIS_FOLDER", trust_remote_code=True)` builds their class."""


def write_generation_config(model: GroundedMLLM, folder: Path) -> None:
    """Writes ``generation_config.json``: greedy, as the published models are asked."""
    tokenizer = model.mllm.tokenizer
    GenerationConfig(
        do_sample=False, max_new_tokens=256, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)


def model_card(model: GroundedMLLM, provenance: Mapping[str, str]) -> str:
    """The README of an exported model, in the Hub's format."""
    return _card(model, provenance, "word2mask", _USE)


def published_card(model: GroundedMLLM, provenance: Mapping[str, str]) -> str:
    """The README of a model exported in the published layout."""
    return _card(model, provenance, "transformers", _USE_PUBLISHED)


def _card(model: GroundedMLLM, provenance: Mapping[str, str], library: str, use: str) -> str:
    rows = parameter_rows(model)
    sizes = "\n".join(f"| {row.group} | {row.parameters:,} | {row.num_bytes / 1e6:,.1f} |" for row in rows)
    total = sum(row.parameters for row in rows)
    origin = "\n".join(f"* {key}: `{value}`" for key, value in provenance.items())
    return f"""---
library_name: {library}
pipeline_tag: image-text-to-text
license: apache-2.0
tags: [referring-segmentation, video-segmentation, grounded-captioning]
---

# A word2mask model

{type(model.mllm).__name__} whose `[SEG]` states prompt {type(model.segmenter).__name__}; {total:,} parameters.
It answers in words, and each `[SEG]` of its answer has a mask on every frame.

| part | parameters | MB |
|---|--:|--:|
{sizes}

## Use

{use}

## Where it comes from

* word2mask: `{__version__}`
{origin}

It knows what it was trained on and nothing else; expect nothing from it on other kinds of pictures.
"""

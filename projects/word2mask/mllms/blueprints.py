"""An MLLM without weights: its network on the meta device, as the folder or the published geometry describes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlavaConfig

from word2mask.errors import UserError
from word2mask.mllms import (
    internvl_layout,
    internvl_processor,
    llava_layout,
    llava_processor,
    qwen_processor,
    smolvlm_processor,
)
from word2mask.mllms.backbones import read_model_type
from word2mask.mllms.geometries import CLIP_VIT_L, GEOMETRIES
from word2mask.mllms.interface import MLLM
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.vocabulary import add_tokens

__all__ = ["VocabularyOnly", "blueprint", "has_tokenizer"]

#: Our settings, beside transformers' ``config.json``.
_SETTINGS_FILE = "mllm_settings.json"
#: What the families look up in their tokenizers.
_MEDIA_TOKENS = (
    internvl_processor.IMAGE_START,
    internvl_processor.IMAGE_END,
    internvl_processor.CONTEXT,
    qwen_processor.VISION_START,
    qwen_processor.VISION_END,
    qwen_processor.CONTEXT,
    qwen_processor.VIDEO_CONTEXT,
    llava_processor.CONTEXT,
    llava_processor.IMAGE_START,
    llava_processor.IMAGE_END,
    smolvlm_processor.MARK,
)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


class VocabularyOnly:
    """Stands in for a tokenizer that isn't on disk: so many tokens, whatever they are called.

    Args:
        size: number of tokens.
        added: those of them that have a name.
    """

    pad_token_id = eos_token_id = 0

    def __init__(self, size: int, added: tuple[str, ...]) -> None:
        self._size = size
        self._added = {token: size - len(added) + place for place, token in enumerate(added)}

    def __len__(self) -> int:
        return self._size

    def get_added_vocab(self) -> dict[str, int]:
        """Token → id of those with a name."""
        return dict(self._added)

    def convert_tokens_to_ids(self, token: str) -> int:
        """The id of a token with a name."""
        return self._added[token]

    def add_tokens(self, tokens: list[str], special_tokens: bool = False) -> int:
        """Name further tokens; how many are new."""
        new = [token for token in tokens if token not in self._added]
        for token in new:
            self._added[token] = self._size
            self._size += 1
        return len(new)


def has_tokenizer(folder: str | Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    return any((Path(folder) / name).is_file() for name in _TOKENIZER_FILES)


def blueprint(
    family: type[MLLM],
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "sdpa",
    gradient_checkpointing: bool = False,
    vision_tower: str | Path | None = None,
    **settings: Any,
) -> MLLM:
    """The MLLM that ``family.from_pretrained`` would read with these arguments, on the meta device.

    Its sizes are those of the folder's ``config.json``, or of the published model that the folder is named after. A
    tokenizer that isn't on disk is stood in for by its length.

    Raises:
        UserError: neither the folder nor its name says how large the model is, or a setting that the family lacks.
    """
    folder = Path(folder)
    geometry = GEOMETRIES.get(folder.name)
    if (folder / "config.json").is_file():
        config = _read_config(family, folder)
    elif geometry is None:
        raise UserError(
            f"{folder} isn't on disk, and no published model is called {folder.name!r}; "
            f"known are {', '.join(GEOMETRIES)}"
        )
    elif geometry.model_type != family.backbone.config_class.model_type:
        raise UserError(f"{folder.name} is of the family {geometry.model_type!r}, not {family.__name__}'s")
    else:
        config = family.backbone.config_class(**geometry.config)
    # Embeddings and head are apart from the start, as in training.
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
    if has_tokenizer(folder):
        tokenizer = read_tokenizer(folder)
    else:
        size = geometry.tokens if geometry else config.get_text_config().vocab_size
        tokenizer = VocabularyOnly(size, _MEDIA_TOKENS)
    saved = folder / _SETTINGS_FILE
    known = json.loads(saved.read_text()) if saved.is_file() else {}
    with torch.device("meta"):
        model = family.backbone(config).to(dtype)
        if settings.get("image_marks"):
            add_tokens(model, tokenizer, llava_processor.IMAGE_MARKS)
        try:
            mllm = family.assemble(model, tokenizer, {**known, **settings})
        except TypeError as error:
            raise UserError(f"{family.__name__} of {folder}: {error}") from None
    return mllm.checkpoint_gradients(gradient_checkpointing)


def _read_config(family: type[MLLM], folder: Path) -> Any:
    raw = json.loads((folder / "config.json").read_text())
    if internvl_layout.is_original(raw):
        return internvl_layout.transformers_config(raw, 0, str(folder / "config.json"))
    if llava_layout.is_original(raw):
        return _original_llava_config(raw)
    expected = family.backbone.config_class.model_type
    if read_model_type(folder) != expected:
        raise UserError(f"{folder / 'config.json'} is of model_type {raw.get('model_type')!r}, expected {expected!r}")
    return family.backbone.config_class.from_pretrained(folder, local_files_only=True)


def _original_llava_config(raw: dict[str, Any]) -> LlavaConfig:
    """Of LLaVA's own layout, whose CLIP is one of two, by its name."""
    text = {key: raw[key] for key in LlamaConfig().to_dict().keys() & raw.keys() if key != "model_type"}
    return LlavaConfig(
        vision_config=CLIP_VIT_L | {"image_size": 336 if "336" in raw.get("mm_vision_tower", "") else 224},
        text_config={**text, "model_type": "llama"},
        projector_hidden_act="gelu" if "mlp" in raw.get("mm_projector_type", "linear") else "linear",
    )

"""LLaVA-1.5 (arXiv:2310.03744) and LLaVA-1 over transformers' ``LlavaForConditionalGeneration``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.backbones import checked_attention, read_model_type, read_untied
from word2mask.mllms.internvl_processor import square_side
from word2mask.mllms.llava_layout import default_settings, is_original, read_original
from word2mask.mllms.llava_processor import CONTEXT, IMAGE_MARKS, LLaVAProcessor, LLaVASettings
from word2mask.mllms.squares import SETTINGS_FILE, SquaresMLLM
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.vocabulary import add_tokens
from word2mask.text.templates import chat_template


class LLaVA(SquaresMLLM):
    """LLaVA: CLIP's vision tower without its last layer and class token, a projector, Llama.

    Args:
        model: transformers' model.
        tokenizer: its tokenizer, which knows ``<image>``.
        settings: chat template, shape of pictures and length.
    """

    backbone: ClassVar[type] = LlavaForConditionalGeneration
    #: What ``config.json`` calls the family in transformers' layout.
    model_type: ClassVar[str] = "llava"

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: Any, settings: LLaVASettings) -> None:
        super().__init__()
        if settings.squaring not in ("pad", "crop"):
            raise UserError(f'squaring must be "pad" or "crop", got {settings.squaring!r}')
        self.model = model
        self.settings = settings
        known = tokenizer.get_added_vocab()
        needed = [CONTEXT, *IMAGE_MARKS] if settings.image_marks else [CONTEXT]
        lacking = [token for token in needed if token not in known]
        if lacking:
            raise UserError(f"the tokenizer lacks {', '.join(lacking)}; give the one that belongs to the LLaVA model")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
        side, patch = (square_side(getattr(model.config.vision_config, name)) for name in ("image_size", "patch_size"))
        self.processor = LLaVAProcessor(
            tokenizer=tokenizer,
            template=chat_template(settings.template),
            squaring=settings.squaring,
            image_marks=settings.image_marks,
            side=side,
            grid_side=side // patch,
        )
        self.hidden_size = model.config.text_config.hidden_size
        self.max_length = settings.max_length

    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → projected visual tokens ``[n,cells,D]``."""
        features = self.model.model.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output
        return torch.stack(list(features))

    # ------------------------------------------------------------ in and out

    @classmethod
    def assemble(cls, model: LlavaForConditionalGeneration, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere."""
        return cls(model, tokenizer, LLaVASettings(**settings))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        vision_tower: str | Path | None = None,
        **settings: Any,
    ) -> Self:
        """Reads a base model in transformers' layout (``…-hf``) or in LLaVA's own, or what we wrote.

        Args:
            folder: local folder with ``config.json``, weights and tokenizer.
            dtype: of the weights.
            attn_implementation: ``"sdpa"``, ``"eager"`` or ``"flash_attention_2"``.
            gradient_checkpointing: whether training computes the layers' activations twice instead of keeping them.
            vision_tower: the folder of CLIP, for LLaVA's own layout; ``None`` looks for the one that ``config.json``
                names, also beside ``folder``.
            **settings: replace those of :class:`LLaVASettings` that the folder has. ``image_marks=True`` adds the marks
                to a model that lacks them, as LISA does.

        Raises:
            UserError: the folder isn't there or holds something else.
        """
        folder = Path(folder)
        family = read_model_type(folder)
        raw = json.loads((folder / "config.json").read_text())
        if is_original(raw):
            tokenizer = read_tokenizer(folder)
            tower = None if vision_tower is None else Path(vision_tower)
            model = read_original(folder, raw, tokenizer, tower, dtype, checked_attention(attn_implementation))
            known = default_settings(raw)
        elif family == cls.model_type:
            tokenizer = read_tokenizer(folder)
            model = read_untied(cls.backbone, folder, dtype, attn_implementation)
            saved = folder / SETTINGS_FILE
            known = json.loads(saved.read_text()) if saved.is_file() else {}
        else:
            raise UserError(
                f"{folder / 'config.json'} is of model_type {family!r}, expected {cls.model_type!r} (or LLaVA's own "
                "layout, with mm_vision_tower)"
            )
        if settings.get("image_marks"):
            add_tokens(model, tokenizer, IMAGE_MARKS)
        mllm = cls(model, tokenizer, LLaVASettings(**{**known, **settings}))
        return mllm.checkpoint_gradients(gradient_checkpointing)

    @classmethod
    def tiny(cls) -> Self:
        """Random weights and a byte-level tokenizer without merges: for tests."""
        from word2mask.text.byte_tokenizer import byte_tokenizer

        tokenizer = byte_tokenizer()
        tokenizer.add_tokens([CONTEXT, "</s>"], special_tokens=True)
        config = LlavaConfig(
            vision_config={
                "model_type": "clip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "projection_dim": 32,
            },
            text_config={
                "model_type": "llama",
                "vocab_size": len(tokenizer),
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "max_position_embeddings": 2048,
                "tie_word_embeddings": False,
                "bos_token_id": None,
                "eos_token_id": tokenizer.convert_tokens_to_ids("</s>"),
                "pad_token_id": tokenizer.pad_token_id,
            },
            image_token_index=tokenizer.convert_tokens_to_ids(CONTEXT),
            image_seq_length=16,
            vision_feature_layer=-2,
            tie_word_embeddings=False,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = LlavaForConditionalGeneration(config)
        return cls(model.eval(), tokenizer, LLaVASettings(max_length=2048))

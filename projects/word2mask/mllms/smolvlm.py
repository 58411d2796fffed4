"""SmolVLM 1 and 2 (arXiv:2504.05299) over transformers' ``SmolVLMForConditionalGeneration``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.backbones import read_model_type, read_untied
from word2mask.mllms.internvl_processor import square_side
from word2mask.mllms.smolvlm_processor import (
    CONTEXT,
    LARGEST_EDGE,
    MARK,
    WHOLE,
    SmolVLMProcessor,
    SmolVLMSettings,
    read_picture_settings,
)
from word2mask.mllms.squares import SETTINGS_FILE, SquaresMLLM
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.text.templates import chat_template


class SmolVLM(SquaresMLLM):
    """SmolVLM: SigLIP, pixel shuffle with one linear layer, SmolLM2.

    The first SmolVLMs (256M and 500M among them) call themselves Idefics3, whose network is the same under the same
    names; they are read here too.

    Args:
        model: transformers' model.
        tokenizer: its tokenizer, which knows ``<fake_token_around_image>`` and ``<image>``.
        settings: chat template, sizes of pictures and length.
    """

    backbone: ClassVar[type] = SmolVLMForConditionalGeneration
    #: What ``config.json`` calls the family, and what it calls the same network of the first version.
    model_type: ClassVar[str] = "smolvlm"
    former_type: ClassVar[str] = "idefics3"

    def __init__(self, model: SmolVLMForConditionalGeneration, tokenizer: Any, settings: SmolVLMSettings) -> None:
        super().__init__()
        for name in ("longest_edge", "frame_edge"):
            if not 1 <= getattr(settings, name) <= LARGEST_EDGE:
                raise UserError(f"{name} must lie in 1…{LARGEST_EDGE} pixels, got {getattr(settings, name)}")
        lacking = [token for token in (MARK, CONTEXT) if token not in tokenizer.get_added_vocab()]
        if lacking:
            raise UserError(f"the tokenizer lacks {', '.join(lacking)}; give the one that belongs to the SmolVLM")
        self.model = model
        self.settings = settings
        side, patch = (square_side(getattr(model.config.vision_config, name)) for name in ("image_size", "patch_size"))
        if side // patch % model.config.scale_factor:
            raise UserError(
                f"{side // patch} patches a side don't fall into groups of {model.config.scale_factor}; image_size, "
                "patch_size and scale_factor of config.json don't fit"
            )
        self.processor = SmolVLMProcessor(
            tokenizer=tokenizer,
            template=chat_template(settings.template),
            settings=settings,
            side=side,
            grid_side=side // patch // model.config.scale_factor,
        )
        self.hidden_size = model.config.text_config.hidden_size
        self.max_length = settings.max_length

    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Tiles ``[n,3,S,S]`` → projected visual tokens ``[n,cells,D]``."""
        vision, connector = self.model.model.vision_model, self.model.model.connector
        return connector(vision(pixel_values=pixel_values.to(vision.dtype), return_dict=True).last_hidden_state)

    @property
    def language_model(self) -> nn.Module:
        """The language model without its head."""
        return self.model.model.text_model

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan speaks of."""
        return {
            "vision": self.model.model.vision_model,
            "connector": self.model.model.connector,
            "llm": self.language_model,
            "embeddings": self.model.get_input_embeddings(),
            "lm_head": self.model.lm_head,
        }

    # ------------------------------------------------------------ in and out

    @classmethod
    def assemble(cls, model: SmolVLMForConditionalGeneration, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere."""
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        return cls(model, tokenizer, SmolVLMSettings(**lists))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> Self:
        """Reads a published SmolVLM or SmolVLM2, or what :meth:`save_pretrained` wrote.

        Args:
            folder: local folder with ``config.json``, weights, tokenizer and ``preprocessor_config.json``.
            dtype: of the weights.
            attn_implementation: ``"sdpa"``, ``"eager"`` or ``"flash_attention_2"``.
            gradient_checkpointing: whether training computes the layers' activations twice instead of keeping them.
            **settings: replace those of :class:`SmolVLMSettings` that the folder has.

        Raises:
            UserError: the folder isn't there or holds something else.
        """
        folder = Path(folder)
        family = read_model_type(folder)
        if family not in (cls.model_type, cls.former_type):
            raise UserError(
                f"{folder / 'config.json'} is of model_type {family!r}, expected {cls.model_type!r} (or "
                f"{cls.former_type!r}, which the first SmolVLMs call themselves)"
            )
        config = smolvlm_config(folder) if family == cls.former_type else None
        model = read_untied(cls.backbone, folder, dtype, attn_implementation, config)
        saved = folder / SETTINGS_FILE
        if saved.is_file():
            known = json.loads(saved.read_text())
        else:
            known = read_picture_settings(folder, square_side(model.config.vision_config.image_size))
        mllm = cls.assemble(model, read_tokenizer(folder), {**known, **settings})
        return mllm.checkpoint_gradients(gradient_checkpointing)

    @classmethod
    def tiny(cls) -> Self:
        """Random weights and a byte-level tokenizer without merges: for tests."""
        from word2mask.text.byte_tokenizer import byte_tokenizer

        tokenizer = byte_tokenizer()
        places = [f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3)]
        tokenizer.add_tokens([MARK, CONTEXT, WHOLE, *places, "<end_of_utterance>"], special_tokens=True)
        config = SmolVLMConfig(
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 4,
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
                "eos_token_id": tokenizer.convert_tokens_to_ids("<end_of_utterance>"),
                "pad_token_id": tokenizer.pad_token_id,
            },
            scale_factor=2,
            image_token_id=tokenizer.convert_tokens_to_ids(CONTEXT),
            tie_word_embeddings=False,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = SmolVLMForConditionalGeneration(config)
        return cls(model.eval(), tokenizer, SmolVLMSettings(longest_edge=64, frame_edge=32, max_length=2048))


def smolvlm_config(folder: Path) -> SmolVLMConfig:
    """The configuration of a folder whose ``config.json`` is an Idefics3's, in the words of SmolVLM's class."""
    raw = json.loads((folder / "config.json").read_text())
    for name in ("model_type", "architectures", "auto_map"):
        raw.pop(name, None)
    raw.get("vision_config", {}).pop("model_type", None)
    return SmolVLMConfig(**raw)

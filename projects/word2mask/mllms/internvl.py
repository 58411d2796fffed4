"""The InternVL family (2, 2.5, 3 and small ones of our own) over transformers' ``InternVLForConditionalGeneration``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, DynamicCache, InternVLConfig, InternVLForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.backbones import checked_attention, read_model_type, read_untied
from word2mask.mllms.internvl_layout import default_template, is_original, read_original
from word2mask.mllms.internvl_processor import CONTEXT, InternVLProcessor, InternVLSettings, square_side
from word2mask.mllms.lengths import length_groups
from word2mask.mllms.squares import SETTINGS_FILE, SquaresMLLM
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.text.templates import chat_template


@dataclass
class ExchangeStates:
    """States of beginnings and of what follows them: after the last layer (normed) and after a middle one (not normed).

    Attributes:
        prefix, entering_prefix, middle_prefix: ``[B,P,D]``; ``entering`` is before the first layer.
        exchanges, middle_exchanges: ``[E,L,D]``, zeros after each one's own length.
    """

    prefix: torch.Tensor
    exchanges: torch.Tensor
    entering_prefix: torch.Tensor
    middle_prefix: torch.Tensor
    middle_exchanges: torch.Tensor


class InternVL(SquaresMLLM):
    """InternVL: vision tower, pixel shuffle, connector, language model (Qwen2, Qwen3, Llama, InternLM2 or Phi3).

    Args:
        model: transformers' model.
        tokenizer: its tokenizer.
        settings: chat template, tiling and length.
    """

    backbone: ClassVar[type] = InternVLForConditionalGeneration
    #: What ``config.json`` calls the family in transformers' layout.
    model_type: ClassVar[str] = "internvl"

    def __init__(self, model: InternVLForConditionalGeneration, tokenizer: Any, settings: InternVLSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        side = square_side(model.config.vision_config.image_size)
        patch = square_side(model.config.vision_config.patch_size)
        self.processor = InternVLProcessor(
            tokenizer=tokenizer,
            template=chat_template(settings.template),
            max_tiles=settings.max_tiles,
            side=side,
            grid_side=int(side // patch * model.config.downsample_ratio),
            region_sampling=settings.region_sampling,
        )
        self.hidden_size = model.config.text_config.hidden_size
        self.max_length = settings.max_length

    # ------------------------------------------------------------------ states

    def forward_exchanges(
        self,
        prefix_ids: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        owners: torch.Tensor,
        exchanges: Sequence[torch.Tensor],
        middle_layer: int,
    ) -> ExchangeStates:
        """States of many conversations about few pictures; each picture passes the language model once.

        Args:
            prefix_ids: int64 ``[B,P]``, the beginning up to and with the media, of one length.
            mllm_media: media tensors of the B beginnings.
            owners: int64 ``[E]``, the beginning of each conversation.
            exchanges: E of int64 ``[L_e]``, how each goes on. Those of like length pass together.
            middle_layer: after how many layers the middle states are taken.
        """
        language_model = self.model.model.language_model
        cache = DynamicCache(config=language_model.config)
        prefix = language_model(
            inputs_embeds=self._embed(prefix_ids, mllm_media, None),
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=True,
        )
        seen = [(layer.keys, layer.values) for layer in cache.layers]
        lengths = [len(ids) for ids in exchanges]
        # Padding on the right changes nothing before it.
        longest, states, middles, order = max(lengths), [], [], []
        for rows in length_groups(lengths, halvings=2):
            ids = pad_sequence([exchanges[row] for row in rows], batch_first=True)
            own = DynamicCache(config=language_model.config)
            for index, (keys, values) in enumerate(seen):
                own.update(keys[owners[rows]], values[owners[rows]], index)
            rest = language_model(
                inputs_embeds=self.model.get_input_embeddings()(ids),
                past_key_values=own,
                use_cache=True,
                output_hidden_states=True,
            )
            spare = (0, 0, 0, longest - ids.shape[1])
            states.append(nn.functional.pad(rest.last_hidden_state, spare))
            middles.append(nn.functional.pad(rest.hidden_states[middle_layer], spare))
            order += rows
        places = torch.tensor(order, device=owners.device).argsort()
        return ExchangeStates(
            prefix=prefix.last_hidden_state,
            exchanges=torch.cat(states)[places],
            entering_prefix=prefix.hidden_states[0],
            middle_prefix=prefix.hidden_states[middle_layer],
            middle_exchanges=torch.cat(middles)[places],
        )

    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Tiles ``[n,3,h,w]`` → projected visual tokens ``[n,cells,D]``."""
        return self.model.model.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output

    # ------------------------------------------------------------ in and out

    @classmethod
    def assemble(cls, model: InternVLForConditionalGeneration, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere."""
        return cls(model, tokenizer, InternVLSettings(**settings))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> Self:
        """Reads a base model in transformers' layout (``…-hf``) or in OpenGVLab's own, or what we wrote.

        Args:
            folder: local folder with ``config.json``, weights and tokenizer.
            dtype: of the weights.
            attn_implementation: ``"sdpa"``, ``"eager"`` or ``"flash_attention_2"``.
            gradient_checkpointing: whether training computes the layers' activations twice instead of keeping them.
            **settings: replace those of :class:`InternVLSettings` that the folder has.

        Raises:
            UserError: the folder isn't there or holds something else.
        """
        folder = Path(folder)
        family = read_model_type(folder)
        raw = json.loads((folder / "config.json").read_text())
        tokenizer = read_tokenizer(folder) if family == cls.model_type or is_original(raw) else None
        if is_original(raw):
            model = read_original(folder, raw, tokenizer, dtype, checked_attention(attn_implementation))
            known = {"template": default_template(raw, str(folder))}
        elif family == cls.model_type:
            model = read_untied(cls.backbone, folder, dtype, attn_implementation)
            saved = folder / SETTINGS_FILE
            known = json.loads(saved.read_text()) if saved.is_file() else {}
        else:
            raise UserError(
                f"{folder / 'config.json'} is of model_type {family!r}, expected {cls.model_type!r} (or "
                "OpenGVLab's layout, with llm_config)"
            )
        return cls(model, tokenizer, InternVLSettings(**{**known, **settings})).checkpoint_gradients(
            gradient_checkpointing
        )

    @classmethod
    def from_scratch(
        cls,
        tokenizer: Any,
        side: int = 128,
        patch: int = 8,
        vision_size: int = 128,
        vision_layers: int = 4,
        vision_heads: int = 4,
        hidden_size: int = 192,
        layers: int = 5,
        heads: int = 6,
        intermediate_size: int = 512,
        settings: InternVLSettings | None = None,
        seed: int = 0,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> Self:
        """A small InternVL with random weights, for pretraining and tests.

        Args:
            tokenizer: a tokenizer, or the folder of one.
            side: of a tile in pixels.
            patch: side of a patch in pixels; four patches make one visual token.
            vision_size: width of the vision tower.
            vision_layers: depth of the vision tower.
            vision_heads: attention heads of the vision tower.
            hidden_size: D.
            layers: depth of the language model.
            heads: attention heads of the language model.
            intermediate_size: width of the language model's MLP.
            settings: chat template, tiling and length.
            seed: of the weights.
            attn_implementation: as in :meth:`from_pretrained`.
            gradient_checkpointing: likewise.
        """
        if isinstance(tokenizer, (str, Path)):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        settings = settings or InternVLSettings(max_tiles=1, max_length=1024)
        config = InternVLConfig(
            vision_config={
                "hidden_size": vision_size,
                "num_hidden_layers": vision_layers,
                "num_attention_heads": vision_heads,
                "intermediate_size": 4 * vision_size,
                "image_size": [side, side],
                "patch_size": [patch, patch],
                "layer_scale_init_value": 1.0,
                "attention_bias": True,
            },
            text_config={
                "model_type": "qwen2",
                "vocab_size": len(tokenizer),
                "hidden_size": hidden_size,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "num_key_value_heads": heads,
                "intermediate_size": intermediate_size,
                "max_position_embeddings": settings.max_length,
                "tie_word_embeddings": False,
                "bos_token_id": None,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            image_token_id=tokenizer.convert_tokens_to_ids(CONTEXT),
            image_seq_length=(side // patch // 2) ** 2,
            tie_word_embeddings=False,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = InternVLForConditionalGeneration(config)
        table = model.model.vision_tower.embeddings.position_embeddings
        with torch.no_grad():
            table[0, 1:] = 0.5 * sine_table(side // patch, vision_size)
        model.set_attn_implementation(checked_attention(attn_implementation))
        return cls(model.eval(), tokenizer, settings).checkpoint_gradients(gradient_checkpointing)

    @classmethod
    def tiny(cls) -> Self:
        """Random weights and a byte-level tokenizer without merges: for tests."""
        from word2mask.text.byte_tokenizer import byte_tokenizer

        return cls.from_scratch(
            byte_tokenizer(),
            side=32,
            patch=4,
            vision_size=32,
            vision_layers=1,
            vision_heads=2,
            hidden_size=32,
            layers=2,
            heads=2,
            intermediate_size=64,
            settings=InternVLSettings(max_tiles=2, max_length=2048),
        )


def sine_table(side: int, width: int) -> torch.Tensor:
    """Two-dimensional sine-cosine positions ``[side²,width]`` (Vaswani et al., 2017, one half of the width an axis)."""
    rates = 1.0 / 10000 ** (torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * rates[None]
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = axis[:, None].expand(side, side, -1)
    columns = axis[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)

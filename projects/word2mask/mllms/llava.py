"""LLaVA-1.5 (arXiv:2310.03744) and LLaVA-1 over transformers' ``LlavaForConditionalGeneration``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn
from transformers import LlavaConfig, LlavaForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.backbones import checked_attention, read_model_type, read_untied
from word2mask.mllms.decoding import Prompts, StopRule, greedy_answers, is_right_padded, left_padded
from word2mask.mllms.interface import MLLM, Generated, MLLMOutput, SegState
from word2mask.mllms.internvl_processor import square_side, tokens_with_regions
from word2mask.mllms.lengths import length_groups
from word2mask.mllms.llava_layout import default_settings, is_original, read_original
from word2mask.mllms.llava_processor import CONTEXT, IMAGE_END, IMAGE_START, LLaVAProcessor, LLaVASettings
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.vocabulary import add_grounding_tokens
from word2mask.text.special_tokens import SEG
from word2mask.text.templates import chat_template
from word2mask.types import Batch

#: Our settings, beside transformers' ``config.json``.
SETTINGS_FILE = "mllm_settings.json"


class LLaVA(MLLM):
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
        needed = [CONTEXT, IMAGE_START, IMAGE_END] if settings.image_marks else [CONTEXT]
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
        self._context_id = known[CONTEXT]

    # ------------------------------------------------------------------ states

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None = None,
    ) -> MLLMOutput:
        """States of every token; see :meth:`word2mask.mllms.interface.MLLM.forward`."""
        embeddings = self._embed(input_ids, mllm_media, region_cells)
        language_model = self.model.model.language_model
        if not is_right_padded(attention_mask):
            output = language_model(inputs_embeds=embeddings, attention_mask=attention_mask, use_cache=False)
            return MLLMOutput(hidden=output.last_hidden_state)
        # Causal attention never looks at padding on the right, and without a mask it runs the faster kernel.
        lengths = attention_mask.sum(dim=1).tolist()
        parts, order = [], []
        for rows in length_groups(lengths):
            own = embeddings[rows, : max(lengths[row] for row in rows)]
            states = language_model(inputs_embeds=own, use_cache=False).last_hidden_state
            parts.append(nn.functional.pad(states, (0, 0, 0, embeddings.shape[1] - states.shape[1])))
            order += rows
        places = torch.tensor(order, device=embeddings.device).argsort()
        return MLLMOutput(hidden=parts[0] if len(parts) == 1 else torch.cat(parts)[places])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[...,D]`` → ``[...,V]``."""
        return self.model.lm_head(hidden)

    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → projected visual tokens ``[n,cells,D]``."""
        features = self.model.model.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output
        return torch.stack(list(features))

    def _embed(
        self,
        input_ids: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None,
    ) -> torch.Tensor:
        """Token embeddings ``[B,L,D]`` with the visual tokens in their places."""
        embeddings = self.model.get_input_embeddings()(input_ids)
        places = input_ids == self._context_id
        if not mllm_media:
            if places.any():
                raise ValueError(f"{int(places.sum())} {CONTEXT} in a batch without media")
            return embeddings
        squares = self.visual_tokens(mllm_media["pixel_values"].to(embeddings.dtype))
        visual = squares.flatten(0, 1)
        if region_cells is not None and any(cells is not None for cells in region_cells):
            marked = mllm_media["region_tile"].tolist()
            visual = tokens_with_regions(squares, places.sum(dim=1).tolist(), marked, region_cells)
        if len(visual) != int(places.sum()):
            raise ValueError(f"{int(places.sum())} {CONTEXT} in the text, but {len(visual)} visual tokens")
        return embeddings.to(visual.dtype).masked_scatter(places[..., None], visual)

    # -------------------------------------------------------------- generation

    @torch.no_grad()
    def generate(
        self, batch: Batch, max_new_tokens: int, seg_state: SegState = "at", state_token: str = SEG
    ) -> Generated:
        """Greedy answers; see :meth:`word2mask.mllms.interface.MLLM.generate`."""
        tokenizer = self.processor.tokenizer
        ids, mask, positions = left_padded(batch.input_ids, batch.attention_mask, tokenizer.pad_token_id)
        return greedy_answers(
            self.model.model.language_model,
            self.model.get_input_embeddings(),
            self.logits,
            StopRule(tokenizer, self.processor.template),
            Prompts(self._embed(ids, batch.mllm_media, batch.region_cells), mask, positions),
            max_new_tokens,
            tokenizer.get_added_vocab().get(state_token),
            seg_state,
        )

    # ------------------------------------------------------- tokens and groups

    def with_grounding_tokens(self) -> Self:
        """Adds the special tokens that the tokenizer lacks, with embedding rows; in place."""
        add_grounding_tokens(self.model, self.processor.tokenizer)
        return self

    def lora_targets(self) -> list[str]:
        """Full names of the language model's Linear layers."""
        prefix = "model.model.language_model."
        return [
            name for name, module in self.named_modules() if name.startswith(prefix) and isinstance(module, nn.Linear)
        ]

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan speaks of."""
        return {
            "vision": self.model.model.vision_tower,
            "connector": self.model.model.multi_modal_projector,
            "llm": self.model.model.language_model,
            "embeddings": self.model.get_input_embeddings(),
            "lm_head": self.model.lm_head,
        }

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
            **settings: replace those of :class:`LLaVASettings` that the folder has.

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

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes ``config.json``, ``model.safetensors``, the tokenizer's files and our settings."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.processor.tokenizer.save_pretrained(folder)
        (folder / SETTINGS_FILE).write_text(json.dumps(asdict(self.settings), indent=2) + "\n")

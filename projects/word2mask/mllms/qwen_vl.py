"""Qwen2.5-VL and Qwen3-VL over transformers' ``Qwen2_5_VLForConditionalGeneration`` and ``Qwen3VLFor…``."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen3VLForConditionalGeneration

from word2mask.errors import UserError
from word2mask.mllms.backbones import checked_attention, read_model_type, read_untied
from word2mask.mllms.decoding import Prompts, is_right_padded, left_padded
from word2mask.mllms.interface import MLLM, MLLMOutput
from word2mask.mllms.lengths import length_groups
from word2mask.mllms.qwen_processor import (
    CONTEXT,
    VIDEO_CONTEXT,
    VISION_END,
    VISION_START,
    QwenVLProcessor,
    QwenVLSettings,
    read_picture_statistics,
)
from word2mask.mllms.rotary_positions import rotary_positions, visual_layout
from word2mask.mllms.visual_inputs import MixedInputs, VisualTokens
from word2mask.text.templates import chat_template
from word2mask.types import Batch

#: Our settings, beside transformers' ``config.json``.
SETTINGS_FILE = "mllm_settings.json"


class QwenVL(MLLM):
    """What Qwen2.5-VL and Qwen3-VL have in common: vision tower, merger, a language model with M-RoPE.

    Frames of a video are pictures to it, as in the published recipe; the models' own video tokens aren't used. A
    region's tokens are copies of the marked cells' merged visual tokens, DeepStack's share included; the published
    models of this family have no region prompts. :func:`word2mask.mllms.rotary_positions.rotary_positions` says where
    they stand.

    Args:
        model: transformers' model.
        tokenizer: its tokenizer.
        settings: chat template, pixel limits and length.
    """

    #: What ``config.json`` calls the family.
    model_type: ClassVar[str]
    #: Colour statistics where a folder doesn't say, and what else is the family's own.
    defaults: ClassVar[dict[str, Any]] = {}
    #: Settings with which the published Sa2VA checkpoints of the family were trained, where ours are others.
    published: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: Any, tokenizer: Any, settings: QwenVLSettings) -> None:
        super().__init__()
        vision = model.config.vision_config
        for token in (VISION_START, VISION_END, CONTEXT):
            if token not in tokenizer.get_added_vocab():
                raise UserError(f"the tokenizer doesn't know {token}; give a tokenizer of the Qwen-VL family")
        self._context_id = tokenizer.convert_tokens_to_ids(CONTEXT)
        self._merge = vision.spatial_merge_size
        self.model = model
        self.settings = settings
        self.processor = QwenVLProcessor(
            tokenizer=tokenizer,
            template=chat_template(settings.template),
            settings=settings,
            patch=vision.patch_size,
            merge=self._merge,
            repeats=vision.temporal_patch_size,
        )
        self.hidden_size = model.config.text_config.hidden_size
        self.max_length = settings.max_length
        if not settings.normed_states:
            self._norm.register_forward_hook(_input_instead)

    # ------------------------------------------------------------------ states

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None = None,
    ) -> MLLMOutput:
        """States of every token; see :meth:`word2mask.mllms.interface.MLLM.forward`."""
        inputs = self._inputs(input_ids, attention_mask, mllm_media, region_cells)
        if not is_right_padded(attention_mask):
            return MLLMOutput(hidden=self._states(inputs, attention_mask))
        # Causal attention never looks at padding on the right, and without a mask it runs the faster kernel.
        lengths = attention_mask.sum(dim=1).tolist()
        parts, order = [], []
        for rows in length_groups(lengths):
            states = self._states(inputs.part(rows, max(lengths[row] for row in rows)))
            parts.append(nn.functional.pad(states, (0, 0, 0, input_ids.shape[1] - states.shape[1])))
            order += rows
        places = torch.tensor(order, device=input_ids.device).argsort()
        return MLLMOutput(hidden=parts[0] if len(parts) == 1 else torch.cat(parts)[places])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[...,D]`` → ``[...,V]``."""
        if not self.settings.normed_states:
            hidden = self._norm.forward(hidden)  # without its hook
        return self.model.lm_head(hidden)

    @property
    def _norm(self) -> nn.Module:
        return self.model.model.language_model.norm

    def visual_tokens(self, pixel_values: torch.Tensor, image_grid_thw: torch.Tensor) -> VisualTokens:
        """Patches of several pictures → their merged visual tokens, row by row of each picture."""
        output = self.model.model.get_image_features(pixel_values, image_grid_thw, return_dict=True)
        deepstack = getattr(output, "deepstack_features", None) or []
        return VisualTokens(torch.cat(output.pooler_output), [torch.cat(feature) for feature in deepstack])

    def _states(self, inputs: MixedInputs, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """``[B,L,D]`` after the final norm."""
        return self.model.model.language_model(
            inputs_embeds=inputs.embeddings,
            position_ids=inputs.positions,
            attention_mask=attention_mask,
            use_cache=False,
            **inputs.visual,
        ).last_hidden_state

    def _inputs(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        mllm_media: dict[str, torch.Tensor],
        region_cells: list[torch.Tensor | None] | None,
        visual: VisualTokens | None = None,
    ) -> MixedInputs:
        """Embeddings with the visual tokens in their places, and positions, of a batch padded on either side.

        ``visual`` holds the visual tokens if they were seen before.
        """
        embeddings = self.model.get_input_embeddings()(input_ids)
        places = input_ids == self._context_id
        # Layout and positions are worked out on the CPU: many small steps, one transfer.
        on_cpu = places.cpu()
        grids = mllm_media["image_grid_thw"].cpu() if mllm_media else torch.zeros(0, 3, dtype=torch.long)
        layout = visual_layout(on_cpu, grids, self._merge, region_cells)
        positions = rotary_positions(
            on_cpu, attention_mask.cpu(), layout, self._merge, region_cells, self.model.model.get_rope_index
        ).to(input_ids.device)
        deepstack: list[torch.Tensor] = []
        if mllm_media:
            visual = visual or self.see(mllm_media)
            assert visual is not None  # there are media
            order = layout.order.to(embeddings.device)
            chosen = visual.tokens.to(embeddings.dtype)[order]
            embeddings = embeddings.masked_scatter(places[..., None], chosen)
            deepstack = [feature[order] for feature in visual.deepstack]
        return MixedInputs(embeddings, positions, places, on_cpu.sum(dim=1).tolist(), deepstack)

    # -------------------------------------------------------------- generation

    @property
    def language_model(self) -> nn.Module:
        """The language model without its head."""
        return self.model.model.language_model

    def see(self, mllm_media: dict[str, torch.Tensor]) -> VisualTokens | None:
        """Merged visual tokens of all pictures and frames, DeepStack's share included."""
        if not mllm_media:
            return None
        return self.visual_tokens(mllm_media["pixel_values"], mllm_media["image_grid_thw"])

    def read(self, batch: Batch, visual: VisualTokens | None = None) -> Prompts:
        """Embedded prompts; see :meth:`word2mask.mllms.interface.MLLM.read`."""
        ids, mask, _ = left_padded(batch.input_ids, batch.attention_mask, self.tokenizer.pad_token_id)
        inputs = self._inputs(ids, mask, batch.mllm_media, batch.region_cells, visual)
        return Prompts(inputs.embeddings, mask, inputs.positions, inputs.places, inputs.deepstack)

    # ------------------------------------------------------- tokens and groups

    def parameter_groups(self) -> dict[str, nn.Module]:
        """The parts a training plan speaks of.

        The published recipe freezes vision tower and connector both: leave ``"connector"`` out of the plan for it.
        """
        children = dict(self.model.model.visual.named_children())
        mergers = [children.pop(name) for name in ("merger", "deepstack_merger_list") if name in children]
        return {
            "vision": nn.ModuleList(children.values()),
            "connector": nn.ModuleList(mergers),
            "llm": self.model.model.language_model,
            "embeddings": self.model.get_input_embeddings(),
            "lm_head": self.model.lm_head,
        }

    # ------------------------------------------------------------ in and out

    @classmethod
    def assemble(cls, model: Any, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere."""
        return cls(model, tokenizer, QwenVLSettings(**settings))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> Self:
        """Reads a folder that transformers or :meth:`save_pretrained` wrote, the published base models' among them.

        Args:
            folder: local folder with ``config.json``, weights, tokenizer and ``preprocessor_config.json``.
            dtype: of the weights.
            attn_implementation: ``"sdpa"``, ``"eager"`` or ``"flash_attention_2"``.
            gradient_checkpointing: whether training computes the layers' activations twice instead of keeping them.
            **settings: replace those of :class:`QwenVLSettings` that the folder has.

        Raises:
            UserError: the folder isn't there or holds something else.
        """
        folder = Path(folder)
        family = read_model_type(folder)
        if family != cls.model_type:
            raise UserError(f"{folder / 'config.json'} is of model_type {family!r}, expected {cls.model_type!r}")
        model = read_untied(cls.backbone, folder, dtype, attn_implementation)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        saved = folder / SETTINGS_FILE
        if saved.is_file():
            known = json.loads(saved.read_text())
        else:
            known = cls.defaults | read_picture_statistics(folder, model.config.vision_config)
        return cls(model, tokenizer, QwenVLSettings(**{**known, **settings})).checkpoint_gradients(
            gradient_checkpointing
        )

    @classmethod
    def from_scratch(
        cls,
        tokenizer: Any,
        patch: int = 8,
        vision_size: int = 128,
        vision_layers: int = 4,
        vision_heads: int = 4,
        hidden_size: int = 192,
        layers: int = 5,
        heads: int = 6,
        intermediate_size: int = 512,
        settings: QwenVLSettings | None = None,
        seed: int = 0,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
    ) -> Self:
        """A small model of the family with random weights, for pretraining and tests.

        Args:
            tokenizer: a tokenizer, or the folder of one.
            patch: side of a patch in pixels; four patches make one visual token.
            vision_size: width of the vision tower.
            vision_layers: depth of the vision tower.
            vision_heads: attention heads of the vision tower.
            hidden_size: D.
            layers: depth of the language model.
            heads: attention heads of the language model; each 16 wide or a multiple of it.
            intermediate_size: width of the language model's MLP.
            settings: chat template, pixel limits and length.
            seed: of the weights.
            attn_implementation: as in :meth:`from_pretrained`.
            gradient_checkpointing: likewise.
        """
        if isinstance(tokenizer, (str, Path)):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        settings = settings or QwenVLSettings(**cls.defaults)
        text: dict[str, Any] = {
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
        }
        vision: dict[str, Any] = {
            "hidden_size": vision_size,
            "depth": vision_layers,
            "num_heads": vision_heads,
            "intermediate_size": 4 * vision_size,
            "patch_size": patch,
            "out_hidden_size": hidden_size,
        }
        cls._complete(vision, text)
        config = cls.backbone.config_class(
            vision_config=vision,
            text_config=text,
            image_token_id=tokenizer.convert_tokens_to_ids(CONTEXT),
            video_token_id=tokenizer.convert_tokens_to_ids(VIDEO_CONTEXT),
            vision_start_token_id=tokenizer.convert_tokens_to_ids(VISION_START),
            vision_end_token_id=tokenizer.convert_tokens_to_ids(VISION_END),
            tie_word_embeddings=False,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls.backbone(config)
        model.set_attn_implementation(checked_attention(attn_implementation))
        return cls(model.eval(), tokenizer, settings).checkpoint_gradients(gradient_checkpointing)

    @staticmethod
    @abstractmethod
    def _complete(vision: dict[str, Any], text: dict[str, Any]) -> None:
        """Adds what is the family's own to the two parts of a small configuration, in place."""

    @classmethod
    def tiny(cls) -> Self:
        """Random weights and a byte-level tokenizer without merges: for tests."""
        from word2mask.text.byte_tokenizer import byte_tokenizer

        tokenizer = byte_tokenizer()
        tokenizer.add_tokens([VISION_START, VISION_END, CONTEXT, VIDEO_CONTEXT], special_tokens=True)
        limits = {"min_pixels": 4 * 64, "max_pixels": 16 * 64, "frame_min_pixels": 2 * 64, "frame_max_pixels": 6 * 64}
        return cls.from_scratch(
            tokenizer,
            patch=4,
            vision_size=32,
            vision_layers=2,
            vision_heads=2,
            hidden_size=32,
            layers=2,
            heads=2,
            intermediate_size=64,
            settings=QwenVLSettings(**cls.defaults, **limits, max_length=2048),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes ``config.json``, ``model.safetensors``, the processor's files and our settings."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        (folder / SETTINGS_FILE).write_text(json.dumps(asdict(self.settings), indent=2) + "\n")


class Qwen25VL(QwenVL):
    """Qwen2.5-VL (arXiv:2502.13923): window attention in the vision tower, patches of 14 pixels."""

    backbone: ClassVar[type] = Qwen2_5_VLForConditionalGeneration
    model_type = "qwen2_5_vl"

    @staticmethod
    def _complete(vision: dict[str, Any], text: dict[str, Any]) -> None:
        half = text["hidden_size"] // text["num_attention_heads"] // 2
        side = 3 * half // 8
        text["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [half - 2 * side, side, side],
        }
        vision["window_size"] = 8 * vision["patch_size"]
        vision["fullatt_block_indexes"] = [vision["depth"] - 1]


class Qwen3VL(QwenVL):
    """Qwen3-VL (arXiv:2511.21631): learnt positions in the vision tower, patches of 16 pixels, DeepStack."""

    backbone: ClassVar[type] = Qwen3VLForConditionalGeneration
    model_type = "qwen3_vl"
    #: Of the published models' ``preprocessor_config.json``.
    defaults: ClassVar[dict[str, Any]] = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
    published: ClassVar[dict[str, Any]] = {"normed_states": False}

    @staticmethod
    def _complete(vision: dict[str, Any], text: dict[str, Any]) -> None:
        text["head_dim"] = text["hidden_size"] // text["num_attention_heads"]
        half = text["head_dim"] // 2
        side = 5 * half // 16
        text["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": 5e6,
            "mrope_interleaved": True,
            "mrope_section": [half - 2 * side, side, side],
        }
        vision["num_position_embeddings"] = 16**2
        layers = range(vision["depth"] - 1)
        vision["deepstack_visual_indexes"] = list(layers[: text["num_hidden_layers"]])


def _input_instead(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """A hook with which a module gives back what it was given."""
    return inputs[0]

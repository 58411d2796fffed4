"""MLLMs from parts: a language model that never saw a picture, a vision tower, and a connector that is to learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from word2mask.errors import UserError
from word2mask.mllms.backbones import checked_attention, read_model_type, read_untied
from word2mask.mllms.composed_backbone import ComposedBackbone, ComposedConfig, tower_grid
from word2mask.mllms.efficientnet_lite import read_lite
from word2mask.mllms.encoded_once import EncodedOnce
from word2mask.mllms.interface import PreparedMedia
from word2mask.mllms.squares import SETTINGS_FILE, SquaresMLLM
from word2mask.mllms.tiling import region_cells
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.mllms.vocabulary import add_tokens
from word2mask.ops.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    bytes_to_normalized,
    frames_to_tensor,
    normalize,
    resize,
    resize_bytes,
)
from word2mask.text.templates import ChatTemplate, chat_template
from word2mask.types import Media

CONTEXT = "<image>"
#: Length of what a visual token is told of its place, beside that of a word's embedding, before training.
PLACE_SHARE = 0.5


@dataclass(frozen=True)
class ComposedSettings:
    """What transformers' configuration doesn't say.

    Attributes:
        template: name of the chat template.
        image_mean: subtracted from each channel, on the 0…1 scale.
        image_std: divided by, likewise.
        resampling: ``"bicubic"`` resizes bytes as Pillow does, as SAM 2's own preprocessing; ``"bilinear"`` floats.
        max_length: longest sequence in tokens.
    """

    template: str = "smollm2_chat"
    image_mean: tuple[float, float, float] = IMAGENET_MEAN
    image_std: tuple[float, float, float] = IMAGENET_STD
    resampling: str = "bicubic"
    max_length: int = 2048


@dataclass(frozen=True)
class ComposedProcessor:
    """Preprocessing of a composed model: every picture and frame is one square, its aspect not kept.

    With SAM 2's trunk as the tower the square is, value by value, the one that SAM 2 sees.

    Attributes:
        tokenizer: a transformers tokenizer that knows ``<image>``.
        template: the chat template.
        settings: colour statistics and resampling.
        side: of the square in pixels.
        grid_side: of the square in visual tokens.
    """

    tokenizer: Any
    template: ChatTemplate
    settings: ComposedSettings
    side: int
    grid_side: int
    context_token: str = CONTEXT

    def media_token_count(self, media: Media) -> int:
        """Number of ``<image>`` in the placeholder."""
        return len(media.frames) * self.grid_side**2

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Squares and placeholder of a picture or video, a line a frame.

        Returns:
            ``tensors``: ``pixel_values`` float32 ``[T,3,S,S]`` and ``region_tile`` int64 ``[1]``, the square on which
            regions are marked (the first).
        """
        size, frames = (self.side, self.side), media.frames
        statistics = tuple(self.settings.image_mean), tuple(self.settings.image_std)
        if self.settings.resampling == "bicubic":
            pixels = bytes_to_normalized(resize_bytes(frames, size), *statistics)
        else:
            pixels = normalize(resize(frames_to_tensor(frames), size), *statistics)
        placeholder = "\n".join([CONTEXT * self.grid_side**2] * len(frames))
        tensors = {"pixel_values": pixels, "region_tile": torch.tensor([0])}
        return PreparedMedia(placeholder=placeholder, tensors=tensors, grid=(self.grid_side, self.grid_side))

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``, one cell at least each."""
        return region_cells(regions, grid)


class ComposedMLLM(SquaresMLLM):
    """A vision tower, a connector and a causal language model, of any families that transformers has.

    Where the tower is the trunk of the segmenter that the model is grounded by, the two become one module, and each
    frame passes it once (:meth:`share_encoder`).

    Args:
        model: the network.
        tokenizer: of the language model; knows ``<image>``.
        settings: chat template, colour statistics and length.
    """

    backbone: ClassVar[type] = ComposedBackbone
    model_type: ClassVar[str] = ComposedConfig.model_type

    def __init__(self, model: ComposedBackbone, tokenizer: Any, settings: ComposedSettings) -> None:
        super().__init__()
        if CONTEXT not in tokenizer.get_added_vocab():
            raise UserError(f"the tokenizer lacks {CONTEXT}; ComposedMLLM.from_parts adds it")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        side, cells = tower_grid(model.config.vision_config)
        group = model.config.connector_group
        if cells % group:
            raise UserError(f"{cells} cells a side don't fall into groups of {group}; choose another connector_group")
        self.model = model
        self.settings = settings
        self.processor = ComposedProcessor(tokenizer, chat_template(settings.template), settings, side, cells // group)
        self.hidden_size = model.config.text_config.hidden_size
        self.max_length = settings.max_length
        self.shared_encoder: tuple[str, str] | None = None

    def visual_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → visual tokens ``[n,cells,D]``."""
        return self.model.visual_tokens(pixel_values)

    @property
    def tells_boxes(self) -> bool:
        """Whether the connector has a head for it."""
        return self.model.model.multi_modal_projector.box is not None

    def told_boxes(self, tokens: torch.Tensor) -> torch.Tensor:
        """See :meth:`word2mask.mllms.interface.MLLM.told_boxes`."""
        frames = tokens.unflatten(0, (-1, self.processor.grid_side**2))
        return self.model.model.multi_modal_projector.told_boxes(frames).flatten(0, 1)

    def keep_middle(self, layer: int) -> tuple[int, int]:
        """See :meth:`word2mask.mllms.interface.MLLM.keep_middle`."""
        num_layers = self.model.config.text_config.num_hidden_layers
        if not 0 < layer <= num_layers:
            raise UserError(
                f"the language model has {num_layers} layers; the middle states can't be those after {layer}"
            )
        self.middle_layer = layer
        return self.processor.grid_side, self.processor.grid_side

    def frame_encoder(self) -> tuple[Any, str, list[nn.Module]] | None:
        """Tower and classifier, without the connector, which usually trains."""
        return self.model, "grid_features", self.model.encoders()

    def encoder_settings(self) -> str:
        """Nothing of the language model, so that runs with more words find what runs with fewer have kept."""
        config = self.model.config
        classifier = config.classifier_config and (config.classifier_config, tuple(config.classifier_scales))
        return repr((config.vision_config.to_diff_dict(), classifier, config.connector_group))

    def share_encoder(self, segmenter: nn.Module) -> bool:
        """Takes a segmenter's trunk in the place of the tower, where both are the same network with the same weights.

        Args:
            segmenter: transformers' model inside of the segmenter.
        """
        trunk = getattr(getattr(segmenter, "vision_encoder", None), "backbone", None)
        own = self.model.model.vision_tower
        if trunk is None or (trunk is not own and not _same_network(own, trunk)):
            return False
        self.model.model.vision_tower = trunk
        self.shared_encoder = ("model.model.vision_tower.", "model.vision_encoder.backbone.")
        if not isinstance(trunk.forward, EncodedOnce):
            # On the instance, because another module around the trunk would change the names of its weights.
            trunk.forward = EncodedOnce(trunk.forward)
        return True

    # ------------------------------------------------------------ in and out

    @classmethod
    def assemble(cls, model: ComposedBackbone, tokenizer: Any, settings: dict[str, Any]) -> Self:
        """Puts parts together that were read elsewhere."""
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        return cls(model, tokenizer, ComposedSettings(**lists))

    @classmethod
    def from_parts(
        cls,
        language: str | Path,
        segmenter: Any,
        connector_group: int = 2,
        names_places: bool = False,
        classifier: str | Path | None = None,
        classifier_scales: Sequence[int] = (1,),
        connector: str | Path | None = None,
        tells_boxes: bool = False,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> Self:
        """A language model as it is published, with a segmenter's trunk as its eyes and a connector of random weights.

        Args:
            language: the folder of a causal language model, or its GGUF file, tokenizer included.
            segmenter: whose trunk is the tower, such as a ``SAM2Segmenter``.
            connector_group: so many cells of the tower's grid, each way, become one visual token.
            names_places: whether each visual token is told its place, in the code in which the segmenter reads
                prompts; what is to be pointed at has then only to be passed on.
            classifier: a file of EfficientNet-Lite's weights, whose features then stand beside the tower's: SAM 2 was
                trained on outlines without names, and says little about what a thing is.
            classifier_scales: the sizes at which it looks: 1 is 32 pixels a token each way, 2 twice that.
            connector: a checkpoint of a run that pretrained it (:class:`word2mask.models.naming.ConnectorNaming`).
            tells_boxes: whether visual tokens tell what box the object has that they show, of the square; the run that
                pretrains the connector teaches it.
            seed: of the connector's weights where there is none.
            dtype: of language model and connector.
            attn_implementation: ``"sdpa"``, ``"eager"`` or ``"flash_attention_2"``.
            gradient_checkpointing: whether training computes the layers' activations twice instead of keeping them.
            **settings: of :class:`ComposedSettings`.

        Raises:
            UserError: no language model there.
        """
        # Plans of training are made without weights.
        is_sketch = torch.get_default_device().type == "meta"
        tokenizer, original, source = read_language(Path(language), with_weights=not is_sketch)
        trunk = segmenter.model.vision_encoder.backbone
        text = type(original).from_dict(original.to_dict() | {"tie_word_embeddings": False})
        if hasattr(text, "quantization_config"):
            del text.quantization_config
        names = None if classifier is None else read_lite(classifier)
        config = ComposedConfig(
            vision_config=trunk.config.to_dict(),
            text_config=text.to_dict(),
            tie_word_embeddings=False,
            connector_group=connector_group,
            place_width=segmenter.prompt_dim if names_places else 0,
            classifier_config=None if names is None else names.config.to_dict(),
            classifier_scales=list(classifier_scales),
            tells_boxes=tells_boxes,
        )
        config._attn_implementation = checked_attention(attn_implementation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = ComposedBackbone(config)
        if source is not None:
            model.model.language_model.load_state_dict(source.model.state_dict())
            model.lm_head.load_state_dict(source.lm_head.state_dict())
            model.model.vision_tower.load_state_dict(trunk.state_dict())
            if names is not None:
                model.model.classifier.load_state_dict(names.state_dict())
        if names_places and not is_sketch:
            code = segmenter.model.get_image_wide_positional_embeddings()
            words = model.get_input_embeddings().weight.norm(dim=-1).mean().item()
            model.model.multi_modal_projector.name_places(code, PLACE_SHARE * words)
        add_tokens(model, tokenizer, [CONTEXT])
        model.config.image_token_index = tokenizer.convert_tokens_to_ids(CONTEXT)
        if connector is not None and not is_sketch:
            load_connector(model.model.multi_modal_projector, Path(connector))
        for part in (model.model.language_model, model.lm_head, model.model.multi_modal_projector):
            part.to(dtype)
        return cls.assemble(model.eval(), tokenizer, settings).checkpoint_gradients(gradient_checkpointing)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        attn_implementation: str = "sdpa",
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> Self:
        """Reads what :meth:`save_pretrained` wrote.

        Args:
            folder: local folder with ``config.json``, weights and tokenizer.
            dtype: of the weights.
            attn_implementation: as in :meth:`from_parts`.
            gradient_checkpointing: likewise.
            **settings: replace those of :class:`ComposedSettings` that the folder has.

        Raises:
            UserError: the folder isn't there or holds something else.
        """
        folder = Path(folder)
        family = read_model_type(folder)
        if family != cls.model_type:
            raise UserError(f"{folder / 'config.json'} is of model_type {family!r}, expected {cls.model_type!r}")
        model = read_untied(cls.backbone, folder, dtype, attn_implementation)
        saved = folder / SETTINGS_FILE
        known = json.loads(saved.read_text()) if saved.is_file() else {}
        mllm = cls.assemble(model, read_tokenizer(folder), {**known, **settings})
        return mllm.checkpoint_gradients(gradient_checkpointing)

    @classmethod
    def tiny(cls, tells_boxes: bool = False) -> Self:
        """Random weights and a byte-level tokenizer without merges: for tests."""
        from word2mask.text.byte_tokenizer import byte_tokenizer

        tokenizer = byte_tokenizer()
        tokenizer.add_tokens([CONTEXT], special_tokens=True)
        config = ComposedConfig(
            vision_config={
                "model_type": "sam2_hiera_det_model",
                "image_size": [64, 64],
                "hidden_size": 8,
                "num_attention_heads": 1,
                "blocks_per_stage": [1, 1, 1, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": [8, 4, 4, 2],
                "window_positional_embedding_background_size": [4, 4],
                "global_attention_blocks": [],
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
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            image_token_index=tokenizer.convert_tokens_to_ids(CONTEXT),
            tie_word_embeddings=False,
            connector_group=1,
            tells_boxes=tells_boxes,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = ComposedBackbone(config)
        return cls(model.eval(), tokenizer, ComposedSettings())


def read_language(path: Path, with_weights: bool = True) -> tuple[Any, PreTrainedConfig, PreTrainedModel | None]:
    """Tokenizer, configuration and weights, in single precision, of a causal language model.

    Args:
        path: its folder, or its GGUF file.
        with_weights: whether the weights are wanted.

    Raises:
        UserError: nothing there, or something else.
    """
    if not path.exists():
        raise UserError(
            f"{path}: no such language model; bring it (python tools/fetch_pretrained.py lists what there is) or "
            "correct the path"
        )
    folder, named = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **named)
        if not with_weights:
            return tokenizer, AutoConfig.from_pretrained(folder, local_files_only=True, **named), None
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **named)
    except ImportError:
        raise UserError(
            f'{path}: a GGUF file is read by the package gguf; install it (pip install -e ".[gguf]")'
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a causal language model that transformers can read ({error})") from None
    return tokenizer, model.config, model


def load_connector(connector: nn.Module, checkpoint: Path) -> None:
    """Takes the connector out of a run's checkpoint; where tokens stand, the run needn't have learned.

    Raises:
        UserError: no such checkpoint, or one of another connector.
    """
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such checkpoint; train the config that makes it first")
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    inside = "multi_modal_projector."
    given = {name.partition(inside)[2]: value for name, value in content.items() if inside in name}
    known = {name: value.shape for name, value in connector.state_dict().items()}
    wrong = [name for name, value in given.items() if known.get(name) != value.shape]
    missing = [name for name in known if name not in given and not name.startswith("place")]
    if wrong or missing:
        raise UserError(
            f"{checkpoint}: not of this connector (differs in {(wrong or missing)[0]}); train the config that makes it "
            "with the same parts"
        )
    connector.load_state_dict(given, strict=False)


def _same_network(own: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have the same tensors under the same names, up to the coarser one's precision."""
    first, second = own.state_dict(), other.state_dict()
    if type(own) is not type(other) or first.keys() != second.keys():
        return False
    for name, tensor in first.items():
        twin = second[name]
        if tensor.shape != twin.shape:
            return False
        if not (tensor.is_meta or twin.is_meta):
            coarser = min(tensor.dtype, twin.dtype, key=lambda dtype: dtype.itemsize)
            if not torch.equal(tensor.to(coarser), twin.to(tensor.device, coarser)):
                return False
    return True

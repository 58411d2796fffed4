"""The memory that training takes on one GPU, estimated: arithmetic, not a measurement; see :func:`estimate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from word2mask.engine.settings import DataSettings, ShardingSettings, TrainSettings
from word2mask.engine.strategies.layers import passed_layers
from word2mask.types import Media

__all__ = ["Load", "MemoryEstimate", "estimate", "held_by_strategy", "layer_bytes", "passed_load"]

#: AdamW keeps two fp32 values a trained value.
_ADAM_BYTES = 8
#: What autograd keeps for one (object, frame) pair in the mask decoder, a cell of the feature map, in bf16: measured on
#: our decoder (C = 256) on a CPU, 28.5 MB for 64 × 64 cells, or 30.8 MB where the decoder trains.
DECODER_BYTES_PER_CELL = {"frozen": 6970, "trained": 7528}
#: A picture that fills every tile or pixel limit, and the words around it.
_LARGE_PICTURE = (1344, 1792)
_WORDS = 512
#: Of a sample's tokens, those with labels; their logits exist in the head's type and twice in fp32.
_LABELLED = 256
_LOGIT_BYTES = 10
#: Published recipe: objects of a sample, and frames of a video.
_OBJECTS, _FRAMES = 5, 5
#: CUDA's own context, kernels and the allocator's slack.
_RESERVE = 1.5e9


@dataclass(frozen=True)
class Load:
    """One pass of a process, for which activations are counted.

    Attributes:
        samples: in the pass.
        tokens: of each sample, visual ones included.
        pairs: of objects and frames, all samples together.
        frames: that the segmenter encodes.
    """

    samples: int
    tokens: int
    pairs: int
    frames: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU.

    Attributes:
        parts: what takes them → bytes, without the activations of the language model.
        stored: activations of the language model when all are kept.
        recomputed: the same with gradient checkpointing.
        checkpointing: whether the config has it on.
        load: the pass that was counted.
    """

    parts: dict[str, float]
    stored: float
    recomputed: float
    checkpointing: bool
    load: Load

    def total(self, checkpointing: bool) -> float:
        """All of it, with or without gradient checkpointing."""
        return sum(self.parts.values()) + (self.recomputed if checkpointing else self.stored)


def estimate(model: nn.Module, settings: TrainSettings, gpus: int) -> MemoryEstimate:
    """What a process holds at the peak of a step, by arithmetic.

    * **Weights, gradients, optimizer, exchange**: :func:`held_by_strategy`, exact but for what DeepSpeed, DDP and FSDP
      keep in buffers.
    * **Language model**: per token and layer :func:`layer_bytes`. With gradient checkpointing 2 bytes a value of the
      residual stream per layer, and one layer in full.
    * **Logits**: of 256 labelled tokens a sample, 10 bytes a vocabulary entry (bf16, and fp32 with its gradient).
    * **Mask decoder**: 29 MB for each pair of object and frame at side 1024, measured; 31 MB where it trains.
    * **Frozen vision**: nothing is kept of it; while it runs, what ``Segmenter.encoder_values`` says, in bf16.
    * **Reserve**: 1.5 GB for CUDA's context and the allocator.

    The pass counted is the largest of the published recipe: pictures that fill every tile with 512 tokens of words, or
    videos of five frames with five objects each, whichever is larger term by term; where the segmenter doesn't track,
    pictures with five objects.

    Args:
        model: on any device; a model without ``mllm`` gets no activations.
        settings: the run's.
        gpus: processes of the whole run.
    """
    parts = held_by_strategy(model, settings, gpus)
    checkpointing, stored, recomputed = False, 0.0, 0.0
    load = Load(DataSettings(**settings.data).batch_size, 0, 0, 0)
    # Pretraining of a part alone passes other things: nothing is said of its activations.
    mllm, segmenter = getattr(model, "mllm", None), getattr(model, "segmenter", None)
    if mllm is not None:
        load = passed_load(mllm, load.samples, segmenter)
        text = mllm.model.config.get_text_config()
        lora_rank = getattr(getattr(model, "trainable", None), "lora_rank", 0)
        all_tokens, layer = load.samples * load.tokens, layer_bytes(text, lora_rank)
        stored = text.num_hidden_layers * all_tokens * layer
        recomputed = text.num_hidden_layers * all_tokens * 2 * text.hidden_size + all_tokens * layer
        checkpointing = bool(getattr(mllm.model, "is_activation_checkpointing", False))
        parts["logits"] = load.samples * _LABELLED * text.vocab_size * _LOGIT_BYTES
    if load.pairs:
        cells = (segmenter.side // 16) ** 2
        trains = any(p.requires_grad for name, p in segmenter.named_parameters() if "mask_decoder" in name)
        parts["mask decoder"] = load.pairs * cells * DECODER_BYTES_PER_CELL["trained" if trains else "frozen"]
        parts["frozen vision, while it runs"] = segmenter.encoder_values(load.frames) * 2
    parts["reserve"] = _RESERVE
    return MemoryEstimate(parts, stored, recomputed, checkpointing, load)


def passed_load(mllm: Any, samples: int, segmenter: Any) -> Load:
    """The largest pass: what the processor makes of a large picture or, unless masks are wanted of a segmenter that
    doesn't track, of a video's frames."""
    height, width = _LARGE_PICTURE
    picture = Media("image", np.zeros((1, height, width, 3), dtype=np.uint8), (0,), "")
    frames = tuple(range(_FRAMES))
    video = Media("video", np.zeros((_FRAMES, height, width, 3), dtype=np.uint8), frames, "")
    takes_videos = segmenter is None or segmenter.tracks
    media = [picture, video] if takes_videos else [picture]
    tokens = min(max(map(mllm.processor.media_token_count, media)) + _WORDS, mllm.max_length)
    if segmenter is None:
        return Load(samples, tokens, 0, 0)
    frames = _FRAMES if takes_videos else 1
    return Load(samples, tokens, samples * _OBJECTS * frames, samples * frames)


def layer_bytes(text: Any, lora_rank: int) -> float:
    """What autograd keeps for one token in one layer of a frozen bf16 language model with adapters in all its Linears.

    Two norms keep their input in fp32 (2 × 4 D bytes). In bf16: the inputs of the adapters (6 D and I, after dropout),
    queries and attention output (2 D'), keys and values (2 K), the three maps within the MLP (3 I), and 7 rows of rank.
    Dropout keeps one byte a value of its input. Attention keeps no matrix (fused kernels).

    Args:
        text: transformers' configuration of the language model: D ``hidden_size``, I ``intermediate_size``.
        lora_rank: 0 for none.
    """
    width, inner, heads = text.hidden_size, text.intermediate_size, text.num_attention_heads
    head = getattr(text, "head_dim", None) or width // heads
    queries, keys = heads * head, text.num_key_value_heads * head
    kept = 8 * width + 2 * (2 * queries + 2 * keys + 3 * inner)
    if lora_rank:
        kept += 2 * (6 * width + inner + 7 * lora_rank) + (6 * width + inner)
    return kept


def held_by_strategy(model: nn.Module, settings: TrainSettings, gpus: int) -> dict[str, float]:
    """Weights, gradients, optimizer state and exchange buffers of one process, in bytes.

    ====================  =====================================================================================
    ``ddp``               everything whole; gradients a second time in DDP's buckets
    ``zero1``             what trains in bf16, its fp32 copy and Adam's state in slices
    ``zero2``             gradients in slices too; ``…_offload`` keeps the slices in the computer's memory
    ``zero3``             weights of the layers, and all that trains, in slices too, a layer gathered at a time
    ``fsdp``              likewise, in fp32 without a second copy; what trains outside of the layers whole in a pass
    ====================  =====================================================================================

    Args:
        model: whose parameters have the run's types.
        settings: precision, strategy and sharding.
        gpus: processes of the whole run.
    """
    layers = passed_layers(model)
    within = {id(parameter) for layer in layers for parameter in layer.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    frozen_layers = _bytes(p for p in frozen if id(p) in within)
    frozen_outside = _bytes(p for p in frozen if id(p) not in within)
    values = sum(p.numel() for p in trained)
    values_outside = sum(p.numel() for p in trained if id(p) not in within)
    a_layer = _bytes(layers[0].parameters()) if layers else 0.0
    strategy = settings.strategy if gpus > 1 else "one process"
    compute = 2 if settings.precision == "bf16" else 4
    state = values * (_ADAM_BYTES if "Adam" in getattr(settings.optimizer["type"], "__name__", "") else 4)
    if strategy in ("one process", "ddp"):
        held = _held(frozen_layers + frozen_outside + _bytes(trained), _bytes(trained), state)
        return held if gpus == 1 else held | {"exchange": _bytes(trained)}
    sharding = ShardingSettings(**getattr(settings, "sharding", {}))
    bucket = 2.0 * compute * min(sharding.bucket_size, values)
    if strategy == "fsdp":
        whole = compute * values_outside
        sliced = (frozen_layers + 4 * values) / gpus
        return _held(frozen_outside + sliced, 4 * values / gpus, state / gpus) | {"exchange": 2 * a_layer + 2 * whole}
    offload = strategy.endswith("_offload")
    master = 0.0 if offload else (values * 4 * (compute == 2) + state) / gpus
    if strategy.startswith("zero3"):
        weights = frozen_outside + (0.0 if offload else (frozen_layers + compute * values) / gpus)
        gathered = a_layer + compute * (sharding.prefetch_size + values_outside)
        gradients = 0.0 if offload else compute * values / gpus
        return _held(weights, gradients, master) | {"exchange": bucket + gathered}
    gradients = compute * values * (1.0 if strategy == "zero1" else 0.0 if offload else 1 / gpus)
    return _held(frozen_layers + frozen_outside + compute * values, gradients, master) | {"exchange": bucket}


def _held(weights: float, gradients: float, optimizer: float) -> dict[str, float]:
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer}


def _bytes(parameters: Iterable[torch.Tensor]) -> float:
    return float(sum(parameter.numel() * parameter.element_size() for parameter in parameters))

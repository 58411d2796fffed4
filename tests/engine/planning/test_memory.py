"""Expected: sums by hand on a model of few parameters, and what autograd really keeps of a small language model."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.optim import AdamW
from transformers import LlamaConfig, LlamaModel, Sam2VideoModel

from word2mask.engine.planning.memory import DECODER_BYTES_PER_CELL, held_by_strategy, layer_bytes
from word2mask.engine.settings import TrainSettings
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.interface import FrameFeatures
from word2mask.segmenters.sam2 import SAM2Segmenter


class TwoLayers(nn.Module):
    """Two layers of 100 frozen bf16 values and 10 trained fp32 ones; beside them 1000 frozen and 50 trained."""

    def __init__(self) -> None:
        super().__init__()
        self.llm = nn.Module()
        self.llm.layers = nn.ModuleList(self.layer(100, 10) for _ in range(2))
        self.outside = self.layer(1000, 50)

    @staticmethod
    def layer(frozen: int, trained: int) -> nn.Module:
        module = nn.Module()
        module.frozen = nn.Parameter(torch.zeros(frozen, dtype=torch.bfloat16), requires_grad=False)
        module.trained = nn.Parameter(torch.zeros(trained))
        return module

    def parameter_groups(self) -> dict[str, nn.Module]:
        return {"llm": self.llm}


def held(strategy: str, gpus: int = 2) -> dict[str, float]:
    settings = TrainSettings(
        model={},
        data={},
        optimizer={"type": AdamW},
        schedule={},
        precision="bf16",
        strategy=strategy,
        sharding={"prefetch_size": 0},
    )
    return held_by_strategy(TwoLayers(), settings, gpus)


@pytest.mark.parametrize(
    ("strategy", "gpus", "weights", "gradients", "optimizer"),
    [
        # 2 × 100 + 1000 frozen values of 2 bytes; 2 × 10 + 50 trained values of 4.
        ("ddp", 1, 2400 + 280, 280, 560),
        ("ddp", 2, 2400 + 280, 280, 560),
        # DeepSpeed: trained values of 2 bytes, gradients of 2, and 4 + 8 bytes of state in two slices.
        ("zero1", 2, 2400 + 140, 140, 420),
        ("zero2", 2, 2400 + 140, 70, 420),
        ("zero2_offload", 2, 2400 + 140, 0, 0),
        # The layers' 400 frozen bytes in two slices, the 2000 beside them whole.
        ("zero3", 2, 2000 + 200 + 70, 70, 420),
        ("zero3_offload", 2, 2000, 0, 0),
        ("fsdp", 2, 2000 + 200 + 140, 140, 280),
        ("fsdp", 4, 2000 + 100 + 70, 70, 140),
    ],
)
def test_who_holds_what(strategy, gpus, weights, gradients, optimizer):
    found = held(strategy, gpus)
    assert (found["weights"], found["gradients"], found["optimizer"]) == (weights, gradients, optimizer)
    assert ("exchange" in found) == (gpus > 1)


def kept_by_autograd(config: LlamaConfig, rank: int, tokens: int) -> int:
    """Bytes of everything but parameters that a training forward pass under bf16 autocast keeps."""
    torch.manual_seed(0)
    model = LlamaModel(config).to(torch.bfloat16).requires_grad_(False)
    adapters = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(adapters, model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # Casts of the adapters' weights are kept as well; they don't grow with the tokens.
        if tensor.untyped_storage().data_ptr() not in weights and tokens in tensor.shape:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    states = torch.randn(1, tokens, config.hidden_size, dtype=torch.bfloat16, requires_grad=True)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.autocast("cpu", dtype=torch.bfloat16), hooks:
        model.train()(inputs_embeds=states, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_activations_of_a_layer_are_what_autograd_keeps():
    tokens, rank = 307, 8
    shape = dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=176, vocab_size=32)
    one, two = (kept_by_autograd(LlamaConfig(num_hidden_layers=count, **shape), rank, tokens) for count in (1, 2))
    # The formula has a byte for every value that dropout sees; this model has no dropout.
    expected = layer_bytes(LlamaConfig(**shape), rank) - (6 * 64 + 176)
    assert (two - one) / tokens == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("state", ["frozen", "trained"])
def test_activations_of_the_mask_decoder_are_what_autograd_keeps(state):
    side, cells = 512, 32 * 32
    segmenter = SAM2Segmenter(Sam2VideoModel(sam2_config("tiny", side))).to(torch.bfloat16).requires_grad_(False)
    segmenter.model.mask_decoder.requires_grad_(state == "trained")
    shapes = [(1, 32, side // 4, side // 4), (1, 64, side // 8, side // 8), (1, 256, side // 16, side // 16)]
    features = FrameFeatures([torch.randn(shape).to(torch.bfloat16) for shape in shapes])
    weights = {parameter.untyped_storage().data_ptr() for parameter in segmenter.parameters()}

    def kept(objects: int) -> int:
        sizes: dict[int, int] = {}
        alive = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
                alive.append(tensor)  # or its address would be given away again
            return tensor

        prompts = torch.randn(objects, 1, 256, requires_grad=True)
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with torch.autocast("cpu", dtype=torch.bfloat16), hooks:
            segmenter.decode(features, torch.zeros(objects, dtype=torch.long), prompts)
        return sum(sizes.values())

    assert (kept(3) - kept(2)) / cells == pytest.approx(DECODER_BYTES_PER_CELL[state], rel=0.1)

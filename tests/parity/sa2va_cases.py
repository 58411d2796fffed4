"""What the published Sa2VA and ours are both asked: conversations, training samples, requests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

TEMPLATES = ("qwen_chat", "internlm2_chat", "phi3_chat")

#: The conversations. ``medium`` is None, or (kind, frames, height, width).
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "chat": dict(
        medium=None,
        turns=[
            ("Hello, what can you do?", "I answer questions; and I find things."),
            ("List two.\n\n1. dogs\n2. cars", "Dogs, cars."),
            ("Café, 你好!", "It is [SEG]? No."),
        ],
    ),
    "image": dict(
        medium=("image", 1, 480, 640),
        turns=[
            ("Can you segment the dog in this image?", "Sure, it is [SEG]."),
            ("Please segment the red car in this image.", "[SEG]."),
            ("Describe it.", "<p> A dog </p> [SEG] near <p> a car </p> [SEG]."),
        ],
    ),
    "several_images": dict(
        medium=("video", 3, 300, 300), turns=[("What changes between the pictures?", "The dog runs.")]
    ),
    "video": dict(
        medium=("video", 5, 240, 426),
        turns=[("Please segment the dog.", "It is [SEG]."), ("Where is the car?", "Sure, [SEG].")],
    ),
    "regions": dict(
        medium=("image", 1, 480, 640),
        regions=2,
        turns=[("Describe region1 in detail.", "A dog runs."), ("And region2?", "A house.")],
    ),
}

#: What the model itself is run on. Pictures are small, so that all of it takes seconds.
TRAINED: dict[str, dict[str, Any]] = {
    "image": dict(
        medium=("image", 1, 120, 200),
        turns=[(f"Please segment thing {number} in this image.", "It is [SEG].") for number in range(5)],
    ),
    "video": dict(
        medium=("video", 5, 90, 120),
        turns=[(f"Please segment thing {number}.", "Sure, [SEG].") for number in range(5)],
    ),
}

#: Points of a mask loss.
NUM_POINTS = 256

#: Adapters of the language model where gradients are compared; without dropout, which is random.
LORA = dict(rank=4, alpha=8)
#: How many values of each tensor's gradient are kept.
GRADIENT_ENTRIES = 16

#: Gradients no larger than this are rounding of 0; those that aren't 0 are thousands of times as large.
NO_GRADIENT = 1e-6


def shared_points() -> torch.Tensor:
    """Points ``[1,P,2]`` at which both sides take the mask losses."""
    return torch.from_numpy(np.random.RandomState(7).uniform(size=(1, NUM_POINTS, 2)).astype(np.float32))


def seeded_adapters(model: nn.Module) -> int:
    """Draws every adapter from its layer's name; the usual start at 0 would leave half of them without gradient.

    Returns:
        How many matrices there are.
    """
    count = 0
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            layer = name[name.index("layers.") :]
            numbers = np.random.RandomState(zlib.crc32(layer.encode())).standard_normal(tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(numbers) / parameter.shape[1] ** 0.5)
            count += 1
    return count


def gradient_entries(name: str, size: int) -> np.ndarray:
    """Which values of a flattened gradient are kept."""
    return np.random.RandomState(zlib.crc32(name.encode())).randint(size, size=GRADIENT_ENTRIES)


def gradient_summary(gradients: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """What is kept of many gradients, in the order of their names: largest sizes, norms, and some values of each."""
    names = sorted(gradients)
    flat = [gradients[name].detach().flatten() for name in names]
    entries = [tensor[gradient_entries(name, len(tensor))] for name, tensor in zip(names, flat, strict=True)]
    return {
        "scales": torch.stack([tensor.abs().amax() for tensor in flat]).numpy(),
        "norms": torch.stack([tensor.norm() for tensor in flat]).numpy(),
        "entries": torch.stack(entries).numpy(),
    }


#: Requests to the whole model: frames, height, width.
ASKED = {"image": (1, 96, 132), "video": (9, 60, 84)}


def question(name: str) -> str:
    """What is asked about each of :data:`ASKED`."""
    return "Can you segment the dog in this image?" if name == "image" else "Please segment the dog."


#: What it is made to answer, token by token.
ANSWER = ("It", " is", " ", "[SEG]", ".", "<|im_end|>")

#: Added to the object score, so that the object is there on some frames and absent on others.
OBJECT_SHIFT = 0.3

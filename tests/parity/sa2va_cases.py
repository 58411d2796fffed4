"""What the published Sa2VA and ours are both asked: conversations, training samples, requests."""

from __future__ import annotations

from typing import Any

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

#: Requests to the whole model: frames, height, width.
ASKED = {"image": (1, 96, 132), "video": (9, 60, 84)}


def question(name: str) -> str:
    """What is asked about each of :data:`ASKED`."""
    return "Can you segment the dog in this image?" if name == "image" else "Please segment the dog."


#: What it is made to answer, token by token.
ANSWER = ("It", " is", " ", "[SEG]", ".", "<|im_end|>")

#: Added to the object score, so that the object is there on some frames and absent on others.
OBJECT_SHIFT = 0.3

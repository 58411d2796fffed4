"""Weights, pictures and conversations that the LISA test and ``make_lisa.py`` draw alike."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import sam_cases
from llava_cases import llama_tokenizer
from sam2_weights import draw

#: Names and shapes of the published model's tensors at this geometry.
SHAPES = Path(__file__).parent / "lisa_shapes.json"
SAM = "model.visual_model."
#: The language model; 256 visual tokens, because the published code counts on 255 more than there are ids.
HIDDEN, LAYERS, HEADS, INNER = 32, 2, 4, 48
CLIP_SIDE, CLIP_PATCH = 128, 8
NEW_TOKENS = 8
#: After this many tokens of the second picture's answer, the planted row says ``[SEG]``.
PLANTED_AT = 2

#: Pictures (height, width), and the conversations about each: question, answer.
SIZES = [(48, 100), (90, 37)]
CONVERSATIONS = [
    [("Can you segment the dog in this image?", "It is [SEG]."), ("What is red?", "Sure, [SEG]. A car is red.")],
    [("Who would sit there?\nPlease output segmentation mask.", "[SEG]."), ("Say why.", "It is wet.")],
]
QUESTION = "Where is it? Please output segmentation mask."


def tokenizer() -> Any:
    """Llama's kind, with the tokens that LISA adds, in its order."""
    found = llama_tokenizer()
    found.add_tokens("[SEG]")
    found.add_tokens(["<im_start>", "<im_end>"], special_tokens=True)
    return found


def clip_config() -> dict[str, Any]:
    """Of transformers' ``CLIPVisionConfig``."""
    return {
        "model_type": "clip_vision_model",
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": CLIP_SIDE,
        "patch_size": CLIP_PATCH,
        "projection_dim": 24,
    }


def config(num_tokens: int, vision_tower: str) -> dict[str, Any]:
    """``config.json`` as a published LISA has it."""
    return {
        "model_type": "llava",
        "architectures": ["LISAForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "vocab_size": num_tokens,
        "tie_word_embeddings": False,
        "mm_hidden_size": clip_config()["hidden_size"],
        "mm_use_im_start_end": True,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": vision_tower,
        "vision_tower": vision_tower,
        "image_aspect_ratio": "square",
        "train_mask_decoder": True,
        "out_dim": sam_cases.PROMPT_DIM,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def weight(name: str, shape: Any) -> torch.Tensor:
    """A tensor by its published name, of a size that lets signals through."""
    shape = torch.Size(shape)
    if name.startswith(SAM):
        return sam_cases.weight(name.removeprefix(SAM), shape)
    values = draw(f"lisa.{name}", *shape)
    if len(shape) == 1:
        return 0.1 * values + float("norm" in name and name.endswith("weight"))
    if name.endswith("embed_tokens.weight"):
        return values
    return values / float(np.sqrt(np.prod(shape[1:])))


def published_weights() -> dict[str, torch.Tensor]:
    """Every tensor of the published model."""
    return {name: weight(name, shape) for name, shape in json.loads(SHAPES.read_text()).items()}


def clip_weight(name: str, shape: Any) -> torch.Tensor:
    """A tensor of CLIP's vision tower by transformers' name, however the release spells its beginning."""
    return weight("clip." + name.removeprefix("vision_model."), shape)


def picture(number: int) -> np.ndarray:
    """uint8 RGB ``[H,W,3]``."""
    return sam_cases.picture(*SIZES[number])


def masks(number: int) -> np.ndarray:
    """A mask for each ``[SEG]`` of the conversations about a picture, bool ``[N,H,W]``."""
    height, width = SIZES[number]
    count = sum(answer.count("[SEG]") for _, answer in CONVERSATIONS[number])
    found = np.zeros((count, height, width), dtype=bool)
    for index in range(count):
        found[index, 5 + 7 * index : 30 + 5 * index, 3 + 4 * index : 25 + 3 * index] = True
    return found

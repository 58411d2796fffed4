"""Small InternVL models in OpenGVLab's layout: configurations, seeded weights and inputs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch

SIDE, PATCH, WIDTH = 28, 7, 48
#: Of ``<IMG_CONTEXT>`` in the inputs.
CONTEXT_ID = 5

_VISION = {
    "architectures": ["InternVisionModel"],
    "model_type": "intern_vit_6b",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "image_size": SIDE,
    "patch_size": PATCH,
    "layer_norm_eps": 1e-6,
    "use_flash_attn": False,
}
#: InternViT-300M and InternViT-6B in what tells them apart.
_SMALL_VISION = {**_VISION, "norm_type": "layer_norm", "qk_normalization": False, "qkv_bias": True}
_LARGE_VISION = {**_VISION, "norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}

_LANGUAGE = {
    "hidden_size": WIDTH,
    "intermediate_size": 80,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 64,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}


def _language(name: str, **settings: Any) -> dict[str, Any]:
    return {**_LANGUAGE, "architectures": [name], **settings}


def _whole(vision: dict[str, Any], language: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {
        "model_type": "internvl_chat",
        "vision_config": vision,
        "llm_config": language,
        "force_image_size": SIDE,
        "downsample_ratio": 0.5,
        "select_layer": -1,
        "ps_version": "v2",
        "template": "internvl2_5",
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "max_dynamic_patch": 12,
        **settings,
    }


CASES: dict[str, dict[str, Any]] = {
    "qwen2": _whole(_SMALL_VISION, _language("Qwen2ForCausalLM", model_type="qwen2")),
    "internlm2": _whole(
        _LARGE_VISION,
        _language(
            "InternLM2ForCausalLM", model_type="internlm2", bias=False, rope_scaling={"type": "dynamic", "factor": 2.0}
        ),
    ),
    "internlm2_bias": _whole(
        _SMALL_VISION,
        _language("InternLM2ForCausalLM", model_type="internlm2", bias=True, num_key_value_heads=1),
        select_layer=-2,
    ),
    "phi3": _whole(
        _SMALL_VISION,
        _language(
            "Phi3ForCausalLM",
            model_type="phi3",
            rope_theta=10000.0,
            original_max_position_embeddings=64,
            rope_scaling={
                "type": "su",
                "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
                "long_factor": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            },
        ),
    ),
    "llama": _whole(_LARGE_VISION, _language("LlamaForCausalLM", model_type="llama")),
}


def seeded_tensor(name: str, shape: torch.Size) -> torch.Tensor:
    """A tensor that its name and shape determine, of a size that keeps activations near one."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) in (2, 4):
        return noise * 1.5 / shape[1:].numel() ** 0.5
    is_scale = name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "mlp1.0.weight", "ls1", "ls2"))
    return 1 + 0.2 * noise if is_scale else 0.3 * noise


def seeded_state(shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Weights of these names and shapes."""
    return {name: seeded_tensor(name, shape) for name, shape in shapes.items()}


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Two tiles ``[2,3,28,28]`` and a conversation ``[1,26]`` with places for their tokens."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=generator)
    words = torch.randint(8, 64, (18,), generator=generator)
    ids = torch.cat([words[:4], torch.full((8,), CONTEXT_ID), words[4:]])
    return pixels, ids[None]

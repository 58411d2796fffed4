"""Sizes of the published base models, so that what a config would train can be counted without their weights.

Literal facts from each repository's ``config.json`` on huggingface.co (the LLMs of InternVL 2.5 and 3 are named in its
model cards); ``tokens`` is the length of its tokenizer, which may be less than the rows of its embeddings. Where a base
model is on disk, its own ``config.json`` is read instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: InternViT-300M-448px and InternViT-6B-448px, both of the V2.5 series.
_INTERNVIT_300M = dict(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, attention_bias=True
)
_INTERNVIT_6B = dict(
    hidden_size=3200,
    num_hidden_layers=45,
    num_attention_heads=25,
    intermediate_size=12800,
    use_qk_norm=True,
    norm_type="rms_norm",
)
#: openai/clip-vit-large-patch14, but for the side of its pictures.
CLIP_VIT_L: dict[str, Any] = dict(
    model_type="clip_vision_model",
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    patch_size=14,
    projection_dim=768,
)


@dataclass(frozen=True)
class Geometry:
    """A base model as numbers.

    Attributes:
        repository: on huggingface.co.
        model_type: transformers' name of the family.
        tokens: length of the tokenizer, before special tokens are added.
        config: transformers' configuration.
        source: how it is made, where nobody may publish it as it is.
    """

    repository: str
    model_type: str
    tokens: int
    config: dict[str, Any]
    source: str = ""

    def download(self, path: str) -> str:
        """The command that puts the model where it was looked for, or what else makes it."""
        return self.source or f"hf download {self.repository} --local-dir {path}"


def _language(
    model_type: str, width: int, layers: int, heads: int, kv_heads: int, inner: int, rows: int, **more: Any
) -> dict[str, Any]:
    return dict(
        model_type=model_type,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=inner,
        vocab_size=rows,
        tie_word_embeddings=False,
        **more,
    )


def _internvl(name: str, language: dict[str, Any], vision: dict[str, Any] = _INTERNVIT_300M) -> Geometry:
    sides = dict(image_size=[448, 448], patch_size=[14, 14])
    config = dict(vision_config=vision | sides, text_config=language, tie_word_embeddings=False)
    return Geometry(f"OpenGVLab/{name}", "internvl", language["vocab_size"], config)


def _qwen2_5_vl(size: str, language: dict[str, Any]) -> Geometry:
    vision = dict(depth=32, hidden_size=1280, num_heads=16, intermediate_size=3420, patch_size=14)
    vision |= dict(out_hidden_size=language["hidden_size"], window_size=112, fullatt_block_indexes=[7, 15, 23, 31])
    config = dict(vision_config=vision, text_config=language, tie_word_embeddings=False)
    return Geometry(f"Qwen/Qwen2.5-VL-{size}-Instruct", "qwen2_5_vl", 151665, config)


def _qwen3_vl(size: str, language: dict[str, Any]) -> Geometry:
    vision = dict(depth=24, hidden_size=1024, num_heads=16, intermediate_size=4096, patch_size=16)
    vision |= dict(
        out_hidden_size=language["hidden_size"], num_position_embeddings=2304, deepstack_visual_indexes=[5, 11, 17]
    )
    config = dict(vision_config=vision, text_config=language | dict(head_dim=128), tie_word_embeddings=False)
    return Geometry(f"Qwen/Qwen3-VL-{size}-Instruct", "qwen3_vl", 151669, config)


def _llava(repository: str, language: dict[str, Any], side: int, delta: str = "") -> Geometry:
    """A LLaVA in its own layout, CLIP in a folder apart; ``delta`` names what is added to the first Llama's weights."""
    config = dict(
        vision_config=CLIP_VIT_L | dict(image_size=side),
        text_config=language,
        projector_hidden_act="linear" if side == 224 else "gelu",
        vision_feature_layer=-2,
        tie_word_embeddings=False,
    )
    source = f"merge Llama's weights and {delta} as docs/MODEL_ZOO.md of haotian-liu/LLaVA says" if delta else ""
    return Geometry(repository, "llava", language["vocab_size"], config, source)


def _smolvlm2(
    size: str, language: dict[str, Any], vision: dict[str, Any], side: int, patch: int, scale: int
) -> Geometry:
    """A SmolVLM2; what its configurations leave out are transformers' defaults for SigLIP-B."""
    config = dict(
        vision_config=vision | dict(image_size=side, patch_size=patch),
        text_config=language | dict(max_position_embeddings=8192, rms_norm_eps=1e-5, head_dim=64),
        scale_factor=scale,
        image_token_id=49190,
        tie_word_embeddings=False,
    )
    return Geometry(f"HuggingFaceTB/SmolVLM2-{size}-Instruct", "smolvlm", 49280, config)


#: google/siglip-base-patch16-512 and google/siglip-so400m-patch14-384.
_SIGLIP_BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
_SIGLIP_SO400M = dict(hidden_size=1152, num_hidden_layers=27, num_attention_heads=16, intermediate_size=4304)

#: Vicuna and Llama 2; the row beside their 32000 is for ``<image>``, which LLaVA's own tokenizer lacks.
_LLAMA_7B = _language("llama", 4096, 32, 32, 32, 11008, 32001)
_LLAMA_13B = _language("llama", 5120, 40, 40, 40, 13824, 32001)

_QWEN_05B = _language("qwen2", 896, 24, 14, 2, 4864, 151674)
_QWEN_15B = _language("qwen2", 1536, 28, 12, 2, 8960, 151674)
_QWEN_3B = _language("qwen2", 2048, 36, 16, 2, 11008, 151674)
_QWEN_7B = _language("qwen2", 3584, 28, 28, 4, 18944, 151674)
_QWEN_14B = _language("qwen2", 5120, 48, 40, 8, 13824, 151674)
#: InternLM2.5, whose weights are a Llama's but for one fused matrix.
_INTERNLM_7B = _language("llama", 4096, 32, 32, 8, 14336, 92553)
_INTERNLM_20B = _language("llama", 6144, 48, 48, 8, 16384, 92553)

_SMOLLM_135M = _language("llama", 576, 30, 9, 3, 1536, 49280)
_SMOLLM_360M = _language("llama", 960, 32, 15, 5, 2560, 49280)
_SMOLLM_17B = _language("llama", 2048, 24, 32, 32, 8192, 49280)

_MODELS = (
    _internvl("InternVL2_5-1B", _QWEN_05B),
    _internvl("InternVL2_5-4B", _QWEN_3B),
    _internvl("InternVL2_5-8B", _INTERNLM_7B),
    _internvl("InternVL2_5-26B", _INTERNLM_20B, _INTERNVIT_6B),
    _internvl("InternVL3-2B", _QWEN_15B),
    _internvl("InternVL3-8B", _QWEN_7B),
    _internvl("InternVL3-14B", _QWEN_14B),
    _qwen2_5_vl("3B", _language("qwen2_5_vl_text", 2048, 36, 16, 2, 11008, 151936)),
    _qwen2_5_vl("7B", _language("qwen2_5_vl_text", 3584, 28, 28, 4, 18944, 152064)),
    _qwen3_vl("2B", _language("qwen3_vl_text", 2048, 28, 16, 8, 6144, 151936)),
    _qwen3_vl("4B", _language("qwen3_vl_text", 2560, 36, 32, 8, 9728, 151936)),
    _smolvlm2("256M-Video", _SMOLLM_135M, _SIGLIP_BASE, side=512, patch=16, scale=4),
    _smolvlm2("500M-Video", _SMOLLM_360M, _SIGLIP_BASE, side=512, patch=16, scale=4),
    _smolvlm2("2.2B", _SMOLLM_17B, _SIGLIP_SO400M, side=384, patch=14, scale=3),
    _llava("liuhaotian/LLaVA-Lightning-7B-v1-1", _LLAMA_7B, 224, "liuhaotian/LLaVA-Lightning-7B-delta-v1-1"),
    _llava("liuhaotian/LLaVA-13B-v1-1", _LLAMA_13B, 224, "liuhaotian/LLaVA-13b-delta-v1-1"),
    _llava("liuhaotian/llava-llama-2-13b-chat-lightning-preview", _LLAMA_13B, 224),
    _llava("liuhaotian/llava-v1.5-7b", _LLAMA_7B, 336),
    Geometry(
        "llava-hf/llava-1.5-7b-hf",
        "llava",
        32002,
        dict(
            vision_config=CLIP_VIT_L | dict(image_size=336),
            text_config=_language("llama", 4096, 32, 32, 32, 11008, 32064),
            vision_feature_layer=-2,
            tie_word_embeddings=False,
        ),
    ),
)
#: Folder name (the last part of the repository's) → geometry.
GEOMETRIES: dict[str, Geometry] = {model.repository.rpartition("/")[2]: model for model in _MODELS}

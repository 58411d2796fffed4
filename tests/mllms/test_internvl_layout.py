"""InternVL in OpenGVLab's layout: read as a whole, and what is refused."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import save_file

from word2mask.errors import UserError
from word2mask.mllms.internvl import InternVL, InternVLSettings
from word2mask.mllms.internvl_layout import original_config, transformers_config
from word2mask.mllms.internvl_names import original_tensors, pieces


@pytest.fixture(scope="module")
def model() -> InternVL:
    return InternVL.tiny()


@pytest.fixture
def folder(model, tmp_path):
    raw = original_config(model.model.config, "internvl2_5", 6) | {"model_type": "internvl_chat"}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    save_file(dict(original_tensors(model.model.state_dict(), model.model.config)), tmp_path / "model.safetensors")
    model.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_in_the_original_layout(model, folder):
    again = InternVL.from_pretrained(folder)
    state = again.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.model.state_dict().items())
    assert again.settings == InternVLSettings(template="qwen_chat", max_tiles=12)
    assert InternVL.from_pretrained(folder, template="phi3_chat").template.name == "phi3_chat"
    assert again.processor.grid_side == model.processor.grid_side
    assert again.model.config.vision_config.to_dict() == model.model.config.vision_config.to_dict() | {
        "dtype": "float32",
        "projection_dropout": 0.0,
    }


def test_half_the_memory(folder):
    assert {parameter.dtype for parameter in InternVL.from_pretrained(folder, dtype=torch.bfloat16).parameters()} == {
        torch.bfloat16
    }


def test_a_small_model_whose_head_shares_the_embeddings(folder):
    raw = json.loads((folder / "config.json").read_text())
    from safetensors.torch import load_file

    state = load_file(folder / "model.safetensors")
    del state["language_model.lm_head.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"1 tensors of the model are missing, the first is lm_head\.weight"):
        InternVL.from_pretrained(folder)
    raw["llm_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(raw))
    again = InternVL.from_pretrained(folder).model
    assert torch.equal(again.lm_head.weight, again.get_input_embeddings().weight)


def test_a_tensor_that_is_not_understood(model):
    state = dict(original_tensors(model.model.state_dict(), model.model.config))
    known = len(
        list(
            pieces(state | {"language_model.model.layers.0.self_attn.rotary_emb.inv_freq": 0}, model.model.config, "x")
        )
    )
    assert known == len(model.model.state_dict())
    with pytest.raises(UserError, match=r"x: the tensor qllama\.weight is not understood.*Qwen2ForCausalLM"):
        next(pieces(state | {"qllama.weight": torch.zeros(1)}, model.model.config, "x"))
    with pytest.raises(ValueError, match="nose is no tensor of an InternVL"):
        dict(original_tensors({"nose": torch.zeros(1)}, model.model.config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ps_version": "v1"}, r"ps_version is 'v1', and only 'v2'"),
        ({"force_image_size": 64}, "force_image_size is 64, and only 32"),
        ({"use_llm_lora": 16}, "use_llm_lora is 16, and only 0"),
        ({"vision_config": {"qk_normalization": True, "layer_norm_eps": 1e-5}}, r"layer_norm_eps is 1e-05"),
        (
            {"llm_config": {"architectures": ["GptOssForCausalLM"]}},
            r"\['GptOssForCausalLM'\], expected one of InternLM2",
        ),
        (
            {"llm_config": {"architectures": ["Phi3ForCausalLM"], "rope_scaling": {"type": "yarn"}}},
            r"rope_scaling\.type is 'yarn', and only 'su'",
        ),
    ],
)
def test_what_transformers_does_not_do_is_refused(model, change, message):
    raw = original_config(model.model.config, "qwen_chat", 12)
    raw = copy.deepcopy(raw)
    for key, value in change.items():
        raw[key] = raw[key] | value if isinstance(value, dict) else value
    with pytest.raises(UserError, match=message):
        transformers_config(raw, 5, "config.json")


def test_qwen3_and_its_settings():
    language = {
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 24,
        "num_hidden_layers": 1,
        "intermediate_size": 8,
        "vocab_size": 32,
        "rope_theta": 5000000,
        "torch_dtype": "bfloat16",
        "temperature": 0.6,
        "transformers_version": "4.51.0",
    }
    vision = {"image_size": 56, "patch_size": 14, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = transformers_config({"llm_config": language, "vision_config": vision, "ps_version": "v2"}, 5, "x")
    assert config.text_config.model_type == "qwen3" and config.text_config.head_dim == 24
    assert config.text_config.rope_parameters == {"rope_theta": 5000000, "rope_type": "default"}
    assert config.image_seq_length == 4 and not hasattr(config.text_config, "temperature")
    # What a file leaves out has OpenGVLab's default, that of the 6B tower.
    assert config.vision_config.norm_type == "rms_norm" and config.vision_config.use_qk_norm
    assert original_config(config, "qwen_chat", 12)["llm_config"]["rope_theta"] == 5000000

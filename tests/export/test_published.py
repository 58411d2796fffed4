"""The published Sa2VA layout: names, what comes back, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, Qwen2Tokenizer

from word2mask.errors import UserError
from word2mask.export.hf import Word2MaskModel
from word2mask.export.published import differences, published_config, published_tensors, save_published
from word2mask.export.published_tokenizer import save_tokenizer
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL, InternVLSettings
from word2mask.mllms.internvl_names import INTERNLM2
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.tokenizer_files import read_tokenizer
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.types import Media, Request, Turn

PARITY = Path(__file__).resolve().parents[1] / "parity"


def grounded(family) -> GroundedMLLM:
    torch.manual_seed(0)
    return GroundedMLLM(family.tiny(), SAM2Segmenter.tiny()).eval()


@pytest.fixture(scope="module")
def model() -> GroundedMLLM:
    return grounded(InternVL)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("published") / "model"
    save_published(model, target, {"config": "sa2va_4b.py"}, max_shard_size="1MB")
    return target


def answer(model: GroundedMLLM) -> np.ndarray:
    """Masks of three objects on two frames, before any threshold."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, model.segmenter.side, model.segmenter.side, generator=generator)
    states = [torch.randn(3, model.mllm.hidden_size, generator=generator)]
    with torch.no_grad():
        objects = model.segment(
            model.encode_frames(pixels), model.prompts(states), [torch.arange(2).expand(3, -1)], [2]
        )
    return objects[0].mask_logits.numpy()


def test_names_are_the_published_ones(model, folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 2
    tops = {name.split(".")[0] for name in index}
    assert tops == {"vision_model", "mlp1", "language_model", "text_hidden_fcs", "grounding_encoder"}
    assert {name for name in index if name.startswith(("mlp1.", "text_hidden_fcs."))} == {
        *(f"mlp1.{layer}.{leaf}" for layer in (0, 1, 3) for leaf in ("weight", "bias")),
        *(f"text_hidden_fcs.{layer}.{leaf}" for layer in (0, 2) for leaf in ("weight", "bias")),
    }
    assert "language_model.lm_head.weight" in index and "language_model.model.layers.1.self_attn.q_proj.bias" in index
    assert "vision_model.encoder.layers.0.attn.qkv.weight" in index
    assert "grounding_encoder.sam2_model.memory_encoder.fuser.layers.1.g_weight" in index
    assert not any("gamma" in name for name in index)


def test_segmenter_of_the_published_size_has_the_900_names():
    """The names are those of Meta's SAM 2.0 Hiera-L, LayerScale spelt as in the published folders."""
    with torch.device("meta"):
        segmenter = SAM2Segmenter.from_config(sam2_config("large", version="2.0"))
    model = grounded(InternVL)
    model.segmenter = segmenter
    prefix = "grounding_encoder.sam2_model."
    names = {name.removeprefix(prefix) for name, _ in published_tensors(model) if name.startswith(prefix)}
    expected = (PARITY / "sam2_0_large_names.txt").read_text().split("\n")
    expected = {line.split()[0] for line in expected if line and not line.startswith("#")}
    assert len(names) == 900
    assert {name.replace("g_weight", "gamma") for name in names} == {
        name.replace("g_weight", "gamma") for name in expected
    }
    assert differences(model) == ["it cuts pictures into up to 12 tiles, and this model into 2"]
    assert "segmenter" not in published_config(model)["word2mask"]


def test_whoever_may_read_the_configuration_may_read_the_weights(folder):
    weights = list(folder.glob("*.safetensors"))
    assert len(weights) > 2
    assert {path.stat().st_mode for path in weights} == {(folder / "config.json").stat().st_mode}


def test_configuration(model, folder):
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("sa2va_chat", ["Sa2VAChatModel"])
    assert config["auto_map"]["AutoModel"] == "modeling_sa2va_chat.Sa2VAChatModel"
    assert config["llm_config"]["architectures"] == ["Qwen2ForCausalLM"]
    assert config["llm_config"]["vocab_size"] == len(model.mllm.tokenizer)
    assert config["vision_config"]["architectures"] == ["InternVisionModel"]
    assert (config["template"], config["ps_version"], config["select_layer"]) == ("qwen_chat", "v2", -1)
    assert config["tie_word_embeddings"] is False and config["torch_dtype"] == "float32"
    names = {entry.name for entry in folder.iterdir()}
    assert {"generation_config.json", "README.md", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not any(name.endswith(".py") for name in names)
    assert "Copy them from a published folder" in (folder / "README.md").read_text()


@pytest.mark.parametrize("family", [InternVL, Qwen25VL, Qwen3VL])
def test_every_tensor_comes_back(family, tmp_path):
    model = grounded(family)
    save_published(model, tmp_path)
    again = load_grounded(tmp_path)
    state = again.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert again.mllm.settings == model.mllm.settings and type(again.mllm) is family
    assert again.mllm.tokenizer.get_vocab() == model.mllm.tokenizer.get_vocab()
    assert np.array_equal(answer(again), answer(model))
    picture = Media("image", np.random.default_rng(0).integers(0, 255, (1, 40, 60, 3), dtype=np.uint8))
    request = Request((Turn("user", "Please segment the circle."),), picture, max_new_tokens=5)
    assert Session(again).ask(request).raw_text == Session(model).ask(request).raw_text


def test_internlm2_goes_out_fused_and_comes_back(tmp_path):
    base = InternVL.tiny()
    settings = base.model.config.text_config
    config = base.model.config
    config.text_config = LlamaConfig(
        vocab_size=settings.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        architectures=[INTERNLM2],
    )
    torch.manual_seed(0)
    language = InternVL(InternVL.backbone(config).eval(), base.tokenizer, InternVLSettings(template="internlm2_chat"))
    model = GroundedMLLM(language, SAM2Segmenter.tiny()).eval()
    save_published(model, tmp_path / "published")
    names = load_file(tmp_path / "published" / "model.safetensors").keys()
    assert "language_model.model.layers.0.attention.wqkv.weight" in names and "language_model.output.weight" in names
    save_grounded(model, tmp_path / "ours")
    for folder in (tmp_path / "published", tmp_path / "ours"):  # either remembers what the network was
        again = load_grounded(folder)
        state = again.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert again.mllm.template.name == "internlm2_chat"
        assert "language_model.output.weight" in {name for name, _ in published_tensors(again)}


def test_both_decoders_travel(tmp_path, model):
    two = grounded(InternVL)
    two.segmenter.keep_original_decoder()
    with torch.no_grad():
        two.segmenter.model.mask_decoder.mask_tokens.weight.add_(1)
    save_published(two, tmp_path)
    again = load_grounded(tmp_path).segmenter.original_decoder.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in two.segmenter.original_decoder.state_dict().items())


def edit(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_what_only_our_export_says_has_the_published_values_without_it(model, tmp_path):
    save_published(model, tmp_path)
    extra = json.loads((tmp_path / "config.json").read_text())["word2mask"]
    edit(tmp_path, word2mask={"segmenter": extra["segmenter"]}, template="phi3-chat")
    again = load_grounded(tmp_path)
    assert again.mllm.settings == InternVLSettings(
        template="phi3_chat", max_tiles=12, max_length=8192, region_sampling="nearest"
    )
    assert (again.seg_state, again.prompt_frames) == ("at", "all")


def test_a_narrower_vision_tower_is_brought_to_the_same_dtype(model, tmp_path):
    """Published folders hold the frozen vision tower in bfloat16 and the rest in float32."""
    save_published(model, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    narrow = {k: v.bfloat16() if k.startswith("vision_model.") else v for k, v in state.items()}
    save_file(narrow, tmp_path / "model.safetensors")
    assert {parameter.dtype for parameter in load_grounded(tmp_path).parameters()} == {torch.float32}
    half = load_grounded(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state | {"nose.weight": torch.zeros(1)}, r"the tensor nose\.weight is not understood"),
        (
            lambda state: state | {"grounding_encoder.sam2_model.nose": torch.zeros(1)},
            r"1 tensors are not SAM 2's, the first is 'nose'",
        ),
        (lambda state: state | {"text_hidden_fcs.5.bias": torch.zeros(1)}, r"text_hidden_fcs\.5\.bias is not under"),
        (
            lambda state: {k: v for k, v in state.items() if k != "text_hidden_fcs.2.bias"},
            r"text_hidden_fcs\.2\.bias is missing",
        ),
        (
            lambda state: {k: v for k, v in state.items() if k != "mlp1.1.bias"},
            r"1 tensors of the model are missing, the first is model\.multi_modal_projector\.linear_1\.bias",
        ),
    ],
)
def test_tensors_that_are_not_understood_or_missing_are_named(model, tmp_path, change, message):
    save_published(model, tmp_path)
    save_file(change(load_file(tmp_path / "model.safetensors")), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=message):
        load_grounded(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "moss_sft"}, "'moss_sft' is unknown; choose one of"),
        ({"template": None}, "template is None, expected the name"),
        ({"word2mask": {}}, r"width and depth \(8, 4\), which Meta hasn't released"),
        ({"ps_version": "v1"}, "ps_version is 'v1'"),
    ],
)
def test_configurations_that_are_not_understood(model, tmp_path, changes, message):
    save_published(model, tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        load_grounded(tmp_path)


def test_a_qwen_variant_of_another_family(tmp_path):
    save_published(grounded(Qwen25VL), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["text_config"]["rope_scaling"]["mrope_section"] and "rope_parameters" not in config["text_config"]
    assert config["architectures"] == ["Sa2VAChatModelQwen"]
    edit(tmp_path, vision_config=config["vision_config"] | {"model_type": "qwen2_vl"})
    with pytest.raises(
        UserError, match=r"vision_config\.model_type is 'qwen2_vl', expected 'qwen2_5_vl' or 'qwen3_vl'"
    ):
        load_grounded(tmp_path)


def test_models_that_the_layout_has_no_place_for(tmp_path):
    with pytest.raises(UserError, match="not for LLaVA with SAM2Segmenter; use --layout word2mask"):
        save_published(grounded(LLaVA), tmp_path)
    lisa = GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), seg_state="before", prompt_frames="first")
    with pytest.raises(UserError, match="reads the state at"):
        save_published(lisa, tmp_path)
    assert "it prompts all key frames" in differences(lisa)[1]
    with pytest.raises(UserError, match="makes one prompt token of a .SEG., this model 2"):
        save_published(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), projector_start="box"), tmp_path)


def test_the_hugging_face_class_reads_it_too(folder, model):
    loaded = Word2MaskModel.from_pretrained(folder)
    assert loaded.config.seg_state == "at" and loaded.config.mllm["family"] == "InternVL"
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.grounded.state_dict().items())


def test_a_qwen2_tokenizer_has_the_files_of_transformers_4(tmp_path):
    backend = json.loads(byte_tokenizer().backend_tokenizer.to_str())["model"]["vocab"]
    plain = {token: index for index, token in enumerate(token for token in backend if not token.startswith("<"))}
    plain["he"] = len(plain)
    tokenizer = Qwen2Tokenizer(vocab=plain, merges=[("h", "e")], eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens(["<|im_end|>", "[SEG]"], special_tokens=True)
    save_tokenizer(tokenizer, tmp_path)
    assert json.loads((tmp_path / "vocab.json").read_text()) == {**plain}
    assert (tmp_path / "merges.txt").read_text() == "#version: 0.2\nh e\n"
    assert json.loads((tmp_path / "added_tokens.json").read_text())["[SEG]"] == tokenizer.get_vocab()["[SEG]"]
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["eos_token"]) == ("Qwen2Tokenizer", "<|im_end|>")
    assert "[SEG]" in config["additional_special_tokens"]
    (tmp_path / "config.json").write_text('{"model_type": "sa2va_chat", "auto_map": {"AutoConfig": "nowhere.Nothing"}}')
    text = "hehe [SEG]<|im_end|>"
    for left_out in (None, "tokenizer.json"):  # without it, as published: the slow class' files are enough
        if left_out:
            (tmp_path / left_out).unlink()
        again = read_tokenizer(tmp_path)
        assert again.encode(text) == tokenizer.encode(text) and len(again) == len(tokenizer)
        assert again.eos_token == "<|im_end|>" and again.get_added_vocab() == tokenizer.get_added_vocab()

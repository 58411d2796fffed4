"""Weights from disk into a model: one tensor at a time, everything in its place, nothing left over."""

from __future__ import annotations

import json
import weakref

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from word2mask.errors import UserError
from word2mask.mllms import weights
from word2mask.mllms.weights import Piece, TensorFolder, built_from

CONFIG = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()


def built(pieces, **options):
    return built_from(LlamaForCausalLM, LlamaConfig(**CONFIG), pieces, "here", **options)


def test_equals_a_model_that_was_made_the_usual_way(model):
    again = built(Piece(name, tensor, name) for name, tensor in model.state_dict().items())
    ids = torch.arange(10)[None]
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert not again.training and all(not tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    assert again.lm_head.weight.requires_grad


def test_no_more_than_one_tensor_of_the_source_is_held(model):
    seen: list[weakref.ref] = []

    def pieces():
        for name, tensor in model.state_dict().items():
            fresh = tensor.clone()
            seen.append(weakref.ref(fresh))
            yield Piece(name, fresh, name)
            del fresh
            assert sum(ref() is not None for ref in seen) <= 1

    again = built(pieces(), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.bfloat16} and again.dtype == torch.bfloat16
    assert again.model.rotary_emb.inv_freq.dtype == torch.float32  # tables keep what transformers computes them in


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state | {"model.nose": torch.zeros(1)}, r"here: the tensor old\.model\.nose is no part"),
        (
            lambda state: {**state, "model.norm.weight": torch.zeros(9)},
            r"old\.model\.norm\.weight has shape \[9\].*\[8\]",
        ),
        (lambda state: {k: v for k, v in state.items() if "norm" not in k}, r"5 tensors .* missing, .*input_layernorm"),
    ],
)
def test_weights_that_do_not_fit(model, change, message):
    with pytest.raises(UserError, match=message):
        built(Piece(name, tensor, f"old.{name}") for name, tensor in change(dict(model.state_dict())).items())


def test_a_tensor_that_comes_twice(model):
    pieces = [Piece(name, tensor, name) for name, tensor in model.state_dict().items()]
    with pytest.raises(UserError, match=r"lm_head\.weight is there twice"):
        built([*pieces, pieces[-1]])


def test_a_head_that_shares_the_embeddings(model):
    pieces = [Piece(name, tensor, name) for name, tensor in model.state_dict().items() if name != "lm_head.weight"]
    again = built(pieces, tied={"lm_head.weight": "model.embed_tokens.weight"})
    assert torch.equal(again.lm_head.weight, model.model.embed_tokens.weight)
    assert again.lm_head.weight.data_ptr() != again.model.embed_tokens.weight.data_ptr()


def index(folder, places):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def test_shards_are_read_in_their_order(tmp_path):
    save_file({"b": torch.ones(2), "d": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "model-1.safetensors")
    save_file({"a": torch.zeros(2), "c": torch.arange(2)}, tmp_path / "model-2.safetensors")
    index(
        tmp_path,
        {"a": "model-2.safetensors", "b": "model-1.safetensors"}
        | dict.fromkeys("c", "model-2.safetensors")
        | dict.fromkeys("d", "model-1.safetensors"),
    )
    folder = TensorFolder(tmp_path)
    assert list(folder) == ["b", "d", "a", "c"] and len(folder) == 4
    assert torch.equal(folder["b"], torch.ones(2)) and folder["c"].tolist() == [0, 1]
    assert folder.dtype() is torch.float32 and folder.dtype("d") is torch.bfloat16 and folder.dtype("c") is None


def test_weights_that_this_user_may_not_read(tmp_path, monkeypatch):
    save_file({"b": torch.ones(2)}, tmp_path / "model.safetensors")

    def refused(*_, **__):
        raise FileNotFoundError("No such file or directory")  # what safetensors says

    # The superuser may read everything, so that nothing on disk would do.
    monkeypatch.setattr(weights, "safe_open", refused)
    monkeypatch.setattr(weights.os, "access", lambda path, how: False)
    with pytest.raises(UserError, match=r"model\.safetensors: the weights may not be read by this user.*chmod a\+r"):
        TensorFolder(tmp_path)


def test_folders_whose_weights_are_not_whole(tmp_path):
    with pytest.raises(UserError, match=r"file of the weights is missing \(model\.safetensors\)"):
        TensorFolder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"model\.safetensors: the weights can't be read"):
        TensorFolder(tmp_path)
    save_file({"b": torch.ones(2)}, tmp_path / "model-1.safetensors")
    index(tmp_path, {"b": "model-1.safetensors", "c": "model-1.safetensors"})
    with pytest.raises(UserError, match=r"c is said to be in model-1\.safetensors, which lacks it"):
        TensorFolder(tmp_path)
    index(tmp_path, {"b": "../model-3.safetensors"})  # a name with a path means the file of that name in the folder
    with pytest.raises(UserError, match=r"missing \(model-3\.safetensors\)"):
        TensorFolder(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(UserError, match=r"index\.json: can't be read"):
        TensorFolder(tmp_path)

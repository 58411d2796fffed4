"""TrainablePlan: what opens, what stays shut, and merging that changes no output."""

import pytest
import torch

from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan, merge_adapters, parameter_rows, parameter_table
from word2mask.segmenters.sam2 import SAM2Segmenter


def grounded(**plan):
    return GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), trainable=TrainablePlan(**plan))


def test_only_adapters_and_named_groups_train():
    model = grounded(lora_rank=2, lora_alpha=4)
    open_names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(
        ".lora_" in name
        or name.startswith("projector.")
        or "embed_tokens" in name
        or "lm_head" in name
        or "projector" in name
        for name in open_names
    )
    assert any(".lora_A." in name and "q_proj" in name for name in open_names)
    assert not any(name.startswith("segmenter.") or "vision_tower" in name for name in open_names)
    assert not any(
        "lora" in name for name, _ in model.named_parameters() if "lm_head" in name or "vision_tower" in name
    )


def test_rank_0_injects_nothing():
    model = grounded(lora_rank=0, train=("projector",))
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"projector"}


def test_adapters_on_some_layers_only():
    model = grounded(lora_rank=2, lora_layers=("q_proj", "v_proj"), train=("projector",))
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if "lora_" in name}
    assert adapted == {"q_proj", "v_proj"}
    assert grounded(lora_rank=2, lora_layers=None).trainable.lora_layers is None


@pytest.mark.parametrize(
    ("layers", "message"), [(("q_proj", "qkv"), "names qkv; this model has"), ((), "names nothing")]
)
def test_unknown_layers_name_the_known_ones(layers, message):
    with pytest.raises(ValueError, match=f"lora_layers {message}"):
        grounded(lora_rank=2, lora_layers=layers)


def test_unknown_group_names_the_known_ones():
    with pytest.raises(ValueError, match=r"names heads; this model has connector, embeddings, .*vision"):
        grounded(train=("heads",))


def test_applying_twice_is_refused():
    model = grounded(lora_rank=2)
    with pytest.raises(ValueError, match="already carries adapters"):
        TrainablePlan(lora_rank=2).apply(model)


def test_frozen_parts_stay_in_evaluation_mode():
    model = grounded(lora_rank=2).train()
    groups = model.parameter_groups()
    assert not groups["segmenter"].training and not groups["vision"].training
    assert groups["connector"].training and groups["projector"].training and groups["llm"].training


def test_rows_count_every_parameter_once():
    model = grounded(lora_rank=2)
    rows = parameter_rows(model)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    trained = sum(row.parameters for row in rows if row.state != "frozen")
    assert trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    states = {(row.group, row.state) for row in rows}
    assert {("llm", "LoRA"), ("llm", "frozen"), ("embeddings", "trained"), ("projector", "trained")} <= states
    assert ("other", "frozen") not in states
    assert f"trains: {trained:,} of" in parameter_table(model)


@torch.no_grad()
def test_merged_weights_give_the_same_states():
    torch.manual_seed(0)
    model = grounded(lora_rank=2, lora_dropout=0.0).eval()
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.normal_(std=0.1)
    ids = torch.arange(20, 30)[None]
    before = model.mllm(ids, torch.ones_like(ids), {}).hidden
    assert merge_adapters(model.mllm) > 0
    assert not any("lora_" in name for name, _ in model.named_parameters())
    torch.testing.assert_close(model.mllm(ids, torch.ones_like(ids), {}).hidden, before, atol=1e-4, rtol=1e-3)

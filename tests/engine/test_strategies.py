"""What strategies split, the order in which gradients arrive, precision, and what is refused before anything starts."""

import importlib.metadata

import pytest
import torch
from torch import nn

from word2mask.engine.adapter import ModelAdapter
from word2mask.engine.config import check_settings
from word2mask.engine.optimizer import set_precision
from word2mask.engine.strategies import strategy_class, unwrap
from word2mask.engine.strategies.base import SingleProcess, check_groups, refuse_fp16
from word2mask.engine.strategies.layers import SharedView, outside, passed_layers
from word2mask.engine.strategies.zero import _limit_buckets, deepspeed_config, require_deepspeed
from word2mask.errors import UserError
from word2mask.mllms.internvl import InternVL
from word2mask.mllms.lengths import length_groups, one_group
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.qwen_vl import Qwen3VL


class Network(nn.Module):
    """Two layers that every batch passes, a tower that pictures pass, and a head that masks pass."""

    def __init__(self):
        super().__init__()
        self.tower = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)]).requires_grad_(False)
        self.bridge = nn.Linear(8, 2)
        self.llm = nn.ModuleDict(
            {"layers": nn.ModuleList([nn.Linear(2, 2) for _ in range(2)]), "norm": nn.LayerNorm(2)}
        )
        self.head = nn.Linear(2, 1)

    def parameter_groups(self):
        return {"vision": self.tower, "llm": self.llm, "head": self.head}

    def forward(self, batch):
        hidden = batch["text"]
        if "picture" in batch:
            hidden = hidden + self.bridge(batch["picture"])
        for layer in self.llm["layers"]:
            hidden = layer(hidden)
        losses = {"loss_text": self.llm["norm"](hidden).square().sum()}
        return losses | {"loss_mask": self.head(hidden).sum()} if "mask" in batch else losses


TEXT = {"text": torch.ones(1, 2)}
EVERYTHING = {"text": torch.ones(1, 2), "picture": torch.ones(1, 8), "mask": True}


def settings(**values):
    tree = dict(
        model=dict(type=Network),
        data=dict(dataset=dict(type=list), collate=list, batch_size=3),
        optimizer=dict(type=torch.optim.AdamW),
        schedule=dict(max_iters=1),
    )
    return check_settings({**tree, **values})


def test_layers_of_the_language_model_are_found_and_the_rest_is_outside():
    """Though the vision tower is the larger list."""
    network = Network()
    assert passed_layers(network) == list(network.llm["layers"])
    assert {name.rsplit(".", 1)[0] for name, _ in outside(network, passed_layers(network))} == {
        *("tower.0", "tower.1", "tower.2", "bridge", "llm.norm", "head")
    }
    assert passed_layers(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("family", [InternVL, LLaVA, Qwen3VL])
def test_every_family_shows_its_decoder_layers(family):
    """As many as transformers' own configuration says, and each is passed once by a batch of text."""
    mllm = family.tiny()
    layers = passed_layers(mllm)
    assert len(layers) == mllm.model.config.get_text_config().num_hidden_layers
    calls = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, _: calls.append(module))
    ids = torch.tensor([mllm.tokenizer("Yes.").input_ids])
    with one_group():
        mllm(ids, torch.ones_like(ids), {})
    assert calls == layers


def gradients(batch):
    """Names in the order in which gradients arrive, and the gradients."""
    torch.manual_seed(0)
    network = Network()
    arrived = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: arrived.append(name))
    view = SharedView(ModelAdapter(network), passed_layers(network))
    view.module.ties = False
    view(batch)[0].backward()
    return arrived, {name: parameter.grad for name, parameter in network.named_parameters()}


def test_gradients_arrive_in_one_order_whatever_the_batch():
    """DeepSpeed adds the n-th gradient of one process to the n-th of another."""
    few, zeros = gradients(TEXT)
    many, values = gradients(EVERYTHING)
    assert few == many and len(few) == 10
    assert zeros["bridge.weight"].count_nonzero() == 0 and zeros["head.weight"].count_nonzero() == 0
    assert values["bridge.weight"].count_nonzero() > 0 and values["head.weight"].count_nonzero() > 0


def test_gate_changes_no_number():
    torch.manual_seed(0)
    network = Network()
    loss = sum(network(EVERYTHING).values())
    loss.backward()
    _, values = gradients(EVERYTHING)
    for name, parameter in network.named_parameters():
        assert parameter.grad is None and values[name] is None or torch.equal(parameter.grad, values[name])


def test_view_shows_deepspeed_layers_and_what_trains_only():
    network = Network()
    view = SharedView(ModelAdapter(network), passed_layers(network))
    assert unwrap(view) is network
    shown = {id(parameter) for parameter in view.parameters()}
    assert shown == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    view.eval()
    assert not network.training and not network.head.training and not network.llm["layers"][0].training


def test_precision_of_what_trains_and_what_is_frozen():
    network = Network().half()
    network.register_buffer("frequencies", torch.ones(2))
    for precision, frozen in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        set_precision(network, precision)
        assert {parameter.dtype for parameter in network.tower.parameters()} == {frozen}
        assert {parameter.dtype for parameter in network.head.parameters()} == {torch.float32}
        assert network.frequencies.dtype == torch.float32
    with pytest.raises(UserError, match="precision is 'fp8'; expected one of fp32, bf16, fp16"):
        set_precision(network, "fp8")


def test_no_batch_is_split_where_processes_must_pass_equally_often():
    lengths = [200, 5000, 180]
    assert len(length_groups(lengths)) == 2
    with one_group():
        assert length_groups(lengths) == [[0, 1, 2]]
    assert len(length_groups(lengths)) == 2


def test_strategy_names():
    assert strategy_class("zero3", distributed=False) is SingleProcess
    assert strategy_class("fsdp", distributed=True).__name__ == "FullySharded"
    assert strategy_class("zero2_offload", distributed=True).__name__ == "Zero2Offload"
    assert not strategy_class("zero3_offload", distributed=True).validates
    with pytest.raises(UserError, match="strategy 'fsdp' trains in bf16 or fp32; fp16 trains with strategy 'ddp'"):
        refuse_fp16(settings(strategy="fsdp", precision="fp16"))
    with pytest.raises(UserError, match="strategy is 'zero4', did you mean zero3?"):
        strategy_class("zero4", distributed=True)
    with pytest.raises(UserError, match="config.strategy: unknown 'fdsp', did you mean fsdp?"):
        settings(strategy="fdsp")


@pytest.mark.parametrize(("found", "says"), [(None, "found none"), ("0.19.8", "found 0.19.8")])
def test_deepspeed_of_another_version_is_refused_with_the_command(monkeypatch, found, says):
    def version(name):
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(UserError, match=f"'zero2' needs .* {says}: pip install deepspeed==0.19.6"):
        require_deepspeed("zero2")


def test_settings_reach_deepspeed():
    run = settings(accumulate=4, grad_clip=0.5, precision="bf16", sharding=dict(bucket_size=77, overlap_comm=False))
    config = deepspeed_config(run, 3, True, torch.device("cpu"))
    assert config["gradient_accumulation_steps"] == 4 and config["gradient_clipping"] == 0.5
    assert config["train_micro_batch_size_per_gpu"] == 3 and config["bf16"] == {"enabled": True}
    zero = config["zero_optimization"]
    assert zero["stage"] == 3 and zero["reduce_bucket_size"] == 77 and zero["overlap_comm"] is False
    assert zero["offload_optimizer"]["device"] == zero["offload_param"]["device"] == "cpu"
    assert "offload_optimizer" not in deepspeed_config(run, 2, False, torch.device("cpu"))["zero_optimization"]
    _limit_buckets(zero, 13)
    assert zero["reduce_bucket_size"] == 14
    assert deepspeed_config(settings(grad_clip=None), 1, False, torch.device("cpu"))["gradient_clipping"] == 0.0


def test_state_of_other_groups_is_refused():
    weight = nn.Parameter(torch.ones(1))
    check_groups([{"params": [0, 1]}], [[weight, weight]])
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters instead of \[1, 1\]"):
        check_groups([{"params": [0, 1]}], [[weight], [weight]])

"""Which layers are quantised, and what is said where the package isn't there."""

from __future__ import annotations

import sys

import pytest
import torch

from word2mask.errors import UserError
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.quantised import quantise


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="loading in 4 bits needs the package bitsandbytes"):
        quantise(LLaVA.tiny(), 4)


@torch.no_grad()
@pytest.mark.parametrize(("bits", "kind", "bound"), [(4, "Linear4bit", 0.5), (8, "Linear8bitLt", 0.02)])
def test_the_language_models_layers_are_replaced(bits, kind, bound):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    model = LLaVA.tiny()
    ids = torch.tensor([[5, 6, 7, 8]])
    before = model(ids, torch.ones_like(ids), {}).hidden
    names = model.lora_targets()
    assert quantise(model, bits) == len(names) == 14
    replaced = {name for name, layer in model.named_modules() if type(layer).__name__ == kind}
    assert replaced == set(names) and type(model.model.lm_head) is torch.nn.Linear
    for name in names if bits == 4 else ():  # a device does this as the weights arrive
        layer = model.get_submodule(name)
        assert isinstance(layer, bitsandbytes.nn.Linear4bit)
        layer.weight = layer.weight._quantize("cpu")
    after = model(ids, torch.ones_like(ids), {}).hidden
    assert 0 < (after - before).norm() < bound * before.norm()

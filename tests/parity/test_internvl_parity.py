"""OpenGVLab's layout, read by us, computes what OpenGVLab's own code does: ``internvl.safetensors`` says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from word2mask.mllms.internvl_layout import original_config, read_original
from word2mask.mllms.internvl_names import original_tensors

sys.path.insert(0, str(Path(__file__).resolve().parent))
from internvl_cases import CASES, CONTEXT_ID, inputs, seeded_state

EXPECTED = Path(__file__).with_name("internvl.safetensors")
TOKENIZER = SimpleNamespace(convert_tokens_to_ids=lambda token: CONTEXT_ID)


def expected(case: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What the original computed, and the weights that it had."""
    with safe_open(EXPECTED, framework="pt") as file:
        shapes = json.loads(file.metadata()["names"])[case]
        found = {kind: file.get_tensor(f"{case}.{kind}") for kind in ("visual", "hidden", "logits")}
    return found, seeded_state({name: torch.Size(shape) for name, shape in shapes.items()})


def write(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Two shards with an index."""
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: state[name] for name in part}, folder / file)
    places = {name: file for file, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert (ours - theirs).abs().max() <= 2e-6 * theirs.abs().max()


@pytest.mark.parametrize("case", CASES)
def test_states_are_the_originals(case, tmp_path):
    found, state = expected(case)
    write(tmp_path, state)
    model = read_original(tmp_path, CASES[case], TOKENIZER, torch.float32, "eager")
    pixels, ids = inputs()
    with torch.no_grad():
        visual = model.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
        embeddings = model.get_input_embeddings()(ids)
        embeddings = embeddings.masked_scatter((ids == CONTEXT_ID)[..., None], visual)
        hidden = model.model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden)
    assert_close(visual, found["visual"])
    assert_close(hidden[0], found["hidden"])
    assert_close(logits[0], found["logits"])


@pytest.mark.parametrize("case", CASES)
def test_names_and_tensors_go_back(case, tmp_path):
    _, state = expected(case)
    write(tmp_path, state)
    model = read_original(tmp_path, CASES[case], TOKENIZER, torch.float32, "eager")
    again = dict(original_tensors(model.state_dict(), model.config))
    assert sorted(again) == sorted(state)
    assert all(torch.equal(again[name], state[name]) for name in state)
    raw = original_config(model.config, "qwen_chat", 12)
    for part in ("vision_config", "llm_config"):
        given = {key: value for key, value in CASES[case][part].items() if key != "use_flash_attn"}
        assert {key: raw[part].get(key) for key in given} == given

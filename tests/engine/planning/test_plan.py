"""The plan of a small config: two of its three sources are on disk, with two pictures each."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from word2mask.engine.build import build
from word2mask.engine.optimizer import set_precision
from word2mask.engine.planning.lacks import list_lacks, remedy
from word2mask.engine.planning.meta_model import build_on_meta
from word2mask.engine.planning.plan import make_plan
from word2mask.engine.planning.report import WIDTH, report
from word2mask.engine.planning.sources import SourceRow, list_sources
from word2mask.errors import UserError


def test_the_meta_model_is_the_model_without_values(settings):
    model = build(settings.model, path="config.model")
    set_precision(model, settings.precision)
    sketch = build_on_meta(settings.model, settings.precision)
    described = [
        {name: (value.shape, value.dtype, value.requires_grad) for name, value in one.named_parameters()}
        for one in (model, sketch)
    ]
    assert described[0] == described[1]
    assert {parameter.device.type for parameter in sketch.parameters()} == {"meta"}


def test_sources_on_disk_are_counted_and_others_named(settings, tmp_path):
    rows = list_sources(settings.data["dataset"], None)
    # 2.5 × 2 pictures and 1 × 2.
    assert rows[0] == SourceRow("refcoco", 2.5, records=2, visits=5, share=5 / 7)
    assert rows[1] == SourceRow("more", 1, records=2, visits=2, share=2 / 7)
    assert rows[2] == SourceRow("chat", 1.0, missing=(f"{tmp_path}/chat.json", f"{tmp_path}/images"))


def test_a_source_that_cannot_be_read_says_why(settings, tmp_path):
    (tmp_path / "more" / "instances.json").write_text("[")
    row = list_sources(settings.data["dataset"], None)[1]
    assert row.records is None and "instances.json: not JSON" in row.problem


def test_steps_are_those_of_what_can_be_read(settings):
    plan = make_plan(settings, gpus=1)
    # 7 samples, 2 a pass, 2 passes a step: 1.75 steps.
    assert (plan.visits, plan.samples_per_step, plan.steps_per_epoch, plan.steps) == (7, 4, 2, 2)
    assert make_plan(settings, gpus=8).samples_per_step == 32
    assert not plan.is_complete


def test_everything_there_is_complete(settings):
    settings.data["dataset"]["mixture"]["sources"].pop()
    assert make_plan(settings, 1).is_complete
    assert "Everything is on disk." in shown(make_plan(settings, 1))


def test_what_is_missing(settings, tmp_path):
    (tmp_path / "mllm" / "model.safetensors").unlink()
    lacks = list_lacks(vars(settings) | {"evaluation": {"root": "data/none"}})
    assert [(lack.what, lack.path.removeprefix(str(tmp_path)), lack.needed) for lack in lacks] == [
        ("data", "/chat.json", True),
        ("data", "/images", True),
        ("data", "data/none", False),
        ("weights", "/mllm/*.safetensors", True),
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pretrained/InternVL3-2B", "hf download OpenGVLab/InternVL3-2B --local-dir pretrained/InternVL3-2B"),
        (
            "pretrained/sam2/sam2_hiera_large.pt",
            "hf download facebook/sam2-hiera-large sam2_hiera_large.pt --local-dir pretrained/sam2",
        ),
        (
            "pretrained/sam/sam_vit_h_4b8939.pth",
            "curl -L --create-dirs -o pretrained/sam/sam_vit_h_4b8939.pth https://dl.fbaipublicfiles.com/",
        ),
        ("pretrained/LLaVA-Lightning-7B-v1-1", "merge Llama's weights and liuhaotian/LLaVA-Lightning-7B-delta-v1-1"),
        ("./dataset/ade20k", "LISA's data"),
        ("data/shapes_world/llava/train.json", "python tools/make_shapes_world.py"),
        ("data/ref_seg/refcoco", "Dense-World/Sa2VA-Training"),
        ("pretrained/sam2/sam2_hiera_tiny.pt", "python tools/fetch_pretrained.py sam2-hiera-tiny"),
        (
            "pretrained/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf",
            "python tools/fetch_pretrained.py smollm2-135m",
        ),
        ("pretrained/SmolVLM2-256M-Video-Instruct", "python tools/fetch_pretrained.py SmolVLM2-256M-Video-Instruct"),
        ("data/photo_expressions/train.jsonl", "python tools/make_photo_expressions.py"),
        ("/elsewhere/x", "check the path in the config"),
    ],
)
def test_remedies(path, expected):
    assert expected in remedy(path)


def test_a_model_of_unknown_size_is_planned_as_far_as_it_goes(settings):
    settings.model["mllm"]["folder"] = "pretrained/mine"
    plan = make_plan(settings, 1)
    assert plan.model is None and plan.memory is None and plan.visits == 7
    assert any(lack.path == "pretrained/mine" for lack in plan.lacks)
    assert "can't be sketched" in shown(plan)


def test_what_is_wrong_rather_than_missing_is_an_error(settings):
    settings.model["trainable"]["train"] = ("heads",)
    with pytest.raises(UserError, match="TrainablePlan.train names heads"):
        make_plan(settings, 1)
    with pytest.raises(UserError, match="strategy is 'zero9'"):
        make_plan(replace(settings, strategy="zero9"), 1)


def shown(plan) -> str:
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    console.print(report(plan))
    return console.export_text()


def test_the_report_fits_its_width_and_says_what_counts(settings, tmp_path):
    plan = make_plan(settings, gpus=2)
    text = shown(plan)
    lines = text.splitlines()
    tables = [line for line in lines if line[:1] in "┏┃┡│├└"]
    assert tables and max(map(len, tables)) <= WIDTH
    total = sum(parameter.numel() for parameter in plan.model.parameters())
    assert any(line.startswith("│ all ") and f"{total:,}" in line for line in lines)
    assert any(line.split()[1:10:2] == ["refcoco", "2", "2.5", "5", "71.4%"] for line in lines)
    assert "2 samples × 2 GPUs × 2 passes = 8 a step; 1 step an epoch, 1 in this run (of what can be read)" in text
    assert f"{tmp_path.name}/chat.json  (chat)" in "".join(lines)

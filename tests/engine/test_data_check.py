"""What a config reads, opened one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.optim import AdamW

from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.build import Built
from word2mask.engine.data_check import open_meter, open_parts
from word2mask.engine.settings import TrainSettings
from word2mask.errors import UserError
from word2mask.evaluation.refcoco import RefCOCO as Benchmark
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

MODEL = dict(type=GroundedMLLM, mllm=dict(type=InternVL.tiny), segmenter=dict(type=SAM2Segmenter.tiny))


def settings(dataset: dict, evaluation: object = None, model: dict = MODEL) -> TrainSettings:
    return TrainSettings(
        model=model,
        data=dict(dataset=dataset, collate=list),
        optimizer=dict(type=AdamW),
        schedule=dict(max_iters=1),
        evaluation=evaluation,
    )


def mixture(*sources: object, **more: object) -> dict:
    return dict(type=MixtureDataset, mixture=dict(type=Mixture, sources=list(sources)), **more)


def test_no_two_parts_have_one_label(tmp_path: Path) -> None:
    RefCOCO.fixture(tmp_path / "same")
    MeViS.fixture(tmp_path / "same")
    nodes = [dict(type=RefCOCO, folder=str(tmp_path / "same")), dict(type=MeViS, folder=str(tmp_path / "same/train"))]
    opened = open_parts(settings(mixture(*nodes, (nodes[0], 3))))
    assert [part.label for part in opened.parts] == ["same (RefCOCO) 1", "same (MeViS)", "same (RefCOCO) 2"]
    assert [part.number for part in opened.parts] == [0, 1, 2]
    chosen = open_parts(settings(mixture(*nodes)), ["MeViS"]).parts
    assert [(part.label, part.number) for part in chosen] == [("same", 1)]


def test_one_that_cannot_be_opened_hides_no_other(tmp_path: Path) -> None:
    RefCOCO.fixture(tmp_path / "refcoco")
    nodes = [
        dict(type=MeViS, folder=str(tmp_path / "gone")),
        dict(type=RefCOCO, folder=str(tmp_path / "refcoco")),
        dict(type=RefCOCO, folder=str(tmp_path / "gone"), name="also gone"),
        dict(type=RefCOCO, folderr="x"),
    ]
    evaluation = [dict(type=Benchmark.build, root=str(tmp_path / "refcoco"), split="val")]
    opened = open_parts(settings(mixture(*nodes), evaluation))
    assert [part.label for part in opened.parts] == ["refcoco"]
    assert [(label, role, one.kind) for label, role, one in opened.unopened] == [
        ("MeViS", "training", "unopened"),
        ("also gone", "training", "unopened"),
        ("RefCOCO", "training", "unopened"),
        ("refcoco:val", "evaluation", "not_compared"),
    ]
    assert "no records of split 'val'" in opened.unopened[-1][2].message


def test_a_source_alone_is_checked_and_anything_else_is_refused(tmp_path: Path) -> None:
    RefCOCO.fixture(tmp_path)
    (part,) = open_parts(settings(dict(type=RefCOCO, folder=str(tmp_path)))).parts
    assert part.role == "training" and len(part.source) == 2
    with pytest.raises(UserError, match="no mixture of sources"):
        open_parts(settings(dict(type=list)))
    with pytest.raises(UserError, match=r"evaluation.benchmarks.0: expected a Benchmark, got 'refcoco:val'"):
        open_parts(settings(dict(type=RefCOCO, folder=str(tmp_path)), ["refcoco:val"]))


def test_lengths_need_no_weights_but_a_tokenizer(tmp_path: Path) -> None:
    encoder = dict(
        type=Encoder,
        media_processor=dict(type=Built, path="model.mllm.processor"),
        frame_processor=None,
        max_length=dict(type=Built, path="model.mllm.max_length"),
        overlong="drop_turns",
    )
    meter, why = open_meter(settings(mixture(encoder=encoder)))
    assert meter is not None and not why and not meter.stops and meter.max_length > 0
    assert open_meter(settings(mixture())) == (None, "the config's dataset has no encoder")
    published = {**MODEL, "mllm": dict(type=InternVL.from_pretrained, folder=str(tmp_path / "InternVL2_5-4B"))}
    assert open_meter(settings(mixture(encoder=encoder), model=published)) == (
        None,
        "the model's tokenizer isn't on disk",
    )
    unknown = {**MODEL, "mllm": dict(type=InternVL.from_pretrained, folder=str(tmp_path / "unknown"))}
    meter, why = open_meter(settings(mixture(encoder=encoder), model=unknown))
    assert meter is None and "unknown" in why

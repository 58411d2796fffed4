"""tools/check_data.py over a mixture of every source there is. Sources are found, not listed."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import word2mask.data.sources
from word2mask.data.checking.records import Part, check_record
from word2mask.data.sources.interface import Source

for module in pkgutil.iter_modules(word2mask.data.sources.__path__):
    importlib.import_module(f"word2mask.data.sources.{module.name}")


def _kinds(base: type[Source]) -> Iterator[type[Source]]:
    for kind in base.__subclasses__():
        yield from _kinds(kind)
        if kind.__module__.startswith("word2mask.") and not inspect.isabstract(kind):
            yield kind


SOURCES = sorted(set(_kinds(Source)), key=lambda kind: kind.__name__)
#: Those with a view for evaluation.
EVALUATED = [kind for kind in SOURCES if kind.__name__ not in ("ShuffledText", "WordBeforeSeg")]

CONFIG = """
from torch.optim import AdamW

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
{imports}
from word2mask.engine.build import Bind, Built
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

model = dict(type=GroundedMLLM, mllm=dict(type=InternVL.tiny), segmenter=dict(type=SAM2Segmenter.tiny))
data = dict(
    dataset=dict(
        type=MixtureDataset,
        mixture=dict(type=Mixture, sources=[{sources}]),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=100000,
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=0),
)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
"""


#: A config names its folders as text, and fixtures take paths.
MODULE = """
from pathlib import Path


def written(kind: type, folder: str):
    return kind.fixture(Path(folder))
"""


def test_every_record_of_every_source_is_read(repository: Path, tmp_path: Path) -> None:
    names = [kind.__name__ for kind in SOURCES]
    imports = [f"from {kind.__module__} import {kind.__name__}" for kind in SOURCES]
    nodes = [f"dict(type=written, kind={name}, folder={name!r})" for name in names]
    text = CONFIG.format(imports="\n".join(["from fixture_sources import written", *imports]), sources=", ".join(nodes))
    (tmp_path / "fixture_sources.py").write_text(MODULE)
    (tmp_path / "every.py").write_text(text)
    done = subprocess.run(
        [sys.executable, repository / "tools/check_data.py", "every.py", "--root", tmp_path, "--workers", "2"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "work_dirs/every/data_check"
    found = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert [one for one in found if one["severity"] != "note"] == []
    assert f"{2 * len(SOURCES)} of {2 * len(SOURCES)} records" in done.stderr
    page = (out / "report.html").read_text()
    assert page.count("2 records read of 2") == len(SOURCES)


@pytest.mark.parametrize("kind", EVALUATED)
def test_evaluation_views_pass_the_checks(kind: type[Source], tmp_path: Path) -> None:
    source = kind.fixture(tmp_path / "set", per_expression=True)
    part = Part("split", "evaluation", 0, source)
    for index in range(len(source)):
        check = check_record(part, index)
        assert check.id is not None
        assert [one for one in check.findings if one.severity != "note"] == []

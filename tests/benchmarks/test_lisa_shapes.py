"""benchmarks/lisa_shapes.py: a page from made-up results, and stages that aren't done twice."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def program(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    specification = importlib.util.spec_from_file_location("lisa_shapes", repository / "benchmarks/lisa_shapes.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_page(repository: Path, tmp_path: Path) -> None:
    for name, value in (("evaluation", 71.25), ("evaluation_blind", 40.5)):
        one = {"label": "reason_seg:val", "names": {"giou": "gIoU"}, "metrics": {"giou": value}, "targets": {}}
        (tmp_path / name).mkdir()
        results = {"benchmarks": [one | {"count": 7, "protocol": "all of it"}]}
        (tmp_path / name / "results.json").write_text(json.dumps(results))
    (tmp_path / "stages").mkdir()
    stage = {"command": ["true"], "started": 0, "seconds": 61, "peak_memory_gb": 1.25}
    (tmp_path / "stages/train.json").write_text(json.dumps(stage))
    page = tmp_path / "page.md"
    command = [sys.executable, repository / "benchmarks/lisa_shapes.py", tmp_path, "--write", page]
    subprocess.run(command, check=True, capture_output=True)
    assert "| reason_seg:val | gIoU |  | 71.2 | 40.5 (≤ 40 ✗) | 7 |" in page.read_text()
    assert "* **reason_seg:val**: all of it." in page.read_text()
    assert "| train | 61 | 1.25 |" in page.read_text()


def test_a_stage_is_recorded_done_once_and_a_failure_is_told(program, tmp_path, capsys) -> None:
    (tmp_path / "stages").mkdir()
    count = (
        "import pathlib, sys, time; time.sleep(1); file = pathlib.Path(sys.argv[1]); "
        "file.write_text(file.read_text() + 'x')"
    )
    (tmp_path / "runs").write_text("")
    for _ in range(2):
        program.run_stage(tmp_path, "count", sys.executable, "-c", count, tmp_path / "runs")
    assert (tmp_path / "runs").read_text() == "x"
    assert json.loads((tmp_path / "stages/count.json").read_text())["seconds"] >= 0.9
    with pytest.raises(SystemExit, match="3"):
        program.run_stage(tmp_path, "fail", sys.executable, "-c", "import sys; sys.exit(3)")
    assert "the stage 'fail' ended with code 3" in capsys.readouterr().err

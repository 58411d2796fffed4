"""benchmarks/quickstart.py: its sums by hand, and a page from made-up results."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def quickstart() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks/quickstart.py"
    spec = importlib.util.spec_from_file_location("benchmarks_quickstart", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stage(started: float, seconds: float, memory: float) -> dict:
    return {"command": ["true"], "started": started, "seconds": seconds, "peak_memory_gb": memory}


def test_stages_side_by_side_count_once(quickstart: ModuleType) -> None:
    # 0–10, then 10–30 beside 12–40, a pause, 50–55: 40 + 5 seconds; at most 1.5 + 2.0 GB at once.
    stages = [stage(0, 10, 3.0), stage(10, 20, 1.5), stage(12, 28, 2.0), stage(50, 5, 1.0)]
    assert quickstart.wall_seconds(stages) == 45
    assert quickstart.peak_memory_gb(stages) == 3.5


def results(value: float) -> dict:
    one = {"label": "a:val", "names": {"ciou": "cIoU"}, "metrics": {"ciou": value}, "targets": {"ciou": 85.0}}
    return {"benchmarks": [one | {"count": 7, "protocol": "all of it"}]}


def test_page(quickstart: ModuleType, repository: Path, tmp_path: Path) -> None:
    for name, value in (("evaluation", 85.04), ("evaluation_blind", 40.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(results(value)))
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/train.json").write_text(json.dumps(stage(0, 61, 1.25)))
    page, readme = tmp_path / "page.md", tmp_path / "README.md"
    readme.write_text("a\n\n{}\nold\n{}\nb\n".format(*quickstart.MARKS))
    command = [sys.executable, repository / "benchmarks/quickstart.py", tmp_path, "--write", page, "--readme", readme]
    subprocess.run(command, check=True, capture_output=True)
    assert "| a:val | cIoU | ≥ 85 | 85.0 ✓ | 40.5 (≤ 40 ✗) | 7 |" in page.read_text()
    assert "| a:val | cIoU | ≥ 85 | 85.0 ✓ | 40.5 (≤ 40 ✗) | 7 |" in readme.read_text()
    assert "old" not in readme.read_text() and readme.read_text().endswith("\nb\n")
    assert "| train | 61 | 1.25 |" in page.read_text()


def test_nothing_there(repository: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, repository / "benchmarks/quickstart.py", tmp_path], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "run bash tools/quickstart.sh first" in run.stderr

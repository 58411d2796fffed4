"""tools/quickstart.sh with stand-ins for its programs: the order of stages, what is skipped, what a failure says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = """
import pathlib, sys
name = pathlib.Path(__file__).name
with open("calls", "a") as log:
    log.write(" ".join([name, *sys.argv[1:]]) + "\\n")
if pathlib.Path("fail").exists() and name in pathlib.Path("fail").read_text():
    sys.exit("something to put right")
"""
DIST = """
echo "dist.sh $*" >> calls
while [ $# -gt 0 ]; do
    if [ "$1" = --work-dir ]; then mkdir -p "$2" && echo iter_9.pth > "$2/last_checkpoint"; fi
    shift
done
"""
ORDER = [
    "make_shapes_world.py",
    "train",
    "test",
    "train",
    "test",
    "convert_to_hf.py",
    "infer.py",
    "infer.py",
    "report.py",
]


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A repository in which every program but the quickstart and the measuring is a stand-in."""
    (tmp_path / "tools").mkdir()
    for name in ("quickstart.sh", "measure.py"):
        shutil.copy(repository / "tools" / name, tmp_path / "tools" / name)
    (tmp_path / "tools/environment.sh").write_text("")
    (tmp_path / "tools/dist.sh").write_text(DIST)
    for name in (
        *("tools/make_shapes_world.py", "tools/infer.py", "tools/report.py", "benchmarks/quickstart.py"),
        "projects/llava_sam2/hf/convert_to_hf.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(STAND_IN)
    world = tmp_path / "data/shapes_world"
    pictures, videos = world / "ref_seg/ReasonSeg/val", world / "video_seg/mevis/valid_u"
    pictures.mkdir(parents=True)
    videos.mkdir(parents=True)
    (pictures / "7.json").write_text(json.dumps({"text": ["What would roll away?"]}))
    meta = {"videos": {"v1": {"expressions": {"0": {"exp": "the circle that moves left"}}}}}
    (videos / "meta_expressions.json").write_text(json.dumps(meta))
    return tmp_path


def quickstart(copy: Path, *arguments: str, twins: str = "in_turn") -> subprocess.CompletedProcess[str]:
    command = ["bash", str(copy / "tools/quickstart.sh"), *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"WORD2MASK_TWINS": twins, "PATH": path}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=120)


def calls(copy: Path) -> list[str]:
    lines = (copy / "calls").read_text().splitlines()
    (copy / "calls").write_text("")
    return lines


def programs(lines: list[str]) -> list[str]:
    return [line.split()[1] if line.startswith("dist.sh") else line.split()[0] for line in lines]


def test_stages_in_order_and_only_once(copy: Path) -> None:
    run = quickstart(copy)
    assert run.returncode == 0, run.stderr
    lines = calls(copy)
    assert programs(lines) == [*ORDER, "quickstart.py"]
    assert "sa2va_shapes.py 1 --work-dir work_dirs/quickstart/train --resume auto" in lines[1]
    assert "--checkpoint work_dirs/quickstart/train/iter_9.pth" in lines[2]
    assert "sa2va_shapes_blind.py" in lines[3]
    assert "ref_seg/ReasonSeg/val/7.jpg What would roll away? --out" in lines[6]
    assert "video_seg/mevis/valid_u/JPEGImages/v1 Please segment the circle that moves left" in lines[7]
    assert "+ python tools/make_shapes_world.py" in run.stdout

    assert quickstart(copy).returncode == 0
    assert programs(calls(copy)) == ["quickstart.py"]
    assert quickstart(copy, "--fresh").returncode == 0
    assert programs(calls(copy)) == [*ORDER, "quickstart.py"]


def test_twins_side_by_side(copy: Path) -> None:
    run = quickstart(copy, twins="together")
    assert run.returncode == 0, run.stderr
    assert sorted(programs(calls(copy))) == sorted([*ORDER, "quickstart.py"])


def test_a_failure_stops_and_the_next_run_goes_on(copy: Path) -> None:
    (copy / "fail").write_text("convert_to_hf.py")
    run = quickstart(copy)
    assert run.returncode == 1
    assert "the stage 'export' ended with code 1" in run.stderr
    assert programs(calls(copy)) == ORDER[:6]
    (copy / "fail").unlink()
    assert quickstart(copy).returncode == 0
    assert programs(calls(copy)) == [*ORDER[5:], "quickstart.py"]


def test_bad_arguments(copy: Path) -> None:
    assert quickstart(copy, "--epochs").returncode == 2
    (copy / "other").mkdir()
    (copy / "other/precious").write_text("")
    run = quickstart(copy, "--out", "other", "--fresh")
    assert run.returncode == 2
    assert "other holds something else" in run.stderr
    assert (copy / "other/precious").exists()

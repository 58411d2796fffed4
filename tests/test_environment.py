"""The environment is the one that requirements.txt describes, and tools/environment.sh says what it lacks."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def pins(repository: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in (repository / "requirements.txt").read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def test_what_is_pinned_is_installed(repository: Path) -> None:
    different = {}
    for name, pinned in pins(repository).items():
        installed = importlib.metadata.version(name).partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
        if installed != pinned:
            different[name] = f"{installed} instead of {pinned}"
    assert not different


@pytest.mark.skipif(torch.version.cuda is not None, reason="a CUDA build of torch")
def test_a_cpu_build_brings_no_cuda_packages() -> None:
    names = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    assert not [name for name in names if name.startswith("nvidia-")]


def test_every_import_is_a_requirement(repository: Path) -> None:
    """What the product imports from outside is in requirements.txt, or in an extra and imported where it is needed."""
    distributions = {"cv2": "opencv-python", "PIL": "pillow"}
    optional = {"bitsandbytes", "deepspeed", "gradio", "lmms_eval", "pycocoevalcap", "tensorboard"}
    optional |= {"aiohttp", "jsonschema", "llguidance", "orjson", "ray"}  # extra annotate
    optional |= {"fastapi", "prometheus_client", "uvicorn"}  # extra apps
    optional |= {"pydantic", "starlette"}  # come with FastAPI
    optional |= {"supervision"}  # extra formats
    optional |= {"fiftyone"}  # the user's own: it brings a database
    imported = set()
    for path in [*(repository / "projects").rglob("*.py"), *(repository / "tools").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    outside = imported - sys.stdlib_module_names - {"word2mask", "llava_sam2", "lisa"}
    assert {distributions.get(name, name) for name in outside} <= set(pins(repository)) | optional


def source_environment(copy: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", "set -euo pipefail; source tools/environment.sh; echo ready"],
        cwd=copy,
        env=os.environ | {"WORD2MASK_VENV": str(copy / "venv"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    for name in ("tools/environment.sh", "requirements.txt", "setup.py"):
        shutil.copy(repository / name, tmp_path / name)
    return tmp_path


def test_no_python(copy: Path) -> None:
    run = source_environment(copy, WORD2MASK_PYTHON="no-such-python")
    assert run.returncode == 2
    assert "no Python 3.11, 3.12 or 3.13 found as no-such-python; install one" in run.stderr
    assert "ready" not in run.stdout and not (copy / "venv").exists()


def test_a_place_that_can_not_be_written(copy: Path) -> None:
    (copy / "file").write_text("")
    run = source_environment(copy, WORD2MASK_VENV=str(copy / "file/venv"))
    assert run.returncode == 2
    assert "can't make a virtual environment in" in run.stderr

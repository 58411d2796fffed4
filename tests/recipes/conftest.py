"""The toy recipe: its config's import path, and commands of ``tools/train.py`` run as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TOY_CONFIG = TESTS / "recipes" / "configs" / "toy.py"


@pytest.fixture(autouse=True)
def _toy_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))


@pytest.fixture
def run_train(tmp_path):
    """Run ``tools/train.py`` on the toy config; returns the finished process."""

    def run(*arguments, processes=None, config=TOY_CONFIG, **options):
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
        command = [sys.executable, str(TESTS.parent / "tools" / "train.py"), str(config)]
        if processes:
            command = ["bash", str(TESTS.parent / "tools" / "dist.sh"), "train", str(config), str(processes)]
        command += [str(argument) for argument in arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, **options
        )

    return run


@pytest.fixture
def losses_of():
    """``loss`` of every line of a work directory's history."""

    def read(folder):
        lines = (folder / "history.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    return read

"""tools/infer.py: word2mask ask with --out. What is written, and what bad input gets, stands in tests/apps/cli."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from word2mask.export.folder import save_hf
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter


def run(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "tools/infer.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def test_by_the_program(repository: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, picture, out = tmp_path / "model", tmp_path / "a.png", tmp_path / "out"
    save_hf(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).eval(), model)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(picture)
    done = run(repository, model, picture, "Where?", "--out", out, "--max-new-tokens", 3)
    assert done.returncode == 0, done.stderr
    answer = json.loads((out / "answer.json").read_text())
    assert answer["question"] == "Where?" and answer["size"] == [24, 32] and answer["num_frames"] == 1
    assert (out / "overlay.png").is_file() and f"written to {out}" in done.stdout
    taken = run(repository, model, picture, "Where?", "--out", out)
    assert taken.returncode == 2 and "isn't empty" in taken.stderr and taken.stderr.count("\n") == 1, taken.stderr


def test_a_folder_must_be_given(repository: Path, tmp_path: Path) -> None:
    done = run(repository, tmp_path, tmp_path / "a.png", "Where?")
    assert done.returncode == 2 and "--out is missing" in done.stderr

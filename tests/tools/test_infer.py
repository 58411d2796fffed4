"""tools/infer.py: what it writes for pictures and videos, and what bad input gets."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.export.folder import save_hf
from word2mask.inference.render import save_video
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.ops.masks import decode_rle
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Result, Segment


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    save_hf(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).eval(), folder)
    return folder


@pytest.fixture
def infer(repository: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("infer", repository / "tools/infer.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "tools/infer.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def result_of(num_frames: int) -> Result:
    masks = np.zeros((num_frames, 24, 32), dtype=bool)
    masks[:, 5:10, 8:20] = True
    segment = Segment("a star", (0, 6), masks, np.full(num_frames, 0.9, dtype=np.float32))
    return Result("a star", "<p>a star</p> [SEG]", [segment], (24, 32), num_frames)


def test_picture_by_the_program(repository: Path, model: Path, tmp_path: Path) -> None:
    Image.fromarray(pixels(24, 32, 3)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    done = run(repository, model, tmp_path / "a.png", "Where?", "--out", out, "--max-new-tokens", 3)
    assert done.returncode == 0, done.stderr
    answer = json.loads((out / "answer.json").read_text())
    assert answer["question"] == "Where?" and answer["size"] == [24, 32] and answer["num_frames"] == 1
    assert (out / "overlay.png").is_file() and f"written to {out}" in done.stdout


def test_picture_files(infer: ModuleType, tmp_path: Path) -> None:
    from word2mask.types import Media

    infer.write(tmp_path, Media("image", pixels(1, 24, 32, 3), name="a.png"), "the star", result_of(1))
    (found,) = json.loads((tmp_path / "answer.json").read_text())["objects"]
    assert found["phrase"] == "a star" and found["span"] == [0, 6] and found["boxes"] == [[8, 5, 20, 10]]
    mask = np.asarray(Image.open(tmp_path / "mask_01.png")) > 0
    np.testing.assert_array_equal(mask, decode_rle(found["masks"][0]))
    assert mask.sum() == 5 * 12
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["answer.json", "mask_01.png", "overlay.png"]


def test_video_files(infer: ModuleType, tmp_path: Path) -> None:
    from word2mask.data.media import VideoFile

    video, out = tmp_path / "a.mp4", tmp_path / "out"
    save_video(pixels(5, 24, 32, 3), video)
    out.mkdir()
    infer.write(out, VideoFile(video), "the star", result_of(5))
    assert sorted(entry.name for entry in out.iterdir()) == ["answer.json", "masks_01", "overlay.mp4", "strip.png"]
    assert len(list((out / "masks_01").iterdir())) == 5
    assert len(VideoFile(out / "overlay.mp4")) == 5


def test_bad_input_gets_one_sentence(repository: Path, model: Path, tmp_path: Path) -> None:
    good = tmp_path / "a.png"
    Image.fromarray(pixels(24, 32, 3)).save(good)
    (tmp_path / "not.png").write_text("text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("")
    cases = [
        ((model, tmp_path / "not.png", "Where?"), tmp_path / "out", "not a picture"),
        ((model, tmp_path / "empty", "Where?"), tmp_path / "out", "no frames"),
        ((model, tmp_path / "gone.png", "Where?"), tmp_path / "out", "no such file"),
        ((model, good, "  "), tmp_path / "out", "question is empty"),
        ((tmp_path / "gone", good, "Where?"), tmp_path / "out", "no such model folder"),
        ((tmp_path / "empty", good, "Where?"), tmp_path / "out", "no config.json"),
        ((model, good, "Where?"), tmp_path / "file" / "out", "can't be written"),
        ((model, good, "Where?"), tmp_path / "full", "isn't empty"),
        ((model, good, "Where?", "--device", "tpu9"), tmp_path / "out", "device 'tpu9'"),
        ((model, good, "Where?", "--key-frames", 0), tmp_path / "out", "key_frames"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, out, message in cases:
        done = run(repository, *arguments, "--out", out)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert sorted(tmp_path.iterdir()) == before

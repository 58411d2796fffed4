"""A small model on disk, and answers that it is made to give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.export.folder import save_hf
from word2mask.inference.render import save_video
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "model"
    save_hf(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).eval(), folder)
    return folder


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes every answer a given one; its masks are the model's own."""
    prepare = Session.prepare

    def install(text: str) -> None:
        def given(self, request, *others, **options):
            return prepare(self, replace(request, answer=text), *others, **options)

        monkeypatch.setattr(Session, "prepare", given)

    return install


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(pixels(24, 32, 3)).save(path)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    save_video(pixels(5, 24, 32, 3), path)
    return path


def bad_media(folder: Path, video: Path) -> dict[str, str]:
    """Files that are no good, written into a folder: their names, and what is said of each; ``small.png`` besides."""
    (folder / "text.png").write_text("hello")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "cut.mp4").write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    Image.fromarray(pixels(64, 64, 3)).save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zeros.jpg").write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    # 20,000 x 10,000 pixels of one colour are a small file.
    Image.new("1", (20_000, 10_000)).save(folder / "huge.png")
    (folder / "mixed").mkdir()
    for side in (8, 9):
        Image.fromarray(np.zeros((side, side, 3), dtype=np.uint8)).save(folder / "mixed" / f"{side}.png")
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(folder / "small.png")
    return {
        "text.png": "not a picture that can be read",
        "empty.mp4": "not a video that can be read: the file is empty",
        "cut.mp4": "not a video that can be decoded, or cut short",
        "cut.jpg": "the picture is damaged or cut short",
        "zeros.jpg": "the picture is damaged or cut short",
        "huge.png": "too large: 200 megapixels, at most 64 megapixels are read",
        "mixed": "a frame of [9, 9] (height, width) in a video of [8, 8]",
        "gone.png": "no such file or folder",
    }

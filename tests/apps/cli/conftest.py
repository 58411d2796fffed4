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

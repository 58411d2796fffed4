"""When two pictures or videos are the same. Pictures are written here; those of COCO's names are re-encoded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from word2mask.data.checking.media import EvaluationPictures, fingerprint
from word2mask.data.media import VideoFile, open_image


@pytest.fixture
def photograph() -> Image.Image:
    """Soft blobs, 96 × 128."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(cv2.resize(noise, (128, 96), interpolation=cv2.INTER_CUBIC))


def saved(picture: Image.Image, path: Path, **options: object):
    path.parent.mkdir(exist_ok=True)
    picture.save(path, **options)
    return fingerprint(open_image(path))


def test_same_pixels_are_the_same_picture(tmp_path: Path, photograph: Image.Image) -> None:
    one = saved(photograph, tmp_path / "a.png")
    other = saved(photograph, tmp_path / "b.bmp")
    different = saved(photograph.rotate(180), tmp_path / "c.png")
    split = EvaluationPictures([("refcoco:val", other), ("mevis:val", different)])
    (match,) = split.matches(one)
    assert (match.split, match.name, match.why) == ("refcoco:val", str(tmp_path / "b.bmp"), "the same content")
    assert one.coco_id is None and one.look is None


def test_a_coco_id_counts_with_the_same_look_only(tmp_path: Path, photograph: Image.Image) -> None:
    one = saved(photograph, tmp_path / "COCO_train2014_000000000123.jpg")
    smaller = saved(photograph.resize((96, 72)), tmp_path / "000000000123.jpg", quality=60)
    other = saved(photograph.rotate(180), tmp_path / "else/000000000123.jpg")
    assert one.coco_id == smaller.coco_id == other.coco_id == "000000000123"
    (match,) = EvaluationPictures([("val", other), ("val", smaller)]).matches(one)
    assert match.name == smaller.name and match.why == "COCO id 123 and the same look"
    assert not EvaluationPictures([("val", other)]).matches(one)


def test_videos_by_their_files(tmp_path: Path) -> None:
    def write(name: str, level: int) -> VideoFile:
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter_fourcc(*"mp4v"), 8, (48, 32))
        for step in range(4):
            writer.write(np.full((32, 48, 3), level + step, np.uint8))
        writer.release()
        return VideoFile(tmp_path / name)

    one, copy, other = write("a.mp4", 0), write("b.mp4", 0), write("c.mp4", 90)
    assert fingerprint(one).digest == fingerprint(copy).digest != fingerprint(other).digest
    assert fingerprint(one.media([2])).digest == fingerprint(one).digest
    for folder, level in (("x", 0), ("y", 0), ("z", 9)):
        (tmp_path / folder).mkdir()
        for frame in range(3):
            Image.new("L", (4, 4), level + frame).save(tmp_path / folder / f"{frame}.png")
    x, y, z = (fingerprint(VideoFile(tmp_path / name)).digest for name in "xyz")
    assert x == y != z

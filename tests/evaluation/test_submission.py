"""Zips for challenge servers: layout, content, and that a wrong one is noticed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark, mask_shape
from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.records import Record
from word2mask.evaluation.ref_youtube_vos import RefYouTubeVOS
from word2mask.evaluation.refcoco import RefCOCO
from word2mask.evaluation.runner import evaluate
from word2mask.evaluation.submission import check_submission, write_submission
from word2mask.types import Result, Segment


class Corner:
    """Two segments that grow frame by frame: a corner, and the pixel opposite. Every third answer has none."""

    def __init__(self, benchmark: Benchmark):
        self.shapes = [mask_shape(benchmark.sample(position)) for position in range(len(benchmark))]
        self.asked = 0

    def batch(self, requests):
        return [self._answer() for _ in requests]

    def _answer(self) -> Result:
        shape, number = self.shapes[self.asked], self.asked
        self.asked += 1
        masks = np.zeros((2, *shape), bool)
        for frame in range(shape[0]):
            masks[0, frame, : frame + 1, : number + 1] = True
            masks[1, frame, -1, -1] = True
        segments = [Segment("", None, mask, np.ones(shape[0], np.float32)) for mask in masks]
        return Result("", "", [] if number % 3 == 2 else segments, shape[1:], shape[0])


def answered(benchmark: Benchmark, folder: Path) -> list[Record]:
    return list(evaluate(benchmark, Corner(benchmark), folder, {}, batch_size=2).records)


@pytest.fixture(params=["mevis valid", "mevis test", "ref_youtube_vos valid"])
def benchmark(request, tmp_path) -> Benchmark:
    kind, split = request.param.split()
    return {"mevis": MeViS, "ref_youtube_vos": RefYouTubeVOS}[kind].fixture(tmp_path / "data", split=split)


def test_layout_and_masks(benchmark, tmp_path):
    records = answered(benchmark, tmp_path / "records")
    path = write_submission(benchmark, records, tmp_path)
    assert path.name == "submission.zip"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pictures = {name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names}
    if benchmark.name == "mevis":
        # 140 video folders at the top of the published sample: video/expression/frame.
        expected = [f"first/{e}/{t:05d}.png" for e in "01" for t in range(6)]
        expected += [f"second/0/{t:05d}.png" for t in range(3)]
    else:
        # The video that is in the file of test too is left out of valid.
        expected = [f"Annotations/152fe4902a/0/{t:05d}.png" for t in range(2)]
    assert names == expected
    for name, picture in pictures.items():
        assert picture.dtype == np.uint8
        assert picture.shape == (32, 48)
        assert set(np.unique(picture)) <= {0, 255}, name
    first = pictures[names[1]]
    # The second frame of the first expression: two pixels down, one wide, and the last pixel.
    assert first.sum() == 3 * 255
    assert first[0, 0] == first[1, 0] == first[-1, -1] == 255
    if benchmark.name == "mevis":
        assert not pictures["second/0/00002.png"].any()
    assert check_submission(benchmark, records, path) == len(names)


def test_the_same_answers_give_the_same_bytes(benchmark, tmp_path):
    paths = []
    for run in ("one", "other"):
        records = answered(benchmark, tmp_path / run)
        paths.append(write_submission(benchmark, records, tmp_path / run))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not list((tmp_path / "one").glob("*.partial"))


def test_first_segment_alone(tmp_path):
    MeViS.fixture(tmp_path / "data", split="valid")
    benchmark = MeViS.build(tmp_path / "data", "valid", protocol="sa2va")
    path = write_submission(benchmark, answered(benchmark, tmp_path / "records"), tmp_path)
    with zipfile.ZipFile(path) as archive:
        picture = np.asarray(Image.open(io.BytesIO(archive.read("first/0/00001.png"))))
    assert picture.sum() == 2 * 255


def change(path: Path, alter) -> None:
    """Writes the zip again with ``alter(name, content)`` for every file; ``None`` leaves it out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            altered = alter(name, data)
            if altered is not None:
                archive.writestr(name, altered)


def picture(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda name, data: None if name == "first/1/00003.png" else data, "has no first/1/00003.png"),
        (
            lambda name, data: picture(np.zeros((32, 47), np.uint8)) if name == "first/0/00000.png" else data,
            r"mode L and \[32, 47\]; expected mode L and \[32, 48\]",
        ),
        (
            lambda name, data: picture(np.zeros((32, 48), np.uint8)) if name == "first/0/00000.png" else data,
            "first/0/00000.png isn't the answer's mask",
        ),
        (lambda name, data: b"x" if name == "first/0/00000.png" else data, "is damaged"),
    ],
)
def test_a_wrong_zip_is_noticed(tmp_path, alter, message):
    MeViS.fixture(tmp_path / "data", split="valid")
    benchmark = MeViS.build(tmp_path / "data", "valid")
    records = answered(benchmark, tmp_path / "records")
    path = write_submission(benchmark, records, tmp_path)
    change(path, alter)
    with pytest.raises(UserError, match=message):
        check_submission(benchmark, records, path)


def test_a_file_too_many_is_noticed(tmp_path):
    MeViS.fixture(tmp_path / "data", split="valid")
    benchmark = MeViS.build(tmp_path / "data", "valid")
    records = answered(benchmark, tmp_path / "records")
    path = write_submission(benchmark, records, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "words")
    with pytest.raises(UserError, match=r"1 files that nobody asked for, e.g. notes.txt"):
        check_submission(benchmark, records, path)


def test_a_part_is_no_submission(tmp_path):
    MeViS.fixture(tmp_path / "data", split="valid")
    benchmark = MeViS.build(tmp_path / "data", "valid", limit=1)
    records = answered(benchmark, tmp_path / "records")
    with pytest.raises(UserError, match="the server wants all 3 expressions, 1 were asked; evaluate without a limit"):
        write_submission(benchmark, records, tmp_path)
    published = RefCOCO.fixture(tmp_path / "refcoco")
    with pytest.raises(UserError, match="refcoco:val has no server to submit to"):
        write_submission(published, [], tmp_path)

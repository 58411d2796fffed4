"""Every kind of finding of a single record, from a sample or a file that has it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from word2mask.data.checking.records import Part, check_record
from word2mask.data.media import VideoFile
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.interface import Source
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.own_data import OwnData
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.shuffled_text import ShuffledText
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG
from word2mask.types import Media, Sample, Turn

QUESTION, ANSWER = Turn("user", "Where is it?"), Turn("assistant", f"There: {SEG}.")


class One(Source):
    """A source of one given sample."""

    tasks = ("refer",)
    name = "one"

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def __len__(self) -> int:
        return 1

    def read(self, index, rng=None):
        return self.sample

    @classmethod
    def fixture(cls, folder, **options):
        raise NotImplementedError


def picture(frames: int = 1) -> Media:
    kind = "image" if frames == 1 else "video"
    return Media(kind, np.zeros((frames, 4, 6, 3), np.uint8), tuple(range(frames)), "a.jpg")


def kinds(sample: Sample, role: str = "training") -> list[tuple[str, str]]:
    return [(one.kind, one.severity) for one in check_record(Part("one", role, 0, One(sample)), 0).findings]


def sample(turns=(QUESTION, ANSWER), media=None, masks=(1, 1, 4, 6), fill=True, **more) -> Sample:
    array = None if masks is None else np.full(masks, fill, bool)
    return Sample("one", "7", "refer", tuple(turns), media or picture(), array, **more)


def test_a_sound_record_has_no_findings() -> None:
    half = np.zeros((1, 1, 4, 6), bool)
    half[..., :3] = True
    found = check_record(
        Part("one", "training", 0, One(Sample("one", "7", "refer", (QUESTION, ANSWER), picture(), half))), 0
    )
    assert not found.findings and found.id == "7" and found.areas == (0.5,) and found.frames == 1


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (sample(masks=(2, 1, 4, 6)), ("count_mismatch", "error")),
        (sample(masks=None), ("count_mismatch", "error")),
        (sample(turns=[ANSWER, QUESTION]), ("bad_conversation", "error")),
        (sample(turns=[QUESTION, ANSWER, QUESTION]), ("bad_conversation", "error")),
        (sample(turns=[Turn("user", " "), ANSWER]), ("bad_conversation", "error")),
        (sample(turns=[], masks=None), ("bad_conversation", "error")),
        (sample(masks=(1, 1, 6, 4)), ("bad_mask", "error")),
        (sample(void=np.zeros((1, 6, 4), bool)), ("bad_mask", "error")),
        (sample(regions=np.ones((1, 6, 4), bool)), ("bad_mask", "error")),
        (sample(regions=np.zeros((2, 4, 6), bool)), ("empty_region", "error")),
        (sample(fill=False), ("empty_mask", "warning")),
        (sample(media=picture(3), masks=(1, 3, 4, 6), fill=False), ("unseen_object", "note")),
    ],
)
def test_findings_of_a_sample(record: Sample, expected: tuple[str, str]) -> None:
    assert set(kinds(record)) == {expected}


def test_an_object_on_no_frame_at_all_is_an_empty_mask() -> None:
    record = sample(media=picture(3), masks=(1, 3, 4, 6), fill=False)
    assert kinds(record, "evaluation") == [("empty_mask", "warning")]


def test_masks_need_a_picture() -> None:
    record = Sample("one", "7", "refer", (QUESTION, ANSWER), None, np.ones((1, 1, 4, 6), bool))
    assert kinds(record) == [("bad_mask", "error")]


def failing(folder: Path, source: Source, index: int = 0) -> tuple[str, str | None, str]:
    (one,) = check_record(Part("label", "training", 0, source), index).findings
    assert (one.source, one.index, one.severity) == ("label", index, "error")
    return one.kind, one.record, one.message


def test_files_that_are_missing_damaged_or_of_another_size(tmp_path: Path) -> None:
    source = RefCOCO.fixture(tmp_path / "refcoco")
    file = tmp_path / "refcoco/coco2014/train2014/one.jpg"
    whole = file.read_bytes()
    Image.new("RGB", (60, 48)).save(file)
    kind, record, message = failing(tmp_path, source)
    assert (kind, record) == ("bad_mask", "1") and "[48, 64]" in message and not message.startswith("refcoco[")
    file.write_bytes(whole[: len(whole) // 2])
    assert failing(tmp_path, source)[:2] == ("unreadable_media", "1")
    file.unlink()
    kind, record, message = failing(tmp_path, source)
    assert (kind, record) == ("missing_media", "1") and message.startswith(f"{file}: no such picture")
    kind, record, _ = failing(tmp_path, ShuffledText(source))
    assert (kind, record) == ("missing_media", "1")


def test_records_that_contradict_their_files(tmp_path: Path) -> None:
    source = MeViS.fixture(tmp_path)
    source._videos["second"]["expressions"]["0"]["anno_id"] = [9]
    assert failing(tmp_path, source, 1)[:2] == ("bad_record", "second")
    source._masks["0"] = [{"size": [32, 48], "counts": [1]}] * 6
    source._videos["second"]["expressions"]["0"]["anno_id"] = [0]
    assert failing(tmp_path, source, 1)[:2] == ("bad_mask", "second")


def test_a_reader_that_fails_is_a_finding_too(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(One):
        def read(self, index, rng=None):
            raise ZeroDivisionError("nothing to divide by")

    kind, record, message = failing(Path(), Failing(sample()))
    assert (kind, record, message) == ("defect", None, "ZeroDivisionError: nothing to divide by")
    assert "Traceback" in caplog.text


def test_a_video_that_evaluation_leaves_undecoded_is_looked_at(tmp_path: Path) -> None:
    source = MeViS.fixture(tmp_path, per_expression=True)
    part = Part("mevis:valid", "evaluation", 0, source)
    sound = check_record(part, 0)
    assert not sound.findings and sound.frames == 6 and sound.media.name == str(tmp_path / "train/JPEGImages/first")
    broken = tmp_path / "train/JPEGImages/second/00002.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    (one,) = check_record(part, 2).findings
    assert (one.kind, one.record) == ("unreadable_media", "second/0") and "00002.jpg" in one.message


def test_no_target_is_no_fault(tmp_path: Path) -> None:
    for view in (False, True):
        source = GRefCOCO.fixture(tmp_path / str(view), per_expression=view)
        part = Part("grefcoco", "evaluation" if view else "training", 0, source)
        assert not any(check_record(part, index).findings for index in range(len(source)))


def test_draws_are_the_same_in_every_process_and_new_in_every_pass(tmp_path: Path) -> None:
    source = MeViS.fixture(tmp_path)
    one, again, other = (
        Part("mevis", "training", number, source).read(0, passing) for number, passing in ((3, 0), (3, 0), (3, 1))
    )
    assert one.turns == again.turns and one.media.frame_indices == again.media.frame_indices
    assert (one.turns, one.media.frame_indices) != (other.turns, other.media.frame_indices)


def test_video_file_is_media(tmp_path: Path) -> None:
    """An evaluation view without masks, whose video has gone, still says so."""
    MeViS.fixture(tmp_path)
    video = VideoFile(tmp_path / "train/JPEGImages/first")
    record = Sample("one", "7", "chat", (QUESTION, Turn("assistant", "A box.")), extra={"video": video})
    assert check_record(Part("one", "evaluation", 0, One(record)), 0).frames == 6
    with pytest.raises(UserError, match="no such video"):
        VideoFile(tmp_path / "gone")


def test_a_mask_of_another_size_in_own_data(tmp_path: Path) -> None:
    OwnData.fixture(tmp_path)
    file = tmp_path / "own.jsonl"
    first = json.loads(file.read_text().splitlines()[0])
    first["expressions"] = [first["expressions"][0] | {"masks": [{"size": [64, 48], "counts": [3072]}]}]
    file.write_text(json.dumps(first) + "\n")
    (found,) = check_record(Part("own", "training", 0, OwnData(file)), 0).findings
    assert (found.kind, found.record) == ("bad_mask", "one")
    assert "line 1 of" in found.message and "size [64, 48] for a picture of [48, 64]" in found.message

"""Answers: into other programs' formats and back, bit for bit, with the real packages where they are; and as files."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from word2mask.data.media import VideoFile, open_media
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.formats.label_studio import encode_brush
from word2mask.inference.masks import MaskStream
from word2mask.inference.render import save_video
from word2mask.ops.masks import decode_rle
from word2mask.types import Media, Segment


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def answer_of(num_frames: int, size: tuple[int, int] = (23, 31)) -> Answer:
    """Three objects: one with words, one that comes and goes without any, one that is nowhere."""
    rng = np.random.default_rng(num_frames)
    speckled = rng.random((num_frames, *size)) > 0.5
    comes_and_goes = np.zeros_like(speckled)
    comes_and_goes[::2, 4:9, 0:31] = True
    scores = (0.5 + rng.random((3, num_frames)) / 2).astype(np.float32)
    return Answer(
        text="The red & blue star and it, a heart.",
        raw_text="The <p>red & blue star</p> [SEG] and it [SEG], <p>a heart</p> [SEG].",
        segments=[
            Segment("red & blue star", (4, 19), speckled, scores[0]),
            Segment("", None, comes_and_goes, scores[1]),
            Segment("a heart", (28, 35), np.zeros_like(speckled), scores[2]),
        ],
        original_size=size,
        num_frames=num_frames,
    )


def assert_same(one: Answer, other: Answer) -> None:
    assert isinstance(other, Answer)
    assert (one.text, one.raw_text, one.original_size, one.num_frames) == (
        (other.text, other.raw_text, other.original_size, other.num_frames)
    )
    assert len(one.segments) == len(other.segments)
    for mine, yours in zip(one.segments, other.segments, strict=True):
        assert (mine.phrase, mine.span) == (yours.phrase, yours.span)
        assert yours.masks.dtype == bool and yours.scores.dtype == np.float32
        np.testing.assert_array_equal(mine.masks, yours.masks)
        np.testing.assert_array_equal(mine.scores, yours.scores)


def through_json(content: object) -> object:
    return json.loads(json.dumps(content))


both_kinds = pytest.mark.parametrize("num_frames", [1, 5])


@both_kinds
def test_json_and_back(num_frames: int) -> None:
    answer = answer_of(num_frames)
    content = answer.to_json("a.png", "Where?")
    assert_same(answer, Answer.from_json(through_json(content)))
    assert content["media"] == "a.png" and content["question"] == "Where?"
    assert [entry["found"] for entry in content["objects"]] == [True, True, False]
    assert content["objects"][1]["boxes"][0] == [0, 4, 31, 9] and content["objects"][2]["boxes"][0] is None


def test_a_long_video_stays_run_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answer_of(5)
    content = answer.to_json(), answer.to_coco("a.mp4")
    monkeypatch.setattr("word2mask.inference.masks.ARRAY_BYTES", 0)
    for again in (Answer.from_json(content[0]), Answer.from_coco(content[1])):
        assert all(isinstance(segment.masks, MaskStream) for segment in again.segments)
        assert_same(answer, again)
        assert again.to_json() == content[0] and again.to_coco("a.mp4") == content[1]
        assert_same(answer, Answer.from_supervision(again.to_supervision()))


def test_text_alone_and_back() -> None:
    answer = Answer("Hello.", "Hello.", [], None, 0)
    assert_same(answer, Answer.from_json(through_json(answer.to_json())))
    assert answer.to_supervision() == []
    for refused in (answer.to_coco, lambda: answer.to_fiftyone("a.png")):
        with pytest.raises(UserError, match=r"about no picture|can't be imported"):
            refused()


@both_kinds
def test_coco_and_back(num_frames: int, tmp_path: Path) -> None:
    answer = answer_of(num_frames)
    content = answer.to_coco("folder/clip.mp4")
    assert_same(answer, Answer.from_coco(through_json(content)))
    assert [image["file_name"] for image in content["images"]][:2] == (
        ["clip.mp4"] if num_frames == 1 else ["clip/00000.png", "clip/00001.png"]
    )
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = COCO(tmp_path / "a.json")
    # What is nowhere has a category and no annotation.
    assert [read.cats[key]["name"] for key in sorted(read.cats)] == ["red & blue star", "object", "a heart"]
    assert len(read.anns) == num_frames + (num_frames + 1) // 2
    for entry in read.anns.values():
        segment, frame = answer.segments[entry["segment"]], entry["image_id"] - 1
        np.testing.assert_array_equal(read.annToMask(entry).astype(bool), segment.masks[frame])
        assert entry["bbox"] == coco_mask.toBbox(entry["segmentation"]).tolist()
        assert entry["area"] == coco_mask.area(entry["segmentation"])
        assert np.float32(entry["score"]) == segment.scores[frame]


@both_kinds
def test_supervision_and_back(num_frames: int) -> None:
    sv = pytest.importorskip("supervision")
    answer = answer_of(num_frames)
    detections = answer.to_supervision()
    assert_same(answer, Answer.from_supervision(detections))
    frames = [detections] if num_frames == 1 else detections
    assert len(frames) == num_frames and all(isinstance(one, sv.Detections) for one in frames)
    for frame, one in enumerate(frames):
        assert one.class_id.tolist() == ([0, 1] if frame % 2 == 0 else [0])
        assert one.data["class_name"].tolist() == ["red & blue star", ""][: len(one)]
        # Supervision's boxes end on the last pixel, ours behind it.
        np.testing.assert_array_equal(one.xyxy - [0, 0, 1, 1], sv.mask_to_xyxy(one.mask))
        np.testing.assert_array_equal(one.area, [answer.segments[n].masks[frame].sum() for n in one.class_id])
        assert sv.MaskAnnotator().annotate(np.zeros((23, 31, 3), dtype=np.uint8), one).any()


@both_kinds
def test_fiftyone_and_back(num_frames: int, tmp_path: Path) -> None:
    fo = pytest.importorskip("fiftyone")
    answer = answer_of(num_frames)
    file = tmp_path / ("a.png" if num_frames == 1 else "a.mp4")
    sample = answer.to_fiftyone(file)
    assert_same(answer, Answer.from_fiftyone(sample))
    again = fo.Sample.from_dict(through_json(sample.to_dict(include_frames=num_frames > 1)))
    assert_same(answer, Answer.from_fiftyone(again))
    found = sample["word2mask"] if num_frames == 1 else sample.frames[1]["word2mask"]
    assert [one.label for one in found.detections] == ["red & blue star", "object"]
    assert [one.index for one in found.detections] == [1, 2]
    assert found.detections[1].bounding_box == [0, 4 / 23, 1, 5 / 23]
    whole = found.detections[1].to_segmentation(frame_size=(31, 23)).get_mask()
    np.testing.assert_array_equal(whole > 0, answer.segments[1].masks[0])


def test_fiftyone_that_is_missing_or_gets_a_folder(tmp_path: Path) -> None:
    try:
        import fiftyone  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="environment of its own"):
            answer_of(1).to_fiftyone("a.png")
    else:
        with pytest.raises(UserError, match="not as a folder of frames"):
            answer_of(3).to_fiftyone(tmp_path)


@both_kinds
def test_label_studio_and_back(num_frames: int) -> None:
    answer = answer_of(num_frames)
    names = [f"/data/local-files/?d={frame}.png" for frame in range(num_frames)]
    tasks = answer.to_label_studio(names[0] if num_frames == 1 else names)
    assert_same(answer, Answer.from_label_studio(through_json(tasks)))
    assert [task["data"]["image"] for task in tasks] == names
    with pytest.raises(UserError, match=rf"{num_frames + 1} addresses for {num_frames} frames"):
        answer.to_label_studio([*names, "more.png"])


def test_brush_run_lengths_by_hand() -> None:
    """Two pixels, the right one painted: 8 values in bytes, widths 3 4 8 16, then two runs of four values."""
    bits = f"{8:032b}" + "00111" + "0010" + "0011" + "0111" + "1111" + "1" + "00" + "011" + "00000000"
    bits += "1" + "00" + "011" + "11111111"
    bits += "0" * (-len(bits) % 8)
    expected = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    assert encode_brush(np.array([[False, True]])) == expected


@both_kinds
def test_label_studio_reads_its_own_format(num_frames: int) -> None:
    """Its converter decodes our brush, its own brush decodes with ours, and its interface accepts the tasks."""
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface
    answer = answer_of(num_frames, (300, 311))
    tasks = answer.to_label_studio([f"{frame}.png" for frame in range(num_frames)])
    configured = interface(Answer.labeling_config([answer]))
    for frame, task in enumerate(tasks):
        (prediction,) = through_json(task["predictions"])
        assert configured.validate_task({"data": task["data"]})
        assert configured.validate_prediction(prediction, return_errors=True) == []
        for entry in task["predictions"][0]["result"]:
            mask = answer.segments[int(entry["id"].removeprefix("segment"))].masks[frame]
            ours, theirs = entry["value"]["rle"], brush.mask2rle(mask * np.uint8(255))
            decoded = np.reshape(brush.decode_rle(ours), (300, 311, 4))
            np.testing.assert_array_equal(decoded, np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))
            # Its encoder fills up to whole bytes even where they are whole.
            assert theirs in (ours, [*ours, 0])
            entry["value"]["rle"] = theirs
    assert_same(answer, Answer.from_label_studio(tasks))


def test_formats_of_others_are_refused() -> None:
    coco = answer_of(1).to_coco("a.png")
    tasks = answer_of(1).to_label_studio("a.png")
    foreign = {key: value for key, value in coco.items() if key != "word2mask"}
    smaller = coco | {"word2mask": coco["word2mask"] | {"size": [23, 30]}}
    cases = [
        (Answer.from_json, {"answer": "x"}, "not an answer as word2mask writes it"),
        (Answer.from_coco, foreign, "not written by word2mask"),
        (Answer.from_coco, {"annotations": [{}]}, "an annotation that word2mask didn't write"),
        (Answer.from_coco, smaller, r"a mask of \[23, 31\] in an answer of \[23, 30\]"),
        (Answer.from_label_studio, [{"data": {}}], "tasks that word2mask didn't write"),
        (Answer.from_label_studio, [tasks[0] | {"predictions": []}], "tasks that word2mask didn't write"),
    ]
    for read, content, message in cases:
        with pytest.raises(UserError, match=message):
            read(content)


def test_picture_as_files(tmp_path: Path) -> None:
    answer, out = answer_of(1, (24, 32)), tmp_path / "out"
    answer.save(out, Media("image", pixels(1, 24, 32, 3), name="a.png"), "the star")
    assert sorted(entry.name for entry in out.iterdir()) == (
        ["answer.json", "mask_01.png", "mask_02.png", "mask_03.png", "overlay.png"]
    )
    content = json.loads((out / "answer.json").read_text())
    assert content["question"] == "the star" and content["media"] == "a.png"
    assert_same(answer, Answer.from_json(content))
    for number, segment in enumerate(answer.segments, start=1):
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"mask_{number:02}.png")) > 0, segment.masks[0])
        np.testing.assert_array_equal(decode_rle(content["objects"][number - 1]["masks"][0]), segment.masks[0])


def test_video_as_files(tmp_path: Path) -> None:
    video, out = tmp_path / "a.mp4", tmp_path / "out"
    save_video(pixels(9, 24, 32, 3), video)
    answer = answer_of(9, (24, 32))
    answer.save(out, VideoFile(video), edited=video)
    assert sorted(entry.name for entry in out.iterdir()) == (
        ["answer.json", "edited.mp4", "masks_01", "masks_02", "masks_03", "overlay.mp4", "strip.png"]
    )
    assert (out / "edited.mp4").read_bytes() == video.read_bytes()
    assert len(VideoFile(out / "overlay.mp4")) == 9
    # Frames of 342 x 256, enlarged so that labels can be read; six of them, four pixels between.
    assert open_media(out / "strip.png").frames.shape == (1, 264, 6 * 352 + 5 * 4, 3)
    for number, segment in enumerate(answer.segments, start=1):
        frames = sorted((out / f"masks_{number:02}").iterdir())
        assert [frame.name for frame in frames] == [f"{frame:05}.png" for frame in range(9)]
        np.testing.assert_array_equal([np.asarray(Image.open(frame)) > 0 for frame in frames], segment.masks)


def test_a_video_in_memory_of_one_frame_is_a_video(tmp_path: Path) -> None:
    answer_of(1).save(tmp_path / "out", Media("video", pixels(1, 23, 31, 3)))
    assert {"overlay.mp4", "strip.png", "masks_01"} <= {entry.name for entry in (tmp_path / "out").iterdir()}


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, media = answer_of(1), Media("image", pixels(1, 23, 31, 3))
    with pytest.raises(UserError, match=r"1 frames of \[24, 31\].*1 of \[23, 31\]"):
        answer.save(tmp_path / "out", Media("image", pixels(1, 24, 31, 3)))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("word2mask.inference.answer_folder.save_picture", full)
    with pytest.raises(UserError, match=r"out: no room left \(No space left on device\)"):
        answer.save(tmp_path / "out", media)
    assert list(tmp_path.iterdir()) == []

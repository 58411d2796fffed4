"""Every kind of input becomes masklets in SA-V's layout, pixel for pixel."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.annotate.inputs.mask_folders import find_mask_folders
from word2mask.annotate.inputs.proposals import ProposalRules, find_bare_videos, suppress
from word2mask.annotate.inputs.sav import find_sav
from word2mask.annotate.preparing import prepare
from word2mask.annotate.records import ObjectViews, Picture, VideoReference
from word2mask.annotate.settings import Endpoint, Settings
from word2mask.data.sources.ref_sav import RefSAV
from word2mask.data.sources.video_chat import write_mp4
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, decode_rle, encode_rle
from word2mask.segmenters.sam2 import SAM2Segmenter

SIZE = (24, 32)


def frames_folder(folder: Path, num_frames: int = 9) -> Path:
    folder.mkdir(parents=True)
    for number in range(num_frames):
        picture = np.full((*SIZE, 3), 20 * number, dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{number:05}.jpg")
    return folder


def box(number: int, frame: int) -> np.ndarray:
    """Object 1 goes right, object 2 stands still and appears at frame 4."""
    if number == 2 and frame < 4:
        return np.zeros(SIZE, bool)
    return box_to_mask((2 + frame, 2, 8 + frame, 9) if number == 1 else (20, 12, 30, 22), *SIZE)


def labels(frame: int) -> np.ndarray:
    picture = np.zeros(SIZE, np.uint8)
    picture[box(1, frame)] = 1
    picture[box(2, frame)] = 2
    picture[0, 0] = 255  # void in a palette
    return picture


def masklets(file: Path) -> np.ndarray:
    """bool ``[N,T,H,W]``."""
    frames = json.loads(file.read_text())["masklet"]
    return np.stack([[decode_rle(rle) for rle in objects] for objects in frames], axis=1)


def test_sav(tmp_path: Path, make_sav: Callable) -> None:
    expected = make_sav(tmp_path, 3)
    assert find_sav(tmp_path) == expected
    first = tmp_path / expected[0].annotation_path
    first.with_name("sav_000000_auto.json").write_text(first.read_text())
    assert [reference.video_id for reference in find_sav(tmp_path, "auto")] == ["sav_000000"]
    assert [reference.video_id for reference in find_sav(tmp_path, "both")][:2] == ["sav_000000", "sav_000000_auto"]
    assert [reference.besides for reference in find_sav(tmp_path, "both")] == ["", expected[0].annotation_path, "", ""]
    first.with_name("sav_000009_manual.json").write_text("{}")
    with pytest.raises(UserError, match=r"no sav_000009\.mp4 beside it"):
        find_sav(tmp_path)
    with pytest.raises(UserError, match=r"no \*_manual\.json below it"):
        (tmp_path / "empty").mkdir()
        find_sav(tmp_path / "empty")


@pytest.mark.parametrize("resolution", ["", "480p"])
def test_davis_and_youtube_vos(tmp_path: Path, resolution: str) -> None:
    place = tmp_path / "JPEGImages" / resolution / "bear"
    frames_folder(place)
    other = tmp_path / "Annotations" / resolution / "bear"
    other.mkdir(parents=True)
    for frame in range(9):
        picture = Image.fromarray(labels(frame))
        # Pillow makes a picture of indices out of a grey one that is given a palette.
        picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0] + [9] * 759)
        picture.save(other / f"{frame:05}.png")
    (reference,) = find_mask_folders(tmp_path, tmp_path / "run" / "masklets")
    assert reference.annotation_path == "run/masklets/bear_manual.json"
    found = masklets(tmp_path / reference.annotation_path)
    expected = np.stack([[box(number, frame) for frame in (0, 4, 8)] for number in (1, 2)])
    assert np.array_equal(found, expected)
    # What is there stays, and is written again when the masks are younger.
    file = tmp_path / reference.annotation_path
    before = file.read_text()
    file.write_text("{}")
    find_mask_folders(tmp_path, tmp_path / "run" / "masklets")
    assert file.read_text() == "{}"
    os.utime(other / "00004.png", (time.time() + 10, time.time() + 10))
    seen: list[tuple[int, int]] = []
    find_mask_folders(tmp_path, tmp_path / "run" / "masklets", lambda *progress: seen.append(progress))
    assert file.read_text() == before and seen == [(1, 1)]
    # Our own reader of Ref-SAV reads it back, a folder of frames in the place of an mp4.
    described = {"video_path": reference.video_path, "anno_path": reference.annotation_path}
    described["objects"] = {"1": {"formated": "The object is a box.", "short_caps": []}}
    (tmp_path / "ref_sav.json").write_text(json.dumps({"bear": described}))
    sample = RefSAV(tmp_path / "ref_sav.json", tmp_path, per_expression=True).read(0)
    assert np.array_equal(sample.masks[0], expected[1])


def test_one_object_in_black_and_white(tmp_path: Path) -> None:
    frames_folder(tmp_path / "JPEGImages" / "bear")
    (tmp_path / "Annotations" / "bear").mkdir(parents=True)
    for frame in range(0, 9, 4):
        Image.fromarray(box(1, frame).astype(np.uint8) * 255).save(tmp_path / f"Annotations/bear/{frame:05}.png")
    (reference,) = find_mask_folders(tmp_path, tmp_path / "masklets")
    assert np.array_equal(masklets(tmp_path / reference.annotation_path)[0], [box(1, f) for f in (0, 4, 8)])


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    frames_folder(tmp_path / "JPEGImages" / "bear")
    (tmp_path / "Annotations" / "bear").mkdir(parents=True)
    with pytest.raises(UserError, match=r"bear/00000\.png: no mask for frame 00000"):
        find_mask_folders(tmp_path, tmp_path / "masklets")
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "Annotations/bear/00000.png")
    with pytest.raises(UserError, match="a picture of mode RGB; expected a palette"):
        find_mask_folders(tmp_path, tmp_path / "masklets")


def test_mevis(tmp_path: Path) -> None:
    frames_folder(tmp_path / "JPEGImages" / "v1", num_frames=8)
    tracks = {
        "7": [encode_rle(box(1, f)) for f in range(8)],
        "9": [None] * 4 + [encode_rle(box(2, f)) for f in range(4, 8)],
    }
    (tmp_path / "mask_dict.json").write_text(json.dumps(tracks))
    expressions = {"0": {"exp": "both", "anno_id": [9, 7]}, "1": {"exp": "one", "anno_id": [7]}}
    described = {"videos": {"v1": {"frames": [f"{f:05}" for f in range(8)], "expressions": expressions}}}
    (tmp_path / "meta_expressions.json").write_text(json.dumps(described))
    (reference,) = find_mask_folders(tmp_path, tmp_path / "masklets")
    expected = np.stack([[box(number, frame) for frame in (0, 4)] for number in (1, 2)])
    assert np.array_equal(masklets(tmp_path / reference.annotation_path), expected)


def test_the_same_masklet_is_asked_about_once(tmp_path: Path) -> None:
    frames_folder(tmp_path / "JPEGImages" / "v1", num_frames=5)
    left, right = box_to_mask((2, 2, 12, 22), *SIZE), box_to_mask((18, 2, 30, 22), *SIZE)
    almost = left.copy()
    almost[2, 2:11] = False  # 191 of 200 pixels: IoU 0.955
    half = box_to_mask((2, 2, 12, 12), *SIZE)
    for name, masks in (("manual", [left, half, almost]), ("auto", [right, almost])):
        frames = [[encode_rle(mask) for mask in masks]] * 2
        (tmp_path / f"v1_{name}.json").write_text(json.dumps({"masklet": frames}))
    endpoint = Endpoint("http://localhost/v1", "m")

    def outcomes(reference: VideoReference, **options: float) -> list[str]:
        prepared = prepare(reference, tmp_path, Settings(endpoint, endpoint, **options))
        return [
            "" if isinstance(found, ObjectViews) else f"{found.reason}: {found.detail}" for found in prepared.objects
        ]

    drawn = VideoReference("v1", "JPEGImages/v1", "v1_manual.json")
    assert outcomes(drawn) == ["", "", "same masklet: IoU 0.955 with object 0"]
    assert outcomes(drawn, same_masklet=0.96) == ["", "", ""]
    made = VideoReference("v1_auto", "JPEGImages/v1", "v1_auto.json", "v1_manual.json")
    assert outcomes(made) == ["", "same masklet: IoU 1.000 with object 2 of the other masklets"]


def test_views_show_the_object_where_it_is_largest(tmp_path: Path) -> None:
    frames_folder(tmp_path / "JPEGImages" / "v1")
    tracks = []
    for frame in range(0, 9, 4):
        large = box_to_mask((4, 4, 28, 20) if frame == 4 else (4, 4, 10, 10), *SIZE)
        tracks.append([encode_rle(large)])
    (tmp_path / "v1_manual.json").write_text(json.dumps({"masklet": tracks}))
    endpoint = Endpoint("http://localhost/v1", "m")
    reference = VideoReference("v1", "JPEGImages/v1", "v1_manual.json")
    prepared = prepare(reference, tmp_path, Settings(endpoint, endpoint))
    (views,) = prepared.objects
    assert isinstance(views, ObjectViews)
    drawn = prepared.draw(views.pictures)
    assert (views.frame, views.area) == (1, 0.5)  # frame 4 is the second annotated; 24 x 16 of 32 x 24 pixels
    assert len(views.outlined) == 3

    def picture(shown: Picture) -> np.ndarray:
        jpeg = base64.b64decode(drawn[shown].removeprefix("data:image/jpeg;base64,"))
        return np.array(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)

    masked, crop, highlighted = picture(views.masked), picture(views.crop), picture(views.highlighted)
    # Frame 4 is grey, 80 of 255; JPEG moves that by a few levels.
    assert abs(masked[12, 16] - 80).max() < 12 and masked[1, 1].max() < 12
    assert crop.shape[:2] == (20, 28)  # a margin of 2 pixels on each side
    assert abs(highlighted[12, 16] - 80).max() < 12 and abs(highlighted[1, 1] - 36).max() < 25
    red, green, blue = picture(views.outlined[1])[4, 16]
    assert red > 150 and green > 130 and blue < 110  # yellow on the border
    assert picture(views.outlined[0])[4, 20].max() < 90  # the object is elsewhere there


def test_suppression_keeps_the_surest_of_a_kind() -> None:
    masks = torch.zeros(4, 1, 10, dtype=torch.bool)
    masks[0, 0, :6], masks[1, 0, :7], masks[2, 0, 6:], masks[3, 0, 5:] = True, True, True, True
    # IoU of 0 and 1 is 6/7, of 2 and 3 is 4/5, of 1 and 3 is 2/10.
    assert suppress(masks, torch.tensor([0.7, 0.9, 0.8, 0.6]), same=0.6) == [1, 2]
    assert suppress(masks, torch.tensor([0.7, 0.9, 0.8, 0.6]), same=0.83) == [1, 2, 3]


def test_bare_videos(tmp_path: Path) -> None:
    torch.manual_seed(0)
    frames = np.full((9, *SIZE, 3), 40, dtype=np.uint8)
    frames[:, 4:14, 4:14] = 220
    (tmp_path / "videos").mkdir()
    write_mp4(tmp_path / "videos" / "a.mp4", frames, fps=24)
    # A segmenter of random weights is sure of nothing; so everything may pass, and the form alone is looked at.
    rules = ProposalRules(grid=3, anchors=2, sure=-1e9, smallest=0.0, largest=1.0, same=1.01, lifetime=0.0, most=5)
    seen: list[tuple[int, int]] = []
    arguments = (tmp_path / "videos", tmp_path / "masklets", SAM2Segmenter.tiny().eval(), rules)
    (reference,) = find_bare_videos(*arguments, lambda *progress: seen.append(progress))
    assert (reference.video_id, reference.annotation_path) == ("a", "../masklets/a_auto.json")
    content = json.loads((tmp_path / "masklets" / "a_auto.json").read_text())
    assert content["video_frame_count"] == 9 and content["masklet_type"] == ["auto"] * 5
    assert masklets(tmp_path / "masklets" / "a_auto.json").shape == (5, 3, *SIZE)
    assert seen == [(1, 1)]
    # What is there stays: the objects of a video keep their numbers.
    before = (tmp_path / "masklets" / "a_auto.json").stat().st_mtime_ns
    find_bare_videos(*arguments)
    assert (tmp_path / "masklets" / "a_auto.json").stat().st_mtime_ns == before


def test_tracks_that_end_as_one_are_one_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Follower:
        """Leads everything to the same place."""

        def __init__(self, segmenter: object) -> None: ...

        def track(self, pixels: object, anchors: dict[int, torch.Tensor], num_frames: int) -> Iterator[tuple]:
            count = len(next(iter(anchors.values())))
            assert count > 1 or 0 not in anchors
            for frame in range(num_frames):
                yield frame, torch.ones(count, 8, 8), torch.ones(count)

    monkeypatch.setattr("word2mask.annotate.inputs.proposals.Tracker", Follower)
    write_mp4(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 255, (9, *SIZE, 3), dtype=np.uint8), fps=24)
    rules = ProposalRules(grid=3, anchors=1, sure=-1e9, smallest=0.0, largest=1.0, same=1.0, lifetime=0.0)
    find_bare_videos(tmp_path, tmp_path / "masklets", SAM2Segmenter.tiny().eval(), rules)
    assert masklets(tmp_path / "masklets" / "a_auto.json").shape[0] == 1


def test_a_segmenter_of_single_masks_proposes_too(tmp_path: Path) -> None:
    segmenter = SAM2Segmenter.tiny().eval()
    config = segmenter.model.config
    config.mask_decoder_config.num_multimask_outputs, config.multimask_output_in_sam = 0, False
    config.mask_decoder_config.dynamic_multimask_via_stability = False
    write_mp4(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 255, (5, *SIZE, 3), dtype=np.uint8), fps=24)
    rules = ProposalRules(grid=2, anchors=1, sure=-1e9, smallest=0.0, largest=1.0, same=1.01, lifetime=0.0)
    find_bare_videos(tmp_path, tmp_path / "masklets", segmenter, rules)
    assert masklets(tmp_path / "masklets" / "a_auto.json").shape[0] == 4


def test_a_video_whose_masks_are_damaged_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bear", "swan"):
        frames_folder(tmp_path / "JPEGImages" / name)
        (tmp_path / "Annotations" / name).mkdir(parents=True)
        for frame in range(0, 9, 4):
            Image.fromarray(labels(frame), "L").save(tmp_path / "Annotations" / name / f"{frame:05}.png")
    out, endpoint = tmp_path / "masklets", Endpoint("http://localhost/v1", "m")
    assert len(find_mask_folders(tmp_path, out)) == 2
    damaged = tmp_path / "Annotations" / "bear" / "00004.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    bear, swan = find_mask_folders(tmp_path, out)
    assert [record.getMessage() for record in caplog.records][-1:] == [
        next(m for m in caplog.messages if m.startswith(f"{damaged}: not a picture") and "tried again" in m)
    ]
    # Those of before the damage don't count any more.
    assert not (out / "bear_manual.json").exists() and (out / "swan_manual.json").exists()
    with pytest.raises(UserError, match="bear_manual.json"):
        prepare(bear, tmp_path, Settings(endpoint, endpoint))
    assert prepare(swan, tmp_path, Settings(endpoint, endpoint)).objects
    (tmp_path / "Annotations" / "swan" / "00000.png").write_bytes(b"")
    with pytest.raises(UserError, match="bear/00004.png: not a picture"):
        find_mask_folders(tmp_path, out)


def test_a_damaged_video_among_bare_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    (tmp_path / "videos").mkdir()
    write_mp4(tmp_path / "videos" / "good.mp4", np.full((9, *SIZE, 3), 40, dtype=np.uint8), fps=24)
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    rules, segmenter = ProposalRules(grid=1, anchors=1, most=1), SAM2Segmenter.tiny().eval()
    found = find_bare_videos(tmp_path / "videos", tmp_path / "masklets", segmenter, rules)
    assert [reference.video_id for reference in found] == ["bad", "good"]
    assert [file.name for file in (tmp_path / "masklets").iterdir()] == ["good_auto.json"]
    assert any("bad.mp4" in message and "recorded as failed" in message for message in caplog.messages)
    (tmp_path / "videos" / "good.mp4").unlink()
    with pytest.raises(UserError, match=r"bad\.mp4"):
        find_bare_videos(tmp_path / "videos", tmp_path / "masklets", segmenter, rules)

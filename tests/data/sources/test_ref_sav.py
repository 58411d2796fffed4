"""Fixture: videos of 22 and 9 frames, of which each fourth has masks.

Object 0, red, is 20 × 20 and moves by 8 pixels from one to the next; object 1, blue, is 40 × 24, from the third on.
"""

import json

import numpy as np
import pytest

from word2mask.data.sources import ref_sav
from word2mask.data.sources.ref_sav import RefSAV, RefSAVEvaluation, SAVVideo
from word2mask.errors import UserError


def manual(folder, video="sav_000001"):
    return folder / "sam_v_full" / "sav_train" / "sav_000" / f"{video}_manual.json"


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_frames_and_masks_go_together(tmp_path):
    source = RefSAV.fixture(tmp_path)
    assert len(source) == 2 and source.name == "Ref-SAV"
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        assert sample.media.frames.shape == (5, 64, 96, 3) and sample.masks.shape == (2, 5, 64, 96)
        for question, masks in zip(sample.turns[::2], sample.masks, strict=True):
            for position, frame, mask in zip(sample.media.frame_indices, sample.media.frames, masks, strict=True):
                t, rest = divmod(position, 4)
                assert rest == 0
                if "red box" in question.text:
                    assert mask.sum() == 400 and mask[8:28, 4 + 8 * t : 24 + 8 * t].all()
                    # The picture is red where the mask is: the frame is the one that was annotated.
                    red, green, _ = frame[18, 14 + 8 * t].astype(int)
                    assert red > 150 and green < 100
                else:
                    assert mask.sum() == (960 if t >= 2 else 0)
    assert source.read(1, np.random.default_rng(0)).media.frame_indices == (0, 4, 8)


def test_only_what_is_needed_is_decoded(tmp_path, monkeypatch):
    source = RefSAV.fixture(tmp_path, frames_per_sample=2, expressions_per_sample=1)
    decoded, read = [], []
    decode, reader = ref_sav.track_masks, ref_sav._EveryFourth.read
    monkeypatch.setattr(ref_sav, "track_masks", lambda *args: decoded.append(args[1]) or decode(*args))
    monkeypatch.setattr(
        ref_sav._EveryFourth, "read", lambda self, indices: read.append(indices) or reader(self, indices)
    )
    sample = source.read(0, np.random.default_rng(0))
    assert [list(frames) for frames in decoded] == read == [[index // 4 for index in sample.media.frame_indices]]
    assert sample.masks.shape == (1, 2, 64, 96)


def test_long_and_short_descriptions(tmp_path):
    RefSAV.fixture(tmp_path)
    paths = tmp_path / "Ref-SAV.json", tmp_path / "sam_v_full"

    def asked(kinds):
        source = RefSAV(*paths, kinds=kinds)
        samples = [source.read(0, np.random.default_rng(seed)) for seed in range(30)]
        # An object is asked for once, whatever the number of its descriptions.
        assert {len(sample.turns) for sample in samples} == {4}
        return " ".join(turn.text for sample in samples for turn in sample.turns[::2])

    assert "The object is a red box. It moves to the right" in asked(("long",))
    assert "The object" not in asked(("short",)) and "A blue box" in asked(("short",)) and "A box" in asked(("short",))
    assert "The object is" in asked(("long", "short")) and "A red box" in asked(("long", "short"))
    with pytest.raises(UserError, match="kinds are long and short, got medium"):
        RefSAV(*paths, kinds=("medium",))


def test_a_description_is_a_record_for_evaluation(tmp_path):
    source = RefSAV.fixture(tmp_path, kinds=("long", "short"), per_expression=True)
    samples = [source.read(index) for index in range(len(source))]
    assert [(sample.id, sample.extra["kind"], sample.extra["object_id"]) for sample in samples] == [
        ("sav_000001/0/long", "long", 0),
        ("sav_000001/0/short/0", "short", 0),
        ("sav_000001/1/long", "long", 1),
        ("sav_000001/1/short/0", "short", 1),
        ("sav_000001/1/short/1", "short", 1),
        ("sav_000002/0/long", "long", 0),
        ("sav_000002/0/short/0", "short", 0),
    ]
    assert samples[2].masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 960, 960, 960, 960]
    video = samples[2].extra["video"]
    assert len(video) == 6 and video.fps == 6 and len(list(video.iterate())) == 6
    assert samples[2].extra["frame_names"] == ["00000", "00004", "00008", "00012", "00016", "00020"]


def test_paths_as_they_are_in_the_file_come_first(tmp_path):
    source = RefSAV.fixture(tmp_path / "set")
    folder = tmp_path / "set" / "sam_v_full"
    (folder / "sav_000" / "sav_train").mkdir(parents=True)
    (folder / "sav_train" / "sav_000").rename(folder / "sav_000" / "sav_train" / "sav_000")
    assert source.read(0, np.random.default_rng(0)).media.name.endswith("sav_000/sav_train/sav_000/sav_000001.mp4")


def test_wrong_records_are_refused_in_one_sentence(tmp_path):
    source = RefSAV.fixture(tmp_path)
    file, whole = manual(tmp_path), manual(tmp_path).read_text()
    for change, message in (
        (
            lambda content: content["masklet"].pop(),
            "expected the masks .* of 6 frames, every 4th of .*mp4, got 5 frames",
        ),
        (lambda content: content.pop("masklet"), "every 4th of .*mp4, got NoneType"),
        (lambda content: content.update(masklet=[[]] * 6), "no object . in .*_manual.json"),
        (
            lambda content: content.update(masklet=[[{"size": [9, 9], "counts": [81]}] * 2] * 6),
            r"object . in .*_manual.json, frame .: a mask of \[9, 9\] for a picture of \[64, 96\]",
        ),
    ):
        file.write_text(whole)
        edit(file, change)
        with pytest.raises(UserError, match=rf"^Ref-SAV\[sav_000001\]: .*{message}") as caught:
            source.read(0, np.random.default_rng(0))
        assert "\n" not in str(caught.value)
    file.write_text(whole[:200])
    with pytest.raises(UserError, match=r"^Ref-SAV\[sav_000001\]: .*_manual.json: not JSON, or cut short"):
        source.read(0, np.random.default_rng(0))
    file.unlink()
    with pytest.raises(UserError, match=r"^Ref-SAV\[sav_000001\]: .*sav_train/sav_000/sav_000001_manual.json: no such"):
        source.read(0, np.random.default_rng(0))


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    RefSAV.fixture(tmp_path)
    file, videos = tmp_path / "Ref-SAV.json", tmp_path / "sam_v_full"
    with pytest.raises(UserError, match="no such folder; expected the videos of SA-V"):
        RefSAV(file, tmp_path / "elsewhere")
    edit(file, lambda content: content["sav_000002"].pop("anno_path"))
    with pytest.raises(UserError, match=r"^Ref-SAV\[sav_000002\]: the record in .*Ref-SAV.json has no 'anno_path'"):
        RefSAV(file, videos)
    file.write_text("{}")
    with pytest.raises(UserError, match="Ref-SAV.json: no expression in it"):
        RefSAV(file, videos)
    file.write_text('{"sav_0')
    with pytest.raises(UserError, match="Ref-SAV.json: not JSON, or cut short"):
        RefSAV(file, videos)


def test_a_video_of_sa_v_has_its_annotated_frames(tmp_path):
    RefSAV.fixture(tmp_path)
    video = SAVVideo(manual(tmp_path).with_name("sav_000002.mp4"))
    assert len(video) == 3 and video.read([2, 0]).shape == (2, 64, 96, 3)
    with pytest.raises(IndexError, match="there are 0 … 2"):
        video.read([3])


def test_the_evaluation_data_say_what_is_long(tmp_path):
    source = RefSAVEvaluation.fixture(tmp_path / "ref_sav_eval", per_expression=True)
    assert source.name == "ref_sav_eval" and len(source) == 3
    samples = [source.read(index) for index in range(3)]
    assert [sample.extra["kind"] for sample in samples] == ["long", "short", "long"]
    assert samples[1].masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 240, 240, 240, 240]
    edit(
        tmp_path / "ref_sav_eval" / "meta_expressions_valid.json",
        lambda meta: meta["videos"]["sav_000001"]["expressions"]["0"].update(type_id=2),
    )
    with pytest.raises(UserError, match=r"^ref_sav_eval\[sav_000001/0\]: type_id 2 in .*expected 0 \(long\) or 1"):
        RefSAVEvaluation(tmp_path / "ref_sav_eval", per_expression=True).read(0)
    with pytest.raises(UserError, match="videos: no such folder; expected a folder of frames"):
        RefSAVEvaluation(tmp_path / "elsewhere")

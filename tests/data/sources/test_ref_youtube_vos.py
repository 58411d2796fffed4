"""Fixture: object 1, red, is 10 × 10 and moves by 4 pixels a frame; object 2, blue, is 20 × 12, from frame 2 on."""

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from word2mask.data.sources.ref_youtube_vos import RefYouTubeVOS
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle
from word2mask.text.special_tokens import SEG

FIRST = "003234408d"


def pack(folder, tracks):
    """Leaves the masks as Sa2VA's package has them: in a pickle."""
    shutil.rmtree(folder / "train" / "Annotations")
    (folder / "mask_dict.pkl").write_bytes(tracks if isinstance(tracks, bytes) else pickle.dumps(tracks))


def tracks_of(folder):
    """Expression by expression, as VISA numbers and encodes them: bytes for counts, None where nothing is seen."""
    RefYouTubeVOS.fixture(folder)
    source = RefYouTubeVOS(folder, per_expression=True)
    tracks = {}
    for index in range(len(source)):
        rles = [encode_rle(mask) for mask in source.read(index).masks[0]]
        tracks[str(index)] = [
            {"size": rle["size"], "counts": rle["counts"].encode()} if mask.any() else None
            for rle, mask in zip(rles, source.read(index).masks[0], strict=True)
        ]
    return tracks


def test_objects_by_their_numbers(tmp_path):
    source = RefYouTubeVOS.fixture(tmp_path / "rvos")
    assert len(source) == 2 and source.name == "rvos"
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        assert sample.masks.shape == (2, 5, 32, 48) and sample.void is None
        assert [turn.text.count(SEG) for turn in sample.turns] == [0, 1, 0, 1]
        for question, masks in zip(sample.turns[::2], sample.masks, strict=True):
            for t, mask in zip(sample.media.frame_indices, masks, strict=True):
                expected = np.zeros((32, 48), dtype=bool)
                if "red" in question.text:
                    expected[4:14, 2 + 4 * t : 12 + 4 * t] = True
                elif t >= 2:
                    expected[18:30, 20:40] = True
                assert np.array_equal(mask, expected)


def test_an_expression_is_a_record_for_evaluation(tmp_path):
    source = RefYouTubeVOS.fixture(tmp_path, per_expression=True)
    assert len(source) == 3
    sample = source.read(1)
    assert sample.id == f"{FIRST}/1" and sample.extra["expression"] == "a blue box that comes later"
    assert sample.masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 240, 240, 240, 240]
    assert sample.extra["frame_names"] == [f"{t:05d}" for t in range(6)] and sample.extra["no_target"] is False


def test_the_pickle_of_the_package_says_the_same(tmp_path):
    tracks = tracks_of(tmp_path)
    drawn = RefYouTubeVOS(tmp_path).read(0, np.random.default_rng(3))
    pack(tmp_path, tracks)
    packed = RefYouTubeVOS(tmp_path).read(0, np.random.default_rng(3))
    assert np.array_equal(packed.masks, drawn.masks) and packed.turns == drawn.turns


def test_the_pickle_counts_over_sorted_videos_and_ids(tmp_path):
    RefYouTubeVOS.fixture(tmp_path)
    file = tmp_path / "meta_expressions" / "train" / "meta_expressions.json"
    videos = json.loads(file.read_text())["videos"]
    asked = videos[FIRST]["expressions"]["0"]
    # As texts "10" comes before "2"; the video that sorts first is listed last.
    videos[FIRST]["expressions"] = {str(number): asked for number in (2, 10)}
    file.write_text(json.dumps({"videos": dict(reversed(videos.items()))}))
    one_pixel = np.zeros((3, 32, 48), dtype=bool)
    one_pixel[0, 0, 0] = one_pixel[1, 0, :2] = one_pixel[2, 0, :3] = True
    pack(tmp_path, {str(number): [encode_rle(mask)] * 6 for number, mask in enumerate(one_pixel)})
    source = RefYouTubeVOS(tmp_path, per_expression=True)
    samples = {sample.id: sample for sample in (source.read(index) for index in range(3))}
    sizes = {record: int(sample.masks[0, 0].sum()) for record, sample in samples.items()}
    assert sizes == {f"{FIRST}/10": 1, f"{FIRST}/2": 2, "0043f083b5/0": 3}


def test_valid_and_test_are_there_for_a_submission(tmp_path):
    RefYouTubeVOS.fixture(tmp_path)
    source = RefYouTubeVOS(tmp_path, "valid", per_expression=True)
    # The challenge's file of valid lists the videos of test too.
    assert len(source) == 1
    sample = source.read(0)
    assert sample.id == "152fe4902a/0" and sample.masks is None and "no_target" not in sample.extra
    assert [turn.role for turn in sample.turns] == ["user"] and "a red box" in sample.turns[0].text
    assert len(sample.extra["video"]) == 2 and sample.extra["frame_names"] == ["00000", "00001"]
    assert RefYouTubeVOS(tmp_path, "test", per_expression=True).read(0).extra["video_id"] == "19904980af"
    with pytest.raises(UserError, match="'valid' is published without masks; train on another split"):
        RefYouTubeVOS(tmp_path, "valid")
    (tmp_path / "meta_expressions" / "test" / "meta_expressions.json").unlink()
    assert len(RefYouTubeVOS(tmp_path, "valid", per_expression=True)) == 2


def test_void_stays_void(tmp_path):
    source = RefYouTubeVOS.fixture(tmp_path, per_expression=True)
    path = tmp_path / "train" / "Annotations" / FIRST / "00003.png"
    with Image.open(path) as picture:
        indices = np.array(picture)
    indices[0, :7] = 255
    Image.fromarray(indices).save(path)
    sample = source.read(0)
    assert sample.void.sum(axis=(1, 2)).tolist() == [0, 0, 0, 7, 0, 0] and sample.void[3, 0, :7].all()
    assert sample.masks.sum() == 600 and not (sample.masks[0] & sample.void).any()


def test_wrong_masks_are_refused_in_one_sentence(tmp_path):
    source = RefYouTubeVOS.fixture(tmp_path / "rvos", per_expression=True)
    path = tmp_path / "rvos" / "train" / "Annotations" / FIRST / "00003.png"
    whole = path.read_bytes()
    for spoil, message in (
        (lambda: path.write_bytes(whole[:-30]), "00003.png: the mask is damaged or cut short"),
        (lambda: Image.new("P", (48, 30)).save(path), r"00003.png: a mask of \[30, 48\] for a frame of \[32, 48\]"),
        (lambda: Image.new("RGB", (48, 32)).save(path), "00003.png: a picture of mode RGB; expected an indexed one"),
        (path.unlink, "00003.png: no such mask"),
    ):
        spoil()
        with pytest.raises(UserError, match=rf"^rvos\[{FIRST}/0\]: .*{message}") as caught:
            source.read(0)
        assert "\n" not in str(caught.value)
    file = tmp_path / "rvos" / "meta_expressions" / "train" / "meta_expressions.json"
    meta = json.loads(file.read_text())
    for number, message in (("0", "obj_id 0; objects are numbered from 1"), ("one", "malformed: invalid literal")):
        meta["videos"]["0043f083b5"]["expressions"]["0"]["obj_id"] = number
        file.write_text(json.dumps(meta))
        with pytest.raises(UserError, match=rf"^rvos\[0043f083b5\]: .*{message}"):
            RefYouTubeVOS(tmp_path / "rvos").read(1, np.random.default_rng(0))


class Opens:
    def __reduce__(self):
        return open, ("somewhere",)


def test_wrong_pickles_are_refused_in_one_sentence(tmp_path):
    folder = tmp_path / "rvos"
    tracks = tracks_of(folder)
    pack(folder, pickle.dumps(tracks)[:-20])
    with pytest.raises(UserError, match="mask_dict.pkl: not a pickle, or cut short"):
        RefYouTubeVOS(folder)
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps({"0": Opens()}))
    with pytest.raises(UserError, match="mask_dict.pkl: the pickle asks for .*open, .*could run code"):
        RefYouTubeVOS(folder)
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError, match="mask_dict.pkl: expected a pickled dict of masks, got list"):
        RefYouTubeVOS(folder)
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps({"0": tracks["0"]}))
    with pytest.raises(UserError, match="mask_dict.pkl: masks of 1 expressions, .*meta_expressions.json has 3"):
        RefYouTubeVOS(folder)
    tracks["0"][2] = {"size": [4, 4], "counts": [16]}
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps(tracks))
    with pytest.raises(UserError, match=rf"^rvos\[{FIRST}/0\]: expression 0 in .*pkl, frame 2: a mask of \[4, 4\]"):
        RefYouTubeVOS(folder, per_expression=True).read(0)
    (folder / "mask_dict.pkl").unlink()
    with pytest.raises(UserError, match="Annotations: no such folder; expected masks there, or in .*mask_dict.pkl"):
        RefYouTubeVOS(folder)


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    RefYouTubeVOS.fixture(tmp_path)
    with pytest.raises(UserError, match="no records of split 'val' in .*; it has test, train, valid"):
        RefYouTubeVOS(tmp_path, "val")
    (tmp_path / "meta_expressions" / "train" / "meta_expressions.json").write_text('{"videos": {"003')
    with pytest.raises(UserError, match="meta_expressions.json: not JSON, or cut short"):
        RefYouTubeVOS(tmp_path)
    shutil.rmtree(tmp_path / "train" / "JPEGImages")
    with pytest.raises(UserError, match="JPEGImages: no such folder; expected a folder of frames"):
        RefYouTubeVOS(tmp_path)

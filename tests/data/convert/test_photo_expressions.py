"""What is said of photographs is true of exactly the objects that are meant: small scenes, worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from word2mask.data.convert.photo_colours import clear_colour, colour_shares
from word2mask.data.convert.photo_expressions import Thing, expressions, mirrored, record, split_of
from word2mask.data.sources.own_data import OwnData

SIZE = (100, 200)


def thing(category: str, box: tuple[int, int, int, int], is_crowd: bool = False) -> Thing:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return Thing(category, mask, tuple(map(float, box)), is_crowd, float(mask.mean()))


def said(things: list[Thing], picture: np.ndarray | None = None) -> dict[str, list[Thing]]:
    """First wording → what is meant."""
    scene = np.full((*SIZE, 3), (150, 120, 100), np.uint8) if picture is None else picture  # a colour without a name
    return {texts[0]: meant for _, texts, meant in expressions(scene, things)}


def test_one_of_its_kind_is_named():
    dog, person = thing("dog", (10, 10, 40, 40)), thing("person", (100, 10, 140, 90))
    assert said([dog, person]) == {"the dog": [dog], "the person": [person]}


def test_two_are_told_apart_by_place_size_and_relation():
    left, right = thing("dog", (10, 40, 30, 60)), thing("dog", (100, 40, 140, 80))
    bench = thing("bench", (150, 40, 190, 60))
    found = said([left, right, bench])
    assert found["the dog on the left"] == [left] and found["the dog on the right"] == [right]
    assert found["the largest dog"] == [right] and found["the smallest dog"] == [left]
    assert found["all the dogs"] == [left, right]
    assert found["the dog nearest to the bench"] == [right]
    # Both stand to the left of the bench; their middles are 10 pixels of 100 apart from top to bottom, just enough.
    assert "the dog to the left of the bench" not in found
    assert found["the dog at the top"] == [left] and "the dog" not in found


def test_what_is_not_plain_is_not_said():
    first, second = thing("dog", (10, 40, 30, 60)), thing("dog", (25, 42, 45, 62))
    assert set(said([first, second])) == {"all the dogs"}


def test_what_cannot_be_asked_for_still_counts():
    dog = thing("dog", (10, 40, 40, 70))
    assert said([dog, thing("dog", (60, 40, 100, 60), is_crowd=True)]) == {}
    speck = thing("dog", (190, 10, 195, 15))  # 25 of 20000 pixels
    found = said([dog, speck])
    assert found["the dog on the left"] == [dog] and found["the largest dog"] == [dog]
    assert not {"the dog", "the dog on the right", "the smallest dog", "all the dogs"} & set(found)


def test_colours_are_said_where_one_has_them():
    picture = np.full((*SIZE, 3), (150, 120, 100), np.uint8)
    red, blue = thing("car", (10, 40, 50, 60)), thing("car", (100, 40, 150, 60))
    picture[red.mask], picture[blue.mask] = (200, 20, 20), (20, 40, 200)
    found = said([red, blue], picture)
    assert found["the red car"] == [red] and found["the blue car"] == [blue]
    picture[blue.mask] = (190, 10, 30)
    assert not {"the red car", "the blue car"} & set(said([red, blue], picture))


def test_shares_of_colours():
    picture = np.zeros((1, 4, 3), np.uint8)
    picture[0] = [(250, 250, 250), (240, 245, 240), (10, 10, 10), (150, 120, 100)]
    shares = colour_shares(picture, np.ones((1, 4), bool))
    assert (shares["white"], shares["black"], shares["red"]) == (0.5, 0.25, 0.0)
    assert clear_colour(shares) is None
    assert clear_colour(colour_shares(picture, np.array([[True, True, False, False]]))) == "white"


def test_what_is_absent_is_of_no_category_that_is_there():
    dog = thing("dog", (10, 10, 40, 40))
    categories = ["cat", "cow", "dog", "tree"]
    entry = record(np.zeros((*SIZE, 3), np.uint8), [dog], "a.jpg", "a", categories, absent=2)
    absent = [item for item in entry["expressions"] if item["kind"] == "no target"]
    assert len(absent) == 2 and all(item["masks"] == [] and "dog" not in item["text"][0] for item in absent)
    assert record(np.zeros((*SIZE, 3), np.uint8), [], "a.jpg", "a", categories) is None


def test_the_split_is_of_pictures_and_near_its_share():
    splits = [split_of(f"{number:012}.jpg", 0.3) for number in range(1000)]
    assert splits == [split_of(f"{number:012}.jpg", 0.3) for number in range(1000)]
    assert 250 < splits.count("val") < 350


def test_the_tool_writes_what_own_data_reads(repository: Path, tmp_path: Path):
    images = tmp_path / "images"
    images.mkdir()
    content = {"categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}], "images": [], "annotations": []}
    for number in range(6):
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(images / f"{number}.jpg")
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": 100, "width": 200})
        box = {"bbox": [10, 20, 40, 30], "segmentation": [[10, 20, 50, 20, 50, 50, 10, 50]]}
        content["annotations"].append({"image_id": number, "category_id": 1, "iscrowd": 0, **box})
    (tmp_path / "instances.json").write_text(json.dumps(content))
    command = [sys.executable, repository / "tools/make_photo_expressions.py", tmp_path / "instances.json", images]
    run = subprocess.run([*command, tmp_path / "out", "--held-out", "0.5"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    names = {}
    for split in ("train", "val"):
        source = OwnData(tmp_path / f"out/{split}.jsonl", per_expression=True)
        read = [source.read(index) for index in range(len(source))]
        assert {sample.extra["no_target"] for sample in read} == {False, True}
        assert all(sample.masks.sum() == 40 * 30 for sample in read if not sample.extra["no_target"])
        names[split] = {sample.id.partition("/")[0] for sample in read}
    assert not names["train"] & names["val"] and len(names["train"] | names["val"]) == 6
    (tmp_path / "instances.json").write_text("[]")
    run = subprocess.run([*command, tmp_path / "other"], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "not instance annotations in COCO's format" in run.stderr
    assert not (tmp_path / "other").exists()


def test_in_the_mirror_left_is_right():
    left, right = thing("dog", (10, 40, 30, 60)), thing("dog", (100, 40, 140, 80))
    picture = np.full((*SIZE, 3), (150, 120, 100), np.uint8)
    picture[:, :5] = 0
    turned, things = mirrored(picture, [left, right])
    assert (turned[:, -5:] == 0).all() and (turned[:, :5] == picture[:, -5:]).all()
    assert [thing.box for thing in things] == [(170, 40, 190, 60), (60, 40, 100, 80)]
    for thing_, original in zip(things, (left, right), strict=True):
        assert (thing_.mask == original.mask[:, ::-1]).all()
    found = said(things, turned)
    assert found["the dog on the right"] == [things[0]] and found["the dog on the left"] == [things[1]]

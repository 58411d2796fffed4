"""COCO instances on a picture of 12 × 16."""

import json

import numpy as np
import pytest

from word2mask.data.convert.annotated import Media, Tally, Wording, records
from word2mask.data.convert.coco import read_coco
from word2mask.data.fixtures import write_picture
from word2mask.data.own_schema import check_record, picture_mask
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle

SIZE = (12, 16)
SQUARE = [[2, 3, 6, 3, 6, 7, 2, 7]]


@pytest.fixture
def convert(tmp_path):
    """Writes annotations of one picture, and gives records, tally and the picture's masks."""
    write_picture(tmp_path / "images" / "a.jpg", SIZE, {})

    def run(*annotations, text=None, wording=None, **changes):
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
            "categories": [{"id": 1, "name": "traffic_light"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0} | annotation
                for number, annotation in enumerate(annotations, start=1)
            ],
        } | changes
        (tmp_path / "instances.json").write_text(json.dumps(content))
        tally = Tally()
        found = read_coco(tmp_path / "instances.json", Media((tmp_path / "images",)), tally, text)
        entries = [entry for entry, _ in records(found, wording or Wording(), tally)]
        for entry in entries:
            check_record({"image": "a.jpg"} | entry)
        return entries, tally

    return run


def drawn(mask):
    return picture_mask(mask, SIZE, None)


def test_polygons_run_lengths_and_crowds(convert):
    corner = encode_rle(box_to_mask((0, 0, 3, 2), *SIZE))
    crowd = {"size": list(SIZE), "counts": [12 * 15, 12]}  # the last column
    entries, tally = convert(
        {"segmentation": SQUARE},
        {"segmentation": corner | {"extra": 1}},
        {"segmentation": [*SQUARE, [10, 0, 12, 0, 12, 2, 10, 2]], "category_id": 2},
        {"segmentation": crowd, "iscrowd": 1},
        {"segmentation": [], "bbox": [0, 0, 3, 3]},
        {"segmentation": [[1, 1, 2, 2]]},
        {"segmentation": [[17, 3, 20, 3, 20, 6]]},
        {"segmentation": {"size": [2, 2], "counts": [0, 4]}},
    )
    ((lights, dog),) = [entry["expressions"] for entry in entries]
    assert lights["text"] == "traffic light" and dog["text"] == "dog"
    np.testing.assert_array_equal(drawn(lights["masks"][0]), box_to_mask((2, 3, 6, 7), *SIZE))
    np.testing.assert_array_equal(drawn(lights["masks"][1]), box_to_mask((0, 0, 3, 2), *SIZE))
    assert drawn(dog["masks"][0]).sum() == 16 + 4
    np.testing.assert_array_equal(drawn(entries[0]["void"]), box_to_mask((15, 0, 16, 12), *SIZE))
    assert tally.read == {"pictures": 1, "annotations": 8}
    assert tally.written["masks"] == 3 and tally.written["crowds as void"] == 1
    reasons = "\n".join(tally.skipped)
    assert sum(tally.skipped.values()) == 4
    for words in (
        "(a box alone)",
        "fewer than three points",
        "covers no pixel",
        "malformed mask",
    ):
        assert words in reasons
    assert "first: annotation 5 of a.jpg" in tally.summary()
    assert "first: annotation 8 of a.jpg: run lengths of size [2, 2]" in tally.summary()


def test_what_reaches_beyond_the_picture_is_cut_off(convert):
    (entry,), tally = convert(
        {"segmentation": [[-8, 2, 3, 2, 3, 5, -8, 5]]},
        {"segmentation": [[900, 0, 910, 0, 910, 9]]},
        {"segmentation": [[0, 0, 16, 0, 16, 12]]},
    )
    cut, kept = entry["expressions"][0]["masks"]
    np.testing.assert_array_equal(drawn(cut), box_to_mask((0, 2, 3, 5), *SIZE))
    assert kept == [[0, 0, 16, 0, 16, 12]]
    assert tally.skipped == {"shape that reaches far beyond the picture": 1}


def test_expressions_of_labels(convert):
    two, one = [{"segmentation": SQUARE}] * 2, {"segmentation": SQUARE, "category_id": 2}
    names = {"traffic_light": ["the lights", "the traffic lights"]}
    (entry,), _ = convert(*two, one, wording=Wording(names))
    assert [expression["text"] for expression in entry["expressions"]] == [names["traffic_light"], "dog"]
    (entry,), tally = convert(*two, one, wording=Wording(instances="single"))
    assert [expression["text"] for expression in entry["expressions"]] == ["dog"]
    assert tally.skipped == {"label with several objects in a picture (--instances single)": 1}
    (entry,), _ = convert(*two, one, wording=Wording(instances="each"))
    assert [len(expression["masks"]) for expression in entry["expressions"]] == [1, 1, 1]
    (entry,), tally = convert(*two, one, wording=Wording({"dog": None}))
    assert len(entry["expressions"]) == 1 and tally.skipped == {"label 'dog', left out by --names": 1}
    with pytest.raises(UserError, match="no label 'cat' in the export; it has traffic_light"):
        convert(*two, wording=Wording({"cat": "x"}))


def test_texts_of_objects(convert):
    (entry,), _ = convert({"segmentation": SQUARE, "caption": "the red one"}, text="caption")
    assert [expression["text"] for expression in entry["expressions"]] == ["the red one", "traffic light"]
    with pytest.raises(UserError, match="--text caption: no annotation"):
        convert({"segmentation": SQUARE}, text="caption")
    with pytest.raises(UserError, match="annotation 1 of a.jpg: 'caption' is 3; expected a text"):
        convert({"segmentation": SQUARE, "caption": 3}, text="caption")


def test_labels_that_a_picture_does_not_show(convert, tmp_path):
    write_picture(tmp_path / "images" / "b.jpg", SIZE, {})
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg"}]
    images = [image | {"height": 12, "width": 16} for image in images]
    (first, second), tally = convert(
        {"segmentation": SQUARE},
        {"segmentation": SQUARE, "category_id": 2, "image_id": 2},
        wording=Wording(absent=1),
        images=images,
    )
    assert first["expressions"][1:] == [{"text": "dog", "masks": []}]
    assert second["expressions"][1:] == [{"text": "traffic light", "masks": []}]
    assert tally.written["expressions of what isn't there"] == 2
    assert tally.skipped == {"picture without annotations": 1}


def test_bad_exports(convert, tmp_path):
    with pytest.raises(UserError, match="not COCO instances .no 'id'.; expected images, categories"):
        convert(images=[{"file_name": "a.jpg"}])
    with pytest.raises(UserError, match="annotation 1 is of picture 9 and category 1, and one of them isn't"):
        convert({"segmentation": SQUARE, "image_id": 9})
    with pytest.raises(UserError, match="annotated at 17 × 12 pixels, but .*a.jpg has 16 × 12"):
        convert({"segmentation": SQUARE}, images=[{"id": 1, "file_name": "a.jpg", "height": 12, "width": 17}])
    with pytest.raises(UserError, match="no picture b.jpg in .*images; say where they lie by --images"):
        convert({"segmentation": SQUARE}, images=[{"id": 1, "file_name": "b.jpg", "height": 12, "width": 16}])
    with pytest.raises(UserError, match="is a folder; give the JSON file"):
        list(read_coco(tmp_path, Media((tmp_path,)), Tally()))


def test_missing_pictures_may_be_left_out(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "b.jpg", "height": 12, "width": 16}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARE}],
    }
    (tmp_path / "i.json").write_text(json.dumps(content))
    tally = Tally()
    assert list(read_coco(tmp_path / "i.json", Media((tmp_path,), skip_missing=True), tally)) == []
    assert tally.skipped == {"picture that isn't on disk": 1}

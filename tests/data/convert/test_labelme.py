"""LabelMe's files on a picture of 12 × 16. Expected pixels by hand, from labelme's rule: an outline's own pixels belong
to the shape."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from word2mask.data.convert.annotated import Media, Tally
from word2mask.data.convert.labelme import read_labelme
from word2mask.data.fixtures import write_picture
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, decode_rle

SIZE = (12, 16)


@pytest.fixture
def convert(tmp_path):
    write_picture(tmp_path / "set" / "a.jpg", SIZE, {})

    def run(*shapes, **changes):
        content = {"version": "5.5.0", "imagePath": "a.jpg", "imageData": None, "imageHeight": 12, "imageWidth": 16}
        content |= {"shapes": [{"group_id": None, "flags": {}} | shape for shape in shapes]} | changes
        (tmp_path / "set" / "a.json").write_text(json.dumps(content))
        tally = Tally()
        return list(read_labelme(tmp_path / "set", Media(()), tally)), tally

    return run


def masks(items):
    return [decode_rle(thing.mask) for thing in items[0].things]


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_every_shape_with_an_area(convert):
    items, tally = convert(
        {"label": "a", "shape_type": "polygon", "points": [[2, 3], [5, 3], [5, 6], [2, 6]]},
        {"label": "b", "shape_type": "rectangle", "points": [[8, 9], [4, 2]]},
        {"label": "c", "shape_type": "circle", "points": [[6, 6], [8, 6]]},
        {"label": "d", "shape_type": "mask", "points": [[14, 10], [17, 11]], "mask": png(np.ones((2, 4), bool))},
        {"label": "e", "shape_type": "line", "points": [[0, 0], [3, 3]]},
        {"label": "f", "shape_type": "polygon", "points": [[0, 0], [3, 3]]},
        {"label": "g", "shape_type": "mask", "points": [[0, 0], [3, 3]], "mask": "nothing"},
        {"label": "h", "shape_type": "circle", "points": [[0, 0]]},
    )
    assert [thing.label for thing in items[0].things] == ["a", "b", "c", "d"] and items[0].id == "a"
    polygon, rectangle, circle, pasted = masks(items)
    np.testing.assert_array_equal(polygon, box_to_mask((2, 3, 6, 7), *SIZE))
    np.testing.assert_array_equal(rectangle, box_to_mask((4, 2, 9, 10), *SIZE))
    # Within 2 of the centre: rows of 1, 3, 5, 3, 1 pixels.
    assert circle.sum(axis=1).tolist() == [0] * 4 + [1, 3, 5, 3, 1] + [0] * 3
    # What lies outside of the picture is cut off.
    np.testing.assert_array_equal(pasted, box_to_mask((14, 10, 16, 12), *SIZE))
    assert tally.read == {"pictures": 1, "shapes": 8} and sum(tally.skipped.values()) == 4
    assert "shape of type 'line', which covers no area" in tally.skipped
    assert "mask whose PNG can't be read" in tally.skipped and "circle of 1 points instead of 2" in tally.skipped


def test_what_reaches_beyond_the_picture_is_cut_off(convert):
    items, tally = convert(
        {"label": "a", "shape_type": "rectangle", "points": [[-9, 2], [3, 5]]},
        {"label": "b", "shape_type": "polygon", "points": [[900, 0], [910, 0], [910, 9]]},
    )
    np.testing.assert_array_equal(masks(items)[0], box_to_mask((0, 2, 4, 6), *SIZE))
    assert tally.skipped == {"shape that reaches far beyond the picture": 1}


def test_groups_and_descriptions(convert):
    left = {"label": "cup", "points": [[0, 0], [1, 0], [1, 1], [0, 1]], "group_id": 3, "description": "the blue cup"}
    right = left | {"points": [[8, 8], [9, 8], [9, 9], [8, 9]], "shape_type": None}
    alone = {"label": "cup", "points": [[4, 4], [5, 4], [5, 5], [4, 5]], "shape_type": "polygon"}
    items, _ = convert(left, right, alone)
    assert [thing.texts for thing in items[0].things] == [["the blue cup"], []]
    both = box_to_mask((0, 0, 2, 2), *SIZE) | box_to_mask((8, 8, 10, 10), *SIZE)
    np.testing.assert_array_equal(masks(items)[0], both)


def test_where_the_picture_lies(convert, tmp_path):
    items, _ = convert(imagePath="..\\set\\a.jpg")
    assert items[0].path.resolve() == (tmp_path / "set" / "a.jpg").resolve()
    with pytest.raises(UserError, match=r"labelme\[a.json\]: .*no picture b.jpg in .*--images"):
        convert(imagePath="b.jpg")
    with pytest.raises(UserError, match="annotated at 20 × 12 pixels"):
        convert(imageWidth=20)


def test_bad_exports(convert, tmp_path):
    with pytest.raises(UserError, match="isn't LabelMe's: it has no 'shapes'"):
        (tmp_path / "set" / "b.json").write_text("{}")
        convert()
    (tmp_path / "set" / "b.json").unlink()
    with pytest.raises(UserError, match=r"labelme\[a.json\]: the record in .* has no 'label'"):
        convert({"points": [[0, 0], [3, 0], [3, 3]], "shape_type": "polygon"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no .json in it"):
        list(read_labelme(tmp_path / "empty", Media(()), Tally()))

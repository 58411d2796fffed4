"""Label Studio's JSON on a picture of 10 × 20, so that 10 % of its width are 2 pixels and of its height 1."""

import json

import numpy as np
import pytest

from word2mask.data.convert.annotated import Media, Tally
from word2mask.data.convert.label_studio import decode_brush, read_label_studio
from word2mask.data.fixtures import write_picture
from word2mask.data.own_schema import picture_mask
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask

SIZE = (10, 20)


def packed(values, run_bits=4):
    """The bytes of runs ``(length, value)`` and literals ``[value, …]``; all widths of run lengths are alike."""
    total = sum(part[0] if isinstance(part, tuple) else len(part) for part in values)
    bits = f"{total:032b}{8 - 1:05b}" + f"{run_bits - 1:04b}" * 4
    for part in values:
        if isinstance(part, tuple):
            bits += f"101{part[0] - 1:0{run_bits}b}{part[1]:08b}"
        else:
            bits += f"010{len(part) - 1:0{run_bits}b}" + "".join(f"{value:08b}" for value in part)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def shape(kind, label="cup", **value):
    common = {"id": "r1", "type": kind, "original_width": 20, "original_height": 10, "image_rotation": 0}
    return common | {"value": {kind: [label]} | value}


@pytest.fixture
def convert(tmp_path):
    write_picture(tmp_path / "a.jpg", SIZE, {})

    def run(*results, image="a.jpg", annotations=None, **data):
        task = {"id": 7, "data": {"image": image} | data}
        task["annotations"] = [{"was_cancelled": False, "result": results}] if annotations is None else annotations
        (tmp_path / "export.json").write_text(json.dumps([task]))
        tally = Tally()
        return list(read_label_studio(tmp_path / "export.json", Media((tmp_path,)), tally)), tally

    return run


def drawn(items):
    return [picture_mask(thing.mask, SIZE, None) for thing in items[0].things]


def test_shapes(convert):
    # RGBA row by row: 3 empty pixels, 2 painted ones (as literals), the rest empty.
    brush = packed([(12, 0), [9, 9, 9, 255] * 2, *[(16, 0)] * 48, (12, 0)])
    items, tally = convert(
        shape("polygonlabels", points=[[10, 20], [30, 20], [30, 60], [10, 60]]),
        shape("rectanglelabels", x=20, y=10, width=40, height=30, rotation=0),
        # Turned by a quarter around its upper left corner (10, 2): it then lies left of it, 2 wide and 4 high.
        shape("rectanglelabels", x=50, y=20, width=20, height=20, rotation=90),
        shape("ellipselabels", x=50, y=50, radiusX=20, radiusY=30),
        shape("brushlabels", format="rle", rle=brush),
        shape("keypointlabels", x=3, y=3),
        shape("polygonlabels", points=[[10, 20], [30, 20]]),
        shape("brushlabels", format="rle", rle=brush[:-3]),
        shape("rectanglelabels", x=20, y=10, width=40, height=30) | {"image_rotation": 90},
        shape("rectanglelabels", x=20, y=10, width=40),
    )
    polygon, rectangle, turned, ellipse, painted = drawn(items)
    np.testing.assert_array_equal(polygon, box_to_mask((2, 2, 6, 6), *SIZE))
    np.testing.assert_array_equal(rectangle, box_to_mask((4, 1, 12, 4), *SIZE))
    np.testing.assert_array_equal(turned, box_to_mask((8, 2, 10, 6), *SIZE))
    # Half axes 4 and 3 around (10, 5): 12π = 38 pixels.
    assert abs(int(ellipse.sum()) - 38) <= 3 and ellipse[5, 6:14].all() and not ellipse[:2].any()
    np.testing.assert_array_equal(painted, box_to_mask((3, 0, 5, 1), *SIZE))
    assert items[0].id == "7" and tally.read == {"pictures": 1, "results": 10}
    assert set(tally.skipped) == {
        "result of type 'keypointlabels'",
        "polygon of fewer than three points",
        "malformed result of type 'brushlabels'",
        "shape on a picture that was turned in the editor",
        "malformed result of type 'rectanglelabels'",
    }
    assert "run lengths that end early" in tally.summary() and "no 'height'" in tally.summary()


@pytest.mark.reference
def test_brush_against_label_studio():
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    mask = np.random.default_rng(0).random((30, 41)) > 0.7
    rle = brush.mask2rle((mask * 255).astype(np.uint8))
    np.testing.assert_array_equal(decode_brush(rle, 30, 41), mask)


def test_a_damaged_brush():
    for stream, words in (
        ([], "aren't a list of bytes"),
        ([300], "aren't a list of bytes"),
        (packed([(4, 1)]), "4 values for a picture of 2 × 2 × 4"),
        (packed([(15, 1)])[:-1] + [255, 255], "15 values"),
    ):
        with pytest.raises(ValueError, match=words):
            decode_brush(stream, 2, 2)
    # Says 16 values and gives a run of 16 after one of 8.
    late = packed([(8, 0), (16, 0)])
    late[:4] = [0, 0, 0, 16]
    with pytest.raises(ValueError, match="go on after the last pixel"):
        decode_brush(late, 2, 2)


def test_texts_of_regions(convert):
    said = {"id": "r1", "type": "textarea", "value": {"text": ["the blue cup", "what one drinks from"]}}
    box = shape("rectanglelabels", x=20, y=10, width=40, height=30)
    items, tally = convert(box, said, said | {"id": "r9", "value": {"text": ["a kitchen"]}})
    assert [thing.texts for thing in items[0].things] == [["the blue cup", "what one drinks from"]]
    assert tally.skipped == {"text about the whole picture, which names no object": 1}


def test_of_several_annotations_the_first_that_counts(convert):
    box = shape("rectanglelabels", x=20, y=10, width=40, height=30)
    annotations = [{"was_cancelled": True, "result": []}, {"result": [box]}, {"result": [box, box]}]
    items, tally = convert(annotations=annotations)
    assert len(items[0].things) == 1
    assert tally.skipped == {"annotation that was cancelled": 1, "further annotation of a task": 1}
    assert convert(annotations=[])[0] == []


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/1/1a2b3c4d-a.jpg",
        "/data/local-files/?d=pictures/a.jpg",
        "https://example.com/x/a.jpg?token=3",
        "s3://bucket/folder/a.jpg",
    ],
)
def test_where_the_picture_lies(convert, tmp_path, image):
    items, _ = convert(shape("rectanglelabels", x=0, y=0, width=50, height=50), image=image)
    assert items[0].path == tmp_path / "a.jpg"


def test_bad_exports(convert, tmp_path):
    box = shape("rectanglelabels", x=0, y=0, width=50, height=50)
    with pytest.raises(UserError, match=r"label_studio\[7\]: .*no picture data/upload/b.jpg"):
        convert(box, image="/data/upload/b.jpg")
    with pytest.raises(UserError, match="expected one picture or video in 'data', got left, right"):
        convert(box, image="no", left="a.jpg", right="b.jpg")
    with pytest.raises(UserError, match="annotated at 30 × 10 pixels"):
        convert(box | {"original_width": 30})
    with pytest.raises(UserError, match="is a folder"):
        list(read_label_studio(tmp_path, Media(()), Tally()))
    (tmp_path / "min.json").write_text('[{"id": 1, "image": "a.jpg", "label": []}]')
    with pytest.raises(UserError, match=r"label_studio\[1\]: .*export as JSON, not as JSON-MIN"):
        list(read_label_studio(tmp_path / "min.json", Media(()), Tally()))

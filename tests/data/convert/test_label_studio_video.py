"""Label Studio's JSON of clips of 10 × 20 and 6 frames, so that 10 % of the width are 2 pixels, of the height 1."""

import json

import numpy as np
import pytest

from word2mask.data.convert.annotated import Media, Tally
from word2mask.data.convert.label_studio import read_label_studio
from word2mask.data.fixtures import write_picture
from word2mask.data.own_schema import annotated_frames, check_record, video_mask
from word2mask.data.sources.video_chat import write_mp4
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask

SIZE, LENGTH = (10, 20), 6


def key(frame, enabled=True, rate=24, **shape):
    """A key frame as the editor serialises it."""
    return shape | {"frame": frame, "enabled": enabled, "time": frame / rate}


def box(frame, x, y=20, enabled=True, width=20, height=40, rotation=0, rate=24):
    return key(frame, enabled, rate, x=x, y=y, width=width, height=height, rotation=rotation)


def outline(frame, points, closed=True, **vertex):
    vertices = [{"id": f"v{place}", "x": x, "y": y, "isBezier": False} | vertex for place, (x, y) in points]
    return key(frame, closed=closed, vertices=vertices)


def region(*sequence, kind="videorectangle", labels=("cup",), region_id="r1", frames=LENGTH):
    value = {"framesCount": frames, "duration": frames / 24, "sequence": list(sequence)}
    value |= {"labels": list(labels)} if labels else {}
    common = {"id": region_id, "type": kind, "from_name": "box", "to_name": "video", "origin": "manual", "meta": {}}
    return common | {"value": value}


@pytest.fixture
def convert(tmp_path):
    write_mp4(tmp_path / "walk.mp4", np.full((LENGTH, *SIZE, 3), 90, np.uint8), fps=24)

    def run(*results, video="/data/upload/2/1a2b3c4d-walk.mp4", **others):
        task = {
            "id": 9,
            "data": {"video": video} | others,
            "annotations": [{"was_cancelled": False, "result": results}],
        }
        (tmp_path / "export.json").write_text(json.dumps([task]))
        tally = Tally()
        return list(read_label_studio(tmp_path / "export.json", Media((tmp_path,)), tally)), tally

    return run


def boxes(thing, size=SIZE, length=LENGTH):
    """Of every frame the box ``(x0, y0, x1, y1)`` that the mask fills, ``None`` where there is no mask."""
    masks = video_mask(thing.mask, list(range(length)), length, size, None)
    found = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        if not len(rows):
            found.append(None)
            continue
        corners = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        np.testing.assert_array_equal(mask, box_to_mask(corners, *size))
        found.append(corners)
    return found


def test_a_box_moves_between_key_frames_and_leaves(convert):
    # From x = 0 % on frame 1 to 40 % on frame 5: 10 %, 2 pixels, a frame. Frame 5 is the last that shows it.
    items, tally = convert(region(box(1, 0), box(5, 40, enabled=False)))
    assert items[0].is_video and items[0].size == SIZE and items[0].id == "9"
    (thing,) = items[0].things
    assert thing.label == "cup"
    assert boxes(thing) == [(0, 2, 4, 6), (2, 2, 6, 6), (4, 2, 8, 6), (6, 2, 10, 6), (8, 2, 12, 6), None]
    assert tally.read == {"videos": 1, "results": 1, "key frames": 2} and not tally.skipped
    # Not there before its first key frame, and after the last one it stays; key frames come in any order.
    (late,) = convert(region(box(5, 40), box(3, 20)))[0][0].things
    assert boxes(late) == [None, None, (4, 2, 8, 6), (6, 2, 10, 6), (8, 2, 12, 6), (8, 2, 12, 6)]
    # It comes again.
    (twice,) = convert(region(box(1, 0, enabled=False), box(4, 50)))[0][0].things
    assert boxes(twice) == [(0, 2, 4, 6), None, None, *[(10, 2, 14, 6)] * 3]


def test_a_box_is_turned_around_its_upper_left_corner(convert):
    # By a quarter around (10, 2): it lies left of it, 2 wide and 4 high.
    (thing,) = convert(region(box(1, 50, width=20, height=20, rotation=90)))[0][0].things
    assert boxes(thing) == [(8, 2, 10, 6)] * LENGTH


def test_outlines_move_by_their_vertices(convert):
    square = [(0, (10, 20)), (1, (30, 20)), (2, (30, 60)), (3, (10, 60))]
    moved = [(place, (x + 40, y)) for place, (x, y) in reversed(square)]
    items, tally = convert(
        region(outline(1, square), outline(5, moved), kind="videovectorlabels"),
        region(outline(1, square, closed=False), kind="videovector", region_id="r2"),
        region(outline(1, square, isBezier=True), kind="videovector", region_id="r3"),
    )
    (thing,) = items[0].things
    assert boxes(thing) == [(2 + shift, 2, 6 + shift, 6) for shift in (0, 2, 4, 6, 8, 8)]
    assert tally.skipped == {"outline that isn't closed, which covers no area": 1, "outline with curves": 1}


def test_a_rate_that_the_file_does_not_have(convert, tmp_path):
    # The editor counted 12 frames a second of a file with 24: its frames 1, 2, 3 are the file's 0, 2, 4.
    (thing,) = convert(region(box(1, 0, rate=12), box(3, 40, rate=12), frames=3))[0][0].things
    assert boxes(thing) == [(0, 2, 4, 6), (2, 2, 6, 6), (4, 2, 8, 6), (6, 2, 10, 6), (8, 2, 12, 6), (8, 2, 12, 6)]
    # A folder of frames doesn't say its rate; the count of frames does.
    for t in range(LENGTH):
        write_picture(tmp_path / "frames.mp4" / f"{t}.jpg", SIZE, {})
    (same,) = convert(region(box(1, 0), box(3, 40), frames=3), video="frames.mp4")[0][0].things
    assert boxes(same) == boxes(thing)


def test_names_and_texts_of_regions(convert):
    said = {"id": "r1", "type": "textarea", "value": {"text": ["the cup that falls"]}}
    named = {"id": "r1", "type": "labels", "value": {"labels": ["mug"], "sequence": []}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["indoors"]}}
    whole = {"id": "t", "type": "textarea", "value": {"text": ["a kitchen"]}}
    items, tally = convert(region(box(1, 0), labels=()), said, named, choice, whole, region(box(1, 0), region_id="r2"))
    assert [(thing.label, thing.texts) for thing in items[0].things] == [("mug", ["the cup that falls"]), ("cup", [])]
    assert tally.skipped == {
        "result of type 'choices'": 1,
        "text about the whole video, which names no object": 1,
    }


def test_what_can_not_be_used_is_counted(convert):
    broken = box(1, 0)
    del broken["width"]
    items, tally = convert(
        region(broken),
        region(region_id="r2"),
        region(box(1, 300), region_id="r3"),
        region(box(1, 0), box(5, 400), region_id="r4"),
        region(box(1, 0), labels=(), region_id="r5"),
    )
    (left,) = items[0].things
    assert boxes(left)[0] == (0, 2, 4, 6) and boxes(left)[5] is None
    assert tally.skipped == {
        "malformed result of type 'videorectangle'": 1,
        "track without key frames": 1,
        "track without a usable shape": 1,
        "shape without a label": 1,
        # Once for the box that stays outside of the picture, and for each frame on which the other goes on.
        "shape that covers no pixel": 1 + 4,
    }
    assert "no 'width'" in tally.summary()


def test_bad_exports(convert):
    with pytest.raises(UserError, match=r"region r1 of task 9 .*: a key frame on frame 9, but .*walk.mp4 has 6 frames"):
        convert(region(box(1, 0), box(9, 40)))
    with pytest.raises(UserError, match="no video data/upload/other.mp4"):
        convert(region(box(1, 0)), video="/data/upload/other.mp4")
    with pytest.raises(UserError, match="expected one picture or video in 'data', got a, b"):
        convert(region(box(1, 0)), video="", a="x.mp4", b="y.jpg")


def test_the_record_is_one_of_the_schema(convert):
    from word2mask.data.convert.annotated import Wording, records

    items, tally = convert(region(box(1, 0), box(5, 40, enabled=False)))
    ((entry, item),) = records(items, Wording(), tally)
    check_record({"id": entry["id"], "video": item.path.name} | entry)
    (expression,) = entry["expressions"]
    assert expression["text"] == "cup"
    (mask,) = expression["masks"]
    assert annotated_frames(mask, LENGTH).all() and mask[-1] is None

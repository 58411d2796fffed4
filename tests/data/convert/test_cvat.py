"""CVAT's XML on pictures and a clip of 12 × 16."""

import numpy as np
import pytest

from word2mask.data.convert.annotated import Media, Tally
from word2mask.data.convert.cvat import read_cvat
from word2mask.data.fixtures import write_picture
from word2mask.data.own_schema import annotated_frames, check_record, picture_mask, video_mask
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask

SIZE = (12, 16)


@pytest.fixture
def convert(tmp_path):
    write_picture(tmp_path / "a.jpg", SIZE, {})
    for t in range(6):
        write_picture(tmp_path / "clip" / f"{t}.jpg", SIZE, {})

    def run(body, text=None, video=None):
        (tmp_path / "annotations.xml").write_text(f"<annotations><version>1.1</version>{body}</annotations>")
        tally = Tally()
        return list(read_cvat(tmp_path, Media((tmp_path,)), tally, text, video)), tally

    return run


def image(*shapes):
    return f'<image id="0" name="a.jpg" width="16" height="12">{"".join(shapes)}</image>'


def test_shapes_of_a_picture(convert):
    items, tally = convert(
        image(
            '<polygon label="a" points="2.00,3.00;6.00,3.00;6.00,7.00;2.00,7.00" z_order="0"></polygon>',
            '<box label="b" xtl="1.00" ytl="2.00" xbr="5.00" ybr="4.00"><attribute name="what">it</attribute></box>',
            '<box label="c" xtl="4.00" ytl="5.00" xbr="10.00" ybr="7.00" rotation="90.00"/>',
            '<ellipse label="d" cx="8.00" cy="6.00" rx="4.00" ry="2.00"/>',
            # Three rows of four: the first pixel of the first row, all of the second, none of the last.
            '<mask label="e" rle="0, 1, 3, 4, 4" left="5" top="6" width="4" height="3"/>',
            '<polyline label="f" points="0,0;3,3"/><tag label="good"/>',
            '<mask label="g" rle="3, 4" left="5" top="6" width="4" height="3"/>',
        ),
        text="what",
    )
    things = {thing.label: picture_mask(thing.mask, SIZE, None) for thing in items[0].things}
    assert list(things) == ["a", "b", "c", "d", "e"] and items[0].things[1].texts == ["it"]
    np.testing.assert_array_equal(things["a"], box_to_mask((2, 3, 6, 7), *SIZE))
    np.testing.assert_array_equal(things["b"], box_to_mask((1, 2, 5, 4), *SIZE))
    # Turned by a quarter around its centre (7, 6): 2 wide and 6 high.
    np.testing.assert_array_equal(things["c"], box_to_mask((6, 3, 8, 9), *SIZE))
    # Half axes 4 and 2: 8π = 25 pixels.
    assert abs(int(things["d"].sum()) - 25) <= 3 and things["d"][6, 4:12].all() and not things["d"][6, :4].any()
    expected = box_to_mask((5, 6, 6, 7), *SIZE) | box_to_mask((5, 7, 9, 8), *SIZE)
    np.testing.assert_array_equal(things["e"], expected)
    assert tally.read == {"pictures": 1, "shapes": 8}
    assert set(tally.skipped) == {
        "<polyline>, which covers no area",
        "<tag>, which covers no area",
        "malformed <mask>",
    }
    assert "run lengths of 7 pixels in a box of 4 × 3" in tally.summary()


def test_the_documentation_s_example_is_read_row_by_row(convert, tmp_path):
    """docs.cvat.ai/docs/other/xml_format: a blob in a box 13 wide and 15 high, widest in its middle."""
    rle = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"
    write_picture(tmp_path / "b.jpg", (20, 20), {})
    mask = f'<mask label="car" rle="{rle}" left="2" top="3" width="13" height="15"/>'
    (item,), _ = convert(f'<image id="0" name="b.jpg" width="20" height="20">{mask}</image>')
    drawn = picture_mask(item.things[0].mask, (20, 20), None)
    rows = [5, 7, 9, 11, 11, 12, 12, 13, 13, 12, 12, 11, 9, 7, 5]
    assert drawn.sum(axis=1).tolist() == [0] * 3 + rows + [0] * 2
    np.testing.assert_array_equal(np.flatnonzero(drawn[3]), np.arange(5, 10))


def test_groups(convert):
    box = '<box label="{}" xtl="{}" ytl="0" xbr="{}" ybr="2" group_id="{}"/>'
    items, _ = convert(image(box.format("a", 0, 2, 1), box.format("a", 6, 8, 1), box.format("b", 9, 10, 1)))
    assert [(thing.label, len(thing.mask)) for thing in items[0].things] == [("a", 2), ("b", 1)]


def test_tracks(convert, tmp_path):
    box = '<box frame="{}" outside="{}" keyframe="1" xtl="{}" ytl="0" xbr="{}" ybr="2"/>'
    mask = '<mask frame="{}" outside="{}" rle="0, 4" left="0" top="0" width="2" height="2"/>'
    body = (
        "<meta><task><original_size><width>16</width><height>12</height></original_size></task></meta>"
        # There on frames 1 to 3, moving by 2 a frame; frame 2 isn't named.
        f'<track id="0" label="car">{box.format(1, 0, 0, 2)}{box.format(3, 0, 4, 6)}{box.format(4, 1, 4, 6)}</track>'
        # A mask on frames 0 and 3; frames 1 and 2 aren't named.
        f'<track id="1" label="man">{mask.format(0, 0)}{mask.format(3, 0)}{mask.format(4, 1)}</track>'
        '<track id="2" label="way"><polyline frame="0" outside="0" points="0,0;1,1"/></track>'
    )
    (item,), tally = convert(body, video=tmp_path / "clip")
    assert item.is_video and item.size == SIZE and [thing.label for thing in item.things] == ["car", "man"]
    car, man = (thing.mask for thing in item.things)
    check_record({"video": "clip", "expressions": [{"text": "x", "masks": [car, man]}]})
    drawn = video_mask(car, range(6), 6, SIZE, None)
    assert drawn.sum(axis=(1, 2)).tolist() == [0, 4, 4, 4, 0, 0]
    np.testing.assert_array_equal(drawn[2], box_to_mask((2, 0, 4, 2), *SIZE))
    assert annotated_frames(man, 6).tolist() == [True, False, False, True, True, True]
    assert tally.skipped["frame between two named ones of a mask, taken as not annotated"] == 2
    assert tally.skipped["track without a usable shape"] == 1


def test_a_track_stays_until_it_leaves(convert, tmp_path):
    body = '<track id="0" label="car"><box frame="2" outside="0" xtl="0" ytl="0" xbr="2" ybr="2"/></track>'
    (item,), _ = convert(body, video=tmp_path / "clip")
    assert (
        video_mask(item.things[0].mask, range(6), 6, SIZE, None).any(axis=(1, 2)).tolist() == [False] * 2 + [True] * 4
    )


def test_bad_exports(convert, tmp_path):
    track = '<track id="0" label="car"><box frame="{}" outside="0" xtl="0" ytl="0" xbr="2" ybr="2"/></track>'
    cases = [
        ("", {}, "neither <image> nor <track>"),
        (image("<box>"), {}, "not XML, or cut short"),
        (track.format(0), {}, "holds tracks of a video; say which by --video"),
        (track.format(9), {"video": tmp_path / "clip"}, "a shape on frame 9 of a video of 6 frames"),
        (image(), {"video": tmp_path / "clip"}, "no use for --video"),
        (image('<box label="a"><attribute name="x">1</attribute></box>'), {"text": "y"}, "it has x"),
        (image().replace('width="16"', 'width="17"'), {}, "annotated at 17 × 12 pixels"),
        (image().replace("a.jpg", "b.jpg"), {}, "no picture b.jpg"),
        (image().replace('height="12"', ""), {}, "<image> has no whole number 'height'"),
    ]
    for body, options, words in cases:
        with pytest.raises(UserError, match=words):
            convert(body, **options)
    (tmp_path / "x.xml").write_text("<!DOCTYPE x><annotations/>")
    with pytest.raises(UserError, match="declares a document type"):
        list(read_cvat(tmp_path / "x.xml", Media(()), Tally()))
    (tmp_path / "x.xml").write_text("<html/>")
    with pytest.raises(UserError, match="its outermost element is <html>"):
        list(read_cvat(tmp_path / "x.xml", Media(()), Tally()))
    with pytest.raises(UserError, match="no such file; give the annotations.xml"):
        list(read_cvat(tmp_path / "gone.xml", Media(()), Tally()))

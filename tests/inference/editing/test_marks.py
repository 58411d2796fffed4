"""Labels and stickers: where they stand, and what no font has."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from word2mask.errors import UserError
from word2mask.inference.editing import marks
from word2mask.inference.editing.editor import BuiltInEditor, main_box
from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.editing.marks import draw_label, draw_sticker, font_for


def test_label_above_the_object_and_inside_the_frame():
    font = ImageFont.load_default(size=14)
    frame = np.full((80, 120, 3), 200, np.uint8)
    drawn = draw_label(frame, (50, 40, 70, 60), "Rex", (10, 20, 30), font)
    changed = (drawn != frame).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.max() < 40 and abs((columns.min() + columns.max()) / 2 - 60) <= 1
    assert ((drawn == (10, 20, 30)).all(axis=2)).sum() > 100
    at_corner = (draw_label(frame, (110, 0, 120, 8), "Rex", None, font) != frame).any(axis=2)
    assert at_corner.sum() == changed.sum() and at_corner[:30, 60:].sum() == at_corner.sum()


def test_sticker_covers_the_box():
    frame = np.zeros((60, 60, 3), np.uint8)
    drawn = draw_sticker(frame, (20, 20, 40, 30), Image.new("RGBA", (8, 8), (9, 8, 7, 255)))
    np.testing.assert_array_equal((drawn == (9, 8, 7)).all(axis=2).nonzero()[0], np.repeat(np.arange(15, 35), 20))
    halfway = draw_sticker(frame, (0, 0, 10, 10), Image.new("RGBA", (4, 4), (200, 200, 200, 128)))
    assert halfway[5, 5].tolist() == [100, 100, 100] and not halfway[12:].any()


def test_a_sticker_of_another_shape_stays_whole_inside_the_frame():
    """A picture of 4:3 over a tall thing at the border: moved inside, and never larger than the frame."""
    frame = np.zeros((60, 80, 3), np.uint8)
    stamp = Image.new("RGBA", (8, 6), (9, 8, 7, 255))
    rows, columns = (draw_sticker(frame, (70, 10, 80, 40), stamp) == (9, 8, 7)).all(axis=2).nonzero()
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (40, 80, 10, 40)
    rows, columns = (draw_sticker(frame, (0, 0, 20, 60), stamp) == (9, 8, 7)).all(axis=2).nonzero()
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (0, 80, 0, 60)
    rows, columns = (draw_sticker(frame[:, :40], (10, 0, 20, 60), stamp) == (9, 8, 7)).all(axis=2).nonzero()
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (0, 40, 15, 45)


def test_a_mark_goes_by_the_body_of_the_thing():
    """A surfer with a cord to the kite and splashes in the mask: they pull no emoji over the whole picture."""
    inside = np.zeros((240, 320), dtype=bool)
    inside[100:160, 60:90] = True
    body = main_box(inside)
    assert body == (60, 100, 90, 160)
    inside[120:122, 90:300] = inside[10:13, 310:313] = inside[170:172, 100:103] = True
    assert main_box(inside) == pytest.approx(body, abs=1)
    inside[60:80, 200:215] = True  # a second thing, smaller
    assert main_box(inside) == (60, 60, 215, 160)
    rope = np.zeros((240, 320), dtype=bool)
    rope[100:102, 20:300] = True
    assert main_box(rope) == (20, 100, 300, 102)
    assert main_box(np.zeros_like(rope)) is None


def test_an_emoji_without_colours_is_said(monkeypatch):
    smile, editor = Instruction(Effect("sticker", text="😀")), BuiltInEditor()
    monkeypatch.setattr(marks, "_drawn", lambda *_: Image.new("RGBA", (9, 9), (20, 20, 20, 255)))
    (note,) = editor.notes(smile)
    assert note.startswith("😀 was drawn in black on yellow: there is no font with coloured emoji here; install one")
    marks.emoji_stamp.cache_clear()
    stamp = np.asarray(marks.emoji_stamp("😀"))
    assert stamp[128, 128].tolist() == [20, 20, 20, 255]
    monkeypatch.setattr(marks, "_drawn", lambda *_: Image.new("RGBA", (9, 9), (250, 200, 20, 255)))
    assert editor.notes(smile) == () and editor.notes(Instruction(Effect("blur"))) == ()
    marks.emoji_stamp.cache_clear()


def test_a_long_label_becomes_smaller_until_it_fits(monkeypatch):
    monkeypatch.setattr(marks, "font_for", lambda text, size, fonts=(): ImageFont.load_default(size=size))
    short, long = (marks.font_within(text, 24, 200, ()) for text in ("Rex", "Rex, the best dog of all"))
    assert short.size == 24 and 8 <= long.size < 24
    assert marks.plate_size("Rex, the best dog of all", long)[0] <= 200


def test_a_picture_goes_along(tmp_path):
    Image.new("RGB", (4, 4), (0, 250, 0)).save(tmp_path / "hat.png")
    frames = [np.zeros((20, 40, 3), np.uint8)] * 3
    masks = np.zeros((3, 20, 40), np.float32)
    for index in range(2):
        masks[index, 5:9, 4 + 20 * index : 8 + 20 * index] = 1
    changed = list(
        BuiltInEditor().edit(frames, masks, range(3), Instruction(Effect("sticker", picture=str(tmp_path / "hat.png"))))
    )
    for index in range(2):
        np.testing.assert_array_equal(changed[index][..., 1] == 250, masks[index] == 1)
    np.testing.assert_array_equal(changed[2], frames[2])


def test_what_no_font_has_is_said(tmp_path):
    with pytest.raises(UserError, match='no font here has the characters of "小黑"; install one'):
        font_for("小黑", 20, (str(tmp_path / "missing.ttf"),))

"""Rendering: what is drawn where, and files that can be read back."""

import resource

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFont

from word2mask.errors import UserError
from word2mask.inference import render
from word2mask.inference.render import (
    LONGEST_LABEL,
    PALETTE,
    _fitted,
    beside,
    color_of,
    overlay,
    save_picture,
    save_video,
    strip,
)


def test_colours_differ_and_go_on_beyond_the_palette():
    colors = [color_of(index) for index in range(3 * len(PALETTE))]
    assert len(set(colors)) == len(colors)


def test_overlay_colours_the_object_and_nothing_far_from_it():
    frame = np.full((64, 64, 3), 100, dtype=np.uint8)
    masks = np.zeros((1, 64, 64), dtype=bool)
    masks[0, 20:40, 20:40] = True
    picture = overlay(frame, masks, alpha=1.0, min_side=64)
    assert tuple(picture[30, 30]) == color_of(0)
    assert tuple(picture[60, 60]) == (100, 100, 100)
    assert overlay(frame, masks, min_side=200).shape == (256, 256, 3)


def test_overlay_without_objects_is_the_frame():
    frame = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(frame, np.zeros((0, 32, 48), dtype=bool), min_side=1), frame)


def test_labels_of_objects_at_the_border_stay_inside():
    frame = np.zeros((40, 40, 3), dtype=np.uint8)
    masks = np.zeros((3, 40, 40), dtype=bool)
    masks[0, :4, 30:] = masks[1, :4, 30:] = masks[2, 36:, :4] = True
    assert overlay(frame, masks, ["a long name of a thing that goes on", "b", "c"]).shape == (280, 280, 3)


def test_a_label_is_above_the_largest_part():
    mask = np.zeros((1, 300, 400), bool)
    mask[0, 100:250, 250:350] = True
    mask[0, 60:64, 20:24] = True  # a speck
    drawn = overlay(np.zeros((300, 400, 3), np.uint8), mask, ["thing"])
    own = (drawn == color_of(0)).all(axis=-1)
    assert own[75:98, 250:].sum() > 200 and not own[:55].any()


def test_labels_are_as_long_as_the_picture_is_wide():
    font = ImageFont.load_default(size=12)
    text = "1 the heart that gets bigger"
    assert _fitted(text, font, font.getlength(text)) == text
    assert _fitted(text, font, font.getlength(text) - 1) == "1 the heart that gets…"
    assert _fitted(text, font, font.getlength("1 the hea…")) == "1 the…"
    assert _fitted("1 incomprehensible", font, font.getlength("1 incom…")) == "1 incom…"
    assert _fitted("1 " + 99 * "word ", font, 200).endswith("word…")
    assert len(_fitted(10_000 * "i", font, 100_000)) == LONGEST_LABEL + 1
    # Each is drawn in one line of the picture, the longer one over more of it.
    frame, masks = np.zeros((256, 256, 3), np.uint8), np.zeros((1, 256, 256), bool)
    masks[0, 100:120, :20] = True
    plates = [(overlay(frame, masks, [name])[80:95] == color_of(0)).all(axis=2).sum() for name in ("the dog", text)]
    assert 0 < plates[0] < plates[1]


def test_labels_in_other_scripts_have_their_signs(monkeypatch):
    """Where a font has them; the question of whether one is installed is its own."""
    asked = []
    monkeypatch.setattr(render, "font_for", lambda text, size: asked.append(text) or ImageFont.load_default(size=size))
    frame, masks = np.zeros((256, 256, 3), np.uint8), np.ones((2, 256, 256), bool)
    overlay(frame, masks, ["红色的圆", "the circle"])
    assert asked == ["红色的圆"]

    def none(text, size):
        raise UserError("no font here")

    monkeypatch.setattr(render, "font_for", none)
    assert overlay(frame, masks[:1], ["红色的圆"]).shape == (256, 256, 3)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        overlay(np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((1, 4, 5), dtype=bool))


def test_strip_and_beside():
    frames = [np.full((8, 6, 3), value, dtype=np.uint8) for value in range(10)]
    row = strip(frames, count=4)
    assert row.shape == (8, 4 * 6 + 3 * 4, 3)
    assert [int(row[0, left, 0]) for left in (0, 10, 20, 30)] == [0, 3, 6, 9]
    assert beside(frames[0], np.zeros((12, 3, 3), dtype=np.uint8)).shape == (12, 13, 3)


def test_mask_goes_to_png_and_back(tmp_path):
    mask = np.random.default_rng(0).random((9, 7)) > 0.5
    save_picture(mask, tmp_path / "mask.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")) > 127, mask)


def test_video_has_all_frames(tmp_path):
    save_video((np.full((32, 48, 3), value, dtype=np.uint8) for value in range(0, 250, 50)), tmp_path / "a.mp4")
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5


def test_no_frames_is_said(tmp_path):
    with pytest.raises(UserError, match="no frames to write"):
        save_video([], tmp_path / "a.mp4")


def test_a_video_without_room_is_said(tmp_path):
    """OpenCV says nothing when a write fails; a limit on files fails as a full disk does."""
    frames = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match="of 40 frames could be written, so there is no room left"):
            save_video(frames, tmp_path / "a.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

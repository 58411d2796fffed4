"""Effects on pixels: nothing changes outside of the mask, and inside what each promises, computed by hand."""

import cv2
import numpy as np
import pytest

from word2mask.inference.editing.editor import BuiltInEditor, steady_box
from word2mask.inference.editing.ink import ink_wash
from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.editing.soft_masks import SoftMasks, SteadyMasks, signed_distance, soft_edge
from word2mask.inference.editing.surroundings import cover, cutout, outline, replace_background, spotlight
from word2mask.inference.editing.tones import blend, blur, brighten, darken, grayscale, pixelate, recolor


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def soft():
    mask = np.zeros((48, 64), np.float32)
    mask[12:36, 16:40] = 1
    mask[12:36, 40] = 0.5
    return mask


EFFECTS = [
    Effect("ink_wash"),
    Effect("blur"),
    Effect("pixelate"),
    Effect("grayscale"),
    Effect("recolor", color=(200, 30, 40)),
    Effect("brighten"),
    Effect("darken"),
]


@pytest.mark.parametrize("effect", EFFECTS, ids=[effect.name for effect in EFFECTS])
def test_tones_change_the_object_and_nothing_else(effect, frame, soft):
    before = frame.copy()
    (changed,) = BuiltInEditor().edit([frame], [soft], range(1), Instruction(effect))
    assert changed.dtype == np.uint8 and changed.shape == frame.shape
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(changed[soft == 0], frame[soft == 0])
    assert (changed[soft == 1] != frame[soft == 1]).any(axis=1).mean() > 0.9
    (nothing,) = BuiltInEditor().edit([frame], [np.zeros_like(soft)], range(1), Instruction(effect))
    np.testing.assert_array_equal(nothing, frame)


def test_blend_is_a_mixture():
    frame, effect = np.full((1, 3, 3), 100, np.uint8), np.full((1, 3, 3), 200, np.uint8)
    assert blend(frame, effect, np.float32([[0, 0.25, 1]]))[0, :, 0].tolist() == [100, 125, 200]


def test_blur_takes_no_colour_from_around(soft):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[soft > 0] = (200, 100, 50)
    np.testing.assert_allclose(blur(frame, soft)[soft == 1].astype(int), [[200, 100, 50]] * 576, atol=2)


def test_squares_have_one_colour_each():
    frame = np.zeros((48, 48, 3), np.uint8)
    frame[:, ::2] = 200
    changed = pixelate(frame, np.ones((48, 48), np.float32), strength=1)
    assert np.unique(changed).tolist() == [100]


def test_gray_is_the_luma():
    frame = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]])
    assert grayscale(frame, np.ones((1, 4), np.float32))[0, :, 0].tolist() == [76, 150, 29, 18]


def test_light():
    frame = np.uint8([[[0, 51, 255]]])
    one = np.ones((1, 1), np.float32)
    # 255 (1 - 0.8²) = 91.8; half of 51 is 25.5, rounded to even.
    assert brighten(frame, one, 0.5)[0, 0].tolist() == [0, 92, 255]
    assert darken(frame, one, 0.5)[0, 0].tolist() == [0, 26, 128]


def test_an_even_surface_takes_the_colour_and_shadows_stay_darker(soft):
    frame = np.full((48, 64, 3), (90, 120, 80), np.uint8)
    np.testing.assert_allclose(recolor(frame, soft, (200, 30, 40))[soft == 1], [[200, 30, 40]] * 576, atol=2)
    frame[24:] //= 2
    painted = recolor(frame, soft, (200, 30, 40)).astype(int)
    assert painted[14, 20].sum() > painted[34, 20].sum() + 60


def test_ink_has_nearly_no_colour_and_spans_paper_to_ink(soft):
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 1, 3)) // np.uint8([1, 2, 3])
    painted = ink_wash(ramp, np.ones_like(soft), strength=1).astype(int)
    assert np.ptp(painted, axis=2).mean() < 30 < np.ptp(ramp.astype(int), axis=2).mean()
    assert painted[:, -6:].mean() > 190 and painted[:, :8].mean() < 110
    np.testing.assert_array_equal(painted, ink_wash(ramp, np.ones_like(soft), strength=1))


def test_spotlight_leaves_the_object_and_dims_the_rest(frame, soft):
    lit = spotlight(frame, soft)
    np.testing.assert_array_equal(lit[soft == 1], frame[soft == 1])
    assert lit[:4].mean() < 0.65 * frame[:4].mean()


def test_line_on_the_border(frame, soft):
    drawn = outline(frame, soft, (1, 2, 3))
    assert (drawn[12, 20:36] == (1, 2, 3)).all() and (drawn[11, 20:36] == (1, 2, 3)).all()
    np.testing.assert_array_equal(drawn[16:32, 20:36], frame[16:32, 20:36])
    np.testing.assert_array_equal(drawn[:9], frame[:9])


def test_a_line_is_as_wide_as_it_is_said():
    frame, soft = np.zeros((480, 480, 3), np.uint8), np.zeros((480, 480), np.float32)
    soft[:240] = 1
    thin, usual, thick = (
        (outline(frame, soft, (255, 255, 255), strength)[:, 100, 0] / 255).sum() for strength in (0.25, None, 0.9)
    )
    assert (thin, usual, thick) == pytest.approx((2, 4, 7.2), abs=0.3)


def test_no_line_around_what_it_would_cover():
    """A splash of single pixels beside the object, and a gap in it: dots that would come and go."""
    frame, soft = np.zeros((480, 480, 3), np.uint8), np.zeros((480, 480), np.float32)
    soft[100:300, 100:300] = 1
    clean = outline(frame, soft, (255, 0, 0))
    soft[400:403, 400:403] = 1
    soft[200:203, 200:203] = 0
    np.testing.assert_array_equal(outline(frame, soft, (255, 0, 0)), clean)
    soft[400:410, 400:410] = 1  # large enough to be something
    assert outline(frame, soft, (255, 0, 0))[399, 405, 0] > 200
    alone = np.zeros((480, 480), np.float32)
    alone[10:12, 10:12] = 1
    assert outline(frame, alone, (255, 0, 0)).any()


def test_background_and_cutout(frame, soft):
    behind = np.full_like(frame, 7)
    changed = replace_background(frame, soft, behind)
    inner = np.s_[15:33, 19:37]  # off the edge
    np.testing.assert_array_equal(changed[inner], frame[inner])
    assert (changed[soft <= 0.5] == 7).all()
    alone = cutout(frame, np.float32(soft))
    np.testing.assert_array_equal(alone[inner][..., :3], frame[inner])
    assert alone[20, 20, 3] == 255 and alone[20, 40, 3] == 0 and (alone[soft == 0, 3] == 0).all()
    assert cutout(frame, np.full_like(soft, 0.75))[0, 0, 3] == 128


def test_the_old_background_is_no_rim_before_the_new_one():
    """A camera mixes the colours on the edge: a dark disc before a bright wall has a bright rim."""
    rows, columns = np.mgrid[:240, :240]
    radius = np.hypot(rows - 120, columns - 120)
    share = np.clip((60 - radius) / 2 + 0.5, 0, 1)[..., None]  # of the disc, over 2 pixels
    frame = np.rint(share * 20 + (1 - share) * np.float32([250, 220, 40])).astype(np.uint8)
    soft = soft_edge(signed_distance(radius < 60), 1.0)
    changed = replace_background(frame, soft, np.zeros_like(frame))
    rim = (radius > 58) & (radius < 60)
    assert frame[rim].mean() - 20 > 16 and changed[rim].mean() - 20 < 6  # what of the wall is in it
    assert np.abs(changed[radius < 56].astype(int) - 20).max() <= 2
    # What is thin all over keeps its colours.
    line = np.zeros((240, 240), np.float32)
    line[100:102] = 1
    np.testing.assert_array_equal(replace_background(frame, line, np.zeros_like(frame))[100:102], frame[100:102])


def test_nothing_of_the_frame_is_left_where_a_cut_out_shows_nothing():
    frame = np.full((60, 80, 3), (200, 180, 30), np.uint8)
    frame[20:40, 20:50] = (10, 60, 90)
    soft = np.zeros((60, 80), np.float32)
    soft[20:40, 20:50] = 1
    alone = cutout(frame, soft)
    # The object's colours go on: a video's are blurred over the edge.
    np.testing.assert_allclose(alone[..., :3].astype(int), np.broadcast_to((10, 60, 90), (60, 80, 3)), atol=1)
    assert not cutout(frame, np.zeros_like(soft)).any()


def test_cover_cuts_evenly():
    picture = np.zeros((10, 40, 3), np.uint8)
    picture[:, 15:25] = 200
    assert cover(picture, (10, 10)).shape == (10, 10, 3) and (cover(picture, (10, 10)) == 200).all()
    assert cover(picture, (30, 20)).shape == (30, 20, 3)


def test_signed_distance_and_edge():
    mask = np.zeros((3, 8), dtype=bool)
    mask[:, 4:] = True
    assert signed_distance(mask)[1].tolist() == [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]
    np.testing.assert_allclose(soft_edge(signed_distance(mask), 4)[1], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_array_equal(soft_edge(signed_distance(mask), 1) > 0.5, mask)
    assert (signed_distance(np.ones((2, 2), dtype=bool)) > 0).all()


def masks_of(columns, width=40):
    masks = np.zeros((len(columns), 20, width), dtype=bool)
    for mask, column in zip(masks, columns, strict=True):
        if column is not None:
            mask[4:16, column : column + 16] = True
    return masks


def test_trembling_is_calmed_and_the_border_stays():
    trembling = masks_of([10, 10, 11, 10, 10])
    calm = SoftMasks(lambda frame: trembling[frame], 5, (20, 40), feather=2)
    # On column 10 the distances are 0.5 0.5 -0.5 0.5 0.5. Frame 2: weights 1 2 3 2 1 give 1/6, held at the border.
    # Frame 1 has one neighbour on each side: (2 · 0.5 + 3 · 0.5 - 2 · 0.5) / 7 = 3/14, and a ramp of 2 pixels.
    alone = SoftMasks(lambda frame: trembling[frame], 5, (20, 40), feather=2, reach=0)
    assert [float(alone[frame][10, 10]) for frame in (1, 2, 3)] == [0.75, 0.25, 0.75]
    expected = [0.5 + 3 / 28, 0.5, 0.5 + 3 / 28]
    assert [float(calm[frame][10, 10]) for frame in (1, 2, 3)] == pytest.approx(expected)


def test_motion_does_not_lag():
    moving = masks_of([6, 7, 8, 9, 10])
    soft = SoftMasks(lambda frame: moving[frame], 5, (20, 40), feather=2)[2]
    np.testing.assert_allclose(soft[10, 6:10], [0, 0.25, 0.75, 1])


@pytest.mark.parametrize("speed", [2, 3, 6])
def test_a_thin_part_that_moves_fast_is_kept(speed):
    """A leg of 4 pixels under a body that stands still."""
    masks = np.zeros((5, 60, 60), dtype=bool)
    masks[:, 10:40, 5:55] = True
    for index, mask in enumerate(masks):
        mask[40:55, 12 + speed * index : 16 + speed * index] = True
    soft = SoftMasks(lambda frame: masks[frame], 5, (60, 60), feather=2)[2]
    left = 12 + 2 * speed
    np.testing.assert_allclose(soft[48, left - 3 : left + 7], [0, 0, 0.25, 0.75, 1, 1, 0.75, 0.25, 0, 0])
    assert (soft[masks[2]] >= 0.5).all() and (soft[~masks[2]] <= 0.5).all()


def test_cuts_and_absence_are_kept():
    masks = masks_of([2, 2, 22, None, 22])
    soft = SoftMasks(lambda frame: masks[frame], 5, (20, 40), feather=1)
    np.testing.assert_array_equal(soft[1] > 0.5, masks[1])
    np.testing.assert_array_equal(soft[2] > 0.5, masks[2])
    assert not soft[3].any()
    with pytest.raises(IndexError):
        soft[5]


def test_a_box_is_averaged_over_both_sides():
    boxes = {0: (0, 0, 10, 10), 1: (3, 0, 13, 10), 2: (0, 0, 10, 10), 3: None, 4: (0, 0, 10, 10)}
    assert steady_box(boxes.get, 1, 5) == pytest.approx((1, 0, 11, 10))
    assert steady_box(boxes.get, 4, 5) == (0, 0, 10, 10)
    assert steady_box(boxes.get, 3, 5) is None


def test_a_box_does_not_tremble_at_the_ends_of_a_video_and_does_not_lag():
    even = [(5.0 * index, 20.0, 5.0 * index + 30, 60.0) for index in range(30)]
    for index, box in enumerate(even):
        assert steady_box(even.__getitem__, index, 30) == pytest.approx(box)
    noise = np.random.default_rng(0).normal(0, 2, (30, 4))
    trembling = [tuple(box) for box in np.array(even) + noise]
    steady = np.array([steady_box(trembling.__getitem__, index, 30) for index in range(30)])
    left = np.abs(np.diff(steady, 2, axis=0)), np.abs(np.diff(trembling, 2, axis=0))
    for part in (np.s_[:2], np.s_[-2:], np.s_[2:-2]):
        assert left[0][part].mean() < 0.4 * left[1][part].mean()


def radii(masks, middles, angles):
    """Where the border lies as seen from the middles, in pixels, ``[T,A]``: soft masks are read between pixels."""
    steps = np.arange(10, 40, 0.05, dtype=np.float32)
    found = []
    for mask, (row, column) in zip(masks, middles, strict=True):
        rows, columns = (
            (place + turn(angles)[:, None] * steps).astype(np.float32)
            for place, turn in ((row, np.sin), (column, np.cos))
        )
        found.append(steps[(cv2.remap(mask, columns, rows, cv2.INTER_LINEAR) > 0.5).sum(axis=1)])
    return np.array(found)


@pytest.mark.parametrize("speed", [0, 4])
def test_lines_lie_still_on_masks_that_tremble(speed):
    """A disc whose border is elsewhere by up to 1.5 pixels on each frame and at each angle, at rest or in motion."""
    generator, angles = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 90, endpoint=False)
    middles = [(60.0, 40.0 + speed * index) for index in range(15)]
    masks = []
    for row, column in middles:
        rows, columns = np.mgrid[:120, :140] - np.array([row, column])[:, None, None]
        noise = np.interp(
            np.arctan2(rows, columns) % (2 * np.pi), np.linspace(0, 2 * np.pi, 25), generator.uniform(-1.5, 1.5, 25)
        )
        masks.append(np.hypot(rows, columns) < 25 + noise)
    errors = {}
    for kind in (SoftMasks, SteadyMasks):
        soft = kind(lambda frame: masks[frame], 15, (120, 140))
        found = radii([soft[frame] for frame in range(15)], middles, angles)[4:-4]
        errors[kind] = np.abs(np.diff(found, axis=0)).mean()
        assert abs(found.mean() - 25) < 0.3, "neither grown nor shrunk"
        # Nor behind: what lies before the disc's middle as far as what lies after it.
        assert abs(found[:, :20].mean() - found[:, 35:55].mean()) < 0.5
    assert errors[SteadyMasks] < 0.6 * errors[SoftMasks]


def test_lines_keep_to_the_frame_where_it_is_cut_or_has_thin_parts():
    masks = masks_of([2, 2, 22, None, 22])
    steady = SteadyMasks(lambda frame: masks[frame], 5, (20, 40))
    for frame in (0, 1, 2, 4):
        inside = signed_distance(masks[frame])
        assert (steady[frame][inside > 1.5] > 0.5).all() and (steady[frame][inside < -1.5] < 0.5).all()
    assert not steady[3].any()
    # A leg of 4 pixels that moves under a body, and a thing of a single pixel.
    moving = np.zeros((9, 60, 60), dtype=bool)
    moving[:, 10:40, 5:55] = True
    for index, mask in enumerate(moving):
        mask[40:55, 12 + 2 * index : 16 + 2 * index] = True
    legs = SteadyMasks(lambda frame: moving[frame], 9, (60, 60))
    for frame in range(9):
        assert (legs[frame][44:52, 13 + 2 * frame : 15 + 2 * frame] > 0.5).all()
    dot = np.zeros((9, 60, 60), dtype=bool)
    dot[:, 30, 30] = True
    assert SteadyMasks(lambda frame: dot[frame], 9, (60, 60))[4][30, 30] > 0.5

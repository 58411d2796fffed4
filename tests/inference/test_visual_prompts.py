"""What a user points with: drawn by the segmenter, seen by every family of language models, followed through videos."""

import numpy as np
import pytest
import torch

from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import sample_scene
from word2mask.data.shapes_world.splits import scene_rng
from word2mask.errors import UserError
from word2mask.inference.frames import LiveVideo
from word2mask.inference.session import Session
from word2mask.inference.visual_prompts import check_region_names, coarse_mask, decode_prompt
from word2mask.mllms.internvl import InternVL
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.smolvlm import SmolVLM
from word2mask.models.grounded import GroundedMLLM
from word2mask.ops.masks import mask_to_box
from word2mask.segmenters.interface import FrameFeatures
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.tracker import Tracker
from word2mask.types import Generation, Media, Request, Turn, VisualPrompt

SIZE = (24, 20)


@pytest.fixture(scope="module")
def session():
    torch.manual_seed(0)
    return Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()), key_frames=3)


@pytest.fixture(scope="module")
def drawing(repository):
    """A session whose segmenter knows the shapes world."""
    torch.manual_seed(0)
    segmenter = SAM2Segmenter.from_pretrained(repository / "pretrained" / "sam2_shapes")
    return Session(GroundedMLLM(InternVL.tiny(), segmenter))


def clip(num_frames, seed=0):
    frames = np.random.default_rng(seed).integers(0, 255, (num_frames, *SIZE, 3), dtype=np.uint8)
    return Media("video" if num_frames > 1 else "image", frames, tuple(range(num_frames)), "the clip")


def square(top, left, side=8):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def asked(media, *prompts, text="What is region1?", **options):
    return Request((Turn("user", text),), media, prompts=prompts, **options)


# -- what the language model sees --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [InternVL, LLaVA, Qwen25VL, Qwen3VL, SmolVLM])
def test_every_family_sees_each_region_on_its_own_frame(session, family):
    own = Session(GroundedMLLM(family.tiny(), session.model.segmenter), key_frames=3)
    prompts = (
        VisualPrompt(6, mask=square(0, 0)),
        VisualPrompt(1, mask=square(10, 8)),
        VisualPrompt(6, mask=square(4, 4)),
    )
    request = asked(clip(8), *prompts, text="Is region3 left of region2?", answer="It is [SEG].")
    job = own.prepare(request, "request")
    assert len(job.view.indices) == 3 and {1, 6} <= set(job.view.indices)
    cells = job.example.region_cells
    assert cells.shape[:2] == (3, 3)
    assert [row.nonzero().flatten().tolist() for row in cells.flatten(2).any(2)] == [
        [job.view.indices.index(prompt.frame)] for prompt in prompts
    ]
    (segment,) = own.ask(request).segments
    assert segment.masks.shape == (8, *SIZE)


def test_a_region_of_one_pixel_has_a_token_and_regions_may_lie_over_each_other(session):
    dot = np.zeros(SIZE, bool)
    dot[23, 19] = True
    everything = VisualPrompt(mask=np.ones(SIZE, bool))
    job = session.prepare(asked(clip(1), VisualPrompt(mask=dot), everything, everything), "request")
    counts = job.example.region_cells.flatten(1).sum(1)
    assert counts[0] == 1 and counts[1] == counts[2] == job.example.region_cells[0].numel()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("uniform", (0, 5, 9)), ("first", (0, 1, 5)), (4, (0, 4, 5, 8)), ([2, 3], (2, 3, 5))],
)
def test_the_prompted_frame_is_among_those_seen(session, choice, expected):
    own = Session(session.model, key_frames=3, key_frame_choice=choice)
    assert own.prepare(asked(clip(10), VisualPrompt(5, mask=square(0, 0))), "request").view.indices == expected


def test_a_conversation_numbers_regions_through(session):
    talk, short = session.converse(clip(1)), Generation(max_new_tokens=2)
    talk.ask("What is region1?", [VisualPrompt(mask=square(0, 0))], short)
    with pytest.raises(UserError, match="the text speaks of region2, but only region1 is pointed at"):
        talk.ask("And region2?", generation=short)
    talk.ask("And region2?", [VisualPrompt(mask=square(9, 9))], short)
    assert len(talk.prompts) == 2 and len(talk.turns) == 4


# -- what the segmenter draws ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("segmenter", "expected"), [(SAM2Segmenter, (15.5, 15.5)), (SAMSegmenter, (15.5, 7.5))])
def test_places_are_those_of_the_segmenters_square(monkeypatch, segmenter, expected):
    """A frame of 20 x 40 on a square of 64: SAM 2 stretches it to 64 x 64, SAM enlarges it to 32 x 64.

    The middle of the first pixel is 0, so (10, 5) becomes (10 · 1.6 - 0.5, 5 · 3.2 - 0.5), or 5 · 1.6 - 0.5 for SAM.
    """
    own, given = segmenter.tiny(), {}

    def spy(features, frame_index, points, labels, boxes, mask_logits, multimask):
        given.update(points=points[0].tolist(), labels=labels[0].tolist(), boxes=boxes[0].tolist())

    monkeypatch.setattr(own, "decode_points", spy)
    prompt = VisualPrompt(box=(10, 5, 40, 20), points=((10, 5, 1), (0, 0, 0)))
    decode_prompt(own, FrameFeatures([torch.zeros(1, 1, 1, 1)]), prompt, (20, 40))
    assert given["points"][0] == pytest.approx(expected) and given["labels"] == [1, 0]
    assert given["boxes"] == pytest.approx([*expected, 63.5, 63.5 if segmenter is SAM2Segmenter else 31.5])


def test_masks_to_start_from_leave_the_filled_up_part_out():
    left = np.zeros((20, 40), bool)
    left[:, :20] = True
    logits = coarse_mask(SAMSegmenter.tiny(), left)[0]
    assert logits.shape == (16, 16)
    # On the boundaries, at 8 cells of 16, values lie between.
    for part, value in ((logits[:7, :7], 10), (logits[9:], -10), (logits[:, 9:], -10)):
        torch.testing.assert_close(part, torch.full_like(part, value))
    stretched = coarse_mask(SAM2Segmenter.tiny(), left)[0, :, :7]
    torch.testing.assert_close(stretched, torch.full((16, 7), 10.0))


def test_boxes_and_clicks_are_drawn_into_the_objects(drawing):
    frames, masks = render(sample_scene(scene_rng(0, "val", 0), "image", "val"))
    media, prompts, wanted = Media("image", frames), [], []
    for (mask,) in masks:
        rows, columns = np.nonzero(mask)
        middle = np.abs(rows - rows.mean()) + np.abs(columns - columns.mean())
        point = (columns[middle.argmin()] + 0.5, rows[middle.argmin()] + 0.5, 1)
        prompts += [VisualPrompt(box=mask_to_box(mask)), VisualPrompt(points=(point,)), VisualPrompt(mask=mask)]
        wanted += [mask] * 3
    regions = drawing.prepare(asked(media, *prompts), "request").request.regions
    overlaps = [(own & mask).sum() / (own | mask).sum() for own, mask in zip(regions, wanted, strict=True)]
    assert min(overlaps[0::3]) > 0.8 and np.mean(overlaps[1::3]) > 0.8 and overlaps[2::3] == [1.0] * len(masks)


def test_nothing_under_a_prompt_is_said(session, monkeypatch):
    monkeypatch.setattr(
        "word2mask.inference.tracking.ObjectFinder.at_original_size", lambda *_: np.zeros((1, *SIZE), bool)
    )
    with pytest.raises(UserError, match="region2: the segmenter finds nothing there on frame 3; give a box"):
        session.ask(asked(clip(8), VisualPrompt(mask=square(0, 0)), VisualPrompt(3, box=(1, 1, 5, 5))))


# -- following ---------------------------------------------------------------------------------------------------------


def test_each_prompt_is_followed_from_its_frame_in_both_directions(session):
    """As the tracker does it from the given mask alone, for prompts on different frames side by side."""
    video, given = clip(7), {4: square(2, 3), 1: square(9, 9)}
    calls = []
    answer = session.follow(
        video, [VisualPrompt(frame, mask=mask) for frame, mask in given.items()], lambda *call: calls.append(call)
    )
    assert [segment.phrase for segment in answer.segments] == ["region1", "region2"] and answer.text == ""
    assert calls[-1] == ("track", 7, 7)
    segmenter = session.model.segmenter
    pixels = segmenter.processor.prepare_frames(video.frames)[:, None]
    for segment, (start, mask) in zip(answer.segments, given.items(), strict=True):
        np.testing.assert_array_equal(segment.masks[start], mask)
        assert segment.scores[start] == 1 and segment.masks.shape == (7, *SIZE)
        for frame, logits, scores in Tracker(segmenter).track(pixels, {start: torch.from_numpy(mask)[None]}, 7):
            if frame != start:
                np.testing.assert_array_equal(segment.masks[frame], session.finder.at_original_size(logits, SIZE)[0])
                assert segment.scores[frame] == pytest.approx(float(scores.sigmoid()), abs=1e-5)


def test_clicks_are_followed_with_their_object_pointers(session):
    """What a click gives is shown to the tracker as SAM 2 decoded it, not as a bare mask."""
    video, prompt = clip(4), VisualPrompt(2, points=((5.0, 6.0, 1),))
    (segment,) = session.follow(video, [prompt]).segments
    segmenter = session.model.segmenter
    pixels = segmenter.processor.prepare_frames(video.frames)[:, None]
    decoded = decode_prompt(segmenter, segmenter.encode_frames(pixels[2]), prompt, SIZE)
    for frame, logits, _ in Tracker(segmenter).track(pixels, {2: decoded}, 4):
        shown = decoded.mask_logits if frame == 2 else logits
        np.testing.assert_array_equal(segment.masks[frame], session.finder.at_original_size(shown, SIZE)[0])


def test_objects_are_followed_through_a_real_clip(drawing):
    frames, masks = render(sample_scene(scene_rng(0, "val", 1), "video", "val"))
    middle = len(frames) // 2
    largest = masks[:, middle].sum(axis=(1, 2)).argmax()
    box = mask_to_box(masks[largest, middle])
    (segment,) = drawing.follow(Media("video", frames, tuple(range(len(frames)))), [VisualPrompt(middle, box)]).segments
    overlaps = [
        (own & mask).sum() / (own | mask).sum()
        for own, mask in zip(segment.masks, masks[largest], strict=True)
        if mask.any()
    ]
    assert np.mean(overlaps[:middle]) > 0.7 and np.mean(overlaps[middle:]) > 0.7


def test_a_live_video_is_followed_from_a_frame_that_has_passed(session):
    video, prompt = clip(6), VisualPrompt(2, mask=square(2, 3))
    (live,) = session.follow(LiveVideo(iter(video.frames)), [prompt]).segments
    (stored,) = session.follow(video, [prompt]).segments
    np.testing.assert_array_equal(np.asarray(live.masks), stored.masks)
    with pytest.raises(UserError, match="on frame 3 of a live video, of which the language model sees the first 3"):
        session.follow(LiveVideo(iter(video.frames)), [VisualPrompt(3, mask=square(2, 3))])


# -- what can't be -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (
            VisualPrompt(box=(1, 2, 21, 9)),
            r"region1: box \(1, 2, 21, 9\) reaches out of the frame, whose size is 20 x 24",
        ),
        (VisualPrompt(box=(-1, 2, 5, 9)), r"region1: box \(-1, 2, 5, 9\) reaches out"),
        (
            VisualPrompt(points=((20, 3, 1),)),
            r"region1: point \(20, 3\) is outside of the frame, whose size is 20 x 24",
        ),
        (VisualPrompt(points=((3, float("nan"), 1),)), r"region1: point \(3, nan\) is outside"),
        (VisualPrompt(points=((3, 3, 0),)), "region1: no point is on the object; give one with label 1"),
        (
            VisualPrompt(mask=np.ones((20, 24), bool)),
            "region1: the mask is 24 x 20, unlike the frame, whose size is 20 x 24",
        ),
        (VisualPrompt(mask=np.zeros(SIZE, bool)), "region1: the mask is empty; mark at least one pixel"),
        (VisualPrompt(8, box=(1, 2, 3, 4)), "the clip: a visual prompt is on frame 8, but there are 8 frames"),
    ],
)
def test_prompts_that_lie_outside(session, prompt, message):
    with pytest.raises(UserError, match=message):
        session.ask(asked(clip(8), prompt))


def test_requests_that_point_at_nothing(session):
    shown = VisualPrompt(mask=square(0, 0))
    for request, message in (
        (asked(None, shown), "a region is shown without a picture or video"),
        (asked(clip(1), shown, regions=square(0, 0)[None]), "regions and prompts in one request"),
        (asked(clip(1), shown, shown, text="region3?"), "the text speaks of region3, but only region1 to region2 are"),
        (asked(clip(1), text="Where is region1?"), "the text speaks of region1, but nothing is pointed at"),
        (asked(clip(1), shown, text="region0?"), "the text speaks of region0, but only region1 is pointed at"),
    ):
        with pytest.raises(UserError, match=message):
            session.ask(request)
    with pytest.raises(UserError, match="nothing to follow"):
        session.follow(clip(1), [])
    check_region_names([Turn("user", "Regions and subregion9"), Turn("assistant", "region9")], 0)

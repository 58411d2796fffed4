"""The tracker against transformers' own video session, one object at a time, with equal weights and prompts."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from word2mask.segmenters import Decoded, SAM2Segmenter, Tracker
from word2mask.segmenters.trail import Trail

#: Twenty, so that the memory bank and the object pointers have turned over.
NUM_FRAMES = 20


@pytest.fixture(scope="module")
def segmenter() -> SAM2Segmenter:
    """Random weights, with the memory's zero-initialised parts filled so that they count."""
    torch.manual_seed(3)
    segmenter = SAM2Segmenter.tiny()
    with torch.no_grad():
        for name, parameter in segmenter.model.named_parameters():
            if parameter.abs().max() == 0 or name.endswith("scale"):
                parameter.normal_(0, 0.3)
    return segmenter.eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(NUM_FRAMES, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def clicks() -> torch.Tensor:
    return torch.tensor([[[20.0, 30.0]], [[50.0, 12.0]], [[33.0, 40.0]]])


def session_with(model: Sam2VideoModel, pixels: torch.Tensor) -> Sam2VideoInferenceSession:
    return Sam2VideoInferenceSession(video=pixels, video_height=64, video_width=64, dtype=torch.float32)


def reference(model, pixels, give, key_frames) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """transformers' propagation of one object, forward from the first key frame, then backward."""
    session = session_with(model, pixels)
    index = session.obj_id_to_idx(1)
    for t in key_frames:
        give(session, index, t)
        session.obj_with_new_inputs = [1]
        model(session, frame_idx=t)
    outputs = {}
    for reverse in (False, True):
        for output in model.propagate_in_video_iterator(session, start_frame_idx=min(key_frames), reverse=reverse):
            if not reverse or output.frame_idx < min(key_frames):
                outputs[output.frame_idx] = (output.pred_masks[0, 0].clone(), output.object_score_logits.clone())
    return outputs


def compare(ours, theirs, object_index) -> None:
    assert sorted(ours) == sorted(theirs) == list(range(NUM_FRAMES))
    for t, (masks, scores) in ours.items():
        expected_mask, expected_score = theirs[t]
        torch.testing.assert_close(masks[object_index], expected_mask, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scores[object_index], expected_score.flatten()[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("key_frame", [0, 5])
def test_clicks_propagate_as_in_transformers(segmenter, pixels, clicks, key_frame):
    features = segmenter.encode_frames(pixels[key_frame : key_frame + 1])
    labels = torch.ones(3, 1, dtype=torch.long)
    with torch.no_grad():
        decoded = segmenter.decode_points(features, torch.zeros(3, dtype=torch.long), clicks, labels)
    tracked = Tracker(segmenter).track(lambda t: pixels[t : t + 1], {key_frame: decoded}, NUM_FRAMES)
    ours = {t: (masks, scores) for t, masks, scores in tracked}
    assert any((scores > 0).any() for _, scores in ours.values())
    for i in range(3):

        def give(session, index, t, i=i):
            session.add_point_inputs(
                index, t, {"point_coords": clicks[None, i : i + 1], "point_labels": labels[None, i : i + 1]}
            )

        compare(ours, reference(segmenter.model, pixels, give, [key_frame]), i)


@pytest.mark.parametrize("key_frames", [[0], [2, 7], [0, 4, 19]])
def test_given_masks_propagate_as_in_transformers(segmenter, pixels, key_frames, monkeypatch):
    # Meta's code takes the single-mask token for the pointer of a given mask; transformers 5.23 the best of three.
    model = segmenter.model
    single = partial(model._single_frame_forward, multimask_output=False)

    def forward(*args, **kwargs):
        is_given_mask = kwargs.get("input_masks") is not None and "multimask_output" not in kwargs
        return (single if is_given_mask else type(model)._single_frame_forward.__get__(model))(*args, **kwargs)

    monkeypatch.setattr(model, "_single_frame_forward", forward)
    # Meta's predictor remembers a given mask by way of its low resolution; transformers as it was given.
    use_mask = model._use_mask_as_output

    def by_low_resolution(*args, **kwargs):
        output = use_mask(*args, **kwargs)
        output.high_res_masks = segmenter.enlarge(output.pred_masks[0])[None]
        return output

    monkeypatch.setattr(model, "_use_mask_as_output", by_low_resolution)
    generator = torch.Generator().manual_seed(9)
    masks = {t: torch.rand(2, 64, 64, generator=generator) > 0.6 for t in key_frames}
    masks[key_frames[-1]][1] = key_frames == [0]  # an object that a key frame says is absent
    frames = [pixels[t : t + 1] for t in range(NUM_FRAMES)]
    ours = {t: (m, s) for t, m, s in Tracker(segmenter).track(frames, masks, NUM_FRAMES)}
    for i in range(2):

        def give(session, index, t, i=i):
            session.add_mask_inputs(index, t, masks[t][i][None, None].float())

        compare(ours, reference(model, pixels, give, key_frames), i)


@pytest.mark.parametrize("frame", [9, 2])
def test_a_click_on_a_followed_frame_is_decoded_as_in_transformers(segmenter, pixels, clicks, frame):
    """Followed both ways from frame 5; the correction sees memory, pointers and the mask that was there."""
    model, start = segmenter.model, 5
    features = segmenter.encode_frames(pixels[start : start + 1])
    labels = torch.ones(3, 1, dtype=torch.long)
    trail = Trail(1 << 30)
    with torch.no_grad():
        decoded = segmenter.decode_points(features, torch.zeros(3, dtype=torch.long), clicks, labels)
    for _ in Tracker(segmenter).track(lambda t: pixels[t : t + 1], {start: decoded}, NUM_FRAMES, trail):
        pass
    point, label = torch.tensor([[[28.0, 44.0]]]), torch.zeros(1, 1, dtype=torch.long)
    for i in range(3):
        session = session_with(model, pixels)
        index = session.obj_id_to_idx(1)
        given = {"point_coords": clicks[None, i : i + 1], "point_labels": labels[None, i : i + 1]}
        session.add_point_inputs(index, start, given)
        session.obj_with_new_inputs = [1]
        model(session, frame_idx=start)
        for reverse in (False, True):
            for _ in model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse):
                pass
        own = trail.of(i)
        previous = session.get_output(index, frame, "pred_masks", is_conditioning_frame=False)[0]
        torch.testing.assert_close(own.mask_logits[frame], previous, atol=1e-4, rtol=1e-4)
        with torch.no_grad():
            expected = model._run_single_frame_inference(
                inference_session=session,
                frame_idx=frame,
                obj_idx=index,
                batch_size=1,
                is_init_cond_frame=False,
                point_inputs={"point_coords": point[None], "point_labels": label[None]},
                mask_inputs=None,
                reverse=frame < start,
                prev_sam_mask_logits=previous.clamp(-32, 32)[:, None],
            )
            seen = segmenter.encode_frames(pixels[frame : frame + 1])
            ours = segmenter.decode_embeddings(
                seen,
                torch.zeros(1, dtype=torch.long),
                segmenter.embed_points(1, point, label),
                segmenter.embed_masks(own.mask_logits[frame].clamp(-32, 32)),
                conditioned=Tracker(segmenter).condition(seen, frame, own),
            )
        masks = segmenter.suppress_absent(ours)
        torch.testing.assert_close(masks, expected["pred_masks"][0], atol=1e-4, rtol=1e-4)
        alone = segmenter.decode_points(seen, torch.zeros(1, dtype=torch.long), point, label)
        assert (alone.mask_logits - ours.mask_logits).abs().max() > 1e-2  # memory and mask matter


def test_a_trail_keeps_what_there_is_room_for(segmenter, pixels):
    frames = [pixels[t : t + 1] for t in range(6)]
    masks = {2: torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(4)) > 0.5}
    whole = Trail(1 << 30)
    expected = list(Tracker(segmenter).track(frames, masks, 6, whole))
    assert sorted(whole.keys) == [2] and sorted(whole.frames) == [0, 1, 3, 4, 5]
    assert all(torch.equal(whole.mask_logits[t], found) for t, found, _ in expected)
    two = Trail(2 * whole.bytes // 5)
    list(Tracker(segmenter).track(frames, masks, 6, two))
    assert sorted(two.frames) == [3, 4] and sorted(two.mask_logits) == [2, 3, 4] and two.bytes <= two.limit


def test_logits_are_masks_at_the_inputs_resolution(segmenter, pixels):
    logits = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1))
    frames = [pixels[t : t + 1] for t in range(4)]
    from_logits = list(Tracker(segmenter).track(frames, {0: logits}, 4))
    from_masks = list(Tracker(segmenter).track(frames, {0: segmenter.enlarge(logits) > 0}, 4))
    torch.testing.assert_close(from_logits[0][1], logits)
    for (t, ours, _), (s, theirs, _) in zip(from_logits[1:], from_masks[1:], strict=True):
        assert t == s
        torch.testing.assert_close(ours, theirs)


def test_memory_is_flat_and_frames_are_asked_for_once(segmenter, pixels):
    asked: list[int] = []

    def frame(t: int) -> torch.Tensor:
        asked.append(t)
        return pixels[t % NUM_FRAMES][None]

    tracker = Tracker(segmenter)
    kept = []
    follow = tracker._follow

    def watched(features, t, keys, recent, direction, max_pointers, kept_keys):
        kept.append((len(recent.maps), len(recent.pointers)))
        return follow(features, t, keys, recent, direction, max_pointers, kept_keys)

    tracker._follow = watched
    order = [t for t, *_ in tracker.track(frame, {20: torch.ones(1, 8, 8, dtype=torch.bool)}, 40)]
    assert order == [*range(20, 40), *range(19, -1, -1)]
    assert asked == order
    config = segmenter.model.config
    assert max(maps for maps, _ in kept) == config.num_maskmem - 1 == 3
    assert max(pointers for _, pointers in kept) == config.max_object_pointers_in_encoder - 1 == 5


def test_encoded_frames_are_taken_as_they_are(segmenter, pixels):
    features = segmenter.encode_frames(pixels[:3])
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 20:40, 20:40] = True
    from_pixels = list(Tracker(segmenter).track(lambda t: pixels[t : t + 1], {0: masks}, 3))
    from_features = list(Tracker(segmenter).track(lambda t: features[t], {0: masks}, 3))
    for ours, theirs in zip(from_pixels, from_features, strict=True):
        torch.testing.assert_close(ours[1], theirs[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("key_frame", [0, 3])
def test_a_video_of_unknown_length_ends_when_its_frames_do(segmenter, pixels, key_frame):
    masks = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(9)) > 0.6
    known = list(Tracker(segmenter).track(lambda t: pixels[t : t + 1], {key_frame: masks}, 9))
    unknown = list(Tracker(segmenter).track(lambda t: pixels[t : t + 1] if t < 9 else None, {key_frame: masks}, None))
    assert [t for t, *_ in unknown] == [t for t, *_ in known] == [*range(key_frame, 9), *range(key_frame - 1, -1, -1)]
    for one, other in zip(unknown, known, strict=True):
        torch.testing.assert_close(one[1], other[1])


def test_no_objects_are_followed_too(segmenter, pixels):
    nothing = torch.zeros(0, 8, 8, dtype=torch.bool)
    tracked = list(Tracker(segmenter).track(lambda t: pixels[t : t + 1], {1: nothing}, 3))
    assert [t for t, *_ in tracked] == [1, 2, 0]
    assert all(masks.shape == (0, 16, 16) and scores.shape == (0,) for _, masks, scores in tracked)


def test_wrong_key_frames_are_refused(segmenter, pixels):
    mask = torch.ones(1, 8, 8, dtype=torch.bool)
    tracker = Tracker(segmenter)
    with pytest.raises(ValueError, match="at least one key frame"):
        next(tracker.track([], {}, 4))
    with pytest.raises(ValueError, match=r"\[4\] lie outside a video of 4 frames"):
        next(tracker.track([], {4: mask}, 4))
    with pytest.raises(ValueError, match="same objects"):
        next(tracker.track([], {0: mask, 1: mask.repeat(2, 1, 1)}, 4))


def test_absent_objects_are_suppressed(segmenter, pixels):
    decoded = Decoded(
        mask_logits=torch.ones(2, 16, 16),
        iou=torch.ones(2),
        object_logits=torch.tensor([3.0, -3.0]),
        tokens=torch.zeros(2, 128),
    )
    _, masks, scores = next(Tracker(segmenter).track(lambda t: pixels[t : t + 1], {0: decoded}, 1))
    assert masks[0].eq(1).all() and masks[1].eq(-1024).all()
    assert scores.tolist() == [3.0, -3.0]


def test_sa2va_keeps_the_logits_of_absent_objects(segmenter, pixels):
    """Neither masks nor memory see -1024 for an absent object; tests/parity holds the rest to the published code."""
    features = segmenter.encode_frames(pixels[:1])
    found = segmenter.decode(features, torch.zeros(2, dtype=torch.long), torch.randn(2, 1, 128))
    found.object_logits[:] = torch.tensor([-1.0, 1.0])
    shown = {
        like: next(Tracker(segmenter, like).track(pixels[:, None], {0: found}, 3))[1] for like in ("sam2", "sa2va")
    }
    assert (shown["sam2"][0] == -1024).all()
    torch.testing.assert_close(shown["sa2va"], found.mask_logits)
    with pytest.raises(ValueError, match="sam2"):
        Tracker(segmenter, "sam3")

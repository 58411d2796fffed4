"""Pretraining of SAM 2: what the prompts mean, what the losses reward, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from word2mask.data.shapes_world.promptable import (
    PromptableBatches,
    draw_empty_click,
    draw_frames,
    draw_prompts,
    single_item,
    take_frames,
)
from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import sample_scene
from word2mask.data.shapes_world.splits import scene_rng
from word2mask.models.sam2_pretraining import SAM2Pretraining
from word2mask.segmenters import Decoded, FrameProcessor, SAM2Segmenter


@pytest.fixture
def batches() -> PromptableBatches:
    return PromptableBatches(
        FrameProcessor(64), num_batches=8, num_images=3, num_clips=2, clip_every=2, num_frames=4, seed=5
    )


def test_items_are_a_function_of_seed_and_index(batches):
    again = replace_seed(batches, 5)
    other = replace_seed(batches, 6)
    for name in ("pixels", "targets", "clicks", "points"):
        assert torch.equal(getattr(batches[1], name), getattr(again[1], name))
    assert batches[1].pixels.shape != other[1].pixels.shape or not torch.equal(batches[1].pixels, other[1].pixels)


def replace_seed(batches: PromptableBatches, seed: int) -> PromptableBatches:
    return PromptableBatches(**{**vars(batches), "seed": seed})


def test_pictures_and_clips_alternate(batches):
    picture, clip = batches[0], batches[1]
    assert picture.frame_index.shape[1] == 1 and clip.frame_index.shape[1] == 4
    assert len(picture.pixels) == 3 and len(clip.pixels) == 8
    assert picture.targets.shape == (len(picture.clicks), 1, 32, 32)
    assert picture.targets.min() >= 0 and picture.targets.max() <= 1
    assert clip.frame_index.diff(dim=1).eq(1).all()
    late = PromptableBatches(**{**vars(batches), "clips_from": 2})
    assert late[1].frame_index.shape[1] == 1 and late[3].frame_index.shape[1] == 4


def test_loader_must_not_batch_batches(batches):
    item = batches[0]
    assert single_item([item]) is item
    with pytest.raises(ValueError, match="batch_size to 1, got 2"):
        single_item([item, item])
    with pytest.raises(IndexError):
        batches[8]


def test_prompts_lie_where_they_say():
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:25, 10:30] = True
    masks[0, 10:20, 15:25] = False  # a frame with a hole
    masks[1, 30:38, 40:55] = True
    in_hole = 0
    for _ in range(200):
        click, box, points, labels = draw_prompts(rng, masks, 0)
        x, y = np.floor(click).astype(int)
        assert not masks[1, y, x]
        in_hole += bool(10 <= y < 20 and 15 <= x < 25)
        np.testing.assert_allclose(box, [10, 5, 30, 25], atol=1.21)  # 6 % of the extent of 20
        for (px, py), label in zip(np.floor(points).astype(int), labels, strict=True):
            assert masks[0, py, px] == bool(label)
        assert labels[0] == 1 and labels[2] == 0
        nothing = draw_empty_click(rng, masks)
        if nothing is not None:
            x, y = nothing
            assert not (2 < x < 38 and y < 33) and not (32 < x < 63 and 22 < y)
    assert in_hole > 60  # half of the clicks are vague, and most of those meet the hole


def test_no_room_for_nothing():
    assert draw_empty_click(np.random.default_rng(0), np.ones((1, 20, 20), bool)) is None


def test_frames_of_a_clip():
    rng = np.random.default_rng(1)
    for step in (1, 2, 3, 9):
        frames = draw_frames(rng, 16, 6, step)
        assert len(frames) == 6 and frames.min() >= 0 and frames.max() < 16
        assert set(np.abs(np.diff(frames))) == {step if step < 4 else 1}
    scene = sample_scene(scene_rng(0, "val", 3), "video", "val")
    _, masks = render(scene)
    _, some = render(take_frames(scene, np.array([7, 3])))
    np.testing.assert_array_equal(some, masks[:, [7, 3]])


def test_losses_by_hand():
    model = SAM2Pretraining(
        SAM2Segmenter.tiny(), cross_entropy_weight=2.0, dice_weight=3.0, iou_weight=5.0, object_weight=7.0
    )
    targets = torch.zeros(2, 32, 32)
    targets[0, :16] = 1.0
    decoded = Decoded(
        mask_logits=torch.zeros(2, 16, 16),
        iou=torch.tensor([0.25, 0.9]),
        object_logits=torch.zeros(2),
        tokens=torch.zeros(2, 128),
    )
    losses = model._losses(decoded, targets)
    log2 = 0.693147
    assert losses["loss_mask"].item() == pytest.approx(2 * log2, rel=1e-5)
    # p = 0.5 everywhere, 512 of 1024 cells wanted: 1 - (2 * 256 + 1) / (512 + 512 + 1); the empty target takes no part.
    assert losses["loss_dice"].item() == pytest.approx(3 * (1 - 513 / 1025), rel=1e-5)
    assert losses["loss_iou"].item() == pytest.approx(5 * 0.25)  # no logit above zero: the true IoU is 0
    assert losses["loss_object"].item() == pytest.approx(7 * log2, rel=1e-5)
    assert losses["iou"].item() == 0


def test_corrections_point_at_mistakes():
    model = SAM2Pretraining(SAM2Segmenter.tiny())
    targets = torch.zeros(2, 32, 32)
    targets[0, 8:16, 8:16] = 1.0
    logits = torch.full((2, 16, 16), -1.0)
    logits[1, 0:4, 0:4] = 1.0  # something where nothing is
    point, label = model._correction(logits, targets)
    assert label.tolist() == [1, 0]
    assert ((point[0] > 15) & (point[0] < 32)).all()  # cells 8…15 of 32 are pixels 16…31 of 64
    assert (point[1] < 17).all()  # cells 0…3 of 16 are pixels 0…15


@pytest.mark.parametrize("index", [0, 1])
def test_a_few_steps_reduce_the_loss_and_touch_every_module(batches, index):
    torch.manual_seed(0)
    segmenter = SAM2Segmenter.tiny()
    model = SAM2Pretraining(segmenter).train()
    batch = batches[index]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals, touched = [], set()
    for _ in range(12):
        losses = model(batch)
        total = sum(value for name, value in losses.items() if name.startswith("loss"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
        touched |= {name.split(".")[0] for name, p in segmenter.model.named_parameters() if p.grad is not None}
    assert totals[-1] < 0.7 * totals[0]
    assert {"vision_encoder", "prompt_encoder", "mask_decoder"} <= touched
    if index == 1:
        assert {"memory_attention", "memory_encoder", "object_pointer_proj"} <= touched


def test_training_follows_as_the_tracker_does(batches):
    from word2mask.segmenters import Tracker

    batch = batches[1]
    one = replace(batch, frame_index=batch.frame_index[:1], targets=batch.targets[:1])
    segmenter = SAM2Segmenter.tiny()
    # Training's pointers span the config's range, the tracker's at most the video: make the video long enough.
    segmenter.model.config.max_object_pointers_in_encoder = 4
    segmenter.model.config.multimask_output_in_sam = False
    model = SAM2Pretraining(segmenter).eval()
    with torch.no_grad():
        features = segmenter.encode_frames(one.pixels)
        given = one.targets[:, 0] > 0.5
        memory, _ = segmenter.remember_masks(features, one.frame_index[:, 0], given)
        tracked, ours = {}, []
        for t in range(1, 4):
            decoded, tracked[t] = model.follow(features, one.frame_index[:, t], t, {0: memory}, tracked)
            ours.append(segmenter.suppress_absent(decoded))
    frames = [features[int(f)] for f in one.frame_index[0]]
    theirs = [masks for _, masks, _ in Tracker(segmenter).track(frames.__getitem__, {0: given}, 4)][1:]
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)

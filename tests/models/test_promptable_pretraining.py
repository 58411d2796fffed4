"""Pretraining of SAM on pictures: what is filled up is no object's, clips are refused, and it learns."""

from __future__ import annotations

import pytest
import torch

from word2mask.data.shapes_world.promptable import PromptableBatches
from word2mask.models.promptable_pretraining import PromptablePretraining
from word2mask.segmenters import SAMSegmenter
from word2mask.segmenters.interface import FrameProcessor
from word2mask.segmenters.sam import PaddedFrameProcessor


def batches(processor, **changes) -> PromptableBatches:
    return PromptableBatches(
        processor, **{**dict(num_batches=8, num_images=4, clip_every=0, num_frames=3, seed=5), **changes}
    )


def test_targets_and_prompts_lie_where_the_picture_is():
    """The same objects as in a stretched square, at the picture's own aspect; nothing in what is filled up."""
    padded, stretched = batches(PaddedFrameProcessor(64)), batches(FrameProcessor(64))
    shapes = set()
    for index in range(8):
        ours, theirs = padded[index], stretched[index]
        for row in range(len(ours.clicks)):
            frame = ours.pixels[ours.frame_index[row, 0]]
            height, width = (int((frame != 0).any(0).any(axis).sum()) for axis in (1, 0))
            shapes.add((height, width))
            scale = torch.tensor([width / 64, height / 64])
            torch.testing.assert_close(ours.clicks[row], (theirs.clicks[row] + 0.5) * scale - 0.5)
            torch.testing.assert_close(ours.boxes[row], (theirs.boxes[row] + 0.5) * scale.repeat(2) - 0.5)
            target = ours.targets[row, 0]
            assert target[height // 2 :].sum() == 0 and target[:, width // 2 :].sum() == 0
            share = target.sum() / ((height // 2) * (width // 2))
            assert float(share) == pytest.approx(float(theirs.targets[row, 0].mean()), abs=2e-3)
    assert shapes == {(64, 64), (64, 51), (51, 64)}


def test_bare_clicks_are_one_token(monkeypatch):
    """A share of 1: in training every click is LISA's prompt; else, and by default, it has its empty point."""
    segmenter = SAMSegmenter.tiny()
    widths = []
    decode = segmenter.decode_embeddings

    def watch(features, frames, sparse, *arguments, **options):
        widths.append(sparse.shape[1])
        return decode(features, frames, sparse, *arguments, **options)

    monkeypatch.setattr(segmenter, "decode_embeddings", watch)
    model = PromptablePretraining(segmenter, bare_clicks=1.0)
    batch = batches(PaddedFrameProcessor(64))[0]
    features = segmenter.encode_frames(batch.pixels)
    for module, training in ((model, True), (model, False), (PromptablePretraining(segmenter), True)):
        module.train(training)._click(features, batch.frame_index[:, 0], batch.clicks)
    assert widths[:2] == [1, 2] and widths[2] >= 2


def test_clips_are_refused():
    model = PromptablePretraining(SAMSegmenter.tiny())
    with pytest.raises(ValueError, match="is pretrained on pictures, got clips of 3 frames; set clip_every=0"):
        model(batches(PaddedFrameProcessor(64), clip_every=1)[0])


def test_a_few_steps_reduce_the_loss_and_touch_every_module():
    torch.manual_seed(0)
    segmenter = SAMSegmenter.tiny()
    model = PromptablePretraining(segmenter, object_weight=0.0).train()
    batch = batches(PaddedFrameProcessor(64))[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals, touched = [], set()
    for _ in range(12):
        losses = model(batch)
        assert losses["loss_object"] == 0
        total = sum(value for name, value in losses.items() if name.startswith("loss"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
        touched |= {name.split(".")[0] for name, p in segmenter.model.named_parameters() if p.grad is not None}
    assert totals[-1] < 0.7 * totals[0]
    assert {"vision_encoder", "prompt_encoder", "mask_decoder"} <= touched

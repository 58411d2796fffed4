"""The guide: which visual tokens a [SEG] means and what box each tells, read off a middle layer, in training alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from word2mask.errors import UserError
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.composed import ComposedMLLM
from word2mask.mllms.internvl import InternVL
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.guide import Guide, GuidePlan
from word2mask.models.pointer import Pointer, Scene
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.conversation import encode_conversation
from word2mask.types import Batch, Media, Turn


def square(rows: slice, columns: slice, side: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side, dtype=torch.bool)
    mask[0, 0, rows, columns] = True
    return mask


def heads() -> Pointer:
    return Pointer(hidden_size=5, grid=(2, 2), layer=1)


def scene(heads: Pointer, wanted: int) -> list[Scene]:
    """Four visual tokens of one-hot states and a [SEG] whose query fits the ``wanted`` one; no words."""
    states = torch.zeros(5, 5)
    states[:4, :4] = torch.eye(4)
    states[4, 4] = 1.0
    normed = torch.nn.functional.layer_norm(states, (5,))
    with torch.no_grad():
        for layer in (heads.query, heads.key):
            layer.weight.copy_(20 * torch.eye(5))
            layer.bias.zero_()
        heads.query.bias.copy_(20 * (normed[wanted] - normed[4]))
    visual = torch.tensor([True] * 4 + [False])
    return [heads.scene(states, states, torch.tensor([4]), visual, torch.zeros(1, 5, dtype=torch.bool))]


def test_pointing_at_the_object_costs_little_and_elsewhere_much():
    own = heads()
    guide = Guide(GuidePlan(layer=1), own)
    mask = [square(slice(4, 8), slice(0, 4))]  # token 2
    right = guide(own, scene(own, 2), mask)
    assert right["loss_point"] < 1e-3 and right["point_hit"] == 1 and right["count_point"] == 1
    wrong = guide(own, scene(own, 1), mask)
    assert wrong["loss_point"] > 10 and wrong["point_hit"] == 0


def test_an_object_that_covers_two_tokens_is_shared_between_them():
    own = heads()
    guide = Guide(GuidePlan(layer=1, point_weight=2.0), own)
    scenes = scene(own, 0)
    with torch.no_grad():
        own.query.weight.zero_()
        own.query.bias.zero_()  # all four alike
    losses = guide(own, scenes, [square(slice(0, 8), slice(0, 4))])
    torch.testing.assert_close(losses["loss_point"], 2 * torch.tensor(4.0).log())


def test_tokens_of_objects_tell_their_boxes():
    """A head that says nothing gives each token its own place and the size 0.27; the truth is worked out by hand."""
    own = heads()
    guide = Guide(GuidePlan(layer=1, box_weight=1.0), own)
    with torch.no_grad():
        own.box[2].weight.zero_()
        own.box[2].bias.zero_()
    losses = guide(own, scene(own, 0), [square(slice(0, 4), slice(0, 4))])  # box (0, 0, 0.5, 0.5), token 0 alone
    assert losses["count_token_box"] == 1
    size = torch.sigmoid(torch.tensor(-1.0)).item()
    # Both have the middle (0.25, 0.25), so the hull is the truth and GIoU is IoU.
    expected = 1 - size**2 / 0.25 + 5 * (0.5 - size) / 2
    assert losses["loss_token_box"].item() == pytest.approx(expected, abs=1e-5)


def test_what_is_nowhere_is_not_pointed_at():
    own = heads()
    guide = Guide(GuidePlan(layer=1), own)
    scenes = scene(own, 0)
    losses = guide(own, scenes, [torch.zeros(1, 1, 8, 8, dtype=torch.bool)])
    assert losses["loss_point"] == 0 and losses["loss_token_box"] == 0


def grounded(**options: object) -> GroundedMLLM:
    torch.manual_seed(0)
    groups = ("connector", "projector", *(["guide"] if options else []))
    plan = TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0, train=groups)
    loss = GroundingLoss(mask_weight=0.0, dice_weight=0.0, box_weight=1.0)
    return GroundedMLLM(
        ComposedMLLM.tiny(), SAM2Segmenter.tiny(), loss=loss, trainable=plan, projector_start="corners", **options
    ).train()


def batch_of(model: GroundedMLLM) -> Batch:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 30, 3), dtype=np.uint8)
    prepared = model.mllm.processor.prepare_media(Media("image", pixels))
    turns = (Turn("user", "Where?"), Turn("assistant", "It is [SEG]."))
    processor = model.mllm.processor
    item = encode_conversation(turns, processor.tokenizer, processor.template, prepared.placeholder)
    mask = torch.zeros(1, 1, 40, 30, dtype=torch.bool)
    mask[0, 0, 10:30, 5:20] = True
    return Batch(
        names=["test[0]"],
        tasks=["refer"],
        input_ids=item.input_ids[None],
        attention_mask=torch.ones_like(item.input_ids)[None],
        labels=item.labels[None],
        seg_positions=[item.seg_positions],
        mllm_media=prepared.tensors,
        segmenter_frames=[model.segmenter.processor.prepare_frames(pixels)],
        masks=[mask],
        void=[None],
        region_cells=[None],
    )


def test_training_learns_box_and_tokens_and_export_forgets_the_guide(tmp_path):
    model = grounded(guide=GuidePlan(layer=1))
    batch = batch_of(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    history = []
    for _ in range(40):
        losses = model(batch)
        assert {"loss_text", "loss_box", "loss_point", "loss_token_box"} <= losses.keys()
        assert "loss_mask" not in losses
        total = sum(value for name, value in losses.items() if name.startswith("loss_"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items() if value.ndim == 0})
    assert history[-1]["loss_box"] < 0.3 * history[0]["loss_box"]
    assert history[-1]["loss_token_box"] < 0.5 * history[0]["loss_token_box"]
    assert history[-1]["point_hit"] == 1
    box = model.projector.boxes(
        model.seg_states(
            model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden[0], batch.seg_positions[0]
        )
    )[0]
    torch.testing.assert_close(box, torch.tensor([5 / 30, 10 / 40, 20 / 30, 30 / 40]), atol=0.1, rtol=0)
    model.merge()
    save_grounded(model.eval(), tmp_path / "model")
    copy = load_grounded(tmp_path / "model")
    assert copy.guide is None and copy.mllm.middle_layer is None
    states = torch.randn(2, model.mllm.hidden_size)
    assert torch.equal(copy.projector(states), model.projector(states))


def test_middle_states_change_nothing_else():
    plain, guided = grounded(), grounded(guide=GuidePlan(layer=1))
    batch = batch_of(plain)
    expected = plain.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media)
    got = guided.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media)
    assert expected.middle is None and got.middle.shape == got.hidden.shape
    assert torch.equal(expected.hidden, got.hidden) and not torch.equal(got.middle, got.hidden)


def test_guides_that_cannot_be():
    with pytest.raises(UserError, match="has 2 layers"):
        grounded(guide=GuidePlan(layer=3))
    with pytest.raises(UserError, match="InternVL has no grid"):
        GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), guide=GuidePlan(layer=1))

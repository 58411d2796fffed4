"""Pretraining of the small base MLLM: what the losses see, and that they fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.base_stream import BaseStream, collate_base, shown_frames
from word2mask.data.shapes_world.base_talk import LONG_MIX, BaseMix, compose
from word2mask.data.shapes_world.language import KINDS, object_boxes
from word2mask.data.shapes_world.scene import sample_scene, training_scene
from word2mask.data.shapes_world.splits import scene_rng
from word2mask.data.shapes_world.vision_stream import FIRST_INDEX, VisionStream, stack
from word2mask.data.shapes_world.vocabulary import (
    ALL_COLOURS,
    ALL_SHAPES,
    COLOURS,
    MORE_COLOURS,
    MORE_SHAPES,
    MOTIONS,
    SHAPES,
)
from word2mask.engine.checkpoint import trained_state
from word2mask.errors import UserError
from word2mask.mllms.internvl import InternVL, InternVLSettings
from word2mask.models.mllm_pretraining import (
    LookHead,
    MLLMPretraining,
    order_loss,
    split_exchanges,
)
from word2mask.models.vision_pretraining import VisionPretraining, with_pretrained_vision
from word2mask.ops.boxes import box_overlaps
from word2mask.text.byte_tokenizer import byte_tokenizer


def small_mllm(seed: int = 0) -> InternVL:
    return InternVL.from_scratch(
        byte_tokenizer(),
        side=32,
        patch=4,
        vision_size=32,
        vision_layers=1,
        vision_heads=2,
        hidden_size=32,
        layers=3,
        heads=2,
        intermediate_size=64,
        settings=InternVLSettings(max_tiles=1, max_length=4096),
        seed=seed,
    )


@pytest.fixture(scope="module")
def model() -> MLLMPretraining:
    torch.manual_seed(0)
    return MLLMPretraining(small_mllm())


def stream(model: MLLMPretraining, **changes) -> BaseStream:
    return BaseStream(Encoder(model.mllm.processor, None, 4096, "drop_turns"), 100, block=2, **changes)


def test_items_are_a_function_of_their_index(model):
    first, again = stream(model)[3], stream(model)[3]
    assert first.example.input_ids.tolist() == again.example.input_ids.tolist()
    assert torch.equal(first.example.mllm_media["pixel_values"], again.example.mllm_media["pixel_values"])
    assert stream(model, start=3)[0].example.input_ids.tolist() == first.example.input_ids.tolist()


def test_blocks_are_of_one_kind(model):
    tiles = [len(stream(model, video_every=2)[i].example.mllm_media["pixel_values"]) for i in range(8)]
    assert tiles == [1, 1, 5, 5, 1, 1, 5, 5]


def test_marked_regions_are_named_one_by_one(model):
    items = [stream(model, regions_every=2)[i] for i in range(4)]
    assert [item.example.region_cells is not None for item in items] == [False, False, True, True]
    for item in items[2:]:
        text = model.mllm.tokenizer.decode(item.example.input_ids)
        regions = len(item.example.region_cells)
        assert f"There are {regions} part regions in the picture: region1<vp>" in text
        assert text.count("<|im_start|>assistant") == regions and "<box>" not in text
        things = training_scene(scene_rng(0, "train", 2 * FIRST_INDEX + items.index(item)), "image", "train").objects
        for thing in things:
            named = f"{thing.colour} {thing.shape}."
            assert text.count(named) <= sum((t.colour, t.shape) == (thing.colour, thing.shape) for t in things)


def test_a_region_s_own_tokens_decide_its_loss(model):
    items = [stream(model, regions_every=1)[i] for i in range(2)]
    batch = collate_base(items, pad_id=0)
    loss = model(batch)["loss_text"]
    assert set(model(batch)) == {"loss_text"} and loss.requires_grad
    assert torch.equal(model(batch)["loss_text"], loss)
    moved = collate_base(items, pad_id=0)
    moved.batch.region_cells = [cells.roll(1, dims=-1) for cells in batch.batch.region_cells]
    assert not torch.equal(model(moved)["loss_text"], loss)


def test_every_box_has_its_object():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng, "image", "train")
        turns, marks = compose(scene, rng, LONG_MIX)
        boxes = sum(answer.replace("<box>[[", "<box> [[").count("<box>") for _, answer in turns)
        assert boxes == len(marks)
        assert all(object_boxes(scene)[mark.target] is not None for mark in marks)


def test_what_a_question_relates_its_object_to_is_asked_for(model):
    mix = BaseMix(locate=6, chat=0, reason=0, kind_weights=tuple((kind, float(kind == "relation")) for kind in KINDS))
    batch = collate_base([stream(model, unnamed_share=0.0, short_mix=mix, video_every=1000)[i] for i in range(2)], 0)
    assert len(batch.anchors) == len(batch.cells) > 4
    assert (batch.anchors.sum(dim=1) > 0).all()
    assert (batch.anchors + batch.cells <= 1 + 1e-6).all()  # another object than the target
    losses = model(batch)
    assert 0 <= losses["anchor_hit"] <= 1 and losses["loss_anchor"] > 0
    assert 0 <= losses["distance_hit"] <= 1 and losses["loss_distance"] > 0
    others = replace(batch, anchors=torch.zeros_like(batch.anchors))
    assert not {"loss_anchor", "loss_distance"} & set(model(others))


def test_distances_are_those_of_centres_and_leave_out_the_anchor_and_the_background(model):
    mix = BaseMix(locate=6, chat=0, reason=0, kind_weights=tuple((kind, float(kind == "relation")) for kind in KINDS))
    item = stream(model, unnamed_share=0.0, short_mix=mix, video_every=1000)[0]
    assert len(item.distances) == len(item.anchors) > 0
    shown = 0
    for anchor, cells, distances in zip(item.anchors, item.cells, item.distances, strict=True):
        assert distances[anchor > 0.5].isinf().all()
        target = distances[cells > 0.5]  # none where no visual token is mostly the target
        assert len(target.unique()) <= 1 and ((target > 0) & (target < 1.5)).all()  # one object, one distance
        shown += len(target) > 0
    assert shown >= 2
    assert (item.distances.isfinite() <= item.cell_outlines.any(-1)[: item.distances.shape[1]]).all()


def test_the_order_loss_of_three_tokens_by_hand():
    closeness = torch.tensor([[2.0, 0.0, 1.0, 9.0]])
    distances = torch.tensor([[0.1, 0.5, 0.5, torch.inf]])
    loss, hit = order_loss(closeness, distances)  # pairs: first over second, first over third; the fourth has no place
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(loss) == pytest.approx(expected, abs=1e-6) and float(hit) == 1
    assert float(order_loss(-closeness, distances)[1]) == 0
    assert float(order_loss(closeness, torch.full_like(distances, torch.inf))[0]) == 0


def test_nothing_is_said_of_colours_without_a_name(model):
    items = [stream(model, unnamed_share=1.0)[i] for i in range(6)]
    named = [stream(model, unnamed_share=0.0)[i] for i in range(6)]
    told = 0
    for item, other in zip(items, named, strict=True):
        if torch.equal(item.example.mllm_media["pixel_values"], other.example.mllm_media["pixel_values"]):
            continue  # too little could be said
        told += 1
        text = model.mllm.tokenizer.decode(item.example.input_ids)
        assert not any(f" {word} " in text for word in (*COLOURS, "unnamed"))
        assert (item.looks[:, 1] == -100).all() and (item.looks[:, 0] >= 0).all()
        assert (item.cell_looks[:, 1] == -100).all() and (item.cell_looks[:, 0] >= 0).any()
    assert told >= 4


def test_nothing_is_said_of_shapes_without_a_name(model):
    items = [stream(model, unnamed_share=0.0, unnamed_shape_share=1.0)[i] for i in range(6)]
    assert sum(bool((item.cell_looks[:, 0] == -100)[item.cell_looks[:, 1] >= 0].any()) for item in items) >= 4
    for item in items:
        assert "unnamed" not in model.mllm.tokenizer.decode(item.example.input_ids)
        assert (item.looks[:, 1] >= 0).all()
    loss = model(collate_base(items[:2], pad_id=0))
    assert all(torch.isfinite(value) for value in loss.values())


def test_visual_tokens_know_what_their_object_does_and_where_it_was(model):
    item = stream(model, video_every=1, unnamed_share=0.0)[0]
    scene = training_scene(scene_rng(0, "train", 2 * FIRST_INDEX), "video", "train")
    frames, masks, _ = shown_frames(scene, 5)
    cells = len(item.cell_standings)
    assert item.cell_motions.shape == (5 * cells,) and item.cell_looks.shape == (5 * cells, 4)
    assert (item.cell_motions[:cells] == -100).all()
    boxes = torch.tensor(object_boxes(scene), dtype=torch.float32) / 100
    side = int(cells**0.5)
    for frame in (1, 4):
        for index, thing in enumerate(scene.objects):
            rows, columns = np.nonzero(masks[index, frame])
            if not len(rows):
                continue
            middle = len(rows) // 2
            height, width = masks.shape[2:]
            cell = frame * cells + int(rows[middle] * side / height) * side + int(columns[middle] * side / width)
            if item.cell_looks[cell].tolist()[:2] == [SHAPES.index(thing.shape), list(COLOURS).index(thing.colour)]:
                assert item.cell_motions[cell] == MOTIONS.index(thing.motion)
                assert torch.equal(item.cell_starts[cell], boxes[index])
    results = model(collate_base([item], pad_id=0))
    assert {"loss_motion", "loss_start", "loss_standing"} <= set(results)
    picture = model(collate_base([stream(model)[0]], pad_id=0))
    assert "loss_motion" not in picture and "loss_standing" in picture


def test_more_names_are_said(model):
    items = [stream(model, unnamed_share=0.0, more_names_share=1.0)[i] for i in range(6)]
    text = " ".join(model.mllm.tokenizer.decode(item.example.input_ids) for item in items)
    assert sum(f" {word} " in text for word in MORE_COLOURS) >= 5
    assert sum(word in text for word in MORE_SHAPES) >= 3 and "unnamed" not in text
    shapes, colours = (torch.cat([item.looks[:, place] for item in items]) for place in (0, 1))
    assert (shapes >= len(SHAPES)).any() and (colours >= len(COLOURS)).any() and (colours >= 0).all()
    loss = model(collate_base(items[:2], pad_id=0))
    assert all(torch.isfinite(value) for value in loss.values())


@pytest.mark.parametrize("video_every", [1, 1000])
def test_visual_tokens_know_colour_and_outline_without_names(model, video_every):
    item = stream(model, video_every=video_every, unnamed_share=1.0)[2]
    tokens = len(item.cell_looks)
    assert item.cell_tints.shape == (tokens, 3) and item.cell_outlines.shape == (tokens, 64)
    objects = item.cell_outlines.any(-1)
    assert (item.cell_looks[:, 1] == -100).all() and 0 < int(objects.sum()) < tokens
    assert not item.cell_tints[~objects].any()
    # The cells of an object are of one colour, which is no named one.
    colours = {tuple(tint.tolist()) for tint in item.cell_tints[objects]}
    assert 1 < len(colours) <= 5
    named = {tuple(np.float32(np.array(rgb) / 255).tolist()) for rgb in COLOURS.values()}
    assert not colours & named
    results = model(collate_base([item], pad_id=0))
    for place in ("connector", "seen"):
        assert results[f"loss_{place}_tint"] > 0 and results[f"loss_{place}_outline"] > 0


def test_what_is_behind_the_connector_decides_its_losses(model):
    batch = collate_base([stream(model)[0]], pad_id=0)
    head, states = model.connector_head, torch.randn(1, batch.cell_tints.shape[1], 32)
    losses = head(states, batch)
    states[batch.cell_outlines.any(-1)] += 1
    assert set(losses) == {"tint", "outline"} and not torch.equal(head(states, batch)["tint"], losses["tint"])
    again = head(states, batch)
    states[~batch.cell_outlines.any(-1)] += 1  # the background's tokens say nothing
    assert all(torch.equal(value, again[name]) for name, value in head(states, batch).items())


def test_a_held_out_partner_is_no_candidate():
    head = LookHead(4)
    red, moon = ALL_COLOURS.index("red"), ALL_SHAPES.index("moon")
    blue, star = ALL_COLOURS.index("blue"), ALL_SHAPES.index("star")
    torch.nn.init.zeros_(head.layer.weight)
    with torch.no_grad():
        head.layer.bias.zero_()
        head.layer.bias[len(ALL_SHAPES) + red] = 50.0  # sure of red
    states = torch.zeros(1, 4)
    blue_moon, _ = head(states, torch.tensor([[moon, blue, 0, 0]]))
    blue_star, _ = head(states, torch.tensor([[star, blue, 0, 0]]))
    without_red = np.log(len(ALL_COLOURS) - 1)
    # Blue takes the heart from the shapes; neither the star nor the moon is held out with it.
    shape, texture, size = np.log(len(ALL_SHAPES) - 1), np.log(3), np.log(2)
    assert blue_moon.item() == pytest.approx(shape + without_red + texture + size, abs=1e-4)
    assert blue_star.item() == pytest.approx(shape + 50.0 + texture + size, abs=1e-4)
    nameless, _ = head(states, torch.tensor([[-100, blue, 0, 0]]))  # no shape is known: nothing is left out
    assert nameless.item() == pytest.approx(50.0 + texture + size, abs=1e-4)


def test_exchanges_are_taken_apart(model):
    batch = collate_base([stream(model)[0], stream(model)[1]], pad_id=0)
    parts = split_exchanges(batch.batch, model.user_ids, model.media_end_id)
    tokenizer = model.mllm.tokenizer
    assert tokenizer.decode(parts.prefix_ids[0]).endswith("</img>\n")
    assert all("<|im_end|>\n<|im_start|>assistant\n" in tokenizer.decode(ids) for ids in parts.input_ids)
    assert not any("user\n" in tokenizer.decode(ids) for ids in parts.input_ids)
    assert int((parts.labels != -100).sum()) == int((batch.batch.labels != -100).sum())
    assert parts.owners.tolist() == sorted(parts.owners.tolist())


def test_box_overlaps_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0]])
    iou, generalised = box_overlaps(boxes, torch.tensor([[0.25, 0.0, 0.75, 1.0]]))
    assert iou.item() == pytest.approx(1 / 3) and generalised.item() == pytest.approx(1 / 3)
    iou, generalised = box_overlaps(boxes, torch.tensor([[0.75, 0.0, 1.0, 1.0]]))
    assert iou.item() == 0 and generalised.item() == pytest.approx(-0.25)


def test_losses_fall_on_one_batch(model):
    batch = collate_base([stream(model)[0], stream(model)[1]], pad_id=0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    totals = []
    for _ in range(12):
        losses = model(batch)
        total = sum(value for name, value in losses.items() if name.startswith("loss"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
    assert model.mllm.parameter_groups()["vision"].embeddings.cls_token.grad is None


def test_boxes_that_do_not_match_are_named(model):
    batch = collate_base([stream(model)[0]], pad_id=0)
    batch.boxes = batch.boxes[:-1]
    with pytest.raises(ValueError, match="<box> in the answers, but"):
        model(batch)


def test_vision_pretraining_and_its_handover(tmp_path):
    model = VisionPretraining(small_mllm())
    data = VisionStream(model.mllm.processor, 10, grid=8)
    batch = stack([data[0], data[1]])
    assert batch["outline"].shape == (2, 64, 64) and batch["box"].shape == (2, 64, 4)
    seen = batch["object"] == 1
    assert (batch["shape"][seen] >= 0).all() and (batch["shape"][~seen] == -100).all()
    losses = model(batch)
    sum(value for name, value in losses.items() if name.startswith("loss")).backward()
    for state in (trained_state(model), model.state_dict()):
        torch.save({"state_dict": state}, tmp_path / "iter_1.pth")
        other = with_pretrained_vision(small_mllm(seed=1), str(tmp_path / "iter_1.pth"))
        ours, theirs = (m.parameter_groups()["vision"].state_dict() for m in (model.mllm, other))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(UserError, match="no such checkpoint"):
        with_pretrained_vision(other, str(tmp_path / "iter_2.pth"))
    torch.save({"state_dict": {}}, tmp_path / "iter_2.pth")
    with pytest.raises(UserError, match="holds no vision tower"):
        with_pretrained_vision(other, str(tmp_path / "iter_2.pth"))

"""GroundedMLLM: mixed batches, gradients where they belong, and every disagreement named."""

import numpy as np
import pytest
import torch

from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM, clear_frames
from word2mask.models.projector import Projector
from word2mask.models.trainable import TrainablePlan
from word2mask.ops.boxes import boxes_of
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.conversation import encode_conversation
from word2mask.types import Batch, Media, Turn


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    plan = TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0)
    mllm = InternVL.tiny()
    return GroundedMLLM(mllm, SAM2Segmenter.tiny(), loss=GroundingLoss(num_points=None), trainable=plan).train()


def batch_of(model, specification, seed=0):
    """A batch of samples, each ``(answer, number of frames or 0)``, with random pixels and masks."""
    generator = np.random.default_rng(seed)
    processor = model.mllm.processor
    encoded, media, frames, masks = [], [], [], []
    for answer, num_frames in specification:
        placeholder = ""
        if num_frames:
            pixels = generator.integers(0, 255, (num_frames, 24, 20, 3), dtype=np.uint8)
            prepared = processor.prepare_media(Media("video" if num_frames > 1 else "image", pixels))
            placeholder = prepared.placeholder
            media.append(prepared.tensors)
        turns = (Turn("user", "Where?"), Turn("assistant", answer))
        item = encode_conversation(turns, processor.tokenizer, processor.template, placeholder)
        encoded.append(item)
        count = len(item.seg_positions)
        frames.append(model.segmenter.processor.prepare_frames(pixels) if count else None)
        masks.append(torch.from_numpy(generator.random((count, num_frames, 24, 20)) > 0.5) if count else None)
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(
        names=[f"test[{index}]" for index in range(len(encoded))],
        tasks=["refer"] * len(encoded),
        input_ids=pad([item.input_ids for item in encoded], batch_first=True),
        attention_mask=pad([torch.ones_like(item.input_ids) for item in encoded], batch_first=True),
        labels=pad([item.labels for item in encoded], batch_first=True, padding_value=-100),
        seg_positions=[item.seg_positions for item in encoded],
        mllm_media={key: torch.cat([item[key] for item in media]) for key in media[0]} if media else {},
        segmenter_frames=frames,
        masks=masks,
        void=[None] * len(encoded),
        region_cells=[None] * len(encoded),
    )


DECODER = "segmenter.model.mask_decoder."
MIXED = [("Yes.", 0), ("It is [SEG].", 1), ("[SEG] and [SEG].", 3), ("None.", 1), ("[SEG][SEG][SEG]", 1)]


def test_mixed_batch_gives_three_losses_and_gradients(model):
    losses = model(batch_of(model, MIXED))
    kinds, names = ("loss", "count", "parts"), ("text", "mask", "dice")
    assert set(losses) == {f"{kind}_{name}" for kind in kinds for name in names}
    assert losses["count_mask"] == losses["count_dice"] == 1 + 2 * 3 + 3
    assert losses["parts_mask"][:, 1].tolist() == losses["parts_dice"][:, 1].tolist() == [0, 1, 2 * 3, 0, 3]
    for name in names:
        total, count = losses[f"parts_{name}"].sum(dim=0)
        assert count == losses[f"count_{name}"]
        torch.testing.assert_close(total / count, losses[f"loss_{name}"].detach())
    terms = [losses[f"loss_{name}"] for name in names]
    assert all(loss.ndim == 0 and loss.isfinite() for loss in terms)
    sum(terms).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(name.startswith("projector.") for name in reached)
    assert any("lora_B" in name for name in reached) and any("lm_head" in name for name in reached)
    assert all(p.grad is None for name, p in model.named_parameters() if name.startswith("segmenter."))
    model.zero_grad()


def test_text_only_batch_has_no_mask_loss(model):
    assert set(model(batch_of(model, [("Yes.", 0), ("No.", 0)]))) == {"loss_text", "count_text", "parts_text"}


@torch.no_grad()
def test_losses_of_a_batch_are_the_weighted_means_of_its_samples(model):
    batch = batch_of(model, [("It is [SEG].", 1), ("[SEG] and [SEG].", 1)])
    together = model(batch)

    def alone(index):
        keep = batch.attention_mask[index].bool()
        media = {key: value[index : index + 1] for key, value in batch.mllm_media.items()}
        pick = {
            name: [getattr(batch, name)[index]]
            for name in ("names", "tasks", "seg_positions", "segmenter_frames", "masks", "void", "region_cells")
        }
        return model(
            Batch(
                input_ids=batch.input_ids[index : index + 1, keep],
                attention_mask=batch.attention_mask[index : index + 1, keep],
                labels=batch.labels[index : index + 1, keep],
                mllm_media=media,
                **pick,
            )
        )

    first, second = alone(0), alone(1)
    torch.testing.assert_close(
        together["loss_mask"], (first["loss_mask"] + 2 * second["loss_mask"]) / 3, atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_state_at_or_before_seg(model):
    hidden = torch.arange(12.0)[:, None]
    positions = torch.tensor([3, 7])
    assert model.seg_states(hidden, positions).flatten().tolist() == [3, 7]
    model.seg_state = "before"
    assert model.seg_states(hidden, positions).flatten().tolist() == [2, 6]
    model.seg_state = "at"


@torch.no_grad()
def test_objects_see_their_own_frames(model):
    """Segmenting two samples together equals segmenting each alone."""
    torch.manual_seed(1)
    side, width = model.segmenter.side, model.segmenter.prompt_dim
    first, second = torch.randn(2, 3, side, side), torch.randn(1, 3, side, side)
    prompts = [torch.randn(3, 1, width), torch.randn(2, 1, width)]
    together = model.segment(
        model.encode_frames(torch.cat([first, second])), prompts, frame_index(prompts, [2, 1]), [2, 1]
    )
    for frames, prompt, objects in zip((first, second), prompts, together, strict=True):
        (alone,) = model.segment(
            model.encode_frames(frames), [prompt], frame_index([prompt], [len(frames)]), [len(frames)]
        )
        assert objects.mask_logits.shape[:2] == (len(prompt), len(frames)) == objects.object_logits.shape
        torch.testing.assert_close(objects.mask_logits, alone.mask_logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(objects.object_logits, alone.object_logits, atol=1e-4, rtol=1e-4)


def frame_index(prompts, num_frames):
    """Every frame for every object."""
    return [torch.arange(count).expand(len(prompt), -1) for prompt, count in zip(prompts, num_frames, strict=True)]


def test_first_clear_frame_by_hand():
    masks = torch.zeros(4, 3, 2, 4, dtype=torch.bool)
    masks[0, 0, 0, 0] = masks[0, 1] = True  # a sliver, then all of it
    masks[1, 0, 0] = masks[1, 2] = True  # half of it at once
    masks[2, 2, 0, 0] = True  # only at the end
    assert clear_frames(masks).tolist() == [1, 0, 2, 0]


@torch.no_grad()
def test_first_frame_alone_is_asked_about(model):
    """With ``prompt_frames="first"`` the loss of a clip is that of the frame that shows the object first."""
    batch = batch_of(model, [("[SEG] and [SEG].", 3)])
    batch.masks[0][0, 0] = False
    everywhere = model(batch)
    model.prompt_frames = "first"
    first = model(batch)
    model.prompt_frames = "all"
    assert everywhere["count_mask"] == 6 and first["count_mask"] == 2
    states = model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden[0][batch.seg_positions[0]]
    places = torch.tensor([[1], [0]])
    (objects,) = model.segment(model.encode_frames(batch.segmenter_frames[0]), model.prompts([states]), [places], [3])
    masks = torch.stack([batch.masks[0][0, 1:2], batch.masks[0][1, 0:1]])
    wanted = model.loss.masks([objects.mask_logits], [masks], [None], ["a"])
    torch.testing.assert_close(first["loss_mask"], wanted["loss_mask"], atol=1e-4, rtol=1e-4)


def test_disagreements_are_named(model):
    batch = batch_of(model, [("It is [SEG].", 1)])
    batch.masks = [batch.masks[0].repeat(2, 1, 1, 1)]
    with pytest.raises(ValueError, match=r"test\[0\]: 1 \[SEG\] and 1 frames, but masks of 2 objects"):
        model(batch)
    batch.masks = [None]
    with pytest.raises(ValueError, match=r"test\[0\]: 1 \[SEG\] in the answer but no masks"):
        model(batch)
    batch.labels = None
    with pytest.raises(ValueError, match=r"test\[0\]: the batch has no labels"):
        model(batch)


@torch.no_grad()
def test_projector_may_start_at_points():
    torch.manual_seed(0)
    segmenter = SAM2Segmenter.tiny()
    model = GroundedMLLM(InternVL.tiny(), segmenter, projector_start="points")
    mean, std = segmenter.prompt_statistics()
    tokens = model.prompts([torch.randn(4000, model.mllm.hidden_size)])[0][:, 0]
    assert (tokens.mean(0) - mean).abs().mean() < 0.1 * mean.abs().mean() + 0.05
    assert 0.7 < (tokens.std(0) / std).mean() < 1.4


def test_options_are_checked():
    for option in ({"seg_state": "after"}, {"prompt_frames": "last"}, {"projector_start": "zero"}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} must be"):
            GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), **option)


def test_projector_must_fit():
    with pytest.raises(ValueError, match="projector maps 3 to 5"):
        GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), projector=Projector(3, 5))


@pytest.mark.parametrize("train", [("projector", "mask_decoder"), ("projector", "segmenter")])
def test_a_decoder_that_trains_leaves_the_original_alone(train):
    plan = TrainablePlan(lora_rank=0, train=train)
    model = GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), loss=GroundingLoss(num_points=None), trainable=plan)
    decoder, original = model.segmenter.model.mask_decoder, model.segmenter.original_decoder
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = model.train()(batch_of(model, MIXED))
    (losses["loss_mask"] + losses["loss_dice"]).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    inside = ("projector.", "segmenter.model.") if "segmenter" in train else ("projector.", DECODER)
    assert all(name.startswith(inside) for name in reached)
    parts = ("conv_s0", "conv_s1", "transformer", "mask_tokens", "output_hypernetworks_mlps", "upscale_conv2")
    assert all(any(name.startswith(DECODER + part) for name in reached) for part in parts)
    optimizer.step()
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not torch.equal(decoder.conv_s0.weight, original.conv_s0.weight)


def test_a_frozen_decoder_has_no_copy(model):
    assert model.segmenter.original_decoder is None


def test_boxes_run_from_the_first_pixel_to_the_last():
    masks = torch.zeros(2, 1, 6, 9, dtype=torch.bool)
    masks[0, 0, 1:4, 2:8] = True
    boxes, seen = boxes_of(masks)
    assert boxes[0, 0].tolist() == [2, 1, 7, 3] and seen.tolist() == [[True], [False]]


def of_boxes(**loss):
    return GroundedMLLM(
        InternVL.tiny(), SAM2Segmenter.tiny(), projector_start="box", loss=GroundingLoss(num_points=None, **loss)
    )


def test_prompts_are_drawn_to_the_tokens_of_their_boxes():
    """The true box costs nothing; one corner that is off by a spread in each of its values costs half the weight."""
    model = of_boxes(box_weight=3.0)
    side = model.segmenter.side
    masks = torch.zeros(1, 1, 32, 16, dtype=torch.bool)
    masks[0, 0, 4:9, 2:7] = True
    truth = torch.tensor([[2 * side / 16, 4 * side / 32, 6 * side / 16, 8 * side / 32]])
    tokens = model.segmenter.embed_points(1, boxes=truth)[:, :2]
    _, spread = model.segmenter.box_statistics()
    assert model._box_losses([tokens], [masks])["loss_box"] == 0
    off = tokens.clone()
    off[:, 1] += spread[1]
    found = model._box_losses([off], [masks])
    torch.testing.assert_close(found["loss_box"], torch.tensor(1.5), atol=1e-3, rtol=0)
    assert found["parts_box"][0, 1] == 1
    nothing = model._box_losses([off.requires_grad_()], [torch.zeros_like(masks)])
    assert nothing["loss_box"] == 0 and nothing["loss_box"].requires_grad


def test_boxes_alone_are_learned_without_a_decoder(monkeypatch):
    model = of_boxes(mask_weight=0.0, dice_weight=0.0, box_weight=1.0)
    monkeypatch.setattr(model, "segment", None)
    losses = model(batch_of(model, MIXED))
    assert {name for name in losses if name.startswith("loss_")} == {"loss_text", "loss_box"}
    assert losses["count_box"] == 1 + 2 * 3 + 3
    losses["loss_box"].backward()
    assert model.projector.layers[2].weight.grad.abs().sum() > 0


def test_boxes_need_prompts_of_two_tokens():
    with pytest.raises(ValueError, match='set projector_start="box" or box_weight=0'):
        GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), loss=GroundingLoss(box_weight=1.0))

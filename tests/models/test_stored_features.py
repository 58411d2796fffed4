"""Features of frozen encoders on disk: the same losses, no second pass, nothing stale, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.composed import ComposedMLLM
from word2mask.mllms.composed_backbone import ComposedBackbone, ComposedConfig
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.stored_features import store_features, weights_hash
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Batch, Media, Sample, Turn


def grounded(mllm=ComposedMLLM, segmenter=SAM2Segmenter, train=("connector", "projector")) -> GroundedMLLM:
    torch.manual_seed(0)
    plan = TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0, train=train)
    return GroundedMLLM(mllm.tiny(), segmenter.tiny(), loss=GroundingLoss(num_points=None), trainable=plan).train()


def sharing() -> GroundedMLLM:
    """A model whose words and masks look through one trunk."""
    segmenter, mllm = SAM2Segmenter.tiny(), ComposedMLLM.tiny()
    trunk = segmenter.model.vision_encoder.backbone
    config = ComposedConfig(**{**mllm.model.config.to_dict(), "vision_config": trunk.config.to_dict()})
    torch.manual_seed(0)
    backbone = ComposedBackbone(config).eval()
    backbone.model.vision_tower.load_state_dict(trunk.state_dict())
    own = ComposedMLLM(backbone, mllm.tokenizer, mllm.settings)
    model = GroundedMLLM(own, segmenter).requires_grad_(False).eval()
    assert model.mllm.shared_encoder is not None
    return model


class OwnTower(ComposedMLLM):
    """A composed model whose trunk isn't the segmenter's."""

    def share_encoder(self, segmenter) -> bool:
        return False


def batch_of(model) -> Batch:
    """A picture with an object, one without, and a video of two frames with two objects."""
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, 2048)
    generator = np.random.default_rng(0)
    examples = []
    for answer, num_objects, num_frames in (("It is [SEG].", 1, 1), ("None.", 0, 1), ("[SEG] and [SEG].", 2, 2)):
        frames = generator.integers(0, 255, (num_frames, 24, 20, 3), dtype=np.uint8)
        sample = Sample(
            source="test",
            id=answer,
            task="refer",
            turns=(Turn("user", "Where?"), Turn("assistant", answer)),
            media=Media("video" if num_frames > 1 else "image", frames),
            masks=generator.random((num_objects, num_frames, 24, 20)) > 0.5 if num_objects else None,
        )
        examples.append(encoder(sample))
    return collate(examples, 0)


def losses_and_gradients(model, batch) -> dict[str, torch.Tensor]:
    losses = {name: value for name, value in model(batch).items() if name.startswith("loss_")}
    sum(losses.values()).backward()
    found = {name: value.detach() for name, value in losses.items()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[name] = parameter.grad.clone()
    model.zero_grad()
    return found


@pytest.mark.parametrize("segmenter", [SAM2Segmenter, SAMSegmenter])
def test_losses_and_gradients_are_the_same_from_disk(tmp_path, segmenter):
    model = grounded(OwnTower, segmenter)
    batch = batch_of(model)
    expected = losses_and_gradients(model, batch)
    placed = store_features(model, tmp_path, None, 1.0)
    first = losses_and_gradients(model, batch)
    assert (placed["segmenter"].encoded, placed["segmenter"].read) == (3, 0)
    assert (placed["mllm"].encoded, placed["mllm"].read) == (4, 0)
    again = losses_and_gradients(model, batch)
    assert (placed["segmenter"].encoded, placed["segmenter"].read) == (3, 3)
    assert (placed["mllm"].encoded, placed["mllm"].read) == (4, 4)
    assert expected.keys() == first.keys() == again.keys() and len(expected) > 10
    for name, value in expected.items():
        assert torch.equal(value, first[name]) and torch.equal(value, again[name]), name


def test_a_stored_frame_is_not_encoded_in_another_run(tmp_path):
    model = grounded(OwnTower)
    batch = batch_of(model)
    store_features(model, tmp_path, None, 1.0)
    expected = losses_and_gradients(model, batch)
    other = grounded(OwnTower)
    placed = store_features(other, tmp_path, None, 1.0)
    for call in placed.values():
        call.function = None  # would fail if it were called
    for name, value in losses_and_gradients(other, batch).items():
        assert torch.equal(value, expected[name]), name


def test_a_run_goes_on_with_what_is_there(tmp_path):
    model = grounded(OwnTower)
    placed = store_features(model, tmp_path, None, 1.0)
    first, second = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64)
    model.encode_frames(first)
    found = model.encode_frames(torch.cat([second, first]))
    assert (placed["segmenter"].encoded, placed["segmenter"].read) == (2, 1)
    alone = grounded(OwnTower).encode_frames(torch.cat([second, first]))
    for level, other in zip(found.levels, alone.levels, strict=True):
        torch.testing.assert_close(level, other, atol=1e-6, rtol=1e-5)


def test_one_pass_for_words_and_masks(tmp_path):
    """Where both look through one trunk, it sees each frame once, and in another run never."""
    model = sharing()
    trunk = model.segmenter.model.vision_encoder.backbone.forward
    pixels = torch.randn(2, 3, 64, 64)
    expected = model.mllm.visual_tokens(pixels), model.encode_frames(pixels).levels[-1]
    trunk.encoded = trunk.found = 0
    trunk.forget()
    store_features(model, tmp_path, None, 1.0)
    for _ in range(2):
        assert torch.equal(model.mllm.visual_tokens(pixels), expected[0])
        assert torch.equal(model.encode_frames(pixels.clone()).levels[-1], expected[1])
    assert (trunk.encoded, trunk.found) == (2, 2)
    other = sharing()
    store_features(other, tmp_path, None, 1.0)
    assert torch.equal(other.mllm.visual_tokens(pixels), expected[0])
    assert other.segmenter.model.vision_encoder.backbone.forward.encoded == 0


@pytest.mark.parametrize(("dtype", "bits", "share"), [("fp16", 11, 0.5), ("bf16", 8, 0.5), ("fp32", 24, 1.0)])
def test_what_is_rounded_is_rounded_alike_at_every_visit(tmp_path, dtype, bits, share):
    model = grounded(OwnTower)
    pixels = torch.randn(1, 3, 64, 64)
    exact = model.encode_frames(pixels)
    size = sum(level.nbytes for level in exact.levels)
    store_features(model, tmp_path, dtype, 1.0)
    first, again = model.encode_frames(pixels), model.encode_frames(pixels)
    (file,) = tmp_path.rglob("*.safetensors")
    assert file.stat().st_size == pytest.approx(share * size, abs=500)
    for level, one, other in zip(exact.levels, first.levels, again.levels, strict=True):
        assert level.dtype == one.dtype and torch.equal(one, other)
        assert ((level - one).abs() <= level.abs() * 2.0**-bits + 2.0**-25).all()


def test_other_weights_are_another_encoder(tmp_path):
    model = grounded(OwnTower)
    pixels = torch.randn(1, 3, 64, 64)
    store_features(model, tmp_path, None, 1.0)
    before = model.encode_frames(pixels)
    changed = grounded(OwnTower)
    with torch.no_grad():
        changed.segmenter.model.mask_decoder.conv_s0.weight[0, 0] += 1
    expected = changed.encode_frames(pixels)
    placed = store_features(changed, tmp_path, None, 1.0)
    after = changed.encode_frames(pixels)
    assert placed["segmenter"].encoded == 1
    assert torch.equal(after.levels[0], expected.levels[0]) and not torch.equal(after.levels[0], before.levels[0])


def test_precision_and_kept_type_are_part_of_the_name(tmp_path):
    for precision, dtype in (("fp32", None), ("bf16", None), ("fp32", "fp16")):
        store_features(grounded(OwnTower), tmp_path, dtype, 1.0, precision)["segmenter"](torch.ones(1, 3, 64, 64))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_folder_is_said_once_and_changes_no_value(tmp_path, caplog):
    model = grounded(OwnTower)
    pixels = torch.randn(3, 3, 64, 64)
    expected = model.encode_frames(pixels)
    size = sum(level[0].nbytes for level in expected.levels)
    placed = store_features(model, tmp_path, None, 1.5 * size / 1e9)
    for _ in range(2):
        found = model.encode_frames(pixels)
        for level, other in zip(expected.levels, found.levels, strict=True):
            torch.testing.assert_close(level, other, atol=1e-6, rtol=1e-5)
    assert (placed["segmenter"].encoded, placed["segmenter"].read) == (3 + 2, 1)
    assert caplog.text.count("raise cache_features.limit_gb") == 1


def test_an_encoder_that_trains_is_refused(tmp_path):
    with pytest.raises(UserError, match="leave 'segmenter' and 'mask_decoder' out of model.trainable.train"):
        store_features(grounded(train=("projector", "mask_decoder")), tmp_path, None, 1.0)


def test_a_tower_that_trains_is_left_alone(tmp_path):
    assert set(store_features(grounded(OwnTower, train=("vision",)), tmp_path, None, 1.0)) == {"segmenter"}
    assert set(store_features(grounded(InternVL, train=("connector",)), tmp_path, None, 1.0)) == {"segmenter"}
    assert set(store_features(grounded(InternVL, train=("projector",)), tmp_path, None, 1.0)) == {"segmenter", "mllm"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [(("fp8", 1.0), "cache_features.dtype is 'fp8'"), ((None, 0), "limit_gb must be above 0, got 0")],
)
def test_settings_that_cannot_be_met(tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        store_features(grounded(), tmp_path, *settings)


def test_values_that_do_not_fit_and_files_that_cannot_be_read(tmp_path):
    model = grounded(OwnTower)
    pixels = torch.randn(1, 3, 64, 64)
    files = store_features(model, tmp_path, "fp16", 1.0)["segmenter"].files
    with pytest.raises(UserError, match=r"up to 7e\+04 don't fit torch.float16; choose cache_features.dtype=bf16"):
        files.write("00", {"0.float32": torch.tensor([7e4])})
    assert not list(tmp_path.rglob("*.*"))
    model.encode_frames(pixels)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(b"cut")
    with pytest.raises(UserError, match="can't be read .*; delete the file"):
        model.encode_frames(pixels)


def test_names_depend_on_every_value():
    layer = torch.nn.Linear(3, 3)
    before = weights_hash([layer], "fp32")
    assert weights_hash([layer], "fp32") == before != weights_hash([layer], "bf16")
    with torch.no_grad():
        layer.weight[2, 2] += 1e-6
    assert weights_hash([layer], "fp32") != before

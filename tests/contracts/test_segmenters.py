"""What every segmenter holds to, over every implementation that there is."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil

import numpy as np
import pytest
import torch

import word2mask.segmenters as package
from word2mask.errors import UserError
from word2mask.segmenters.interface import Segmenter

for _module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{_module.name}")


def families(base: type = Segmenter) -> list[type[Segmenter]]:
    """Every class that can be built."""
    found = [] if inspect.isabstract(base) else [base]
    for child in base.__subclasses__():
        found += families(child)
    return found


@pytest.fixture(scope="module", params=families(), ids=lambda cls: cls.__name__)
def segmenter(request) -> Segmenter:
    return request.param.tiny()


@pytest.fixture(scope="module")
def pixels(segmenter) -> torch.Tensor:
    side = segmenter.side
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def features(segmenter, pixels):
    with torch.no_grad():
        return segmenter.encode_frames(pixels)


def prompts(segmenter, count: int, tokens: int = 1) -> torch.Tensor:
    return torch.randn(count, tokens, segmenter.prompt_dim, generator=torch.Generator().manual_seed(count))


def test_both_are_found():
    assert {cls.__name__ for cls in families()} >= {"SAMSegmenter", "SAM2Segmenter"}


def test_tiny_is_tiny(segmenter):
    assert sum(parameter.numel() for parameter in segmenter.parameters()) < 1_000_000


def test_frames_are_prepared_without_the_weights(segmenter):
    processor = pickle.loads(pickle.dumps(segmenter.processor))
    frames = np.random.default_rng(0).integers(0, 255, (2, 30, 47, 3), dtype=np.uint8)
    prepared = processor.prepare_frames(frames)
    assert prepared.shape == (2, 3, segmenter.side, segmenter.side) and prepared.dtype == torch.float32
    assert torch.equal(prepared[1:], processor.prepare_frames(frames[1:]))


def test_frames_are_encoded_one_by_one(segmenter, pixels, features):
    with torch.no_grad():
        alone = segmenter.encode_frames(pixels[1:2])
    assert len(features) == 3 and len(alone) == 1
    for level, other in zip(features[1].levels, alone.levels, strict=True):
        torch.testing.assert_close(level, other, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=rf"expected pixels \[F,3,{segmenter.side},{segmenter.side}\]"):
        segmenter.encode_frames(pixels[..., :-1])


@torch.no_grad()
@pytest.mark.parametrize("frames", [[0, 1, 0, 1], [2, 0, 0, 1]])
def test_pairs_are_independent_and_in_order(segmenter, features, frames):
    given = prompts(segmenter, 4, tokens=2)
    together = segmenter.decode(features, torch.tensor(frames), given)
    side = segmenter.side // 4
    assert together.mask_logits.shape == (4, side, side)
    assert together.iou.shape == together.object_logits.shape == (4,) and len(together.tokens) == 4
    for pair, frame in enumerate(frames):
        alone = segmenter.decode(features[frame], torch.tensor([0]), given[pair : pair + 1])
        for field in ("mask_logits", "iou", "object_logits", "tokens"):
            ours, theirs = (getattr(decoded, field) for decoded in (together[pair : pair + 1], alone))
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_prompts_matter(segmenter, features):
    decoded = segmenter.decode(features, torch.tensor([0, 0, 1]), prompts(segmenter, 3))
    assert (decoded.mask_logits[0] - decoded.mask_logits[1]).abs().max() > 1e-4
    frame = torch.tensor([0])
    points, labels = torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1, dtype=torch.long)
    box = torch.tensor([[5.0, 6.0, 40.0, 50.0]])
    coarse = torch.randn(1, segmenter.side // 4, segmenter.side // 4, generator=torch.Generator().manual_seed(1))
    found = [
        segmenter.decode_points(features, frame, points, labels),
        segmenter.decode_points(features, frame, boxes=box),
        segmenter.decode_points(features, frame, points, labels, boxes=box),
        segmenter.decode_points(features, frame, points, labels, mask_logits=coarse),
    ]
    for first, second in zip(found, found[1:], strict=False):
        assert (first.mask_logits - second.mask_logits).abs().max() > 1e-5
    with pytest.raises(ValueError, match="points and labels go together"):
        segmenter.decode_points(features, frame, points)


def test_no_object_is_no_error(segmenter, features):
    nothing = segmenter.decode(features, torch.zeros(0, dtype=torch.long), prompts(segmenter, 0))
    assert nothing.mask_logits.shape == (0, segmenter.side // 4, segmenter.side // 4)
    assert segmenter.without_padding(nothing.mask_logits, (30, 47)).shape[0] == 0


def test_prompts_of_another_shape(segmenter, features):
    with pytest.raises(ValueError, match=rf"expected prompts \[2,K,{segmenter.prompt_dim}\] for 2 pairs"):
        segmenter.decode(features, torch.tensor([0, 1]), prompts(segmenter, 1))


def test_gradients_reach_the_prompt_through_frozen_weights(segmenter, features):
    frozen = type(segmenter).tiny().requires_grad_(False)
    given = prompts(segmenter, 2).requires_grad_()
    decoded = frozen.decode(features, torch.tensor([0, 0]), given)
    frozen.without_padding(decoded.mask_logits, (30, 47)).sum().backward()
    assert given.grad.abs().sum(dim=(1, 2)).gt(0).all()


def test_masks_without_padding_show_the_frame(segmenter):
    """A blob in the middle of the content stands in the middle of the frame, whatever the frame's shape."""
    side = segmenter.side // 4
    for height, width in ((40, 80), (80, 40), (64, 64)):
        frame = np.zeros((1, height, width, 3), dtype=np.uint8)
        frame[0, height // 4 : height - height // 4, width // 4 : width - width // 4] = 255
        seen = segmenter.processor.prepare_frames(frame)[0].mean(0)
        logits = torch.nn.functional.interpolate((seen - 1)[None, None], (side, side), mode="area")[0]
        shown = segmenter.without_padding(logits, (height, width))
        shown = torch.nn.functional.interpolate(shown[None], (height, width), mode="bilinear")[0, 0] > 0
        truth = torch.from_numpy(frame[0, ..., 0] > 0)
        assert (shown == truth).float().mean() > 0.8


def test_prompt_statistics(segmenter):
    mean, std = segmenter.prompt_statistics()
    assert mean.shape == std.shape == (segmenter.prompt_dim,) and std.gt(0).any()


def test_groups_and_the_mask_decoder(segmenter):
    assert set(segmenter.parameter_groups()) >= {"mask_decoder"}
    kept = type(segmenter).tiny().keep_original_decoder()
    kept.requires_grad_(False)
    kept.parameter_groups()["mask_decoder"].requires_grad_(True)
    trained = {name for name, parameter in kept.named_parameters() if parameter.requires_grad}
    assert trained and all(name.startswith("model.mask_decoder.") for name in trained)


def test_the_encoder_says_what_it_holds(segmenter):
    assert 0 < segmenter.encoder_values(1) <= segmenter.encoder_values(4)


@torch.no_grad()
def test_saved_and_read_again(segmenter, features, tmp_path):
    segmenter.save_pretrained(tmp_path)
    again = type(segmenter).from_pretrained(tmp_path)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in segmenter.state_dict().items()
    }
    pairs, given = torch.tensor([0, 2]), prompts(segmenter, 2)
    ours, theirs = (one.decode(features, pairs, given).mask_logits for one in (again, segmenter))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_path_that_holds_something_else(segmenter, tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        type(segmenter).from_pretrained(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        type(segmenter).from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="model_type is 'bert', expected '"):
        type(segmenter).from_pretrained(tmp_path)

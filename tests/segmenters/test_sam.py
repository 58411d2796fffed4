"""SAM's adapter: its files, its names and its sizes; ``tests/parity`` holds it to Meta's code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import SamModel

from word2mask.errors import UserError
from word2mask.segmenters.blueprints import blueprint
from word2mask.segmenters.sam import PaddedFrameProcessor, SAMSegmenter
from word2mask.segmenters.sam_files import released_sam, sam_config
from word2mask.segmenters.sam_keys import FREQUENCIES, FREQUENCY_COPIES, from_meta, to_meta


@pytest.fixture(scope="module")
def segmenter() -> SAMSegmenter:
    return SAMSegmenter.tiny()


@torch.no_grad()
@pytest.mark.parametrize("multimask", [False, True])
def test_masks_equal_transformers(segmenter, multimask):
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features, frame = segmenter.encode_frames(pixels), torch.tensor([0])
    points, labels = torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1, dtype=torch.long)
    box = torch.tensor([[5.0, 6.0, 40.0, 50.0]])
    for ours, theirs in (
        (dict(points=points, labels=labels), dict(input_points=points[None], input_labels=labels[None])),
        (dict(boxes=box), dict(input_boxes=box[None])),
    ):
        decoded = segmenter.decode_points(features, frame, **ours, multimask=multimask)
        expected = segmenter.model(pixel_values=pixels, **theirs, multimask_output=multimask)
        best = expected.iou_scores[0, 0].argmax()
        torch.testing.assert_close(decoded.mask_logits[0], expected.pred_masks[0, 0, best], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(decoded.iou[0], expected.iou_scores[0, 0, best], atol=1e-6, rtol=1e-5)


def test_the_object_is_there_where_its_mask_has_a_pixel(segmenter):
    with torch.no_grad():
        features = segmenter.encode_frames(torch.zeros(1, 3, 64, 64))
        decoded = segmenter.decode(features, torch.zeros(8, dtype=torch.long), 3 * torch.randn(8, 1, 64))
    assert torch.equal(decoded.object_logits > 0, (decoded.mask_logits > 0).flatten(1).any(1))


@pytest.mark.parametrize(
    ("size", "content"), [((480, 640), (768, 1024)), ((1000, 300), (1024, 307)), ((20, 20), (1024, 1024))]
)
def test_the_longest_side_fills_the_square(size, content):
    assert PaddedFrameProcessor(1024).content_size(*size) == content


def test_a_line_of_pixels_stays_one():
    frames = np.zeros((1, 1, 5000, 3), dtype=np.uint8)
    assert PaddedFrameProcessor(64).prepare_frames(frames).shape == (1, 3, 64, 64)


# -------------------------------------------------------------------------- files


def test_names_there_and_back(segmenter):
    state = segmenter.model.state_dict()
    published = to_meta(state)
    assert len(published) == len(state) - 1 and FREQUENCIES in published
    again = from_meta(published)
    assert again.keys() == state.keys() and all(torch.equal(again[name], state[name]) for name in state)


def test_strangers_and_two_kinds_of_frequencies(segmenter):
    published = to_meta(segmenter.model.state_dict())
    for stranger in ("image_encoder.blocks.0.attn.gamma", "mask_decoder.obj_score_token.weight"):
        with pytest.raises(UserError, match=f"1 tensors are not SAM's, the first is '{stranger}'"):
            from_meta({**published, stranger: torch.zeros(1)})
    state = dict(segmenter.model.state_dict())
    state[FREQUENCY_COPIES[0]] = state[FREQUENCY_COPIES[0]] + 1
    with pytest.raises(UserError, match="differ, but in Meta's layout they are one"):
        to_meta(state)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_metas_own_file(segmenter, tmp_path, monkeypatch, suffix):
    """A release is recognised by its width and depth; here the small one passes for one."""
    monkeypatch.setattr("word2mask.segmenters.sam_files._RELEASED", ("test",))
    monkeypatch.setattr("word2mask.segmenters.sam_files.sam_config", lambda name: sam_config(name, side=64))
    published = {name: value.contiguous() for name, value in to_meta(segmenter.model.state_dict()).items()}
    file = tmp_path / f"sam{suffix}"
    write = torch.save if suffix == ".pth" else save_file
    write(published, file)
    again = SAMSegmenter.from_pretrained(file)
    assert all(torch.equal(value, segmenter.state_dict()[name]) for name, value in again.state_dict().items())
    del published["mask_decoder.iou_token.weight"]
    write(published, file)
    with pytest.raises(UserError, match=r"missing_keys.*mask_decoder\.iou_token\.weight"):
        SAMSegmenter.from_pretrained(file)


def test_a_folder_of_transformers_has_the_frequencies_once(segmenter, tmp_path):
    config = sam_config("test", side=64)
    config.tie_word_embeddings = True
    model = SamModel(config)
    model.load_state_dict(segmenter.model.state_dict())
    model.tie_weights()
    model.save_pretrained(tmp_path)
    again = SAMSegmenter.from_pretrained(tmp_path)
    assert all(torch.equal(value, segmenter.state_dict()[name]) for name, value in again.state_dict().items())


def test_files_of_another_kind(segmenter, tmp_path):
    file = tmp_path / "sam.pth"
    file.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not weights that torch can read safely"):
        SAMSegmenter.from_pretrained(file)
    torch.save(to_meta(segmenter.model.state_dict()), file)
    with pytest.raises(UserError, match=r"width and depth \(32, 2\), which Meta hasn't released"):
        SAMSegmenter.from_pretrained(file)
    torch.save({"mask_decoder.iou_token.weight": torch.zeros(1, 64)}, file)
    with pytest.raises(UserError, match="no tensor of SAM's image encoder"):
        SAMSegmenter.from_pretrained(file)
    (tmp_path / "sam.zip").write_bytes(b"")
    with pytest.raises(UserError, match=r"a \.pth or a \.safetensors file, not from '\.zip'"):
        SAMSegmenter.from_pretrained(tmp_path / "sam.zip")


def test_architectures():
    with pytest.raises(UserError, match="no SAM architecture called 'vit_g'"):
        sam_config("vit_g")
    with pytest.raises(UserError, match="multiple of 16, got 100"):
        sam_config("vit_b", side=100)
    with pytest.raises(UserError, match="multiple of 8, got 100"):
        sam_config("shapes", side=100)


@torch.no_grad()
def test_smaller_patches_give_finer_masks(tmp_path):
    """The embedded dataset's SAM has patches of 8: masks of half its side, one a prompt; fp16 on disk is read again."""
    small = SAMSegmenter.from_architecture("shapes", side=80, position_scale=0.5, seed=0).eval()
    assert (small.side, small.mask_side, small.prompt_dim, small.has_candidates) == (80, 40, 128, False)
    features, frames = small.encode_frames(torch.rand(2, 3, 80, 80)), torch.tensor([1, 0, 1])
    assert features.levels[0].shape == (2, 128, 10, 10)
    decoded = small.decode(features, frames, torch.randn(3, 1, 128))
    assert decoded.mask_logits.shape == (3, 40, 40)
    assert small.without_padding(decoded.mask_logits, (100, 125)).shape == (3, 100, 125)
    corrected = small.decode_points(
        features, frames, torch.rand(3, 1, 2), torch.ones(3, 1).long(), mask_logits=decoded[0:3].mask_logits
    )
    assert corrected.mask_logits.shape == (3, 40, 40)
    small.save_pretrained(tmp_path, dtype=torch.float16)
    again = SAMSegmenter.from_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 5e6
    for name, value in small.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value.half().float())


@pytest.mark.parametrize(
    ("file", "millions"),
    [("sam_vit_b_01ec64.pth", 93.7), ("sam_vit_l_0b3195.pth", 312.3), ("sam_vit_h_4b8939.pth", 641.1)],
)
def test_metas_releases_by_their_names(file, millions):
    """Meta counts 91, 308 and 636 M (arXiv:2304.02643); prompts and decoder add some."""
    sketch = blueprint(f"nowhere/{file}")
    assert isinstance(sketch, SAMSegmenter) and (sketch.side, sketch.prompt_dim) == (1024, 256)
    assert sum(parameter.numel() for parameter in sketch.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    state = sketch.model.state_dict()
    assert released_sam(state, file) == file.split("_0")[0].split("_4")[0].removeprefix("sam_")

"""SAM 2's adapter against transformers' own forward pass, and its folder on disk."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Sam2VideoModel

from word2mask.errors import UserError
from word2mask.ops.images import frames_to_tensor, normalize
from word2mask.segmenters import FrameFeatures, FrameProcessor, SAM2Segmenter, architectures
from word2mask.segmenters.architectures import released_sam2, sam2_config
from word2mask.segmenters.sam2_keys import to_meta


@pytest.fixture(scope="module")
def segmenter() -> SAM2Segmenter:
    return SAM2Segmenter.tiny()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def features(segmenter, pixels) -> FrameFeatures:
    with torch.no_grad():
        return segmenter.encode_frames(pixels)


def transformers_forward(segmenter, pixels, **prompts):
    with torch.no_grad():
        return segmenter.model._single_frame_forward(pixel_values=pixels, **prompts)


def test_tiny_is_tiny(segmenter):
    assert sum(parameter.numel() for parameter in segmenter.parameters()) < 1_000_000
    assert (segmenter.side, segmenter.prompt_dim, segmenter.mask_side) == (64, 128, 16)


def test_features_equal_transformers(segmenter, pixels, features):
    with torch.no_grad():
        expected = segmenter.model.get_image_features(pixels, return_dict=True).fpn_hidden_states
    sizes = [(16, 16), (8, 8), (4, 4)]
    for level, flat, size in zip(features.levels, expected, sizes, strict=True):
        torch.testing.assert_close(level, flat.permute(1, 2, 0).reshape(3, -1, *size), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("multimask", [True, False])
def test_points_and_boxes_equal_transformers(segmenter, pixels, features, multimask):
    points = torch.tensor([[10.0, 20.0], [50.0, 33.0]])
    labels = torch.ones(2, 1, dtype=torch.long)
    box = torch.tensor([[5.0, 6.0, 40.0, 50.0]])
    frame = torch.tensor([1])
    ours = segmenter.decode_points(features, frame, points[:1, None], labels[:1], multimask=multimask)
    theirs = transformers_forward(
        segmenter, pixels[1:2], input_points=points[None, :1, None], input_labels=labels[None, :1],
        multimask_output=multimask,
    )  # fmt: skip
    torch.testing.assert_close(segmenter.suppress_absent(ours), theirs.pred_masks[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.object_logits, theirs.object_score_logits.flatten(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.iou[0], theirs.iou_scores.max(), atol=1e-5, rtol=1e-4)
    ours = segmenter.decode_points(features, frame, boxes=box, multimask=multimask)
    theirs = transformers_forward(segmenter, pixels[1:2], input_boxes=box[None], multimask_output=multimask)
    torch.testing.assert_close(segmenter.suppress_absent(ours), theirs.pred_masks[:, 0], atol=1e-5, rtol=1e-4)


def test_mask_prompts_equal_transformers(segmenter, pixels, features):
    mask = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(2))
    ours = segmenter.decode_points(features, torch.tensor([0]), mask_logits=mask)
    theirs = transformers_forward(segmenter, pixels[:1], input_masks=mask[None])
    torch.testing.assert_close(segmenter.suppress_absent(ours), theirs.pred_masks[:, 0], atol=1e-5, rtol=1e-4)


def test_a_language_prompt_stands_behind_transformers_empty_points(segmenter, pixels, features):
    prompt = torch.randn(1, 1, 128, generator=torch.Generator().manual_seed(4))
    encoder = segmenter.model.prompt_encoder

    def append(module, arguments, output):
        return torch.cat([output[0], prompt[None]], dim=2), output[1]

    hook = encoder.register_forward_hook(append)
    try:
        theirs = transformers_forward(segmenter, pixels[2:3])
    finally:
        hook.remove()
    ours = segmenter.decode(features, torch.tensor([2]), prompt)
    torch.testing.assert_close(segmenter.suppress_absent(ours), theirs.pred_masks[:, 0], atol=1e-5, rtol=1e-4)


def test_pairs_are_independent_and_share_frames(segmenter, features):
    prompts = torch.randn(4, 2, 128, generator=torch.Generator().manual_seed(6))
    frames = torch.tensor([0, 0, 2, 1])
    together = segmenter.decode(features, frames, prompts)
    assert together.mask_logits.shape == (4, 16, 16) and together.iou.shape == together.object_logits.shape == (4,)
    for i in range(4):
        alone = segmenter.decode(features[int(frames[i])], torch.tensor([0]), prompts[i : i + 1])
        torch.testing.assert_close(together.mask_logits[i], alone.mask_logits[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [[0, 1, 0, 1], [1, 1, 0, 0], [2, 1, 0, 0]])
def test_pairs_of_a_frame_go_together(segmenter, features, frames, monkeypatch):
    """Where frames have equally many objects, a frame's features reach the decoder once; in any order of the pairs."""
    seen = []
    decoder = segmenter.model.mask_decoder

    def watched(**inputs):
        seen.append(len(inputs["image_embeddings"]))
        return type(decoder).forward(decoder, **inputs)

    monkeypatch.setattr(decoder, "forward", watched)
    prompts = torch.randn(4, 1, 128, generator=torch.Generator().manual_seed(7))
    together = segmenter.decode(features, torch.tensor(frames), prompts)
    assert seen == [4 if len(set(frames)) == 3 else 2]
    for i, frame in enumerate(frames):
        alone = segmenter.decode(features[frame], torch.tensor([0]), prompts[i : i + 1])
        for field in ("mask_logits", "iou", "object_logits", "tokens"):
            ours, theirs = (getattr(decoded, field) for decoded in (together[i : i + 1], alone))
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_no_object_is_no_error(segmenter, features):
    nothing = segmenter.decode(features, torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 128))
    assert nothing.mask_logits.shape == (0, 16, 16)


def test_gradients_reach_the_prompt_through_frozen_weights(pixels):
    segmenter = SAM2Segmenter.tiny().requires_grad_(False)
    prompt = torch.randn(2, 1, 128, requires_grad=True)
    decoded = segmenter.decode(segmenter.encode_frames(pixels[:1]), torch.tensor([0, 0]), prompt)
    decoded.mask_logits.sum().backward()
    assert prompt.grad.abs().sum(dim=(1, 2)).gt(0).all()


def test_several_candidates_need_a_head_for_them(pixels):
    segmenter = SAM2Segmenter.from_architecture("shapes", side=64, seed=0).eval()
    features = segmenter.encode_frames(pixels[:1])
    assert segmenter.decode(features, torch.tensor([0]), torch.zeros(1, 1, 128)).mask_logits.shape == (1, 16, 16)
    with pytest.raises(UserError, match="single mask output"):
        segmenter.decode(features, torch.tensor([0]), torch.zeros(1, 1, 128), multimask=True)


def test_wrong_shapes_are_named(segmenter, features):
    with pytest.raises(ValueError, match=r"expected pixels \[F,3,64,64\], got \[1, 3, 32, 32\]"):
        segmenter.encode_frames(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"expected prompts \[2,K,128\] for 2 pairs, got \[3, 1, 128\]"):
        segmenter.decode(features, torch.tensor([0, 0]), torch.zeros(3, 1, 128))


def test_positions_of_prompts_and_image_share_one_encoding(segmenter):
    model = segmenter.model
    image, prompt = model.shared_image_embedding, model.prompt_encoder.shared_embedding
    torch.testing.assert_close(image.positional_embedding, prompt.positional_embedding)
    assert 0.3 < image.positional_embedding.std() < 0.7  # tiny() asks for 0.5


@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 0), (torch.float16, 1e-2)])
def test_folder_round_trip(segmenter, features, tmp_path, dtype, tolerance):
    segmenter.save_pretrained(tmp_path, dtype)
    again = SAM2Segmenter.from_pretrained(tmp_path)
    assert again.dtype == torch.float32
    prompts, frames = torch.ones(1, 1, 128), torch.tensor([0])
    ours, theirs = (s.decode(features, frames, prompts).mask_logits for s in (segmenter, again))
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


def test_a_folder_that_does_not_fit_is_refused(segmenter, tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file"):
        SAM2Segmenter.from_pretrained(tmp_path)
    segmenter.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    dropped = state.pop("no_memory_embedding")
    save_file(state | {"something_else": dropped}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="no_memory_embedding"):
        SAM2Segmenter.from_pretrained(tmp_path)


def with_a_trained_decoder() -> SAM2Segmenter:
    """A segmenter whose decoder has moved away from the one that it keeps."""
    segmenter = SAM2Segmenter.tiny().keep_original_decoder()
    with torch.no_grad():
        for parameter in segmenter.model.mask_decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(8)), alpha=0.1)
    return segmenter


def test_the_original_decoder_stays_as_it_was(segmenter, features):
    trained, prompts, frame = with_a_trained_decoder(), torch.ones(1, 1, 128), torch.tensor([0])
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    original = trained.propagator()
    ours, moved, expected = (
        one.decode(one.encode_frames(pixels), frame, prompts).mask_logits for one in (original, trained, segmenter)
    )
    assert torch.equal(ours, expected) and not torch.equal(moved, expected)
    # Shared, not copied: only the decoder differs.
    assert original.model.memory_encoder is trained.model.memory_encoder
    assert original.model.no_memory_embedding is trained.model.no_memory_embedding
    assert trained.model.mask_decoder is not trained.original_decoder is original.model.mask_decoder
    assert segmenter.propagator() is segmenter


def test_keeping_twice_keeps_the_first():
    segmenter = with_a_trained_decoder()
    kept = segmenter.original_decoder
    assert segmenter.keep_original_decoder().original_decoder is kept
    with pytest.raises(UserError, match="isn't of this SAM 2"):
        segmenter.keep_original_decoder({"iou_token.weight": torch.zeros(1)})


def test_the_original_decoder_never_trains():
    segmenter = with_a_trained_decoder().requires_grad_(False).requires_grad_(True)
    assert all(parameter.requires_grad for parameter in segmenter.model.parameters())
    assert not any(parameter.requires_grad for parameter in segmenter.original_decoder.parameters())


def test_both_decoders_are_saved(tmp_path):
    segmenter = with_a_trained_decoder()
    segmenter.save_pretrained(tmp_path)
    again = SAM2Segmenter.from_pretrained(tmp_path)
    expected, state = segmenter.state_dict(), again.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)
    assert Sam2VideoModel.from_pretrained(tmp_path).mask_decoder is not None  # transformers reads the folder too


@pytest.fixture
def test_size_is_released(monkeypatch):
    """Lets a file of the smallest architecture pass for one of Meta's releases."""
    monkeypatch.setattr(architectures, "_RELEASED", (*architectures._RELEASED, "test"))


@pytest.mark.usefixtures("test_size_is_released")
@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("kind", ["pt", "safetensors", "safetensors in transformers' names"])
def test_files_tell_their_own_size_and_version(tmp_path, kind, version):
    expected = SAM2Segmenter.from_config(sam2_config("test", version=version)).model.state_dict()
    if kind == "pt":
        file = tmp_path / "sam2_hiera_test.pt"
        torch.save({"model": to_meta(expected)}, file)
    else:
        file = tmp_path / "sam2.safetensors"
        save_file(to_meta(expected) if kind == "safetensors" else expected, file)
    segmenter = SAM2Segmenter.from_pretrained(file)
    state = segmenter.model.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)
    assert segmenter.side == 1024 and not segmenter.training
    assert segmenter.model.config.enable_occlusion_spatial_embedding == (version == "2.1")


@pytest.mark.parametrize("architecture", ["tiny", "small", "base_plus", "large"])
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_releases_are_told_apart_by_their_tensors(architecture, version):
    with torch.device("meta"):
        state = Sam2VideoModel(sam2_config(architecture, version=version)).state_dict()
    assert released_sam2(state, "weights.pt") == (architecture, version)


def test_wrong_files_are_refused(segmenter, tmp_path):
    tensors = to_meta(segmenter.model.state_dict())
    path = tmp_path / "weights.pt"
    with pytest.raises(UserError, match=r"weights\.pt: no such file or folder"):
        SAM2Segmenter.from_pretrained(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"weights\.pt: not weights that torch can read safely"):
        SAM2Segmenter.from_pretrained(path)
    torch.save({"model": {"step": 3}}, path)
    with pytest.raises(UserError, match="expected Meta's checkpoint"):
        SAM2Segmenter.from_pretrained(path)
    torch.save({"model": {"layer.weight": torch.zeros(1)}}, path)
    with pytest.raises(UserError, match=r"weights\.pt: no tensor of SAM 2's image encoder"):
        SAM2Segmenter.from_pretrained(path)
    torch.save({"model": {name: tensor for name, tensor in tensors.items() if name != "no_obj_ptr"}}, path)
    with pytest.raises(UserError, match=r"weights\.pt: 1 tensors of SAM 2 are missing, the first is 'no_obj_ptr'"):
        SAM2Segmenter.from_pretrained(path)
    torch.save({"model": tensors}, path)
    with pytest.raises(UserError, match=r"width and depth \(8, 4\), which Meta hasn't released \(tiny \(96, 12\)"):
        SAM2Segmenter.from_pretrained(path)
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(UserError, match="not from '.bin'"):
        SAM2Segmenter.from_pretrained(tmp_path / "weights.bin")
    (tmp_path / "sam2.safetensors").write_bytes(b"no header")
    with pytest.raises(UserError, match="can't be read as safetensors"):
        SAM2Segmenter.from_pretrained(tmp_path / "sam2.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="model_type is 'sam', expected 'sam2_video'"):
        SAM2Segmenter.from_pretrained(tmp_path)


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Evil()}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="not weights that torch can read safely"):
        SAM2Segmenter.from_pretrained(tmp_path / "weights.pt")
    assert not (tmp_path / "ran").exists()


def test_processor_is_picklable_and_resizes(segmenter):
    processor = pickle.loads(pickle.dumps(segmenter.processor))
    frames = np.full((2, 30, 50, 3), 255, np.uint8)
    prepared = processor.prepare_frames(frames)
    assert prepared.shape == (2, 3, 64, 64) and prepared.dtype == torch.float32
    torch.testing.assert_close(prepared[0, 0, 0, 0], torch.tensor((1 - 0.485) / 0.229))


@pytest.mark.parametrize(
    ("name", "parameters", "blocks"),
    [("tiny", 38.9, 12), ("small", 46.0, 16), ("base_plus", 80.8, 24), ("large", 224.4, 48)],
)
def test_metas_sizes(name, parameters, blocks):
    """Parameters in millions, from the table of facebookresearch/sam2's README for SAM 2.1 (at 2b90b9f)."""
    config = sam2_config(name)
    assert sum(config.vision_config.backbone_config.blocks_per_stage) == blocks
    with torch.device("meta"):
        model = Sam2VideoModel(config)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(parameters, abs=0.15)


def test_image_size_agrees_everywhere():
    config = sam2_config("tiny", side=512)
    assert json.loads(json.dumps(config.to_dict()))["image_size"] == 512
    assert config.prompt_encoder_config.image_size == 512
    assert config.vision_config.backbone_config.image_size == [512, 512]
    assert config.vision_config.backbone_feature_sizes == [[128, 128], [64, 64], [32, 32]]
    assert config.memory_attention_rope_feat_sizes == [32, 32]


def test_unknown_architectures_and_sides_are_refused():
    with pytest.raises(UserError, match="no SAM 2 architecture called 'huge'"):
        sam2_config("huge")
    with pytest.raises(UserError, match="multiple of 32, got 100"):
        sam2_config("tiny", side=100)


def test_frames_are_resized_as_the_weights_want_it(tmp_path):
    frames = np.random.default_rng(3).integers(0, 256, (2, 30, 50, 3), dtype=np.uint8)
    with torch.device("meta"):
        released = SAM2Segmenter(Sam2VideoModel(sam2_config("tiny", side=64)))
    assert released.processor == FrameProcessor(64, "bicubic")
    assert SAM2Segmenter.tiny().processor == FrameProcessor(64, "bilinear")
    small = Image.fromarray(frames[1]).resize((64, 64), Image.BICUBIC)
    expected = normalize(frames_to_tensor(np.asarray(small)[None]))
    torch.testing.assert_close(released.processor.prepare_frames(frames)[1:], expected, rtol=0, atol=0)
    tiny = SAM2Segmenter.tiny()
    tiny.model.config.frame_resampling = "bicubic"
    tiny.save_pretrained(tmp_path)
    assert SAM2Segmenter.from_pretrained(tmp_path).processor.resampling == "bicubic"

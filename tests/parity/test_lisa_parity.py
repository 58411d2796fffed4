"""Ours against the published LISA (dvlab-research/LISA at 3cb2d43), loaded from a folder in its own layout.

``make_lisa.py`` wrote what is expected here; weights, pictures and conversations are drawn alike on both sides.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.export.published_lisa import save_lisa
from word2mask.inference.session import Session
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.llava_processor import CONTEXT
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters import SAM2Segmenter, SAMSegmenter
from word2mask.segmenters.sam_files import sam_config
from word2mask.types import Batch, Media, Request, Sample, Turn

sys.path.insert(0, str(Path(__file__).parent))
import lisa_cases as cases
import sam_cases
from llava_cases import PICTURE

#: Largest difference, as a share of the largest value.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return load_file(Path(__file__).parent / "lisa_reference.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LISA as published: pickled weights, CLIP beside it."""
    root = tmp_path_factory.mktemp("lisa")
    clip = CLIPVisionModel(CLIPVisionConfig(**cases.clip_config()))
    clip.load_state_dict({name: cases.clip_weight(name, value.shape) for name, value in clip.state_dict().items()})
    clip.save_pretrained(root / "clip-small")
    folder = root / "LISA-small"
    tokenizer = cases.tokenizer()
    tokenizer.save_pretrained(folder)
    torch.save(cases.published_weights(), folder / "pytorch_model.bin")
    config = cases.config(len(tokenizer), "openai/clip-small")
    # The published layout has ViT-H and nothing else; ours says which it is when it is another.
    config["word2mask"] = {"segmenter": sam_config("test", side=sam_cases.SIDE).to_diff_dict()}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> GroundedMLLM:
    found = load_grounded(folder)
    found.loss = GroundingLoss(num_points=None, dice_eps=1e-3)
    return found


@pytest.fixture(scope="module")
def batch(model: GroundedMLLM) -> Batch:
    """Each conversation a sample of its own; the published batch has it as a row of its picture's."""
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
    samples = []
    for number, conversations in enumerate(cases.CONVERSATIONS):
        masks, used = cases.masks(number), 0
        for place, (question, answer) in enumerate(conversations):
            count = answer.count("[SEG]")
            turns = (Turn("user", question), Turn("assistant", answer))
            own = masks[used : used + count, None] if count else None
            media = Media("image", cases.picture(number)[None])
            samples.append(Sample("lisa", f"{number}.{place}", "refer", turns, media, own))
            used += count
    return collate([encoder(sample) for sample in samples], model.mllm.tokenizer.pad_token_id)


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_references_say_something(expected):
    assert all(expected[name] > 0.05 for name in ("ce_loss", "mask_bce_loss", "mask_dice_loss"))
    for number in (0, 1):
        share = (expected[f"masks.{number}"] > 0).float().mean(dim=(1, 2))
        assert ((share > 0.02) & (share < 0.98)).all()
    assert expected["planted.masks"].shape[0] >= 1
    assert not torch.equal(expected["planted.ids"], expected["plain.ids"])


def test_it_is_read_as_a_lisa(model):
    assert model.seg_state == "before"
    assert model.mllm.settings.template == "llava_v1" and model.mllm.settings.squaring == "crop"
    assert model.mllm.settings.image_marks
    assert model.mllm.processor.media_token_count(Media("image", cases.picture(0)[None])) == 256


def test_ids_and_labels(model, batch, expected):
    context = model.mllm.tokenizer.convert_tokens_to_ids(CONTEXT)
    pad = 0
    for row, theirs in enumerate(expected["input_ids"].tolist()):
        ids = batch.input_ids[row][batch.attention_mask[row].bool()].tolist()
        runs = [(token, len(list(run))) for token, run in groupby(ids)]
        assert [length for token, length in runs if token == context] == [256]
        short = [token for run, length in runs for token in ([PICTURE] if run == context else [run] * length)]
        assert short == theirs[: len(short)] and set(theirs[len(short) :]) <= {pad}
        labels = expected["labels"][row]
        ours = batch.labels[row]
        assert ours[ours != -100].tolist() == labels[labels != -100].tolist()


def test_pixels(batch, expected):
    """One picture's for every conversation about it."""
    shown = [number for number, conversations in enumerate(cases.CONVERSATIONS) for _ in conversations]
    for row, number in enumerate(shown):
        if batch.segmenter_frames[row] is not None:
            assert_equal(batch.segmenter_frames[row][0], expected["images"][number])


@torch.no_grad()
def test_losses(model, batch, expected, monkeypatch):
    """Over the published vocabulary: our model has a row for ``<image>`` and for each grounding token beside it."""
    logits, known = model.mllm.logits, len(cases.tokenizer())
    monkeypatch.setattr(model.mllm, "logits", lambda hidden: logits(hidden)[..., :known])
    losses = model(batch)
    for ours, theirs in (("text", "ce"), ("mask", "mask_bce"), ("dice", "mask_dice")):
        assert_equal(losses[f"loss_{ours}"], expected[f"{theirs}_loss"])
    total = sum(value for name, value in losses.items() if name.startswith("loss_"))
    assert_equal(total, expected["loss"])
    assert losses["count_mask"] == sum(len(cases.masks(number)) for number in (0, 1))


@torch.no_grad()
def test_mask_logits(model, batch, expected):
    hidden = model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
    found: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    shown = [number for number, conversations in enumerate(cases.CONVERSATIONS) for _ in conversations]
    for row, number in enumerate(shown):
        positions = batch.seg_positions[row]
        if not len(positions):
            continue
        (prompts,) = model.prompts([model.seg_states(hidden[row], positions)])
        places = torch.zeros(len(prompts), 1, dtype=torch.long)
        (objects,) = model.segment(model.encode_frames(batch.segmenter_frames[row]), [prompts], [places], [1])
        found[number].append(model.segmenter.without_padding(objects.mask_logits[:, 0], cases.SIZES[number]))
    for number, masks in found.items():
        assert_equal(torch.cat(masks), expected[f"masks.{number}"])


def request() -> Request:
    media = Media("image", cases.picture(1)[None])
    return Request((Turn("user", cases.QUESTION),), media, max_new_tokens=cases.NEW_TOKENS)


@torch.no_grad()
@pytest.mark.parametrize("planted", [False, True])
def test_answers(model, expected, planted):
    """The same ids, without their quadratic decoding, and the masks of every ``[SEG]`` among them."""
    seg = model.mllm.tokenizer.convert_tokens_to_ids("[SEG]")
    head = model.mllm.model.lm_head.weight
    before = head[seg].clone()
    try:
        if planted:
            head[seg] = expected["planted.row"]
        encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
        example = encoder.encode_request(request())
        given = collate([example], model.mllm.tokenizer.pad_token_id)
        answer = model.mllm.generate(given, cases.NEW_TOKENS, seg_state=model.seg_state)
        ids = expected["planted.ids" if planted else "plain.ids"].tolist()
        assert answer.ids[0].tolist() == [token for token in ids if token != 2]
        if planted:
            assert ids.count(seg) == len(answer.seg_hidden[0]) == len(expected["planted.masks"])
            (segment, *others) = Session(model, encoder).ask(request()).segments
            masks = torch.from_numpy(segment.masks[0])
            assert (masks != (expected["planted.masks"][0] > 0)).float().mean() < 1e-3
            assert len(others) == ids.count(seg) - 1
    finally:
        head[seg] = before


@pytest.mark.parametrize("layout", ["published", "ours"])
def test_written_and_read_again(model, folder, tmp_path, layout):
    if layout == "published":
        save_lisa(model, tmp_path / "again", vision_tower="openai/clip-small")
        written = load_file(tmp_path / "again" / "model.safetensors")
        for name, tensor in cases.published_weights().items():
            ours = written.pop(name)
            assert torch.equal(ours[: len(tensor)], tensor), name  # a few rows more for tokens of ours
        assert not written
        again = load_grounded(tmp_path / "again", vision_tower=folder.parent / "clip-small")
    else:
        save_grounded(model, tmp_path / "again")
        again = load_grounded(tmp_path / "again")
    assert again.seg_state == "before" and again.mllm.settings == model.mllm.settings
    state = model.state_dict()
    assert again.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


def test_only_a_lisa_is_written_as_one(model, tmp_path):
    with pytest.raises(UserError, match="for LLaVA with SAM, not for LLaVA with SAM2Segmenter"):
        save_lisa(GroundedMLLM(LLaVA.tiny(), SAM2Segmenter.tiny(), seg_state="before"), tmp_path / "x")
    with pytest.raises(UserError, match=r"the state before \[SEG\]"):
        save_lisa(GroundedMLLM(LLaVA.tiny(), SAMSegmenter.tiny()), tmp_path / "x")


def test_pictures_only(model):
    session = Session(model)
    video = Media("video", np.zeros((3, 20, 30, 3), dtype=np.uint8), (0, 1, 2), "clip.mp4")
    with pytest.raises(UserError, match=r"clip\.mp4: 3 frames, but this model's segmenter has no memory"):
        session.ask(Request((Turn("user", "where?"),), video))
    with pytest.raises(UserError, match='procedure "sa2va" is for SAM 2, and this model has a SAMSegmenter'):
        Session(model, procedure="sa2va")


def test_weights_must_be_all_there(folder, tmp_path):
    weights = cases.published_weights()
    for name, message in (
        ("model.text_hidden_fcs.0.2.bias", r"model\.text_hidden_fcs\.0\.2\.bias is missing"),
        ("model.visual_model.mask_decoder.iou_token.weight", r"1 tensors of the model are missing.*iou_token"),
        ("model.layers.1.mlp.up_proj.weight", r"1 tensors of the model are missing.*up_proj"),
    ):
        (tmp_path / name).mkdir()
        for file in folder.iterdir():
            if file.name != "pytorch_model.bin":
                (tmp_path / name / file.name).write_bytes(file.read_bytes())
        kept = {key: value.contiguous() for key, value in weights.items() if key != name}
        save_file(kept, tmp_path / name / "model.safetensors")
        with pytest.raises(UserError, match=message):
            load_grounded(tmp_path / name, vision_tower=folder.parent / "clip-small")
    with pytest.raises(UserError, match="its vision tower openai/clip-small isn't here"):
        load_grounded(tmp_path / name)

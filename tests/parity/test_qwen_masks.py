"""Masks equal to those of the published Sa2VA over Qwen2.5-VL and Qwen3-VL: in training, of a picture, of a video.

``make_qwen_masks.py`` says how they were made; language models, weights and pictures are those of ``test_qwen_vl.py``.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Sam2VideoModel

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.inference.session import Session
from word2mask.inference.tracking import ObjectFinder
from word2mask.mllms import qwen_vl
from word2mask.mllms.qwen_processor import (
    CONTEXT,
    PUBLISHED_INFERENCE,
    VIDEO_CONTEXT,
    VISION_END,
    VISION_START,
    QwenVLSettings,
)
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.projector import Projector
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.sam2_keys import from_meta
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.special_tokens import SEG
from word2mask.types import Batch, Media, Request, Sample, Turn

HERE = Path(__file__).resolve().parent
#: Largest difference allowed, as a share of the tensor's largest value.
TOLERANCE = 1e-4


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


published = _load(HERE.parents[1] / "benchmarks" / "published_sa2va.py")
equal = _load(HERE.parents[1] / "benchmarks" / "equal_weights.py")
made = _load(HERE / "make_qwen_vl.py")
masks = _load(HERE / "make_qwen_masks.py")
EXPECTED = load_file(HERE / "qwen_masks.safetensors")


def build(family: str, **settings: object) -> GroundedMLLM:
    """Ours with the weights of the reference."""
    cls = getattr(qwen_vl, family)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([VISION_START, VISION_END, CONTEXT, VIDEO_CONTEXT], special_tokens=True)
    settings = QwenVLSettings(**(cls.defaults | cls.published | settings))
    mllm = cls.from_scratch(tokenizer, patch=made.PATCH[family], settings=settings, **made.GEOMETRY)
    mllm.with_grounding_tokens().eval()
    made.fill(mllm.model, tokenizer.convert_tokens_to_ids(SEG), family)
    shapes = json.loads((HERE / "sa2va" / "shapes.json").read_text())
    shapes = {name: shape for name, shape in shapes.items() if name.startswith(equal.SEGMENTER)}
    meta = {name.removeprefix(equal.SEGMENTER): tensor for name, tensor in published.seeded_state(shapes).items()}
    segmenter = Sam2VideoModel(equal.segmenter_config(masks.GEOMETRY))
    segmenter.load_state_dict(from_meta(meta))
    projector = Projector(mllm.hidden_size, masks.GEOMETRY.width)
    state = {name: tuple(value.shape) for name, value in projector.layers.state_dict().items()}
    projector.layers.load_state_dict(
        {name: published.seeded_tensor(equal.PROJECTOR + name, shape) for name, shape in state.items()}
    )
    return GroundedMLLM(mllm, SAM2Segmenter(segmenter), projector).eval()


@pytest.fixture(scope="module", params=made.FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def expected(family: str) -> dict[str, torch.Tensor]:
    """What the published code computed."""
    return {key.removeprefix(f"{family}."): value for key, value in EXPECTED.items() if key.startswith(f"{family}.")}


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference as a share of the largest value, after checking the shape."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def training_batch(model: GroundedMLLM) -> Batch:
    """A picture with two objects and a video with one."""
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
    examples = []
    for kind, pairs, frames in (
        ("image", made.ON_PICTURE, made.frames(made.PICTURE, 1)),
        ("video", made.ON_VIDEO, made.frames(made.FRAME, made.NUM_FRAMES)),
    ):
        turns = tuple(turn for asked, told in pairs for turn in (Turn("user", asked), Turn("assistant", told)))
        truth = np.zeros((sum(told.count(SEG) for _, told in pairs), *frames.shape[:3]), dtype=bool)
        examples.append(
            encoder(Sample("parity", kind, "refer", turns, Media(kind, frames, tuple(range(len(frames)))), truth))
        )
    return collate(examples, model.mllm.tokenizer.pad_token_id)


def test_training(family: str, expected: dict[str, torch.Tensor]) -> None:
    """Prompts and mask logits of a batch of both, every object on every frame."""
    model = build(family)
    batch = training_batch(model)
    with torch.no_grad():
        hidden = model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
        prompts = model.prompts([hidden[row, places] for row, places in enumerate(batch.seg_positions)])
        features = model.encode_frames(torch.cat(batch.segmenter_frames))
        counts = [len(frames) for frames in batch.segmenter_frames]
        everything = [torch.arange(n).expand(len(p), -1) for n, p in zip(counts, prompts, strict=True)]
        objects = model.segment(features, prompts, everything, counts)
    step = masks.TRAINED_STEP
    for kind, prompt, found in zip(("picture", "video"), prompts, objects, strict=True):
        assert difference(prompt[:, 0], expected[f"trained.{kind}.prompts"]) <= TOLERANCE
        logits = found.mask_logits.transpose(0, 1)[:, :, ::step, ::step]
        assert difference(logits, expected[f"trained.{kind}.logits"]) <= TOLERANCE


@pytest.mark.parametrize("kind", masks.ASKED)
def test_answer(family: str, expected: dict[str, torch.Tensor], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer, prompts and mask logits of ``predict_forward`` for the first two ``[SEG]``, and the masks' sizes."""
    options = dict(PUBLISHED_INFERENCE)
    if family == "Qwen3VL":
        del options["template"]
    model = build(family, **options)
    session = Session(model, key_frame_choice="first", procedure="sa2va")
    seen: dict[str, torch.Tensor] = {}
    followed: list[torch.Tensor] = []

    def prompts(states: list[torch.Tensor]) -> list[torch.Tensor]:
        found = GroundedMLLM.prompts(model, [states[0][: masks.KEPT]])[0]
        seen["prompts"] = found[:, 0]
        return [torch.cat([found, found[:1].expand(len(states[0]) - len(found), -1, -1)])]

    enlarge = ObjectFinder.at_original_size

    def at_original_size(finder: ObjectFinder, logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        followed.append(model.segmenter.enlarge(logits)[: masks.KEPT])
        return enlarge(finder, logits, size)

    monkeypatch.setattr(model, "prompts", prompts)
    monkeypatch.setattr(ObjectFinder, "at_original_size", at_original_size)
    frames = masks.shown_frames(kind)
    media = Media("image" if kind == "picture" else "video", frames, tuple(range(len(frames))))
    asked = Request((Turn("user", masks.ASKED[kind]),), media, max_new_tokens=made.NEW_TOKENS)
    result = session.ask(asked)
    answer = expected[f"asked.{kind}.answer"].tolist()
    stops = [model.mllm.tokenizer.convert_tokens_to_ids(token) for token in model.mllm.template.stop]
    told = model.mllm.tokenizer.decode(answer[:-1] if answer[-1] in stops else answer, skip_special_tokens=False)
    assert result.raw_text == told
    assert difference(seen["prompts"], expected[f"asked.{kind}.prompts"]) <= TOLERANCE
    step = masks.ANSWERED_STEP
    logits = torch.stack(followed, dim=1)[:, :, ::step, ::step]
    assert difference(logits, expected[f"asked.{kind}.logits"]) <= TOLERANCE
    pixels = frames.shape[1] * frames.shape[2]
    for segment, theirs in zip(result.segments, expected[f"asked.{kind}.sizes"].tolist(), strict=False):
        sizes = segment.masks.sum((1, 2))
        assert np.abs(sizes - theirs).max() <= TOLERANCE * pixels

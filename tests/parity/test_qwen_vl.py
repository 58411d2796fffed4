"""Equal to the published Sa2VA over Qwen2.5-VL and Qwen3-VL; ``make_qwen_vl.py`` says at which commit and how.

The published inference prompts otherwise than the published training (a system prompt for Qwen2.5-VL, nothing between
frames, frames as large as pictures); ``PUBLISHED_INFERENCE`` reproduces that, and our own serving is as our training.
Over Qwen3-VL the published states are those before the final norm: ``normed_states=False``.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms import qwen_vl
from word2mask.mllms.qwen_processor import (
    CONTEXT,
    PUBLISHED_INFERENCE,
    VIDEO_CONTEXT,
    VISION_END,
    VISION_START,
    QwenVLSettings,
)
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.special_tokens import IGNORE_INDEX, SEG
from word2mask.types import Media, Request, Sample, Turn

FOLDER = Path(__file__).parent
spec = importlib.util.spec_from_file_location("make_qwen_vl", FOLDER / "make_qwen_vl.py")
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
EXPECTED = load_file(FOLDER / "qwen_vl.safetensors")


@pytest.fixture(scope="module", params=made.FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def expected(family) -> dict[str, torch.Tensor]:
    found = {key.removeprefix(f"{family}."): value for key, value in EXPECTED.items() if key.startswith(f"{family}.")}
    return {key: value.long() if value.dtype == torch.int16 else value for key, value in found.items()}


def build(family: str, **settings) -> qwen_vl.QwenVL:
    cls = getattr(qwen_vl, family)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([VISION_START, VISION_END, CONTEXT, VIDEO_CONTEXT], special_tokens=True)
    settings = QwenVLSettings(**(cls.defaults | cls.published | settings))
    model = cls.from_scratch(tokenizer, patch=made.PATCH[family], settings=settings, **made.GEOMETRY)
    model.with_grounding_tokens().eval()
    made.fill(model.model, tokenizer.convert_tokens_to_ids(SEG), family)
    return model


@pytest.fixture(scope="module")
def model(family) -> qwen_vl.QwenVL:
    return build(family)


def shown(kind: str, count: int = made.NUM_FRAMES) -> Media | None:
    if kind == "chat":
        return None
    if kind == "picture":
        return Media("image", made.frames(made.PICTURE, 2 if count == 2 else 1)[:1])
    return Media("video", made.frames(made.FRAME, count), tuple(range(count)))


CONVERSATIONS = {"chat": made.CHAT, "picture": made.ON_PICTURE, "video": made.ON_VIDEO}


def encoded(model: qwen_vl.QwenVL, kind: str):
    """As training encodes it; what the masks show is beside the point here."""
    pairs = CONVERSATIONS[kind]
    turns = [turn for asked, told in pairs for turn in (Turn("user", asked), Turn("assistant", told))]
    media, masks = shown(kind), None
    if media is not None:
        masks = np.zeros((sum(told.count(SEG) for _, told in pairs), *media.frames.shape[:3]), bool)
    return Encoder(model.processor, None, model.max_length)(Sample("parity", kind, "chat", tuple(turns), media, masks))


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Within 1e-4 of the tensor's scale."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_training_ids(model, expected, kind):
    example = encoded(model, kind)
    ids, labels = expected[f"{kind}.ids"].tolist(), expected[f"{kind}.labels"].tolist()
    # The published conversation ends with a separator, which no loss and no state depends on; ours doesn't.
    assert ids.pop() == model.tokenizer.encode("\n")[0] and labels.pop() == IGNORE_INDEX
    assert example.input_ids.tolist() == ids and example.labels.tolist() == labels
    assert sum(label != IGNORE_INDEX for label in labels) > 10


def test_pixels(model, expected):
    pixels = encoded(model, "picture").mllm_media["pixel_values"]
    close(pixels[::97, ::59], expected["pixels"])


def test_states_and_text_loss(model, expected):
    batch = collate([encoded(model, "picture"), encoded(model, "video")], model.tokenizer.pad_token_id)
    with torch.no_grad():
        hidden = model(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden
        here = batch.labels[:, 1:] != IGNORE_INDEX
        loss = GroundingLoss().text(model.logits(hidden[:, :-1][here]), batch.labels[:, 1:][here], batch.names)
    for row, kind in enumerate(("picture", "video")):
        own = hidden[row, : int(batch.attention_mask[row].sum())]
        step = max(1, len(expected[f"{kind}.ids"]) // 24)
        close(own[::step], expected[f"{kind}.hidden"])
        close(own[batch.seg_positions[row]], expected[f"{kind}.seg"])
        assert len(expected[f"{kind}.seg"])
    close(loss["loss_text"][None], expected["loss"])


@pytest.mark.parametrize("kind", ["picture", "video"])
def test_published_inference(family, expected, kind):
    """Prompt, greedy answer and the states of its ``[SEG]``, with the published way of prompting by its name."""
    options = dict(PUBLISHED_INFERENCE)
    if family == "Qwen3VL":
        del options["template"]
    model = build(family, **options)
    encoder = Encoder(model.processor, None, model.max_length)
    example = encoder.encode_request(Request((Turn("user", made.ASKED),), shown(kind, 2)))
    assert example.input_ids.tolist() == expected[f"asked.{kind}.ids"].tolist()
    answer = model.generate(collate([example], model.tokenizer.pad_token_id), made.NEW_TOKENS)
    published = expected[f"asked.{kind}.answer"].tolist()
    stops = [model.tokenizer.convert_tokens_to_ids(token) for token in model.template.stop]
    assert answer.ids[0].tolist() == (published[:-1] if published[-1] in stops else published)
    # Of a [SEG] that is the last token allowed, the published code computes no state.
    states = expected[f"asked.{kind}.seg"]
    close(answer.seg_hidden[0][: len(states)], states)
    assert len(answer.seg_hidden[0]) - len(states) == (published[-1] == model.tokenizer.convert_tokens_to_ids(SEG))

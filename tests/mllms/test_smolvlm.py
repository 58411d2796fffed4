"""SmolVLM: pictures, prompts and states against transformers' own processor and forward pass; both its versions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from word2mask.errors import UserError
from word2mask.mllms.smolvlm import SmolVLM
from word2mask.mllms.smolvlm_processor import CONTEXT, MARK, WHOLE
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.conversation import encode_conversation
from word2mask.types import Media, Turn

#: Height and width: square, wide, tall, of odd sides, larger than everything, of two pixels' height.
SIZES = [(32, 32), (48, 80), (80, 48), (31, 57), (200, 90), (20, 21), (2, 90), (64, 64)]


@pytest.fixture(scope="module")
def model() -> SmolVLM:
    return SmolVLM.tiny()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)


# ---------------------------------------------------------------------- pictures


@pytest.mark.parametrize("edge", [32, 64, 90])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_equal_transformers(model, size, edge):
    theirs = SmolVLMImageProcessorPil(size={"longest_edge": edge}, max_image_size={"longest_edge": 32})
    frame = picture(*size)
    found = theirs(Image.fromarray(frame), return_tensors="pt", return_row_col_info=True)
    ours = SmolVLM.assemble(model.model, model.tokenizer, {"longest_edge": edge}).processor
    prepared = ours.prepare_media(Media("image", frame[None]))
    assert ours.tile_grid(*size) == (found["rows"][0][0], found["cols"][0][0])
    torch.testing.assert_close(prepared.tensors["pixel_values"], found["pixel_values"][0], atol=1e-6, rtol=0)
    assert int(prepared.tensors["region_tile"]) == len(found["pixel_values"][0]) - 1
    assert ours.media_token_count(Media("image", frame[None])) == prepared.placeholder.count(CONTEXT)


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_pictures_that_are_not_cut(model, size):
    theirs = SmolVLMImageProcessorPil(
        size={"longest_edge": 48}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    frames = np.stack([picture(*size), picture(*size)[::-1]])
    expected = theirs([Image.fromarray(frame) for frame in frames], return_tensors="pt")["pixel_values"]
    ours = SmolVLM.assemble(model.model, model.tokenizer, {"frame_edge": 48}).processor
    prepared = ours.prepare_media(Media("video", frames, (0, 1)))
    torch.testing.assert_close(prepared.tensors["pixel_values"], expected.reshape(2, 3, 32, 32), atol=1e-6, rtol=0)
    assert prepared.placeholder == "\n".join([MARK + WHOLE + CONTEXT * 16 + MARK] * 2)
    assert ours.media_token_count(Media("video", frames, (0, 1))) == 32


# ------------------------------------------------------------------------ prompts


@pytest.fixture(scope="module")
def merging() -> object:
    """A tokenizer with merges, so that a space in the wrong place shows."""
    tokenizer = byte_tokenizer(["User: what is it\nAssistant: it is a red circle User Assistant"] * 3, 400)
    places = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    tokenizer.add_tokens([MARK, CONTEXT, WHOLE, *places, "<end_of_utterance>"], special_tokens=True)
    return tokenizer


@pytest.mark.parametrize("size", [None, (32, 32), (48, 80), (64, 64)])
def test_ids_equal_the_processors(model, merging, size):
    """Of a whole conversation, and of its question alone; transformers' two processors share prompts and template."""
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    theirs = Idefics3Processor(images, merging, image_seq_len=16, chat_template=DEFAULT_CHAT_TEMPLATE)
    content = [{"type": "text", "text": "what is it"}]
    if size:
        content.insert(0, {"type": "image"})
    said = [{"type": "text", "text": "it is a red circle"}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "text", "text": "is it red"}]},
    ]
    ours = SmolVLM.assemble(model.model, merging, {"longest_edge": 64}).processor
    media = "" if size is None else ours.prepare_media(Media("image", picture(*size)[None])).placeholder
    turns = [Turn("user", "what is it"), Turn("assistant", "it is a red circle"), Turn("user", "is it red")]
    for count in (1, 3):
        text = theirs.apply_chat_template(messages[:count], add_generation_prompt=True)
        pictures = None if size is None else [Image.fromarray(picture(*size))]
        expected = theirs(text=text, images=pictures, add_special_tokens=False)["input_ids"][0]
        encoded = encode_conversation(turns[:count], merging, ours.template, media)
        assert merging.decode(encoded.input_ids) == merging.decode(expected)
        assert encoded.input_ids.tolist() == list(expected)


# ------------------------------------------------------------------------- states


@torch.no_grad()
def test_states_equal_transformers(model):
    prepared = model.processor.prepare_media(Media("image", picture(48, 30)[None]))
    assert len(prepared.tensors["pixel_values"]) == 5
    ids = torch.tensor([model.tokenizer.encode("ab" + prepared.placeholder + "\nwhat is it")])
    mask = torch.ones_like(ids)
    expected = model.model(
        input_ids=ids,
        pixel_values=prepared.tensors["pixel_values"][None],
        attention_mask=mask,
        output_hidden_states=True,
    )
    ours = model(ids, mask, prepared.tensors).hidden
    torch.testing.assert_close(ours, expected.hidden_states[-1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.logits(ours), expected.logits, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------- folders


def published(model: SmolVLM, folder, **changes) -> None:
    """The folder as the hub has it: transformers' files and a picture processor's, none of ours."""
    model.save_pretrained(folder)
    (folder / "mllm_settings.json").unlink()
    settings = {
        "do_image_splitting": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": 32},
        "size": {"longest_edge": 128},
        "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 48}},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | changes))


def test_a_published_folder_says_how_pictures_are_cut(model, tmp_path):
    published(model, tmp_path)
    settings = SmolVLM.from_pretrained(tmp_path).settings
    assert (settings.longest_edge, settings.frame_edge, settings.image_mean) == (128, 48, (0.5, 0.5, 0.5))
    assert SmolVLM.from_pretrained(tmp_path, longest_edge=64, max_length=99).settings.longest_edge == 64
    published(model, tmp_path, do_image_splitting=False, video_sampling={})
    settings = SmolVLM.from_pretrained(tmp_path).settings
    assert (settings.longest_edge, settings.frame_edge) == (32, 32)
    published(model, tmp_path, max_image_size={"longest_edge": 364})
    with pytest.raises(UserError, match="max_image_size is 364, but the model of this folder reads tiles of 32"):
        SmolVLM.from_pretrained(tmp_path)


@torch.no_grad()
def test_the_first_version_calls_itself_idefics3(model, tmp_path):
    config = model.model.config.to_dict()
    vision = {key: value for key, value in config["vision_config"].items() if key != "model_type"}
    names = ("image_token_id", "scale_factor", "tie_word_embeddings", "text_config")
    former = Idefics3ForConditionalGeneration(
        Idefics3Config(vision_config=vision, **{name: config[name] for name in names})
    ).eval()
    former.load_state_dict(model.model.state_dict())
    former.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    again = SmolVLM.from_pretrained(tmp_path, longest_edge=64)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "idefics3"
    prepared = model.processor.prepare_media(Media("image", picture(48, 30)[None]))
    ids = torch.tensor([model.tokenizer.encode(prepared.placeholder + "what is it")])
    mask = torch.ones_like(ids)
    expected = former(input_ids=ids, attention_mask=mask, pixel_values=prepared.tensors["pixel_values"][None]).logits
    torch.testing.assert_close(again.logits(again(ids, mask, prepared.tensors).hidden), expected, atol=1e-5, rtol=1e-5)


def test_settings_are_checked(model):
    with pytest.raises(UserError, match="longest_edge must lie in 1…4096 pixels, got 5000"):
        SmolVLM.assemble(model.model, model.tokenizer, {"longest_edge": 5000})
    with pytest.raises(UserError, match="the tokenizer lacks <fake_token_around_image>, <image>"):
        SmolVLM.assemble(model.model, byte_tokenizer(), {})

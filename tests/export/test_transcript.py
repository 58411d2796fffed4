"""Conversations in a chat template, back to turns."""

import pytest

from word2mask.errors import UserError
from word2mask.export.transcript import parse_transcript
from word2mask.text.templates import CHAT_TEMPLATES, chat_template
from word2mask.types import Turn


@pytest.mark.parametrize("name", sorted(CHAT_TEMPLATES))
def test_round_trip(name):
    template = chat_template(name)
    turns = (Turn("user", "Where?"), Turn("assistant", "[SEG]."), Turn("user", "And\nnow?"), Turn("assistant", "Here."))
    text = ""
    for turn in turns:
        if turn.role == "user":
            text += (template.user_prefix if text else template.opening) + turn.text + template.user_suffix
        else:
            text += template.assistant_prefix + turn.text + template.assistant_suffix + template.separator
    assert parse_transcript(text, template) == turns


@pytest.mark.parametrize(
    "media",
    [
        "<image>\n",
        "<img><IMG_CONTEXT></img>\n<img></img>\n",
        "<|vision_start|><|image_pad|><|vision_end|>\n<|vision_start|><|image_pad|><|vision_end|>\n",
        "<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|image_pad|><|vision_end|>",
    ],
)
def test_media_placeholders_are_dropped(media):
    past = f"<|im_start|>user\n{media}Who?<|im_end|>\n<|im_start|>assistant\nMe.<|im_end|>"
    assert parse_transcript(past, chat_template("qwen_chat"))[0].text == "Who?"


def test_nothing_and_nonsense():
    assert parse_transcript("", chat_template("qwen_chat")) == ()
    with pytest.raises(UserError, match="isn't written in the chat template qwen_chat"):
        parse_transcript("Hello", chat_template("qwen_chat"))

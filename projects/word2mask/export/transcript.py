"""A conversation written in a chat template, back to its turns."""

from __future__ import annotations

import re

from word2mask.errors import UserError
from word2mask.text.templates import ChatTemplate
from word2mask.types import Turn

__all__ = ["parse_transcript"]

#: Media as the MLLM families write them, at the start of a question.
_MEDIA = re.compile(
    r"^(?:<image>|(?:(?:<img>.*?</img>|<\|vision_start\|>.*?<\|vision_end\|>)\n?)+)\n?", flags=re.DOTALL
)


def parse_transcript(text: str, template: ChatTemplate) -> tuple[Turn, ...]:
    """The turns of a conversation as the published models return and accept it (``past_text``).

    Args:
        text: whole question-answer pairs in the template; may be empty. An ``<image>`` or the media's own tokens
            (``<img>…</img>``, ``<|vision_start|>…<|vision_end|>``) before the first question are dropped, because the
            media's place is known.
        template: the model's own.

    Raises:
        UserError: the text isn't made of such pairs.

    >>> from word2mask.text.templates import chat_template
    >>> past = "<|im_start|>user\\n<image>Where?<|im_end|>\\n<|im_start|>assistant\\nThere.<|im_end|>"
    >>> [turn.text for turn in parse_transcript(past, chat_template("qwen_chat"))]
    ['Where?', 'There.']
    """
    parts = (template.user_prefix, template.user_suffix + template.assistant_prefix, template.assistant_suffix)
    before, between, after = map(re.escape, parts)
    separator = template.separator.strip()
    rest = text.strip().removesuffix(separator)
    if rest.startswith(template.opening):
        rest = template.user_prefix + rest.removeprefix(template.opening)
    pair = re.compile(rf"\s*(?:{re.escape(separator)})?\s*{before}(.*?){between}(.*?)(?:{after}|$)", re.DOTALL)
    turns: list[Turn] = []
    position = 0
    while position < len(rest):
        match = pair.match(rest, position)
        if match is None:
            raise UserError(
                f"past_text isn't written in the chat template {template.name}: "
                f"expected {template.user_prefix!r} at {rest[position : position + 40]!r}"
            )
        question = _MEDIA.sub("", match.group(1))
        turns += [Turn("user", question), Turn("assistant", match.group(2))]
        position = match.end()
    return tuple(turns)

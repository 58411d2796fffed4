"""Chat templates: the strings around each turn, and nothing else.

They follow the published recipes (no system prompt by default; the answer's suffix takes loss, the separator does not),
so that a published checkpoint sees at serving exactly what it saw in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from word2mask.errors import UserError


@dataclass(frozen=True)
class ChatTemplate:
    """The strings around a conversation's turns.

    Attributes:
        name: key in :data:`CHAT_TEMPLATES`.
        system: the system message with its markers, once at the start; empty for none.
        user_prefix: before a user's text.
        user_suffix: after a user's text.
        assistant_prefix: before an answer; no loss.
        assistant_suffix: after an answer; takes loss, so that the model learns to stop.
        separator: between an answer and the next user's turn; no loss.
        stop: strings that end an answer at generation.
        bos: where the tokenizer's BOS token goes, if it has one: before the first turn or nowhere.
        first_user_prefix: before the first user's text, where that differs; ``None`` for ``user_prefix``.
        media_prefix: before the media that stand before the first user's text, where that differs; ``None`` for
            :attr:`opening`.
        media_suffix: between the media and the first user's text.
        answer_prefix: before an answer; takes loss, where models of the family begin their answers so.
    """

    name: str
    system: str
    user_prefix: str
    user_suffix: str
    assistant_prefix: str
    assistant_suffix: str
    separator: str
    stop: tuple[str, ...]
    bos: Literal["first", "none"] = "first"
    first_user_prefix: str | None = None
    media_prefix: str | None = None
    media_suffix: str = "\n"
    answer_prefix: str = ""

    @property
    def opening(self) -> str:
        """Everything before the first user's text."""
        return self.system + (self.user_prefix if self.first_user_prefix is None else self.first_user_prefix)

    def beginning(self, media: str) -> str:
        """Everything before the first user's text, media included.

        Args:
            media: their placeholder, and what is said about regions; empty without media.
        """
        if not media:
            return self.opening
        return (self.opening if self.media_prefix is None else self.media_prefix) + media


_CHATML: dict[str, Any] = {
    "system": "",
    "user_prefix": "<|im_start|>user\n",
    "user_suffix": "<|im_end|>\n",
    "assistant_prefix": "<|im_start|>assistant\n",
    "assistant_suffix": "<|im_end|>",
    "separator": "\n",
}

#: Vicuna's, which LLaVA-1.5 has, and LLaVA-1's and LISA's, which speaks of a human.
_VICUNA = (
    "A chat between a curious {} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {}'s questions. "
)

_ROLES: dict[str, Any] = {
    "user_prefix": "USER: ",
    "user_suffix": " ",
    "assistant_prefix": "ASSISTANT:",
    "assistant_suffix": "</s>",
    "separator": "",
    "stop": ("</s>",),
}

CHAT_TEMPLATES: dict[str, ChatTemplate] = {
    template.name: template
    for template in (
        ChatTemplate(name="qwen_chat", stop=("<|im_end|>", "<|endoftext|>"), **_CHATML),
        # SmolLM2's BOS token is its "<|im_start|>", which stands there already; without its system prompt.
        ChatTemplate(name="smollm2_chat", stop=("<|im_end|>", "<|endoftext|>"), bos="none", **_CHATML),
        # As the published inference prompts Qwen2.5-VL, whose own template has a system prompt; training has none.
        ChatTemplate(
            name="qwen_assistant",
            stop=("<|im_end|>", "<|endoftext|>"),
            **(_CHATML | {"system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"}),
        ),
        ChatTemplate(name="internlm2_chat", stop=("<|im_end|>",), **_CHATML),
        ChatTemplate(
            name="phi3_chat",
            system="",
            user_prefix="<|user|>\n",
            user_suffix="<|end|>\n",
            assistant_prefix="<|assistant|>\n",
            assistant_suffix="<|end|>",
            separator="\n",
            stop=("<|end|>",),
        ),
        # No space after "ASSISTANT:": the tokenizers of this family begin an answer with one.
        ChatTemplate(name="vicuna_v1", system=_VICUNA.format("user", "user"), **_ROLES),
        ChatTemplate(name="llava_v1", system=_VICUNA.format("human", "human"), **_ROLES),
        # Llama 2's, whose system message is inside of the first instruction.
        ChatTemplate(
            name="llava_llama_2",
            system=(
                "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the "
                "visual content that the user provides, and assist the user with a variety of tasks using natural "
                "language.\n<</SYS>>\n\n"
            ),
            first_user_prefix="",
            user_prefix="[INST] ",
            user_suffix=" [/INST]",
            assistant_prefix="",
            assistant_suffix=" </s>",
            separator="<s>",
            stop=("</s>",),
        ),
        # SmolVLM's and Idefics3's: no space between "User:" and a picture, none between a picture and the text after
        # it, and one before each text else.
        ChatTemplate(
            name="smolvlm_chat",
            system="<|im_start|>",
            user_prefix="User: ",
            media_prefix="<|im_start|>User:",
            media_suffix="",
            user_suffix="<end_of_utterance>\n",
            assistant_prefix="Assistant:",
            answer_prefix=" ",
            assistant_suffix="<end_of_utterance>",
            separator="\n",
            stop=("<end_of_utterance>",),
            bos="none",
        ),
    )
}


def chat_template(name: str) -> ChatTemplate:
    """The template of that name.

    Raises:
        UserError: no such template; the message lists those there are.
    """
    if name not in CHAT_TEMPLATES:
        raise UserError(f"chat template {name!r} is unknown; choose one of {', '.join(sorted(CHAT_TEMPLATES))}")
    return CHAT_TEMPLATES[name]

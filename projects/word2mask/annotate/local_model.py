"""A model in this process, through transformers, for machines without a service: one conversation after another.

Answers the same messages as :class:`~word2mask.annotate.client.ChatClient` does; pictures only where the model has an
image processor. Under ``structure = "schema"`` answers are held to their schema while they are written
(:mod:`word2mask.annotate.answer_grammar`).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from word2mask.annotate.answer_grammar import AnswerGrammar
from word2mask.annotate.client import Completion, Refused
from word2mask.annotate.limits import TokenBudget
from word2mask.annotate.settings import Endpoint
from word2mask.annotate.store import model_version
from word2mask.errors import UserError

__all__ = ["LocalModel"]

logger = logging.getLogger(__name__)


class LocalModel:
    """A folder of transformers' own format.

    Args:
        endpoint: its URL is ``local:FOLDER``.
        budget: of tokens.

    Raises:
        UserError: no such folder, or not a model that chats.
    """

    def __init__(self, endpoint: Endpoint, budget: TokenBudget) -> None:
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForImageTextToText,
            AutoProcessor,
            AutoTokenizer,
        )

        folder = Path(endpoint.url.removeprefix("local:"))
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder}: no config.json; give a folder that transformers wrote, as local:FOLDER")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._sees = hasattr(AutoConfig.from_pretrained(folder), "vision_config")
            kind = AutoModelForImageTextToText if self._sees else AutoModelForCausalLM
            self._processor: Any = (AutoProcessor if self._sees else AutoTokenizer).from_pretrained(folder)
            model: Any = kind.from_pretrained(folder, dtype="auto")
            self._model = model.to(device).eval()
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: not a model that transformers can chat with ({error})") from error
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        if not tokenizer.chat_template and not getattr(self._processor, "chat_template", None):
            raise UserError(f"{folder}: no chat template; take a model that was tuned for chat")
        ends = self._model.generation_config.eos_token_id
        ends = tokenizer.eos_token_id if ends is None else ends
        self._ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
        self._grammar = self._prepare(tokenizer, folder) if endpoint.structure == "schema" else None
        self._budget = budget
        self._turn = asyncio.Lock()
        self._name = endpoint.model or model_version(folder)

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> list[Any]:
        return [self._name, "none" if self._grammar is None else "schema"]

    def _prepare(self, tokenizer: Any, folder: Path) -> AnswerGrammar | None:
        """What holds answers to their schemas; nothing, and a warning, where that can't be done."""
        try:
            return AnswerGrammar(tokenizer, self._ends)
        except ImportError:
            reason = "llguidance isn't installed; pip install -e '.[annotate]'"
        except ValueError as error:
            reason = str(error)
        logger.warning(
            "%s: answers aren't held to their schema (%s): one that doesn't follow it is asked for once more, and then "
            "recorded as failed",
            folder,
            reason,
        )
        return None

    async def complete(
        self, messages: Sequence[dict[str, Any]], generation: dict[str, Any], schema: dict[str, Any] | None
    ) -> Completion:
        async with self._turn:
            self._budget.check()
            found = await asyncio.to_thread(self._generate, list(messages), generation, schema)
        self._budget.add(found.prompt_tokens, found.completion_tokens)
        return found

    async def close(self) -> None:
        """Nothing is open."""

    @torch.no_grad()
    def _generate(
        self, messages: list[dict[str, Any]], generation: dict[str, Any], schema: dict[str, Any] | None
    ) -> Completion:
        inputs = self._processor.apply_chat_template(
            [self._message(message) for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device)
        torch.manual_seed(generation["seed"])
        drawing = {"do_sample": True, "temperature": generation["temperature"]} if generation["temperature"] else {}
        held = {}
        if schema is not None and self._grammar is not None:
            held = {"logits_processor": [self._grammar.open(schema, generation["max_tokens"])]}
        output = self._model.generate(
            **inputs,
            max_new_tokens=generation["max_tokens"],
            num_beams=1,
            eos_token_id=self._ends or None,
            **(drawing or {"do_sample": False}),
            **held,
        )
        start = inputs["input_ids"].shape[1]
        text = self._processor.decode(output[0, start:], skip_special_tokens=True)
        return Completion(text, start, int(output.shape[1]) - start)

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        """From the protocol's form to transformers'."""
        content = message["content"]
        if isinstance(content, str):
            return message if not self._sees else {**message, "content": [{"type": "text", "text": content}]}
        if not self._sees:
            raise Refused(f"{self._name} doesn't see pictures; take it as the text model only")
        return {**message, "content": [_part(part) for part in content]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    encoded = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "pictures in messages are JPEG files of our own"
    return {"type": "image", "image": Image.fromarray(pixels[..., ::-1])}

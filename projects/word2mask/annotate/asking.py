"""One question of one stage: looked up, asked, read, asked again once if it can't be read, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from word2mask.annotate.answers import SCHEMAS, InvalidAnswer, read_answer
from word2mask.annotate.client import ChatModel, Refused, user_message
from word2mask.annotate.prompts import Prompt
from word2mask.annotate.records import Picture
from word2mask.annotate.store import Store, hash_of
from word2mask.errors import UserError

__all__ = ["ROLES", "Ask", "Asker", "Load", "StageFailed"]

#: Which model answers which prompt.
ROLES = {"caption_masked": "vision", "caption_crop": "vision", "compare": "text", "scene": "vision", "video": "vision"}

#: Gives pictures as ``data:`` URLs; called when an answer isn't known yet.
Load = Callable[[Sequence[Picture]], Awaitable[list[str]]]

#: So many refusals in a row, and none answered between them, are no matter of single requests any more.
REFUSALS_IN_A_ROW = 20


class StageFailed(Exception):
    """There is no answer for this object.

    Args:
        reason: a few words that can be counted.
        detail: the error's own words.
        is_final: whether asking again would change nothing.
    """

    def __init__(self, reason: str, detail: str, is_final: bool) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.is_final = reason, detail, is_final


class Asker:
    """Asks for all objects of a run.

    Args:
        models: ``"vision"`` and ``"text"``.
        prompts: by name.
        store: of answers.
        generation: ``max_tokens``, ``temperature``, ``seed``.
    """

    def __init__(
        self,
        models: Mapping[str, ChatModel],
        prompts: Mapping[str, Prompt],
        store: Store,
        generation: dict[str, Any],
    ) -> None:
        self.models = models
        self.prompts = prompts
        self.store = store
        self.generation = generation
        self.asked = self.found = 0
        self._refusals = 0
        self._running: dict[str, asyncio.Lock] = {}

    def key(self, name: str, pictures: Sequence[Picture], values: Mapping[str, str]) -> str:
        """The hash of all that the answer depends on."""
        return hash_of(
            {
                "stage": name,
                "prompts": [self.prompts[name].version, self.prompts["repair"].version],
                "schema": SCHEMAS[name],
                "model": self.models[ROLES[name]].identity,
                "generation": self.generation,
                "pictures": [picture.key for picture in pictures],
                "values": dict(values),
            }
        )

    async def ask(
        self, name: str, pictures: Sequence[Picture], values: Mapping[str, str], load: Load
    ) -> tuple[str, dict[str, Any]]:
        """The key and what is kept of an answer: ``{answer, error, usage, repaired, texts}``.

        ``answer`` is ``None`` where it couldn't be read even when asked for again; ``texts`` is what the model wrote.
        ``usage`` counts prompt and answer tokens, and the bytes of pictures that were sent, of both questions.

        Args:
            name: of the prompt.
            pictures: to look at.
            values: of the prompt's placeholders.
            load: makes the pictures, if the answer isn't known.

        Raises:
            StageFailed: the service refuses.
            UserError: the run must stop.
        """
        key = self.key(name, pictures, values)
        # Two objects that look the same at the same time are one question.
        lock = self._running.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                kept = self.store.get(key)
                if kept is None:
                    kept = await self._converse(name, await load(pictures) if pictures else [], values)
                    self.store.put(key, kept)
                else:
                    self.found += 1
        finally:
            self._running.pop(key, None)
        return key, kept

    async def _converse(self, name: str, pictures: Sequence[str], values: Mapping[str, str]) -> dict[str, Any]:
        messages = [user_message(self.prompts[name].fill(**values), pictures)]
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "picture_bytes": 0}
        error = ""
        texts: list[str] = []
        for is_repair in (False, True):
            completion = await self._complete(name, messages)
            usage["prompt_tokens"] += completion.prompt_tokens
            usage["completion_tokens"] += completion.completion_tokens
            usage["picture_bytes"] += sum(map(len, pictures))
            texts.append(completion.text)
            try:
                answer = read_answer(name, completion.text)
                return {"answer": answer, "error": "", "usage": usage, "repaired": is_repair, "texts": texts}
            except InvalidAnswer as invalid:
                error = str(invalid)
            messages += [
                {"role": "assistant", "content": completion.text},
                user_message(self.prompts["repair"].fill(error=error)),
            ]
        return {"answer": None, "error": error, "usage": usage, "repaired": True, "texts": texts}

    async def _complete(self, name: str, messages: list[dict[str, Any]]) -> Any:
        try:
            completion = await self.models[ROLES[name]].complete(messages, self.generation, SCHEMAS[name])
        except Refused as refusal:
            self._refusals += 1
            if self._refusals >= REFUSALS_IN_A_ROW:
                raise UserError(
                    f"{self.models[ROLES[name]].name}: {self._refusals} requests refused one after another, the last "
                    f"with {refusal}; put right what it says, and run again"
                ) from refusal
            raise StageFailed(f"refused at {name}", str(refusal), is_final=False) from refusal
        self._refusals = 0
        self.asked += 1
        return completion


@dataclass
class Ask:
    """Asks for one object, and notes what it rests on.

    Attributes:
        asker: of the run.
        load: makes the pictures of the object's video.
        calls: key of each answer, by the prompt's name.
        usage: of each answer, likewise: tokens, pictures and their bytes, and whether it was asked for again.
    """

    asker: Asker
    load: Load
    calls: dict[str, str] = field(default_factory=dict)
    usage: dict[str, dict[str, int]] = field(default_factory=dict)

    async def __call__(self, name: str, pictures: Sequence[Picture] = (), **values: str) -> dict[str, Any]:
        """The answer to one prompt, as its schema says.

        Raises:
            StageFailed: there is none.
            UserError: the run must stop.
        """
        key, kept = await self.asker.ask(name, pictures, values, self.load)
        self.calls[name] = key
        self.usage[name] = {**kept["usage"], "pictures": len(pictures), "repaired": int(kept["repaired"])}
        if kept["answer"] is None:
            raise StageFailed(f"unreadable answer to {name}", kept["error"], is_final=True)
        return kept["answer"]

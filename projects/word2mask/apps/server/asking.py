"""From what was sent to a request for the session, and from its result to what is sent back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from word2mask.apps.server.limits import Limits
from word2mask.apps.server.material import Budget, Material, bytes_of_data_url, open_material
from word2mask.apps.server.problems import Problem
from word2mask.apps.server.uploads import Store, Upload
from word2mask.apps.server.wire import ChatRequest, FilePart, ImagePart, Message, PromptPart, SegmentRequest, TextPart
from word2mask.inference.formats import plain
from word2mask.inference.session import Session
from word2mask.ops.masks import decode_rle
from word2mask.types import Generation, Request, Result, Turn, VisualPrompt

__all__ = ["Question", "Reader", "extension_of", "was_cut"]

#: Chosen where a request doesn't say: what :class:`word2mask.types.Generation` does.
USUAL_TOKENS = Generation().max_new_tokens


@dataclass
class Question:
    """A request with what has to be put away after it.

    Attributes:
        request: for the session; without words where prompts alone say what is meant.
        material: the media, or ``None`` for text only.
    """

    request: Request
    material: Material | None

    def close(self) -> None:
        """Puts the media away."""
        if self.material is not None:
            self.material.close()


class Reader:
    """Reads requests; decodes media, so call it outside of the event loop.

    Args:
        store: of uploads.
        limits: of what is taken.
        budget: for decoded pictures.
    """

    def __init__(self, store: Store, limits: Limits, budget: Budget) -> None:
        self._store, self._limits, self._budget = store, limits, budget

    def chat(self, sent: ChatRequest) -> Question:
        """A conversation.

        Raises:
            Problem: it can't be understood, or is over a limit.
        """
        if len(sent.messages) > self._limits.turns:
            raise Problem(
                400, f"{len(sent.messages)} messages, at most {self._limits.turns}; leave the oldest out", "too_long"
            )
        turns, media = [], []
        for place, message in enumerate(sent.messages):
            text, found = _read(message, place)
            turns.append(Turn("assistant" if message.role == "assistant" else "user", text))
            media += found
        if len(set(media)) > 1:
            raise Problem(400, "several pictures or videos in one conversation; send one of them", "several_media")
        _check_order(turns)
        limit = sent.max_completion_tokens or sent.max_tokens
        return self._question(
            turns,
            media[0] if media else None,
            sent.word2mask.prompts if sent.word2mask else [],
            Generation(
                max_new_tokens=self._tokens(limit),
                do_sample=bool(sent.temperature),
                temperature=sent.temperature or 1.0,
                top_p=1.0 if sent.top_p is None else sent.top_p,
                top_k=sent.top_k or 0,
                seed=sent.seed,
            ),
        )

    def segment(self, sent: SegmentRequest, stored: Upload | None = None) -> Question:
        """Something to find.

        Args:
            sent: the request.
            stored: its media, where they came as a file of a form.

        Raises:
            Problem: it can't be understood, or is over a limit; ``stored`` is deleted then.
        """
        try:
            return self._segment(sent, stored)
        except BaseException:
            if stored is not None:
                self._store.remove(stored)
            raise

    def _segment(self, sent: SegmentRequest, stored: Upload | None) -> Question:
        if stored is None and (sent.media is None) == (sent.file_id is None):
            raise Problem(
                400, "give the picture or video as media (a data URL) or as file_id, one of the two", "no_media"
            )
        if not (sent.text or "").strip() and not sent.prompts:
            raise Problem(400, "nothing says what to find; give text or prompts", "no_question", "text")
        source = ("file", sent.file_id) if sent.file_id is not None else ("url", sent.media or "")
        if stored is not None:
            source = stored
        generation = Generation(max_new_tokens=self._tokens(sent.max_new_tokens))
        return self._question([Turn("user", sent.text or "")], source, sent.prompts, generation)

    def _question(
        self,
        turns: Sequence[Turn],
        source: tuple[str, str] | Upload | None,
        prompts: Sequence[PromptPart],
        generation: Generation,
    ) -> Question:
        characters = sum(len(turn.text) for turn in turns)
        if characters > self._limits.characters:
            raise Problem(
                400, f"{characters} characters, at most {self._limits.characters}; send less text", "too_long"
            )
        if len(prompts) > self._limits.prompts:
            raise Problem(
                400, f"{len(prompts)} prompts, at most {self._limits.prompts}; send fewer", "too_many_prompts"
            )
        if prompts and source is None:
            raise Problem(400, "prompts show regions of a picture or video, and there is none; send it", "no_media")
        material = None if source is None else self._open(source)
        try:
            media = None if material is None else material.media
            shown = () if material is None else tuple(_prompt(prompt, material) for prompt in prompts)
            request = Request(
                tuple(turns), media, max_new_tokens=generation.max_new_tokens, prompts=shown, generation=generation
            )
        except BaseException:
            if material is not None:
                material.close()
            raise
        return Question(request, material)

    def _open(self, source: tuple[str, str] | Upload) -> Material:
        if isinstance(source, Upload):
            upload = source
        elif source[0] == "file":
            upload = self._store.find(source[1])
        else:
            upload = self._store.add([bytes_of_data_url(source[1], self._limits)], is_listed=False)
        return open_material(upload, self._store, self._limits, self._budget)

    def _tokens(self, asked: int | None) -> int:
        if asked is not None and asked > self._limits.new_tokens:
            raise Problem(
                400,
                f"{asked} tokens asked for, at most {self._limits.new_tokens}; ask for fewer",
                "too_long",
                "max_tokens",
            )
        return asked or min(USUAL_TOKENS, self._limits.new_tokens)


def _read(message: Message, place: int) -> tuple[str, list[tuple[str, str]]]:
    """The words of a message, and its media as (``"url"`` or ``"file"``, which)."""
    where = f"messages.{place}"
    if message.role in ("system", "developer"):
        raise Problem(
            400, f"{where}: the model takes no {message.role} message; say it in the user's", "no_system", where
        )
    if message.role == "assistant" and message.word2mask and isinstance(message.word2mask.get("raw_text"), str):
        return message.word2mask["raw_text"], []
    if isinstance(message.content, str):
        return message.content, []
    words, media = [], []
    for part in message.content or []:
        if isinstance(part, TextPart):
            words.append(part.text)
            continue
        if message.role == "assistant":
            raise Problem(400, f"{where}: an assistant sends text only", "bad_message", where)
        if isinstance(part, FilePart):
            if (part.file.file_id is None) == (part.file.file_data is None):
                raise Problem(400, f"{where}: a file is given by file_id or by file_data", "bad_message", where)
            media.append(("file", part.file.file_id) if part.file.file_id else ("url", part.file.file_data or ""))
        else:
            media.append(("url", (part.image_url if isinstance(part, ImagePart) else part.video_url).url))
    return "\n".join(words), media


def _check_order(turns: Sequence[Turn]) -> None:
    """User and assistant in turn, the user first and last, each with words."""
    for place, turn in enumerate(turns):
        if any("\ud800" <= character <= "\udfff" for character in turn.text):
            # JSON can spell half a character, which no tokenizer and no answer can.
            raise Problem(400, f"messages.{place}: half a character (a lone surrogate); send whole ones", "bad_text")
        if turn.role != ("user", "assistant")[place % 2]:
            raise Problem(
                400, f"messages.{place}: user and assistant take turns, the user first", "bad_order", "messages"
            )
        if not turn.text.strip():
            raise Problem(400, f"messages.{place}: no text; say what to find or ask", "no_text", f"messages.{place}")
    if turns[-1].role != "user":
        raise Problem(
            400, "the last message is the assistant's; the user's last question is answered", "bad_order", "messages"
        )


def _prompt(sent: PromptPart, material: Material) -> VisualPrompt:
    """A region, its mask decoded once its size is known to be the picture's."""
    mask = None
    if sent.mask is not None:
        media = material.media
        size = media.size if material.is_video else tuple(media.frames.shape[1:3])
        if tuple(sent.mask.size) != tuple(size):
            raise Problem(
                400, f"a mask of {list(sent.mask.size)} for a picture of {list(size)} (height, width)", "bad_mask"
            )
        try:
            mask = decode_rle({"size": list(sent.mask.size), "counts": sent.mask.counts})
        except ValueError as error:
            raise Problem(400, f"a mask's run lengths can't be read: {error}", "bad_mask") from None
    return VisualPrompt(sent.frame, sent.box, tuple(sent.points), mask)


def extension_of(result: Result) -> dict[str, Any]:
    """The masks of an answer: ``raw_text``, ``size``, ``num_frames`` and ``objects`` as an ``answer.json`` has them."""
    described = plain.to_json(result)
    return {
        "raw_text": described["raw_answer"],
        "size": described["size"],
        "num_frames": described["num_frames"],
        "objects": described["objects"],
    }


def was_cut(session: Session, result: Result, limit: int) -> bool:
    """Whether an answer has as many tokens as it may have, so that it may have no end."""
    return len(session.model.mllm.tokenizer.encode(result.raw_text, add_special_tokens=False)) >= limit

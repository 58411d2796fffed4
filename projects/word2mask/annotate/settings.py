"""Everything that a run of annotation can be told, checked when it is made."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from word2mask.errors import UserError

__all__ = ["STRUCTURES", "Endpoint", "Limits", "Settings", "load_settings"]

Structure = Literal["schema", "object", "none"]
#: The strictest first.
STRUCTURES: tuple[Structure, ...] = get_args(Structure)

#: What of a request changes how an answer is written.
GENERATION = ("max_tokens", "temperature", "seed")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is reached.

    Attributes:
        url: of an OpenAI-compatible service up to and with its version (``http://localhost:8000/v1``), or
            ``local:FOLDER`` for a model that transformers loads into this process.
        model: its name there.
        key_variable: environment variable that holds the key; none is sent where it isn't set.
        structure: how the answer's form is asked for: ``"schema"`` (vLLM, SGLang, llama.cpp, OpenAI, ``local:``),
            ``"object"`` for services that know JSON mode only, ``"none"`` for others. A service that refuses one is
            asked in the next, weaker way.
        extra: fields that every request to this service has besides, such as ``chat_template_kwargs``.
        omit: fields that its requests go without: of ``max_tokens``, ``temperature`` and ``seed``, those that it
            refuses.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    structure: Structure = "schema"
    extra: Mapping[str, Any] = field(default_factory=dict)
    omit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://", "local:")):
            raise UserError(f"{self.url!r}: expected the URL of a chat service (http…/v1), or local:FOLDER")
        if not self.model and not self.url.startswith("local:"):
            raise UserError(f"{self.url}: no model named; give the name that this service serves it under")
        if self.structure not in STRUCTURES:
            raise UserError(f"structure is {self.structure!r}; expected {', '.join(STRUCTURES)}")
        ours = sorted({"model", "messages", "response_format"} & self.extra.keys())
        if ours:
            raise UserError(f"extra: {ours[0]} is for us to say; give model or structure of the endpoint instead")
        strange = sorted(set(self.omit) - set(GENERATION))
        if strange:
            raise UserError(f"omit: {strange[0]!r} is no field that can be left out; expected {', '.join(GENERATION)}")
        if self.url.startswith("local:") and (self.extra or self.omit):
            raise UserError(f"{self.url}: extra and omit are for services; a local model takes neither")


@dataclass(frozen=True)
class Limits:
    """What a run may do to a service, and to its own machine.

    Attributes:
        concurrency: requests in flight.
        timeout: seconds for a whole answer.
        attempts: for one request, the first included.
        backoff: seconds before the second attempt, at most; doubles with each attempt and is drawn from 0 upwards.
        longest_backoff: seconds; also the longest wait that a service's ``Retry-After`` is granted.
        requests_per_minute: ``None`` sets no rate.
        token_budget: prompt and answer tokens of this run; ``None`` sets none. Requests in flight when it is reached
            are still paid for.
        pictures: in memory at a time, of 0.1 MB or so each; the whole of one video's always may.
    """

    concurrency: int = 64
    timeout: float = 120.0
    attempts: int = 8
    backoff: float = 0.5
    longest_backoff: float = 60.0
    requests_per_minute: float | None = None
    token_budget: int | None = None
    pictures: int = 4000

    def __post_init__(self) -> None:
        for name in ("concurrency", "timeout", "attempts", "backoff", "longest_backoff", "pictures"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name)}; expected more than 0")
        for name in ("requests_per_minute", "token_budget"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name)}; expected more than 0, or leave it out")


@dataclass(frozen=True)
class Settings:
    """A run.

    Attributes:
        vision: the model that sees.
        text: the model that compares; the paper takes a larger one without eyes (arXiv:2501.04001, §3.3).
        limits: of requests.
        prompts: folder of the user's own prompts.
        max_tokens: longest answer.
        temperature: 0 takes the likeliest words.
        seed: sent along; services that draw use it.
        frames: of the video that the last stage shows; 8 in the paper.
        longest_side: of the pictures of an object and of its scene, in pixels. 768 × 432 are 336 tokens for Qwen3-VL
            (32 × 32 pixels a token); crops are made from the full frame, so that small objects keep their detail.
        frame_side: of the frames that show a whole video, likewise; 640 × 360 are 220 tokens each. InternVL makes 448 ×
            448 of any.
        smallest_area: an object's largest mask must cover this share of the frame.
        same_masklet: two masklets of a video whose IoU over all frames is this or more are one object; the later one is
            dropped before anything is asked about it.
        price: of a million prompt tokens and of a million answer tokens, in any currency; for the progress bar.
    """

    vision: Endpoint
    text: Endpoint
    limits: Limits = field(default_factory=Limits)
    prompts: str | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    frames: int = 8
    longest_side: int = 768
    frame_side: int = 640
    smallest_area: float = 0.001
    same_masklet: float = 0.9
    price: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("max_tokens", "frames", "longest_side", "frame_side"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.temperature < 0:
            raise UserError(f"temperature is {self.temperature}; expected 0 or more")
        if not 0 <= self.smallest_area < 1:
            raise UserError(f"smallest_area is {self.smallest_area}; expected a share of the frame, 0 … 1")
        if not 0 < self.same_masklet <= 1:
            raise UserError(f"same_masklet is {self.same_masklet}; expected an IoU over 0, up to 1")

    @property
    def generation(self) -> dict[str, Any]:
        """What of this changes an answer, beside model, prompt and pictures."""
        return {name: getattr(self, name) for name in GENERATION}

    @property
    def views(self) -> dict[str, Any]:
        """What of this changes the pictures, and which objects have any."""
        names = ("frames", "longest_side", "frame_side", "smallest_area", "same_masklet")
        return {name: getattr(self, name) for name in names}


def load_settings(file: Path, also: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tables and keys of a TOML file: those of :class:`Settings`, with ``[vision]``, ``[text]`` and ``[limits]``.

    Args:
        file: the file.
        also: other keys that may stand at its top.

    Raises:
        UserError: it isn't there, isn't TOML, or has a key that there isn't.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: not TOML ({error})") from None
    _check(file, content, Settings, "", also)
    for name, kind in (("vision", Endpoint), ("text", Endpoint), ("limits", Limits)):
        if name in content:
            _check(file, content[name], kind, f"[{name}] ")
    return content


def _check(file: Path, content: Any, kind: type, where: str, also: tuple[str, ...] = ()) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{file}: {where}expected a table, got {content!r}")
    known = [entry.name for entry in fields(kind)] + list(also)
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise UserError(f"{file}: {where}unknown key {unknown[0]!r}; there are {', '.join(known)}")
    hints = get_type_hints(kind)
    for name, value in content.items():
        if name in also:
            continue
        numeric = hints[name] in (int, float, float | None, int | None)
        if numeric and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise UserError(f"{file}: {where}{name} is {value!r}; expected a number")
        if name == "extra" and not isinstance(value, dict):
            raise UserError(f"{file}: {where}extra is {value!r}; expected a table of fields")
        if name == "omit" and not (isinstance(value, list) and all(isinstance(entry, str) for entry in value)):
            raise UserError(f"{file}: {where}omit is {value!r}; expected a list of names")

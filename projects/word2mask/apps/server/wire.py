"""What travels: OpenAI's chat format as far as it is understood here, and our own requests beside it.

A field that isn't known is refused and not left aside: who sends it counts on it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["ChatRequest", "Message", "PromptPart", "SegmentRequest", "VideoRequest"]


# Strict: neither ``true`` nor "7" is a number, and neither 1 nor "yes" is ``true``.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]

#: A red circle on white, 32 x 32, that the description's examples ask about.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQMAAABJtOi3AAAABlBMVEX////cHh7/Hx2WAAAAP0lEQVR42mNgIBawP2Bg"
    "YuAQYGBiMOBhYGJgYGBgYnBgYmBg+P8fxsUkGBjq/zEwMRz4B+Pyf2BgYvjxgWhbAagkCbYcG5wGAAAAAElFTkSuQmCC"
)
QUESTION = "Please segment the red circle in this picture."
#: Answered as they stand, by any model: what one tries first at /docs, and what the tests send.
CHATS = [
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": PICTURE}},
                    {"type": "text", "text": QUESTION},
                ],
            }
        ],
        "max_tokens": 32,
    },
    {"messages": [{"role": "user", "content": "What can you do?"}], "max_tokens": 32, "stream": True},
]
SEGMENTS = [
    {"media": PICTURE, "text": QUESTION},
    {"media": PICTURE, "prompts": [{"box": [8, 8, 24, 24]}, {"points": [[16, 16, 1], [2, 2, 0]]}]},
]


def _not_a_truth(sent: object) -> object:
    """For pydantic, ``true`` is 1."""
    if isinstance(sent, bool):
        raise ValueError("true or false where a number is expected")
    return sent


def _not_a_number(sent: object) -> object:
    """For pydantic, 0 is ``False``."""
    if isinstance(sent, (int, float)) and not isinstance(sent, bool):
        raise ValueError("a number where true or false is expected")
    return sent


class Strict(BaseModel):
    """Refuses what it doesn't know."""

    model_config = ConfigDict(extra="forbid")


class Address(Strict):
    """Where a picture or video is: a data URL, nothing else."""

    url: str = Field(description="data:image/png;base64,… ; other addresses are refused")
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="taken for compatibility; pictures are seen as the model sees them"
    )


class TextPart(Strict):
    """Words."""

    type: Literal["text"]
    text: str


class ImagePart(Strict):
    """A picture."""

    type: Literal["image_url"]
    image_url: Address


class VideoPart(Strict):
    """A video."""

    type: Literal["video_url"]
    video_url: Address


class FileReference(Strict):
    """A file that was uploaded before, or one as a data URL."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Strict):
    """A picture or video from /v1/files."""

    type: Literal["file"]
    file: FileReference


Part = Annotated[TextPart | ImagePart | VideoPart | FilePart, Field(discriminator="type")]


class Message(Strict):
    """One message of a conversation. An assistant's may be sent back as it was received."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    name: str | None = None
    word2mask: dict[str, Any] | None = Field(None, description="of an assistant: as received; raw_text is used")
    refusal: None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


class RunLengths(Strict):
    """A mask as COCO's compressed run lengths."""

    size: tuple[Whole, Whole]
    counts: str


class PromptPart(Strict):
    """A region that is shown: "region1", "region2" … in the text, in order. Pixels of the picture."""

    frame: Whole = Field(0, ge=0, le=10**9, description="of a video, from 0")
    box: tuple[Number, Number, Number, Number] | None = Field(None, description="x1, y1, x2, y2")
    points: list[tuple[Number, Number, Annotated[Literal[0, 1], BeforeValidator(_not_a_truth)]]] = Field(
        [], max_length=100, description="x, y, 1 on it or 0 off it"
    )
    mask: RunLengths | None = None


class Extension(Strict):
    """What OpenAI's format has no place for."""

    prompts: list[PromptPart] = []


class StreamOptions(Strict):
    """Taken for compatibility."""

    include_usage: Flag | None = None
    include_obfuscation: Flag | None = None


class ChatRequest(Strict):
    """A conversation with at most one picture or video, the last message the user's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": CHATS})

    model: str | None = Field(None, description="the name that /v1/models gives, or nothing")
    messages: list[Message] = Field(min_length=1)
    stream: Flag | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(None, ge=1)
    max_completion_tokens: Whole | None = Field(None, ge=1)
    temperature: Number | None = Field(None, ge=0, le=2, description="nothing or 0 takes the likeliest token each time")
    top_p: Number | None = Field(None, gt=0, le=1)
    top_k: Whole | None = Field(None, ge=0, le=10**6)
    seed: Whole | None = Field(None, ge=0, lt=2**63)
    n: Annotated[Literal[1], BeforeValidator(_not_a_truth)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[Number, Field(ge=0, le=0)] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: Annotated[Literal[False], BeforeValidator(_not_a_number)] | None = None
    word2mask: Extension | None = None


class SegmentRequest(Strict):
    """What to find, in words, or shown, or both."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": SEGMENTS})

    text: str | None = Field(None, description="what to find or ask; may be left out where prompts show it")
    media: str | None = Field(None, description="the picture or video as a data URL")
    file_id: str | None = Field(None, description="or the id of an upload")
    prompts: list[PromptPart] = []
    max_new_tokens: Whole | None = Field(None, ge=1)


class VideoRequest(SegmentRequest):
    """The same as a job."""

"""What the server accepts before it says no: sizes, counts and times, each with its default."""

from __future__ import annotations

from dataclasses import dataclass, fields

from word2mask.errors import UserError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The limits of one server. All are whole numbers, 1 or more.

    Attributes:
        body_bytes: of a request's body that is JSON; media in it are a third larger than their file.
        file_bytes: of an uploaded file, or of a picture or video in a request.
        stored_bytes: of all uploaded files and waiting videos together.
        pixels: of a picture or a frame, known from its header.
        frames: of a video.
        video_pixels: frames × height × width of a video.
        memory_bytes: of decoded pictures that wait or are worked on.
        characters: of all texts of a request.
        turns: of a conversation.
        prompts: boxes, points and masks of a request.
        new_tokens: of an answer.
        body_seconds: until a request's body has arrived, and until a client takes a part of the answer.
        seconds: from the start of an answer to its end.
        job_seconds: the same for a job.
        waiting: requests that are read, wait or are answered at a time.
        jobs: videos that wait or run at a time.
        streams: answers that are streamed side by side.
        batch: pictures and texts that are answered together.
        batch_milliseconds: how long the first of a batch waits for others while the model is idle.
        keep_seconds: how long uploads and results of jobs are kept.
    """

    body_bytes: int = 32 * 2**20
    file_bytes: int = 256 * 2**20
    stored_bytes: int = 4 * 2**30
    pixels: int = 24_000_000
    frames: int = 2_000
    video_pixels: int = 1_000_000_000
    memory_bytes: int = 2 * 2**30
    characters: int = 20_000
    turns: int = 100
    prompts: int = 32
    new_tokens: int = 1_024
    body_seconds: int = 30
    seconds: int = 120
    job_seconds: int = 3_600
    waiting: int = 128
    jobs: int = 16
    streams: int = 8
    batch: int = 16
    batch_milliseconds: int = 5
    keep_seconds: int = 600

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise UserError(f"--max-{field.name.replace('_', '-')} is {value}; expected 1 or more")

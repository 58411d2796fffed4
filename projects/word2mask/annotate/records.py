"""The nouns of annotation: a video to annotate, what is shown of its objects, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["ObjectRecord", "ObjectViews", "Picture", "Status", "VideoRecord", "VideoReference"]

Status = Literal["kept", "dropped", "failed"]


@dataclass(frozen=True, order=True)
class VideoReference:
    """A video with masklets in SA-V's layout; the order of references is the order of all that is written.

    Attributes:
        video_id: unique among the videos of a run.
        video_path: the mp4 or the folder of frames, below the media folder.
        annotation_path: its masklets, likewise.
        besides: other masklets of the same video, likewise, whose objects have a reference of their own; empty without.
    """

    video_id: str
    video_path: str
    annotation_path: str
    besides: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture for models, which is drawn when the first model is asked about it.

    Attributes:
        number: of the object.
        view: ``"masked"``, ``"crop"``, ``"highlighted"`` or ``"outlined"``.
        frame: counted in annotated frames.
        key: hash of all that is to be seen: the video's file, the frame, the mask, and how it is drawn.
    """

    number: int
    view: str
    frame: int
    key: str


@dataclass(frozen=True)
class ObjectViews:
    """What the models are shown of an object.

    Attributes:
        number: its place in the masklets.
        area: of its largest mask, as a share of the frame.
        frame: where that is, counted in annotated frames.
        masked: that frame with everything but the object black.
        crop: the part of that frame around the object, as it is.
        highlighted: that frame with the object outlined in yellow and the rest darkened.
        outlined: frames of the whole video with the object outlined in yellow.
    """

    number: int
    area: float
    frame: int
    masked: Picture
    crop: Picture
    highlighted: Picture
    outlined: tuple[Picture, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All of them."""
        return (self.masked, self.crop, self.highlighted, *self.outlined)


@dataclass
class ObjectRecord:
    """What came of an object.

    Attributes:
        number: its place in the masklets.
        status: ``"kept"``, ``"dropped"`` by a rule or a verdict, or ``"failed"`` for want of an answer.
        reason: why it isn't kept, a few words that can be counted.
        detail: the verdict's or the error's own words.
        area: of its largest mask, as a share of the frame.
        frame: where that is, counted in annotated frames.
        iou: with what a model found again by the long expression; ``None`` where none was asked to.
        texts: what each stage wrote: ``caption_masked``, ``caption_crop``, ``object``, ``scene``, ``video``.
        long: the expression of the three levels together.
        short: noun phrases for it.
        calls: the store's key of every answer that this rests on, by the prompt's name.
        usage: by the prompt's name: ``prompt_tokens``, ``completion_tokens``, ``pictures``, ``picture_bytes``,
            ``repaired``.
    """

    number: int
    status: Status
    reason: str = ""
    detail: str = ""
    area: float = 0.0
    frame: int = 0
    iou: float | None = None
    texts: dict[str, str] = field(default_factory=dict)
    long: str = ""
    short: list[str] = field(default_factory=list)
    calls: dict[str, str] = field(default_factory=dict)
    usage: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; those within are the record's own."""
        return dict(vars(self))

    def dropped(self, reason: str, detail: str) -> ObjectRecord:
        """The same, dropped for a reason."""
        return replace(self, status="dropped", reason=reason, detail=detail)


@dataclass
class VideoRecord:
    """What came of a video.

    Attributes:
        reference: which one.
        objects: in the order of the masklets; one of number -1 that failed where the video couldn't be read.
        prompts: the version of each prompt.
        models: what ``"vision"`` and ``"text"`` were.
        is_final: ``False`` where something failed that another run may put right; the next run tries again.
    """

    reference: VideoReference
    objects: list[ObjectRecord]
    prompts: dict[str, str]
    models: dict[str, str]
    is_final: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values; those within are the record's own."""
        objects = [found.to_json() for found in self.objects]
        return {**vars(self), "reference": dict(vars(self.reference)), "objects": objects}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> VideoRecord:
        """What :meth:`to_json` gave."""
        reference = VideoReference(**content["reference"])
        objects = [ObjectRecord(**found) for found in content["objects"]]
        return cls(reference, objects, content["prompts"], content["models"], content["is_final"])

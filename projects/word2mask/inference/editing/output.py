"""Edited pictures and videos as files: what each suffix means, and frames written one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from word2mask.data.outputs import new_file, new_folder
from word2mask.errors import UserError
from word2mask.inference.editing.sound import Sound
from word2mask.inference.editing.timeline import Timeline

__all__ = ["PICTURES", "VIDEOS", "Target"]

#: Kinds of files, by suffix; a name without one is a folder of frames.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4", ".webm", ".gif")
#: Fine enough for every usual rate: 24, 25, 30000/1001 …
TICKS = 90_000
_QUALITY = {
    "mp4": {"crf": "18", "preset": "fast"},
    "webm": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
}
#: Alpha is seen more than colours: where it errs, the object lets something through, or a ghost is left around it.
_ALPHA_QUALITY = {"crf": "12"}
_CODECS = {"mp4": "libx264", "webm": "libvpx-vp9"}


@dataclass(frozen=True)
class Target:
    """Where to write, and as what.

    Attributes:
        path: the file or folder.
        form: by its suffix.
        is_video: what goes in.
        has_alpha: whether frames are RGBA.

    Raises:
        UserError: a suffix that isn't written, or not for this; or transparency in a form that has none.
    """

    path: Path
    is_video: bool
    has_alpha: bool

    def __post_init__(self) -> None:
        known = VIDEOS if self.is_video else PICTURES
        suffix = self.path.suffix.lower()
        if suffix not in known and not (self.is_video and not suffix):
            kind = "video" if self.is_video else "picture"
            folder = ", or a folder's name for a PNG of each frame" if self.is_video else ""
            raise UserError(
                f"{self.path}: an edited {kind} isn't written as {suffix or 'a name without suffix'}; "
                f"give a name with {', '.join(known)}{folder}"
            )
        if self.has_alpha and suffix in (".mp4", ".jpg", ".jpeg"):
            other = ".webm, .gif or a folder's name" if self.is_video else ".png or .webp"
            raise UserError(f"{self.path}: {suffix} has no transparency, which a cut-out needs; give {other}")

    @property
    def form(self) -> Literal["picture", "folder", "gif", "mp4", "webm"]:
        """What is written."""
        if not self.is_video:
            return "picture"
        forms: dict[str, Literal["folder", "gif", "mp4", "webm"]] = {"": "folder", ".gif": "gif", ".mp4": "mp4"}
        return forms.get(self.path.suffix.lower(), "webm")

    def write(self, frames: Iterable[np.ndarray], timeline: Timeline, source: Path | None = None) -> tuple[str, ...]:
        """Writes frames; the name appears when all is written.

        Args:
            frames: uint8 ``[H,W,3]`` or, with alpha, ``[H,W,4]``, one for each of the timeline.
            timeline: when they appear.
            source: the file whose sound goes along.

        Returns:
            what became different from the source, in sentences.

        Raises:
            UserError: the place can't be written, or there is no room.
        """
        if self.form == "folder":
            with new_folder(self.path) as folder:
                for index, frame in enumerate(frames):
                    Image.fromarray(frame).save(folder / f"{index:05}.png", compress_level=3)
            return _without_sound(source, "a folder of frames")
        with new_file(self.path) as file:
            if self.form == "picture":
                options = {"quality": 95} if self.path.suffix.lower() != ".png" else {}
                (frame,) = frames
                Image.fromarray(frame).save(file, **options)
                return ()
            if self.form == "gif":
                _write_gif(frames, file, timeline)
                return _without_sound(source, "a GIF")
            return _write_encoded(frames, file, timeline, self.form, source, self.has_alpha)


def _without_sound(source: Path | None, what: str) -> tuple[str, ...]:
    import av

    if source is None:
        return ()
    with av.open(str(source)) as container:
        return (f"the sound was left out: {what} has none",) if container.streams.audio else ()


def _write_encoded(
    frames: Iterable[np.ndarray], file: Path, timeline: Timeline, form: str, source: Path | None, has_alpha: bool
) -> tuple[str, ...]:
    """H.264 in mp4, or VP9 in WebM, with the source's sound."""
    import av

    notes: list[str] = []
    options = {"movflags": "+faststart"} if form == "mp4" else {}
    sound: Sound | None = None
    with av.open(str(file), "w", format=form, options=options) as container:
        stream: Any = None
        try:
            for frame, seconds in zip(frames, timeline.times, strict=True):
                if stream is None:
                    stream = _stream(container, frame, timeline, form, has_alpha)
                    if (stream.width, stream.height) != (frame.shape[1], frame.shape[0]):
                        notes.append(
                            f"the frame grew from {frame.shape[1]} × {frame.shape[0]} to {stream.width} × "
                            f"{stream.height} pixels, its border repeated: H.264 needs even sides"
                        )
                    if source is not None:
                        sound = Sound(source, container, form, timeline.begin)
                        notes += sound.notes
                _encode(container, stream, frame, seconds, has_alpha)
                if sound is not None:
                    sound.write_until(seconds)
            for packet in stream.encode(None) if stream is not None else ():
                container.mux(packet)
            if sound is not None:
                sound.write_until(None)
        finally:
            if sound is not None:
                sound.close()
    return tuple(notes)


def _stream(container: Any, frame: np.ndarray, timeline: Timeline, form: str, has_alpha: bool) -> Any:
    """The video track of a new file."""
    rate = Fraction(timeline.fps).limit_denominator(1001 * 60)
    options = _QUALITY[form] | (_ALPHA_QUALITY if has_alpha else {})
    stream = container.add_stream(_CODECS[form], rate=rate, options=options)
    even = 2 if form == "mp4" else 1
    stream.height, stream.width = (-(-side // even) * even for side in frame.shape[:2])
    stream.pix_fmt = "yuva420p" if has_alpha else "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    # BT.601 of limited range, which is how the frames are converted, and said so that players don't guess by the size.
    stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1
    if has_alpha:
        stream.metadata["alpha_mode"] = "1"
    return stream


def _encode(container: Any, stream: Any, frame: np.ndarray, seconds: float, has_alpha: bool) -> None:
    """One frame into its track."""
    import av

    grown = ((0, stream.height - frame.shape[0]), (0, stream.width - frame.shape[1]), (0, 0))
    pixels = np.pad(frame, grown, mode="edge") if any(more for _, more in grown) else frame
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba" if has_alpha else "rgb24")
    picture = picture.reformat(format=stream.pix_fmt, dst_colorspace="ITU601", dst_color_range="MPEG", threads=1)
    picture.pts, picture.time_base = round(seconds * TICKS), Fraction(1, TICKS)
    for packet in stream.encode(picture):
        container.mux(packet)


def _write_gif(frames: Iterable[np.ndarray], file: Path, timeline: Timeline) -> None:
    """A GIF that repeats for ever; a palette for each frame."""
    import av

    ticks = Fraction(1, 100)
    with av.open(str(file), "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=Fraction(timeline.fps).limit_denominator(1001 * 60))
        convert: Callable[[np.ndarray], Iterator[Any]] | None = None
        for frame, seconds in zip(frames, timeline.times, strict=True):
            if convert is None:
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "pal8"
                stream.codec_context.time_base = ticks
                convert = _palettes(frame.shape[1], frame.shape[0])
            for picture in convert(frame):
                picture.pts, picture.time_base = round(seconds / ticks), ticks
                for packet in stream.encode(picture):
                    container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def _palettes(width: int, height: int) -> Callable[[np.ndarray], Iterator[Any]]:
    """Makes frames of 255 colours and transparency out of RGB and RGBA frames."""
    import av
    from av.filter import Graph

    def convert(frame: np.ndarray) -> Iterator[Any]:
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format="rgba", time_base=Fraction(1, 100))
        split, generate = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        use, sink = (
            graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4:alpha_threshold=128"),
            graph.add("buffersink"),
        )
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(generate, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        alpha = np.full((*frame.shape[:2], 1), 255, np.uint8)
        pixels = frame if frame.shape[2] == 4 else np.concatenate([frame, alpha], axis=2)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba")
        picture.pts = 0
        graph.push(picture)
        graph.push(None)
        yield graph.pull()

    return convert

"""A sample of a long video, read by need and read whole: 5 of 300 frames and 5 objects with masks as run lengths.

    python benchmarks/reading.py [--repeats 5] [--write benchmarks/reading.md]

Writes videos of 1280 × 720 and SA-V's kind of annotations (a mask for every fourth frame) into a temporary folder, then
loads samples of 5 random annotated frames. **Whole**: every frame by OpenCV, every mask of every object, and then the
5 frames of both, as the published loader of Ref-SAV does. **By need**: ``VideoFile.read`` of the 5 frames and their 25
masks. Sides take turns in one run, and must give the same masks and frames. What counts is processor time: loaders
share a machine's cores. The decoders are compared on the same frames; PyAV and torchcodec where they are installed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from tables import write_table  # noqa: E402

from word2mask.data.media import VideoFile  # noqa: E402
from word2mask.data.video_readers import OpenCVReader  # noqa: E402
from word2mask.ops.masks import decode_rle, encode_rle  # noqa: E402

FRAMES, SIZE, OBJECTS, TAKEN = 300, (720, 1280), 5, 5
#: SA-V has 24 frames a second and masks for 6 of them (facts of the published loader: frames [::4]).
EVERY = 4
TARGET = 8.0

Frames = list[int]
Read = Callable[[Path, Frames], np.ndarray]


@dataclass(frozen=True)
class Clip:
    """A video with the masks of its objects.

    Attributes:
        name: what it is called in the table.
        path: of the file.
        masklets: run lengths, by object and annotated frame.
    """

    name: str
    path: Path
    masklets: list[list[dict[str, Any]]]


def objects(number: int) -> list[np.ndarray]:
    """Masks of the moving ellipses on a frame, bool ``[H,W]`` each."""
    masks = []
    for one in range(OBJECTS):
        canvas = np.zeros(SIZE, np.uint8)
        centre = (int(200 + 200 * one + 60 * np.sin(number / 20 + one)), int(360 + 120 * np.cos(number / 15 + one)))
        cv2.ellipse(canvas, centre, (90, 60), number, 0, 360, 1, -1)
        # A frayed edge, as annotations have.
        masks.append((canvas == 1) & rough(one))
    return masks


@cache
def rough(number: int) -> np.ndarray:
    """Most of the pixels of a frame, bool ``[H,W]``."""
    return cv2.resize(np.random.default_rng(number).random((90, 160)), SIZE[::-1]) > 0.2


def frame(number: int, ground: np.ndarray) -> np.ndarray:
    """uint8 BGR ``[H,W,3]``: the objects on a ground that pans."""
    picture = ground[number // 3 : number // 3 + SIZE[0], number // 2 : number // 2 + SIZE[1]].copy()
    for one, mask in enumerate(objects(number)):
        picture[mask] = (40 * one, 255 - 40 * one, 100)
    return picture


def ground() -> np.ndarray:
    """A textured ground, larger than a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[0] + 200, SIZE[1] + 200, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def write_clips(folder: Path, frames: int = FRAMES) -> list[Clip]:
    """The same video as OpenCV writes it, and, with PyAV, as x264 does by default: few key frames."""
    masklets = [
        list(track) for track in zip(*(map(encode_rle, objects(t)) for t in range(0, frames, EVERY)), strict=True)
    ]
    below = ground()
    path = folder / "mpeg4.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 24, SIZE[::-1])
    for number in range(frames):
        writer.write(frame(number, below))
    writer.release()
    clips = [Clip("MPEG-4, a key frame every 12", path, masklets)]
    if has("av"):
        import av

        path = folder / "h264.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=24)
            stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
            for number in range(frames):
                picture = av.VideoFrame.from_ndarray(frame(number, below), format="bgr24")
                for packet in stream.encode(picture):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        clips.append(Clip("H.264, a key frame every 250", path, masklets))
    return clips


def has(package: str) -> bool:
    """Whether a decoder that isn't among the requirements can be used."""
    try:
        __import__(package)
    except (ImportError, RuntimeError, OSError):
        return False
    return True


# -- a sample --------------------------------------------------------------------------------------------------------


def whole(clip: Clip, taken: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Every frame and every mask, then those taken: frames uint8 RGB ``[T,H,W,3]``, masks bool ``[N,T,H,W]``."""
    capture = cv2.VideoCapture(str(clip.path))
    frames = []
    while True:
        found, picture = capture.read()
        if not found:
            break
        frames.append(picture)
    masks = [[decode_rle(rle) for rle in track] for track in clip.masklets]
    chosen = np.stack([frames[number] for number in taken])[..., ::-1]
    return chosen, together([[track[number // EVERY] for number in taken] for track in masks])


def by_need(clip: Clip, taken: Frames) -> tuple[np.ndarray, np.ndarray]:
    """The same, decoding what is taken only."""
    frames = VideoFile(clip.path).read(taken)
    return frames, together([[decode_rle(track[number // EVERY]) for number in taken] for track in clip.masklets])


def together(masks: list[list[np.ndarray]]) -> np.ndarray:
    """Masks by object and frame as one array, bool ``[N,T,H,W]``, each copied once."""
    return np.stack([mask for track in masks for mask in track]).reshape(len(masks), -1, *SIZE)


# -- decoders --------------------------------------------------------------------------------------------------------


def with_decord(path: Path, taken: Frames) -> np.ndarray:
    """decord, one thread."""
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(taken).asnumpy()


def with_opencv(path: Path, taken: Frames) -> np.ndarray:
    """OpenCV: seek, then grab."""
    return OpenCVReader(path).read(taken)


def with_pyav(path: Path, taken: Frames) -> np.ndarray:
    """PyAV, one thread: all frames from the key frame before each, once."""
    import av

    found: dict[int, np.ndarray] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.pts is not None]
        times = sorted(time for time, _ in packets)
        keys = np.sort([time for time, is_key in packets if is_key])
        wanted = {times[number]: number for number in taken}
        groups: dict[int, set[int]] = {}
        for moment in wanted:
            groups.setdefault(int(keys[np.searchsorted(keys, moment, side="right") - 1]), set()).add(moment)
        for key, moments in groups.items():
            container.seek(key, stream=stream, backward=True)
            for packet in container.demux(stream):
                for picture in packet.decode():
                    if picture.pts in moments:
                        found[wanted[picture.pts]] = picture.to_ndarray(format="rgb24")
                        moments.discard(picture.pts)
                if not moments:
                    break
    return np.stack([found[number] for number in taken])


def by_default(path: Path, taken: Frames) -> np.ndarray:
    """What the library does: PyAV, without the frames on which no other depends."""
    return VideoFile(path).read(taken)


def with_torchcodec(path: Path, taken: Frames) -> np.ndarray:
    """torchcodec, one thread."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, dimension_order="NHWC")
    return decoder.get_frames_at(taken).data.numpy()


#: Name in the table → (package, decoder).
DECODERS: dict[str, tuple[str, Read]] = {
    "PyAV, skipping frames that no other needs (the default)": ("av", by_default),
    "PyAV": ("av", with_pyav),
    "decord": ("decord", with_decord),
    "OpenCV": ("cv2", with_opencv),
    "torchcodec": ("torchcodec", with_torchcodec),
}


# -- the run ---------------------------------------------------------------------------------------------------------


def clocked(read: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, of all its threads, and what it returned."""
    start = time.process_time()
    value = read()
    return time.process_time() - start, value


def samples(repeats: int, frames: int = FRAMES) -> list[Frames]:
    """Annotated frames of each repeat, drawn at random and sorted."""
    rng = np.random.default_rng(0)
    return [
        sorted((rng.choice(len(range(0, frames, EVERY)), TAKEN, replace=False) * EVERY).tolist())
        for _ in range(repeats)
    ]


def measure(clip: Clip, draws: Sequence[Frames]) -> tuple[list[float], list[float], dict[str, list[float]]]:
    """Seconds of both ways, and of every decoder that is installed, for each draw; the first draw is thrown away.

    Raises:
        SystemExit: the sides don't read the same.
    """
    all_of_it: list[float] = []
    needed: list[float] = []
    decoders: dict[str, list[float]] = {name: [] for name, (package, _) in DECODERS.items() if has(package)}
    for number, taken in enumerate([draws[0], *draws]):
        first, (frames, masks) = clocked(lambda taken=taken: whole(clip, taken))
        second, (ours, our_masks) = clocked(lambda taken=taken: by_need(clip, taken))
        if not np.array_equal(masks, our_masks) or np.abs(frames.astype(int) - ours).max() > 2:
            raise SystemExit(f"{clip.name}: the two ways don't read the same frames and masks")
        times = {}
        for name in decoders:
            times[name], read = clocked(lambda name=name, taken=taken: DECODERS[name][1](clip.path, taken))
            if np.abs(frames.astype(int) - read).max() > 2:
                raise SystemExit(f"{clip.name}: {name} reads other frames")
        if number:
            all_of_it.append(first)
            needed.append(second)
            for name, seconds in times.items():
                decoders[name].append(seconds)
        sys.stderr.write(f"{clip.name}: whole {first:.3f} s, by need {second:.3f} s\n")
    return all_of_it, needed, decoders


def spread(seconds: Sequence[float]) -> str:
    """Median and range in milliseconds."""
    return f"{1000 * statistics.median(seconds):.0f} ({1000 * min(seconds):.0f}-{1000 * max(seconds):.0f})"


def table(results: dict[str, tuple[list[float], list[float], dict[str, list[float]]]], repeats: int) -> str:
    """The results as Markdown."""
    lines = [
        "# Reading a sample of a long video",
        "",
        "`python benchmarks/reading.py --write benchmarks/reading.md`",
        "",
        f"{TAKEN} random frames and {OBJECTS} objects of a video of {FRAMES} frames of {SIZE[1]} × {SIZE[0]} with a "
        f"mask for every {EVERY}th frame, as in Ref-SAV. Processor milliseconds a sample, opening the file included: "
        f"medians of {repeats} and the range.",
        "",
        "| video | every frame, every mask | by need | rate | asked for |",
        "|---|---|---|---|---|",
    ]
    for name, (everything, needed, _) in results.items():
        rate = statistics.median(everything) / statistics.median(needed)
        lines.append(f"| {name} | {spread(everything)} | {spread(needed)} | {rate:.1f} × | {TARGET:g} × |")
    lines += ["", "The frames alone, by decoder, on one thread:", ""]
    lines += [f"| decoder | {' | '.join(results)} |", "|---|" + "---|" * len(results)]
    for name, (package, _) in DECODERS.items():
        cells = [spread(one[2][name]) if name in one[2] else "not installed" for one in results.values()]
        lines.append(f"| {name} {version(package)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def version(package: str) -> str:
    """The installed version of a package, or nothing."""
    try:
        return metadata.version({"cv2": "opencv-python"}.get(package, package)) if has(package) else ""
    except metadata.PackageNotFoundError:
        return ""


def main() -> None:
    """Write, measure, print the table."""
    parser = argparse.ArgumentParser(description="Compare reading what a sample needs with reading all of a video.")
    parser.add_argument("--repeats", type=int, default=5, help="samples measured of each video")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {clip.name: measure(clip, samples(arguments.repeats)) for clip in write_clips(Path(folder))}
    text = table(results, arguments.repeats)
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()

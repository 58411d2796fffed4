"""Peak memory of a video's masks by the video's length, each length in a process of its own.

    python benchmarks/video_memory.py --write benchmarks/video_memory.md

The model is the small pretrained one; the answer is given, so that what is measured is seeing, tracking and holding or
writing masks. Removing an object takes the masks as they were drawn, for what random words point at may be anything or
nothing. Videos are drawn here, of one size and as many frames as the row says. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "projects"))

import numpy as np  # noqa: E402

if TYPE_CHECKING:
    from word2mask.inference.session import Session
    from word2mask.types import Request

LENGTHS = (200, 2000)
SIDE = 256
OBJECTS = 3
#: What is watched → how it is called in the table.
WAYS = {
    "file": "an mp4 through `Session.track`, each mask written as a PNG when it comes",
    "live": "a generator of frames (`LiveVideo`) through `Session.track`, likewise",
    "ask": "an mp4 through `Session.ask`, masks held as run lengths, then `Answer.save`",
    "remove": "an mp4 through `edit`, one object removed before a panning background, an mp4 written",
}
#: How much more the long video may take.
BOUND = 1.05


def main() -> None:
    """Measures every row, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mllm", type=Path, default=ROOT / "pretrained" / "internvl_shapes", help="language model")
    parser.add_argument("--segmenter", type=Path, default=ROOT / "pretrained" / "sam2_shapes", help="SAM 2")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="frames of the videos")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="rows of the table")
    parser.add_argument("--write", type=Path, help="the table, in Markdown")
    parser.add_argument("--row", nargs=2, metavar=("WAY", "FRAMES"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        way, length = arguments.row
        sys.stdout.write(json.dumps(measured(arguments, way, int(length))) + "\n")
        return
    rows: dict[str, dict[int, dict[str, float]]] = {}
    for way in arguments.ways:
        rows[way] = {length: child(arguments, way, length) for length in arguments.lengths}
        if arguments.write:  # a long run that is cut short leaves what it has found
            arguments.write.write_text(table(rows))
    sys.stdout.write(table(rows))


def child(arguments: argparse.Namespace, way: str, length: int) -> dict[str, float]:
    """One row, in a process whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        if way != "live":
            write_video(Path(folder) / "video.mp4", panning(length) if way == "remove" else drawn(length))
        command = [sys.executable, __file__, "--row", way, str(length), "--folder", folder]
        command += ["--mllm", str(arguments.mllm), "--segmenter", str(arguments.segmenter)]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(finished.stdout.splitlines()[-1])
    if found["frames"] != length or (way in ("file", "live") and found["files"] != length * OBJECTS):
        raise SystemExit(f"{way}, {length} frames: {found}; not every frame has its masks")
    sys.stderr.write(f"{way}, {length} frames: {found['peak']:.1f} MB, {found['seconds']:.0f} s\n")
    return found


def drawn(length: int) -> Iterator[np.ndarray]:
    """Two discs and a square that cross a grey field, uint8 RGB, frame by frame."""
    import cv2

    for index in range(length):
        frame = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
        place = 30 + (index * 3) % (SIDE - 60)
        cv2.circle(frame, (place, 60), 24, (220, 40, 40), -1)
        cv2.circle(frame, (SIDE - place, 210), 20, (60, 60, 220), -1)
        cv2.rectangle(frame, (SIDE - place - 20, 110), (SIDE - place + 20, 150), (60, 200, 60), -1)
        yield frame


def panning(length: int) -> Iterator[np.ndarray]:
    """The same things before a textured background over which the camera moves to and fro."""
    import cv2

    noise = np.random.default_rng(0).integers(60, 200, (SIDE // 4, SIDE // 2, 3), dtype=np.uint8)
    field = cv2.resize(noise, (2 * SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for index, things in enumerate(drawn(length)):
        left = abs((index * 2) % (2 * SIDE) - SIDE)
        yield np.where((things == 128).all(axis=2, keepdims=True), field[:, left : left + SIDE], things)


def write_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Frames as an mp4."""
    from word2mask.inference.render import save_video

    save_video(frames, path, fps=25.0)


def measured(arguments: argparse.Namespace, way: str, length: int) -> dict[str, float]:
    """Peak resident memory in MB, and what came out."""
    import time

    import torch

    from word2mask.data.media import VideoFile
    from word2mask.inference.frames import LiveVideo
    from word2mask.inference.session import Session
    from word2mask.mllms.internvl import InternVL
    from word2mask.models.grounded import GroundedMLLM
    from word2mask.segmenters.sam2 import SAM2Segmenter
    from word2mask.text.special_tokens import SEG
    from word2mask.types import Request, Turn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = GroundedMLLM(InternVL.from_pretrained(arguments.mllm), SAM2Segmenter.from_pretrained(arguments.segmenter))
    session = Session(model, mask_form="runs")
    media = LiveVideo(drawn(length)) if way == "live" else VideoFile(arguments.folder / "video.mp4")
    request = Request((Turn("user", "Where are they?"),), media, answer=" ".join([SEG] * OBJECTS))
    start = time.perf_counter()
    work = {"ask": held, "remove": removed}.get(way, written)
    seen = work(session, request, arguments.folder)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    files = sum(1 for _ in arguments.folder.rglob("*.png"))
    return {"frames": seen, "files": files, "peak": int(peak.split()[1]) / 1024, "seconds": seconds}


def written(session: Session, request: Request, folder: Path) -> int:
    """Masks that are written as they come; the number of frames."""
    from word2mask.inference.render import save_picture

    count = 0
    for frame, masks, _ in session.track(request):
        for number, mask in enumerate(masks):
            save_picture(mask, folder / f"{number}_{frame:05}.png")
        count += 1
    return count


def held(session: Session, request: Request, folder: Path) -> int:
    """Masks that are held until all are there, and then written with the pictures that they lie on."""
    answer = session.ask(request)
    answer.save(folder / "answer", request.media)
    return len(answer.segments[-1].masks)


def removed(session: Session, request: Request, folder: Path) -> int:
    """The disc above is removed from each frame; the number of frames written."""
    from word2mask.data.media import VideoFile
    from word2mask.inference.editing.edit import edit
    from word2mask.inference.masks import MaskStream
    from word2mask.types import Result, Segment

    media = request.media
    assert isinstance(media, VideoFile)
    masks = MaskStream(media.size)
    for index, things in enumerate(drawn(len(media))):
        masks[index] = (things == (220, 40, 40)).all(axis=2)
    segment = Segment("the red disc", None, masks, np.ones(len(media), np.float32))
    result = Result("", "", [segment], media.size, len(media))
    made = edit(session, media, "remove it", folder / "removed.mp4", result=result)
    return len(VideoFile(made.path))


def table(rows: dict[str, dict[int, dict[str, float]]]) -> str:
    """The result in Markdown."""
    lengths = list(next(iter(rows.values())))
    lines = [
        "# Memory by the length of a video",
        "",
        "`python benchmarks/video_memory.py --write benchmarks/video_memory.md`",
        "",
        "Peak resident memory of a whole process, libraries and weights included, in MB. Each figure is one process.",
        "",
        f"| way | {' | '.join(f'{length} frames' for length in lengths)} | ratio | at most |",
        "|---|" + "---|" * (len(lengths) + 2),
    ]
    for way, found in rows.items():
        peaks = [found[length]["peak"] for length in lengths]
        figures = " | ".join(f"{peak:.0f}" for peak in peaks)
        lines.append(f"| {WAYS[way]} | {figures} | {peaks[-1] / peaks[0]:.3f} | {BOUND} |")
    lines += [
        "",
        f"Setting: frames of {SIDE} × {SIDE}, {OBJECTS} objects, 5 key frames; the small pretrained language model "
        "and SAM 2, float32, one thread.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

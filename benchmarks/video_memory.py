"""Peak memory of a video's masks by the video's length, each length in a process of its own.

    python benchmarks/video_memory.py --write benchmarks/video_memory.md

The model is the small pretrained one; the answer is given, so that what is measured is seeing, tracking and holding
masks. Videos are folders of frames on disk, drawn here, of one size and as many frames as the row says. Masks are held
as run lengths (``ask``) or handed on frame by frame (``track``). Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "projects"))

import numpy as np  # noqa: E402

LENGTHS = (200, 2000)
SIDE = 256
OBJECTS = 2
WAYS = {"ask": "`Session.ask`, masks as run lengths", "track": "`Session.track`"}
#: How much more the long video may take.
BOUND = 1.05


def main() -> None:
    """Measures every row, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mllm", type=Path, default=ROOT / "pretrained" / "internvl_shapes", help="language model")
    parser.add_argument("--segmenter", type=Path, default=ROOT / "pretrained" / "sam2_shapes", help="SAM 2")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="frames of the videos")
    parser.add_argument("--write", type=Path, help="the table, in Markdown")
    parser.add_argument("--row", nargs=2, metavar=("WAY", "FRAMES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        way, frames = arguments.row
        sys.stdout.write(json.dumps(measured(arguments.mllm, arguments.segmenter, way, Path(frames))) + "\n")
        return
    rows = {way: {length: child(arguments, way, length) for length in arguments.lengths} for way in WAYS}
    text = table(rows)
    sys.stdout.write(text)
    if arguments.write:
        arguments.write.write_text(text)


def child(arguments: argparse.Namespace, way: str, length: int) -> dict[str, float]:
    """One row, in a process whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        draw_video(Path(folder), length)
        command = [sys.executable, __file__, "--row", way, folder]
        command += ["--mllm", str(arguments.mllm), "--segmenter", str(arguments.segmenter)]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def draw_video(folder: Path, length: int) -> None:
    """A disc and a square that cross a grey field, as JPEG frames."""
    import cv2

    for index in range(length):
        frame = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
        place = 30 + (index * 3) % (SIDE - 60)
        cv2.circle(frame, (place, SIDE // 3), 24, (40, 40, 220), -1)
        cv2.rectangle(frame, (SIDE - place - 20, 160), (SIDE - place + 20, 200), (60, 200, 60), -1)
        cv2.imwrite(str(folder / f"{index:05}.jpg"), frame)


def measured(mllm: Path, segmenter: Path, way: str, frames: Path) -> dict[str, float]:
    """Peak resident memory in MB, and what came out."""
    import torch

    from word2mask.data.media import VideoFile
    from word2mask.inference.session import Session
    from word2mask.mllms.internvl import InternVL
    from word2mask.models.grounded import GroundedMLLM
    from word2mask.segmenters.sam2 import SAM2Segmenter
    from word2mask.text.special_tokens import SEG
    from word2mask.types import Request, Turn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = GroundedMLLM(InternVL.from_pretrained(mllm), SAM2Segmenter.from_pretrained(segmenter))
    session = Session(model, mask_form="runs")
    request = Request((Turn("user", "Where are they?"),), VideoFile(frames), answer=" ".join([SEG] * OBJECTS))
    if way == "track":
        seen = sum(1 for _ in session.track(request))
    else:
        seen = len(session.ask(request).segments[0].masks)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"frames": seen, "peak": int(peak.split()[1]) / 1024}


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
        f"Setting: frames of {SIDE} × {SIDE} from a folder of JPEG files, {OBJECTS} objects, 5 key frames; "
        "the small pretrained language model and SAM 2, float32, one thread.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

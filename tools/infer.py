"""Ask an exported model about a picture or a video.

    python tools/infer.py DIR MEDIA "text" --out DIR [--device cpu] [--key-frames 5] [--max-new-tokens 256]

MEDIA is a picture, a video file or a folder of frames. The folder given by --out appears when all is written:

    answer.json            the answer; for each object its phrase, scores, boxes and masks (COCO run lengths per frame)
    mask_01.png            a picture's masks at its own size; for a video masks_01/00000.png, … for each object
    overlay.png            the picture with its masks; for a video overlay.mp4, and strip.png with a few of its frames

Exit code 2 and one sentence when something in the request has to be put right.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("infer")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Ask an exported model about a picture or a video.")
    parser.add_argument("model", type=Path, help="folder that convert_to_hf.py wrote")
    parser.add_argument("media", type=Path, help="a picture, a video, or a folder of frames")
    parser.add_argument("text", help="what to find or ask")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not hold anything yet")
    parser.add_argument("--overwrite", action="store_true", help="replace --out when it isn't empty")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    parser.add_argument("--key-frames", type=int, default=5, help="frames of a video that the language model sees")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="longest answer")
    return parser.parse_args(arguments)


def answer(arguments: argparse.Namespace) -> None:
    """Ask, write and tell."""
    from word2mask.data.media import open_media
    from word2mask.export.folder import new_folder
    from word2mask.inference.session import Session
    from word2mask.types import Request, Turn

    if not arguments.text.strip():
        raise UserError('the question is empty; say what to find or ask, e.g. "Please segment the red circle."')
    media = open_media(arguments.media)
    with new_folder(arguments.out, arguments.overwrite) as folder:
        session = Session.from_pretrained(
            arguments.model, device=device(arguments.device), key_frames=arguments.key_frames
        )
        request = Request((Turn("user", arguments.text),), media, max_new_tokens=arguments.max_new_tokens)
        with progress() as report:
            result = session.ask(request, report)
        write(folder, media, arguments.text, result)
    tell(result, arguments.out)


def device(name: str) -> Any:
    """The torch device.

    Raises:
        UserError: it isn't there.
    """
    import torch

    try:
        found = torch.device(name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r} can't be used ({str(error).splitlines()[0]}); try --device cpu") from None
    return found


class progress:
    """A bar for each stage, on stderr, where there is a terminal."""

    def __enter__(self) -> progress:
        self._bar: Any = None
        self._stage = ""
        return self

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, unit="frame" if stage == "track" else "answer", disable=None)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()


def frames_of(media: Any) -> Iterator[Any]:
    """Every frame, uint8 RGB ``[H,W,3]``, in order."""
    return media.iterate() if hasattr(media, "iterate") else iter(media.frames)


def write(folder: Path, media: Any, question: str, result: Any) -> None:
    """Everything that the answer's folder holds."""
    from word2mask.inference.render import overlay, save_picture, save_video, strip

    (folder / "answer.json").write_text(json.dumps(as_json(media.name, question, result), indent=1) + "\n")
    is_video = hasattr(media, "iterate")
    for number, segment in enumerate(result.segments, start=1):
        if not is_video:
            save_picture(segment.masks[0], folder / f"mask_{number:02}.png")
            continue
        (folder / f"masks_{number:02}").mkdir()
        for frame, mask in enumerate(segment.masks):
            save_picture(mask, folder / f"masks_{number:02}" / f"{frame:05}.png")

    labels = [segment.phrase for segment in result.segments]

    def drawn() -> Iterator[Any]:
        for index, frame in enumerate(frames_of(media)):
            masks = [segment.masks[index] for segment in result.segments]
            yield overlay(frame, stack(masks, frame), labels)

    if not is_video:
        save_picture(next(drawn()), folder / "overlay.png")
        return
    save_video(drawn(), folder / "overlay.mp4", fps=media.fps or 8.0)
    shown = set(range(0, result.num_frames, max(1, result.num_frames // 6)))
    save_picture(strip([frame for index, frame in enumerate(drawn()) if index in shown]), folder / "strip.png")


def stack(masks: list[Any], frame: Any) -> Any:
    """Masks ``[N,H,W]``, also for N = 0."""
    import numpy as np

    return np.stack(masks) if masks else np.zeros((0, *frame.shape[:2]), dtype=bool)


def as_json(name: str, question: str, result: Any) -> dict[str, Any]:
    """The answer in plain types; boxes are (x1, y1, x2, y2) in pixels, ``null`` where there is no mask."""
    from word2mask.ops.masks import encode_rle

    return {
        "media": name,
        "question": question,
        "answer": result.text,
        "raw_answer": result.raw_text,
        "size": result.original_size,
        "num_frames": result.num_frames,
        "objects": [
            {
                "phrase": segment.phrase,
                "span": segment.span,
                "scores": [round(float(score), 4) for score in segment.scores],
                "boxes": [box_of(mask) for mask in segment.masks],
                "masks": [encode_rle(mask) for mask in segment.masks],
            }
            for segment in result.segments
        ],
    }


def box_of(mask: Any) -> list[int] | None:
    """The smallest box around a mask."""
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if not len(rows):
        return None
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def tell(result: Any, out: Path) -> None:
    """The answer on stdout, and where things are."""
    lines = [result.text]
    for number, segment in enumerate(result.segments, start=1):
        seen = int(segment.masks.any(axis=(1, 2)).sum())
        where = (
            f"in {seen} of {result.num_frames} frames" if result.num_frames > 1 else f"at {box_of(segment.masks[0])}"
        )
        lines.append(f"  {number}  {segment.phrase}: {where}, score {float(segment.scores.max()):.2f}")
    lines.append(f"written to {out}: {', '.join(sorted(entry.name for entry in out.iterdir()))}")
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        answer(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

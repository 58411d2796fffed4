"""What a segmenter without memory reaches on clips, prompted frame by frame: by boxes, and by the words of a model.

    python benchmarks/clips.py CLIPS WEIGHTS [--frames 10] [--model FOLDER --ask libby="the dog" …]
        [--write benchmarks/clips.md]

CLIPS is in the layout of DAVIS (JPEGImages/NAME, Annotations/NAME, one object a clip), WEIGHTS anything that
``SAM2Segmenter.from_pretrained`` reads. Frames are taken at even distances; the number is J, the mean IoU × 100, with
the first frame, whose annotation two of the ways are given, left out. ``--ask`` names what a clip's annotation covers;
of several phrases (``horsejump-high="the horse, the person"``) each is a question and their masks are united.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from word2mask.data.pictures import decode_image  # noqa: E402
from word2mask.inference.session import Session  # noqa: E402
from word2mask.metrics.iou import intersection_and_union, iou  # noqa: E402
from word2mask.ops.masks import mask_to_box  # noqa: E402
from word2mask.segmenters.sam2 import SAM2Segmenter  # noqa: E402
from word2mask.types import Media, Request, Turn  # noqa: E402

#: Frames uint8 ``[T,H,W,3]`` and annotations bool ``[T,H,W]`` → masks bool ``[T,H,W]``.
Way = Callable[[np.ndarray, np.ndarray], np.ndarray]


def read_clip(clips: Path, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` frames of a clip at even distances, first and last among them, and their annotations."""
    files = sorted((clips / "Annotations" / name).glob("*.png"))
    chosen = [files[place] for place in np.linspace(0, len(files) - 1, count).round().astype(int)]
    frames = [decode_image(clips / "JPEGImages" / name / f"{file.stem}.jpg") for file in chosen]
    masks = [decode_image(file).max(axis=-1) > 0 for file in chosen]
    return np.stack(frames), np.stack(masks)


def boxed(segmenter: SAM2Segmenter, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask that the box around another mask prompts; none where that is empty."""
    box = mask_to_box(mask)
    if box is None:
        return np.zeros_like(mask)
    height, width = mask.shape
    scale = torch.tensor([segmenter.side / width, segmenter.side / height]).repeat(2)
    features = segmenter.encode_frames(segmenter.processor.prepare_frames(frame[None]))
    boxes = torch.tensor([box]).float() * scale
    logits = segmenter.decode_points(features, torch.zeros(1, dtype=torch.long), None, None, boxes, multimask=False)
    return (F.interpolate(logits.mask_logits[None], (height, width), mode="bilinear")[0, 0] > 0).numpy()


def by_annotation(segmenter: SAM2Segmenter) -> Way:
    """Each frame gets its annotation's box."""
    return lambda frames, truth: np.stack([boxed(segmenter, *pair) for pair in zip(frames, truth, strict=True)])


def by_last_mask(segmenter: SAM2Segmenter) -> Way:
    """The first frame gets its annotation's box, each later one that of the mask before."""

    def follow(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
        masks = [boxed(segmenter, frames[0], truth[0])]
        for frame in frames[1:]:
            masks.append(boxed(segmenter, frame, masks[-1]))
        return np.stack(masks)

    return follow


def by_words(session: Session, phrases: Sequence[str]) -> Way:
    """Each frame is asked about as a picture of its own."""

    def ask(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
        masks = np.zeros_like(truth)
        for place, frame in enumerate(frames):
            for phrase in phrases:
                turn = Turn("user", f"Please segment {phrase} in this image.")
                answer = session.ask(Request((turn,), Media("image", frame[None])))
                for segment in answer.segments:
                    masks[place] |= np.asarray(segment.masks[0])
        return masks

    return ask


def table(rows: dict[str, dict[str, float]], clips: Sequence[str], count: int, weights: str) -> str:
    """The results as Markdown."""
    lines = [
        "# Clips, frame by frame",
        "",
        "`python benchmarks/clips.py CLIPS WEIGHTS --model FOLDER --ask NAME=PHRASE … --write benchmarks/clips.md`",
        "",
        f"J × 100 over {count - 1} frames at even distances of each DAVIS clip, after the first; `{weights}`, float32.",
        "",
        f"| prompt of each frame | {' | '.join(clips)} | mean |",
        f"|---|{'---|' * (len(clips) + 1)}",
    ]
    for name, values in rows.items():
        cells = [f"{values[clip]:.1f}" for clip in clips]
        lines.append(f"| {name} | {' | '.join(cells)} | {np.mean(list(values.values())):.1f} |")
    return "\n".join([*lines, ""])


@torch.no_grad()
def main() -> None:
    """Read, prompt, print the table."""
    parser = argparse.ArgumentParser(description="J of a segmenter without memory on clips, frame by frame.")
    parser.add_argument("clips", type=Path, help="folder in the layout of DAVIS")
    parser.add_argument("weights", type=Path, help="of SAM 2")
    parser.add_argument("--frames", type=int, default=10, help="of each clip, the first included")
    parser.add_argument("--model", type=Path, help="exported model whose words prompt")
    parser.add_argument("--ask", nargs="+", default=[], metavar="NAME=PHRASE", help="what a clip's annotation covers")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    segmenter = SAM2Segmenter.from_pretrained(arguments.weights)
    ways = {
        "its annotation's box": lambda clip: by_annotation(segmenter),
        "the box of the mask before; the first, its annotation's": lambda clip: by_last_mask(segmenter),
    }
    if arguments.model:
        session = Session.from_pretrained(arguments.model)
        phrases = {name: phrase.split(", ") for name, _, phrase in (given.partition("=") for given in arguments.ask)}
        ways["words"] = lambda clip: by_words(session, phrases[clip])
    clips = sorted(folder.name for folder in (arguments.clips / "Annotations").iterdir())
    rows: dict[str, dict[str, float]] = {name: {} for name in ways}
    for clip in clips:
        frames, truth = read_clip(arguments.clips, clip, arguments.frames)
        for name, way in ways.items():
            masks = way(clip)(frames, truth)
            pairs = list(zip(masks, truth, strict=True))[1:]
            rows[name][clip] = 100 * float(np.mean([iou(*intersection_and_union(*pair)) for pair in pairs]))
            sys.stderr.write(f"{clip}, {name}: {rows[name][clip]:.1f}\n")
    text = table(rows, clips, arguments.frames, arguments.weights.name)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()

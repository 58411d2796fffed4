"""How far objects of real clips are followed by their masks, with a segmenter that has no memory.

    python benchmarks/following.py CLIPS WEIGHTS [--frames N] [--write benchmarks/following.md]

CLIPS is a folder in DAVIS's layout, ``JPEGImages/<clip>/<frame>.jpg`` and ``Annotations/<clip>/<frame>.png``, one
object a clip; WEIGHTS anything that ``SAM2Segmenter.from_pretrained`` reads. The first frame's annotation is given, as
in DAVIS's semi-supervised task; J and F are means over all frames but the first and the last (``metrics/davis.py``).
Beside the follower: the first frame's mask where it was, which is what following is worth at least, and a box around
the annotation on every frame, which is what it could reach. Segmenters with a memory are followed by it, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from tables import write_table  # noqa: E402
from torch.nn import functional  # noqa: E402

from word2mask.data.pictures import decode_image  # noqa: E402
from word2mask.metrics.davis import sequence_scores  # noqa: E402
from word2mask.ops.boxes import shares_of  # noqa: E402
from word2mask.segmenters import FrameFeatures, MaskFollower, SAM2Segmenter, Tracker  # noqa: E402


def stay(segmenter: SAM2Segmenter, features: list[FrameFeatures], truth: torch.Tensor) -> Iterator[torch.Tensor]:
    """The first frame's mask on every frame."""
    return iter([2.0 * truth[:1] - 1] * len(features))


def by_masks(segmenter: SAM2Segmenter, features: list[FrameFeatures], truth: torch.Tensor) -> Iterator[torch.Tensor]:
    """The follower, from the first frame's mask."""
    return (logits for _, logits, _ in MaskFollower(segmenter).track(features, {0: truth[:1]}, len(features)))


def by_memory(segmenter: SAM2Segmenter, features: list[FrameFeatures], truth: torch.Tensor) -> Iterator[torch.Tensor]:
    """SAM 2's tracker, from the first frame's mask."""
    return (logits for _, logits, _ in Tracker(segmenter).track(features, {0: truth[:1]}, len(features)))


def by_boxes(segmenter: SAM2Segmenter, features: list[FrameFeatures], truth: torch.Tensor) -> Iterator[torch.Tensor]:
    """The annotation's box on every frame; nothing where there is none."""
    boxes = shares_of(truth[None])[0] * segmenter.side - 0.5
    place = torch.zeros(1, dtype=torch.long)
    for own, box, there in zip(features, boxes, truth.flatten(1).any(1), strict=True):
        decoded = segmenter.decode_points(own, place, boxes=box[None], multimask=False)
        yield decoded.mask_logits if there else torch.full_like(decoded.mask_logits, -1.0)


def read(clips: Path, name: str, count: int | None) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames uint8 ``[H,W,3]`` and truth bool ``[T,H,W]`` of a clip's first frames."""
    files = sorted((clips / "JPEGImages" / name).glob("*.jpg"))[:count]
    truth = [np.asarray(Image.open(clips / "Annotations" / name / f"{file.stem}.png")) > 0 for file in files]
    return [decode_image(file) for file in files], np.stack(truth)


def score(found: Iterator[torch.Tensor], truth: np.ndarray) -> tuple[float, float]:
    """J and F × 100 of a clip."""
    size = truth.shape[1:]
    masks = [functional.interpolate(logits[None].float(), size, mode="bilinear")[0, 0] > 0 for logits in found]
    ((j, f),) = sequence_scores(
        torch.stack(masks).numpy().astype(np.uint8), truth.astype(np.uint8), task="semi-supervised"
    )
    return 100 * float(j.mean()), 100 * float(f.mean())


def table(
    results: dict[str, dict[str, tuple[float, float]]], frames: dict[str, int], weights: str, limit: int | None
) -> str:
    """Markdown."""
    first = "" if limit is None else f" --frames {limit}"
    clips = list(frames)
    rows = [
        f"| {way} | {' | '.join(f'{own[clip][0]:.1f}' for clip in clips)} | "
        f"{np.mean([own[clip][0] for clip in clips]):.1f} | {np.mean([own[clip][1] for clip in clips]):.1f} |"
        for way, own in results.items()
    ]
    return "\n".join(
        [
            "# Following without a memory",
            "",
            f"`python benchmarks/following.py CLIPS WEIGHTS{first} --write benchmarks/following.md`",
            "",
            f"One object a clip of DAVIS 2016, given on the first frame; `{weights}`, float32. J a clip, then the "
            "means of J and F, × 100, by DAVIS's semi-supervised protocol (without the first and the last frame).",
            "",
            f"| way | {' | '.join(f'{clip} ({count})' for clip, count in frames.items())} | J | F |",
            f"|---|{'---|' * len(clips)}---|---|",
            *rows,
            "",
        ]
    )


@torch.no_grad()
def main() -> None:
    """Read, follow, print the table."""
    parser = argparse.ArgumentParser(description="J and F of objects followed through clips without a memory.")
    parser.add_argument("clips", type=Path, help="folder in DAVIS's layout, one object a clip")
    parser.add_argument("weights", type=Path, help="of SAM 2")
    parser.add_argument("--frames", type=int, help="the first so many of each clip (default: all)")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    segmenter = SAM2Segmenter.from_pretrained(arguments.weights)
    ways = {"its first mask, where it was": stay, "followed by masks": by_masks}
    if segmenter.tracks:
        ways["SAM 2's memory"] = by_memory
    ways["the annotation's box on every frame"] = by_boxes
    results: dict[str, dict[str, tuple[float, float]]] = {way: {} for way in ways}
    frames: dict[str, int] = {}
    for folder in sorted((arguments.clips / "JPEGImages").iterdir()):
        pictures, truth = read(arguments.clips, folder.name, arguments.frames)
        features = [segmenter.encode_frames(segmenter.processor.prepare_frames(picture[None])) for picture in pictures]
        frames[folder.name] = len(pictures)
        for way, follow in ways.items():
            own = score(follow(segmenter, features, torch.from_numpy(truth)), truth)
            results[way][folder.name] = own
            sys.stderr.write(f"{folder.name}: {way}: J {own[0]:.1f}, F {own[1]:.1f}\n")
    text = table(results, frames, arguments.weights.name, arguments.frames)
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()

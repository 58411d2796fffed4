"""Removing an object, beside OpenCV's inpainting: how near each comes to the same scene without the object.

    python benchmarks/removal.py --write benchmarks/removal.md

Scenes of the shapes world are drawn twice, with an object and without it, so that what was behind it is known to the
pixel; the second time without sensor noise. In each scene that object goes whose places over time lie farthest apart.
With a moving camera, the frames are windows of a larger scene that pan by 2 pixels a frame across and 1 down. PSNR
counts the object's mask, grown by 3 pixels, on all frames together. OpenCV's inpainting gets that mask.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "projects"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from word2mask.data.shapes_world.render import render  # noqa: E402
from word2mask.data.shapes_world.scene import sample_scene  # noqa: E402
from word2mask.inference.editing.removal import remove  # noqa: E402

FRAMES, SIZE = 24, (128, 160)
#: Pixels by which the window moves with each frame: across, down.
PAN = (2, 1)
GROWN = 3
KINDS = {
    "picture": "a picture",
    "still": "a video, the camera stands still",
    "pan": "a video, the camera pans",
}


@dataclass(frozen=True)
class Case:
    """A scene with and without an object.

    Attributes:
        frames, clean: uint8 RGB ``[T,H,W,3]``.
        masks: bool ``[T,H,W]`` of the object.
    """

    frames: np.ndarray
    clean: np.ndarray
    masks: np.ndarray

    @property
    def holes(self) -> np.ndarray:
        """The masks grown, bool ``[T,H,W]``."""
        kernel = np.ones((2 * GROWN + 1,) * 2, np.uint8)
        return np.stack([cv2.dilate(mask.astype(np.uint8), kernel) > 0 for mask in self.masks])


def case(kind: str, seed: int) -> Case:
    """One scene."""
    rng = np.random.default_rng(seed)
    if kind == "picture":
        scene = sample_scene(rng, "image", num_objects=4)
    else:
        more = (FRAMES * PAN[0], FRAMES * PAN[1]) if kind == "pan" else (0, 0)
        scene = sample_scene(
            rng, "video", num_objects=3, num_frames=FRAMES, canvas=(SIZE[1] + more[0], SIZE[0] + more[1])
        )
    frames, masks = render(scene)
    farthest = int(np.argmax([mask.any(axis=0).sum() / max(mask.sum(axis=(1, 2)).max(), 1) for mask in masks]))
    if kind == "picture":
        farthest = int(np.argmax(masks.sum(axis=(1, 2, 3))))
    others = tuple(thing for index, thing in enumerate(scene.objects) if index != farthest)
    noiseless = dataclasses.replace(scene.noise, sigma=0.0)
    clean, _ = render(dataclasses.replace(scene, objects=others, noise=noiseless))
    whole = (frames, clean, masks[farthest])
    if kind == "pan":
        whole = tuple(
            np.stack([part[t, PAN[1] * t :][: SIZE[0], PAN[0] * t :][:, : SIZE[1]] for t in range(FRAMES)])
            for part in whole
        )
    return Case(*whole)


def ours(given: Case) -> np.ndarray:
    """By this project, uint8 ``[T,H,W,3]``."""
    return np.stack(list(remove(given.frames, given.masks.astype(np.float32), range(len(given.frames)))))


def by_opencv(method: int) -> Callable[[Case], np.ndarray]:
    """By ``cv2.inpaint``, each frame on its own."""

    def fill(given: Case) -> np.ndarray:
        pairs = zip(given.frames, given.holes, strict=True)
        return np.stack([cv2.inpaint(frame, hole.astype(np.uint8), 4, method) for frame, hole in pairs])

    return fill


WAYS: dict[str, Callable[[Case], np.ndarray]] = {
    "Telea (OpenCV)": by_opencv(cv2.INPAINT_TELEA),
    "Navier-Stokes (OpenCV)": by_opencv(cv2.INPAINT_NS),
    "`remove`": ours,
}


def psnr(filled: np.ndarray, clean: np.ndarray, where: np.ndarray) -> float:
    """Peak signal to noise in decibels, of values up to 255, over the pixels ``where``."""
    error = float(((filled[where].astype(np.float64) - clean[where]) ** 2).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def measured(kind: str, seeds: range) -> dict[str, tuple[list[float], list[float]]]:
    """PSNR of each scene and processor milliseconds a frame, by way."""
    results: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in WAYS}
    for seed in seeds:
        given = case(kind, seed)
        for name, way in WAYS.items():
            begin = time.process_time()
            filled = way(given)
            results[name][1].append(1000 * (time.process_time() - begin) / len(given.frames))
            results[name][0].append(psnr(filled, given.clean, given.holes))
    return results


def table(rows: dict[str, dict[str, tuple[list[float], list[float]]]]) -> str:
    """The results as Markdown."""
    lines = [
        "# Removing an object",
        "",
        "`python benchmarks/removal.py --write benchmarks/removal.md`",
        "",
        f"PSNR in dB within the hole, against the same scene drawn without the object: mean over scenes and "
        f"the smallest, and processor milliseconds a frame. Videos have {FRAMES} frames of {SIZE[1]} × {SIZE[0]} with "
        "three objects that cross each other; the light changes in most of them.",
        "",
        "| | " + " | ".join(WAYS) + " | scenes |",
        "|---|" + "---|" * (len(WAYS) + 1),
    ]
    for kind, ways in rows.items():
        cells = [
            f"{statistics.mean(values):.1f} (≥ {min(values):.1f}), {statistics.mean(spent):.0f} ms"
            for values, spent in ways.values()
        ]
        lines.append(f"| {KINDS[kind]} | {' | '.join(cells)} | {len(next(iter(ways.values()))[0])} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Draw, remove, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=6, help="of each kind")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    rows: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for kind in KINDS:
        rows[kind] = measured(kind, range(arguments.scenes))
        if arguments.write:  # a run that is cut short leaves what it has found
            arguments.write.write_text(table(rows), encoding="utf-8")
    if not arguments.write:
        sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()

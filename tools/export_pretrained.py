"""Turns a checkpoint of a pretraining of SAM 2 or SAM into a folder that other configs start from, and measures it.

    python tools/export_pretrained.py CONFIG CHECKPOINT FOLDER [--scenes 200] [--videos 40] [--dtype float16]

Writes ``config.json``, ``model.safetensors`` and ``training.json`` (config, seed, commit, steps, scores). Scores are
taken from the written folder, on scenes of the split ``val``, at the original resolution; J is the DAVIS measure,
averaged over frames, then objects, for objects followed from their true mask on frame 0. SAM follows nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from word2mask.data.shapes_world.promptable import draw_empty_click  # noqa: E402
from word2mask.data.shapes_world.render import render  # noqa: E402
from word2mask.data.shapes_world.scene import Scene, sample_scene  # noqa: E402
from word2mask.data.shapes_world.splits import scene_rng  # noqa: E402
from word2mask.engine.build import build  # noqa: E402
from word2mask.engine.checkpoint import load_trained  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.errors import UserError  # noqa: E402
from word2mask.metrics.jf import region_similarity  # noqa: E402
from word2mask.segmenters.interface import Segmenter  # noqa: E402
from word2mask.segmenters.sam import SAMSegmenter  # noqa: E402
from word2mask.segmenters.sam2 import SAM2Segmenter  # noqa: E402
from word2mask.segmenters.tracker import Tracker  # noqa: E402

#: Seed of the scenes that are measured on.
SCENE_SEED = 77
#: How many frames of a video are key frames in the second tracking score, as in Sa2VA-i's default.
NUM_KEY_FRAMES = 5
logger = logging.getLogger("export_pretrained")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Exports and measures a pretrained SAM 2 or SAM.")
    parser.add_argument("config", type=Path, help="the config that was trained")
    parser.add_argument("checkpoint", type=Path, help="an iter_N.pth of its run")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--scenes", type=int, default=200, help="pictures to measure on")
    parser.add_argument("--videos", type=int, default=40, help="videos to measure on")
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float16", help="of the weights on disk")
    parser.add_argument("--note", help="anything else worth knowing of the run, for training.json")
    return parser.parse_args()


def resize_masks(segmenter: Segmenter, mask_logits: torch.Tensor, scene: Scene) -> np.ndarray:
    """Mask logits ``[N,h,w]`` as bool masks ``[N,H,W]`` of the scene's size."""
    size = (scene.height, scene.width)
    logits = segmenter.without_padding(mask_logits, size)
    return (F.interpolate(logits[:, None].float(), size=size, mode="bilinear") > 0)[:, 0].numpy()


@torch.no_grad()
def measure_pictures(segmenter: Segmenter, num_scenes: int) -> dict[str, float]:
    """Mean IoU per object by kind of prompt, and how often the object score is right on objects and on nothing."""
    ious: dict[str, list[float]] = {"click": [], "middle": [], "box": []}
    right: dict[str, list[bool]] = {"present": [], "absent": []}
    for index in range(num_scenes):
        rng = scene_rng(SCENE_SEED, "val", index)
        scene = sample_scene(rng, "image", "val")
        frames, masks = render(scene)
        masks = masks[:, 0]
        features = segmenter.encode_frames(segmenter.processor.prepare_frames(frames))
        filled = segmenter.processor.content_size(scene.height, scene.width)
        scale = np.array([filled[1] / scene.width, filled[0] / scene.height], dtype=np.float32)
        clicks, middles, boxes = [], [], []
        for mask in masks:
            rows, columns = np.nonzero(mask)
            chosen = rng.integers(len(rows))
            clicks.append(np.array([columns[chosen] + 0.5, rows[chosen] + 0.5]) * scale - 0.5)
            low = np.array([columns.min(), rows.min()]) * scale - 0.5
            high = np.array([columns.max() + 1, rows.max() + 1]) * scale - 0.5
            middles.append((low + high) / 2)
            boxes.append(np.concatenate([low, high]))
        frame_index = torch.zeros(len(masks), dtype=torch.long)
        ones = torch.ones(len(masks), 1, dtype=torch.long)
        for name, points in (("click", clicks), ("middle", middles)):
            points = torch.from_numpy(np.stack(points)).float()[:, None]
            decoded = segmenter.decode_points(features, frame_index, points, ones)
            ious[name] += region_similarity(resize_masks(segmenter, decoded.mask_logits, scene), masks).tolist()
            if name == "click":
                right["present"] += (decoded.object_logits > 0).tolist()
        decoded = segmenter.decode_points(features, frame_index, boxes=torch.from_numpy(np.stack(boxes)).float())
        ious["box"] += region_similarity(resize_masks(segmenter, decoded.mask_logits, scene), masks).tolist()
        nothing = draw_empty_click(rng, masks)
        if nothing is not None:
            point = torch.from_numpy(nothing * scale - 0.5).float()[None, None]
            decoded = segmenter.decode_points(features, frame_index[:1], point, ones[:1])
            right["absent"] += (decoded.object_logits <= 0).tolist()
    scores = {f"{name}_iou": float(np.mean(values)) for name, values in ious.items()}
    return scores | {f"{name}_accuracy": float(np.mean(values)) for name, values in right.items()}


def measure_videos(segmenter: SAM2Segmenter, num_videos: int) -> dict[str, float]:
    """J of objects followed through 16 frames from true masks: of frame 0, or of five key frames, which don't count."""
    scores: dict[str, list[float]] = {"track_j": [], "five_key_frames_j": []}
    tracker = Tracker(segmenter)
    for index in range(num_videos):
        scene = sample_scene(scene_rng(SCENE_SEED + 1, "val", index), "video", "val")
        frames, masks = render(scene)
        pixels = segmenter.processor.prepare_frames(frames)
        spread = sorted({round(t) for t in np.linspace(0, scene.num_frames - 1, NUM_KEY_FRAMES)})
        for name, keys in (("track_j", [0]), ("five_key_frames_j", spread)):
            given = {t: torch.from_numpy(masks[:, t].copy()) for t in keys}
            predicted = np.zeros_like(masks)
            for t, mask_logits, _ in tracker.track(lambda t, p=pixels: p[t : t + 1], given, scene.num_frames):
                predicted[:, t] = resize_masks(segmenter, mask_logits, scene)
            rest = [t for t in range(scene.num_frames) if t not in keys]
            for ours, truth in zip(predicted, masks, strict=True):
                scores[name].append(float(region_similarity(ours[rest], truth[rest]).mean()))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def commit() -> str:
    """The commit of the working tree."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return head.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def run(arguments: argparse.Namespace) -> None:
    """Export, read back, measure, record."""
    settings = check_settings(load_config(arguments.config), arguments.config.name)
    model = build(settings.model, path="config.model")
    segmenter = getattr(model, "segmenter", None)
    if not isinstance(segmenter, SAM2Segmenter | SAMSegmenter):
        raise UserError(f"{arguments.config} trains no SAM 2 and no SAM (its model has none under 'segmenter')")
    meta = load_trained(model, arguments.checkpoint)
    segmenter.save_pretrained(arguments.folder, dtype=getattr(torch, arguments.dtype))
    exported = type(segmenter).from_pretrained(arguments.folder)
    scores = measure_pictures(exported, arguments.scenes)
    measured_on = {"split": "val", "seed": SCENE_SEED, "pictures": arguments.scenes}
    if isinstance(exported, SAM2Segmenter):
        scores |= measure_videos(exported, arguments.videos)
        measured_on["videos"] = arguments.videos
    config = arguments.config.resolve()
    record: dict[str, Any] = {
        "config": str(config.relative_to(REPOSITORY) if config.is_relative_to(REPOSITORY) else config.name),
        "seed": meta["seed"],
        "commit": commit(),
        "steps": meta["iter"],
        "parameters": sum(parameter.numel() for parameter in exported.parameters()),
        "measured_on": measured_on,
        "scores": {name: round(value, 4) for name, value in scores.items()},
    }
    if arguments.note:
        record["note"] = arguments.note
    (arguments.folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    logger.info(json.dumps(record["scores"], indent=2))


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Promptable segmentation and tracking on the shapes world: class-agnostic data for a segmenter, drawn on the fly.

An item is a whole batch, so that its P objects can be packed flat and pictures never wait for clips. Item i is a pure
function of (seed, split, i); nothing is read from disk. Knows nothing of any network: a frame processor is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import Scene, sample_scene
from word2mask.data.shapes_world.splits import Split, scene_rng

#: How far from every object's box a click on "nothing" stays, in pixels.
EMPTY_MARGIN = 8
#: Spread of a vague click around the middle of the object, as a share of its extent.
VAGUENESS = 0.12


class FramePreparation(Protocol):
    """A segmenter's preprocessing; see :class:`word2mask.segmenters.interface.FrameProcessor`."""

    side: int

    def content_size(self, height: int, width: int) -> tuple[int, int]:
        """How much of the square a frame ``H × W`` fills, ``(h, w)`` in pixels of the S × S input."""

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        """uint8 ``[T,H,W,3]`` → float32 ``[T,3,S,S]``."""


@dataclass
class PromptableBatch:
    """P objects over T frames each, from several scenes; prompts are on first frames, in pixels of the S × S input.

    Attributes:
        pixels: float32 ``[F,3,S,S]``, the frames of all scenes.
        frame_index: int64 ``[P,T]``, the frame of each object at each time.
        targets: float32 ``[P,T,S/2,S/2]``, the share of each cell that the object covers.
        clicks: float32 ``[P,2]``, on the object, or vaguely in its middle.
        boxes: float32 ``[P,4]``, (x1, y1, x2, y2), slightly off.
        points: float32 ``[P,3,2]`` with ``point_labels`` int64 ``[P,3]``: on the object (1) and off it (0), 1 first.
        empty_clicks: float32 ``[E,2]``, where no object is, on frames ``empty_frames`` int64 ``[E]``.
        frame_step: how many frames of the video lie between two frames of a clip.
    """

    pixels: torch.Tensor
    frame_index: torch.Tensor
    targets: torch.Tensor
    clicks: torch.Tensor
    boxes: torch.Tensor
    points: torch.Tensor
    point_labels: torch.Tensor
    empty_clicks: torch.Tensor
    empty_frames: torch.Tensor
    frame_step: int = 1

    def to(self, device: torch.device | str) -> PromptableBatch:
        """The same batch on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in values.items()}
        return PromptableBatch(**moved)


def single_item(items: Sequence[PromptableBatch]) -> PromptableBatch:
    """The collate function of :class:`PromptableBatches`, whose items are batches already.

    Raises:
        ValueError: the loader was asked for batches of batches.
    """
    if len(items) != 1:
        raise ValueError(
            f"an item of PromptableBatches is a whole batch: set the loader's batch_size to 1, got {len(items)}"
        )
    return items[0]


class PromptableBatches:
    """Batches of prompted objects, drawn from generated scenes.

    Args:
        processor: the segmenter's frame processor.
        num_batches: length of the data set.
        num_images: scenes in a batch of pictures.
        num_clips: scenes in a batch of clips.
        clip_every: every how many batches is one of clips; 0 for pictures only.
        clips_from: the first batch that may be one of clips; tracking is learned faster once pictures are understood.
            Load without shuffling for that.
        num_frames: T of a clip.
        max_objects: at most this many objects of a scene are asked about.
        split: of the shapes world.
        seed: of everything.
    """

    def __init__(
        self,
        processor: FramePreparation,
        num_batches: int,
        num_images: int = 8,
        num_clips: int = 4,
        clip_every: int = 3,
        clips_from: int = 0,
        num_frames: int = 6,
        max_objects: int = 4,
        split: Split = "train",
        seed: int = 0,
    ) -> None:
        self.processor = processor
        self.num_batches = num_batches
        self.num_images = num_images
        self.num_clips = num_clips
        self.clip_every = clip_every
        self.clips_from = clips_from
        self.num_frames = num_frames
        self.max_objects = max_objects
        self.split = split
        self.seed = seed

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> PromptableBatch:
        if not 0 <= index < self.num_batches:
            raise IndexError(f"batch {index} of {self.num_batches}")
        rng = scene_rng(self.seed, self.split, index)
        is_clip = self.clip_every > 0 and index >= self.clips_from and index % self.clip_every == self.clip_every - 1
        if not is_clip:
            scenes = [sample_scene(rng, "image", self.split) for _ in range(self.num_images)]
            return pack_scenes(scenes, self.processor, rng, self.max_objects)
        step = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
        scenes = [sample_scene(rng, "video", self.split) for _ in range(self.num_clips)]
        clips = [take_frames(scene, draw_frames(rng, scene.num_frames, self.num_frames, step)) for scene in scenes]
        return pack_scenes(clips, self.processor, rng, self.max_objects, step)


def draw_frames(rng: np.random.Generator, num_frames: int, length: int, step: int) -> np.ndarray:
    """Indices of a clip: ``length`` frames ``step`` apart from a random start, half of the time backwards."""
    span = (length - 1) * step + 1
    if span > num_frames:
        step, span = 1, length
    indices = int(rng.integers(num_frames - span + 1)) + np.arange(length) * step
    return indices[::-1] if rng.random() < 0.5 else indices


def take_frames(scene: Scene, indices: np.ndarray) -> Scene:
    """The scene at some of its frames only, in that order."""
    objects = tuple(
        replace(thing, centre=thing.centre[indices], scale=thing.scale[indices], rotation=thing.rotation[indices])
        for thing in scene.objects
    )
    lighting = replace(scene.lighting, gain=scene.lighting.gain[indices])
    return replace(scene, num_frames=len(indices), objects=objects, lighting=lighting)


def pack_scenes(
    scenes: Sequence[Scene],
    processor: FramePreparation,
    rng: np.random.Generator,
    max_objects: int,
    frame_step: int = 1,
) -> PromptableBatch:
    """Renders scenes of equal length, draws prompts on their first frames, and packs everything flat."""
    pixels, frame_index, targets, empty = [], [], [], []
    prompts: list[tuple[np.ndarray, ...]] = []
    side, offset = processor.side, 0
    for scene in scenes:
        frames, masks = render(scene)
        visible = [i for i in range(len(masks)) if masks[i, 0].sum() >= 20]
        chosen = rng.permutation(visible)[:max_objects] if visible else []
        filled = processor.content_size(scene.height, scene.width)
        scale = np.array([filled[1] / scene.width, filled[0] / scene.height], dtype=np.float32)
        for i in chosen:
            click, box, points, labels = draw_prompts(rng, masks[:, 0], int(i))
            box = (box.reshape(2, 2) * scale - 0.5).reshape(4)
            prompts.append((click * scale - 0.5, box, points * scale - 0.5, labels))
            frame_index.append(offset + np.arange(scene.num_frames))
        if len(chosen):
            shares = torch.from_numpy(masks[chosen].astype(np.float32))
            size = (filled[0] // 2, filled[1] // 2)
            shares = F.interpolate(shares, size=size, mode="bilinear", align_corners=False, antialias=True)
            targets.append(F.pad(shares, (0, side // 2 - size[1], 0, side // 2 - size[0])))
        nothing = draw_empty_click(rng, masks[:, 0])
        if nothing is not None:
            empty.append((nothing * scale - 0.5, offset))
        pixels.append(processor.prepare_frames(frames))
        offset += scene.num_frames
    clicks, boxes, points, labels = (torch.from_numpy(np.stack(parts)) for parts in zip(*prompts, strict=True))
    return PromptableBatch(
        pixels=torch.cat(pixels),
        frame_index=torch.from_numpy(np.stack(frame_index)),
        targets=torch.cat(targets),
        clicks=clicks.float(),
        boxes=boxes.float(),
        points=points.float(),
        point_labels=labels,
        empty_clicks=torch.tensor(np.array([c for c, _ in empty]), dtype=torch.float32).reshape(-1, 2),
        empty_frames=torch.tensor([f for _, f in empty], dtype=torch.long),
        frame_step=frame_step,
    )


def draw_prompts(
    rng: np.random.Generator, masks: np.ndarray, target: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Prompts for one object of a frame, in pixels where a pixel's middle is at + 0.5.

    Args:
        rng: source of randomness.
        masks: bool ``[N,H,W]``.
        target: which of them.

    Returns:
        click ``[2]``, box ``[4]``, points ``[3,2]`` and their labels ``[3]``. Half of the clicks are vague: around the
        middle of the object's extent, wherever no other object is, so also in the hole of a ring.
    """
    mask = masks[target]
    rows, columns = np.nonzero(mask)
    inside = np.stack([columns, rows], axis=1).astype(np.float32) + 0.5
    low, high = inside.min(0) - 0.5, inside.max(0) + 0.5
    extent = high - low
    click = inside[rng.integers(len(inside))]
    if rng.random() < 0.5:
        vague = (low + high) / 2 + rng.normal(0, VAGUENESS, 2).astype(np.float32) * extent
        x, y = (int(np.clip(vague[k], 0, mask.shape[1 - k] - 1)) for k in (0, 1))
        if not np.delete(masks, target, axis=0)[:, y, x].any():
            click = np.array([x + 0.5, y + 0.5], dtype=np.float32)
    box = np.concatenate([low, high]) + np.tile(extent, 2) * rng.uniform(-0.06, 0.06, 4)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~mask
    rows, columns = np.nonzero(near if near.any() else ~mask)
    outside = np.stack([columns, rows], axis=1).astype(np.float32) + 0.5
    labels = np.array([1, int(rng.random() < 0.5), 0], dtype=np.int64)
    pools = (outside, inside)
    points = np.stack([pools[label][rng.integers(len(pools[label]))] for label in labels])
    return click, box.astype(np.float32), points, labels


def draw_empty_click(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray | None:
    """A point ``[2]`` outside every object's widened box; ``None`` when a few tries find none."""
    height, width = masks.shape[1:]
    boxes = []
    for mask in masks:
        if mask.any():
            rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
            boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    for _ in range(10):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        margin = EMPTY_MARGIN
        if not any(a - margin < x < c + margin and b - margin < y < d + margin for a, b, c, d in boxes):
            return np.array([x, y], dtype=np.float32)
    return None

"""Endless pictures of the shapes world for pretraining a vision tower; nothing is written to disk.

Item ``i`` is a pure function of ``(seed, split, i)``. The indices start far above those of the data set on disk, so
that a pretrained model never meets a scene of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import Scene, sample_scene
from word2mask.data.shapes_world.splits import Split, scene_rng
from word2mask.data.shapes_world.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES
from word2mask.text.special_tokens import IGNORE_INDEX
from word2mask.types import Media

#: First scene index of the streams.
FIRST_INDEX = 10_000_000
#: A patch belongs to the object that covers most of it, if that is at least this share.
MIN_PATCH_SHARE = 0.15
#: Side of the small silhouette that every patch of an object draws of the whole object.
OUTLINE_SIDE = 8
#: Label of a patch without loss.
IGNORED = IGNORE_INDEX


class VisionStream(Dataset):
    """Pictures with a description of every patch, for dense supervised pretraining of a vision tower.

    Args:
        processor: the MLLM's preprocessing (a :class:`word2mask.mllms.interface.MediaProcessor`).
        length: number of items.
        split: of the scenes.
        seed: of the scenes.
        grid: patches along a side of the tile.
        video_share: share of the items that are one frame of a video, where objects are cut off and change their size.
    """

    def __init__(
        self,
        processor: Any,
        length: int,
        split: Split = "train",
        seed: int = 0,
        grid: int = 16,
        video_share: float = 0.25,
    ) -> None:
        self.processor, self.length, self.split, self.seed = processor, length, split, seed
        self.grid, self.video_share = grid, video_share

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """``pixel_values`` float32 ``[3,h,w]``, ``object shape colour texture size`` int64 ``[cells]`` ``box``
        float32 ``[cells,4]`` (x1, y1, x2, y2 in 0…1) and ``outline`` float32 ``[cells,64]``, its silhouette within its
        box. ``object`` is 0 at the background, where the others are ignored."""
        rng = scene_rng(self.seed, self.split, FIRST_INDEX + index)
        is_video = rng.random() < self.video_share
        scene = sample_scene(rng, "video" if is_video else "image", self.split, num_frames=4)
        frame = int(rng.integers(scene.num_frames))
        frames, masks = render(single_frame(scene, frame))
        return {
            "pixel_values": self.processor.prepare_media(Media("image", frames)).tensors["pixel_values"][-1],
            **describe_patches(scene, masks[:, 0], self.grid, sized=frame == 0),
        }


def single_frame(scene: Scene, frame: int) -> Scene:
    """The picture that a scene shows in one frame."""
    things = tuple(
        replace(t, centre=t.centre[[frame]], scale=t.scale[[frame]], rotation=t.rotation[[frame]])
        for t in scene.objects
    )
    light = replace(scene.lighting, gain=scene.lighting.gain[[frame]])
    return replace(scene, objects=things, lighting=light, num_frames=1)


def describe_patches(scene: Scene, masks: np.ndarray, grid: int, sized: bool = True) -> dict[str, torch.Tensor]:
    """What each patch of a picture shows.

    Args:
        scene: the scene.
        masks: bool ``[N,H,W]``.
        grid: patches along a side.
        sized: whether the size words hold in this frame.
    """
    share = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).float()[None], (grid, grid))[0].flatten(1)
    most, owner = share.max(dim=0)
    owner[most < MIN_PATCH_SHARE] = len(masks)
    height, width = masks.shape[1:]
    boxes = np.zeros((len(masks) + 1, 4), dtype=np.float32)
    for index, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            boxes[index] = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height

    outlines = torch.zeros(len(masks) + 1, OUTLINE_SIDE, OUTLINE_SIDE)
    for index, mask in enumerate(masks):
        x1, y1, x2, y2 = (boxes[index] * (width, height, width, height)).round().astype(int)
        if x2 > x1 and y2 > y1:
            crop = torch.from_numpy(mask[y1:y2, x1:x2]).float()[None, None]
            outlines[index] = nn.functional.interpolate(crop, (OUTLINE_SIDE, OUTLINE_SIDE), mode="area")[0, 0]

    def cells(words: Sequence[int], background: int = IGNORED) -> torch.Tensor:
        return torch.tensor([*words, background])[owner]

    things = scene.objects
    colours = tuple(COLOURS)
    return {
        "object": cells([1] * len(things), background=0),
        "shape": cells([SHAPES.index(thing.shape) for thing in things]),
        "colour": cells([colours.index(thing.colour) for thing in things]),
        "texture": cells([TEXTURES.index(thing.texture) for thing in things]),
        "size": cells([SIZES.index(thing.size_name) if sized else IGNORED for thing in things]),
        "box": torch.from_numpy(boxes)[owner],
        "outline": outlines.flatten(1)[owner],
    }


def stack(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Stacks items of :class:`VisionStream`."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}

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
from word2mask.data.shapes_world.unnamed import with_some_unnamed
from word2mask.data.shapes_world.vocabulary import (
    BACKGROUND_PATTERNS,
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZES,
    TEXTURES,
    UNNAMED,
)
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
#: What the standings of an object are counted along, and among which objects: all, or those like it in one respect.
STANDING_AXES = ("x", "y", "area")
STANDING_GROUPS = ("all", "shape", "colour", "texture")
#: Standings of a patch: for every axis and group how many are clearly lower, and how many clearly higher.
NUM_STANDINGS = 2 * len(STANDING_AXES) * len(STANDING_GROUPS)
#: Standings count from 0 to 4.
NUM_RANKS = 5
#: Least difference of two centres in pixels, and least ratio of two areas, that decides which is lower.
STANDING_MARGIN, STANDING_RATIO = 4.0, 1.2


class VisionStream(Dataset):
    """Pictures with a description of every patch, for dense supervised pretraining of a vision tower.

    Args:
        processor: the MLLM's preprocessing (a :class:`word2mask.mllms.interface.MediaProcessor`).
        length: number of items.
        split: of the scenes.
        seed: of the scenes.
        grid: patches along a side of the tile.
        video_share: share of the items that are one frame of a video, where objects are cut off and change their size.
        unnamed_share: share of the items whose objects have colours without a name. There the colour isn't asked for:
            they keep the shape of a thing from being guessed by its colour, which would fail for pairs never seen.
        unnamed_shape_share: share of the items where some objects have shapes without a name, which aren't asked for.
    """

    def __init__(
        self,
        processor: Any,
        length: int,
        split: Split = "train",
        seed: int = 0,
        grid: int = 16,
        video_share: float = 0.25,
        unnamed_share: float = 0.3,
        unnamed_shape_share: float = 0.0,
    ) -> None:
        self.processor, self.length, self.split, self.seed = processor, length, split, seed
        self.grid, self.video_share = grid, video_share
        self.unnamed_share, self.unnamed_shape_share = unnamed_share, unnamed_shape_share

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """``pixel_values`` float32 ``[3,h,w]``, ``object shape colour texture size`` int64 ``[cells]``, ``box``
        float32 ``[cells,4]`` (x1, y1, x2, y2 in 0…1), ``outline`` float32 ``[cells,64]``, its silhouette within its
        box, and ``standing`` int64 ``[cells,24]``. ``object`` is 0 at the background, where the others are ignored;
        ``background pattern`` int64 ``[cells]`` say what lies there."""
        rng = scene_rng(self.seed, self.split, FIRST_INDEX + index)
        is_video = rng.random() < self.video_share
        scene = sample_scene(rng, "video" if is_video else "image", self.split, num_frames=4)
        frame = int(rng.integers(scene.num_frames))
        shown = single_frame(scene, frame)
        shown = with_some_unnamed(shown, rng, self.unnamed_share, self.unnamed_shape_share)
        frames, masks = render(shown)
        return {
            "pixel_values": self.processor.prepare_media(Media("image", frames)).tensors["pixel_values"][-1],
            **describe_patches(shown, masks[:, 0], self.grid, sized=frame == 0),
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

    nothing = [IGNORED] * len(masks)
    behind = scene.background

    def cells(words: Sequence[int], background: int = IGNORED) -> torch.Tensor:
        return torch.tensor([*words, background])[owner]

    things = scene.objects
    colours = tuple(COLOURS)
    return {
        "object": cells([1] * len(things), background=0),
        "shape": cells([index_of(thing.shape, SHAPES) for thing in things]),
        "colour": cells([index_of(thing.colour, colours) for thing in things]),
        "texture": cells([TEXTURES.index(thing.texture) for thing in things]),
        "size": cells([SIZES.index(thing.size_name) if sized else IGNORED for thing in things]),
        "background": cells(nothing, background=list(BACKGROUNDS).index(behind.colour)),
        "pattern": cells(nothing, background=BACKGROUND_PATTERNS.index(behind.pattern)),
        "box": torch.from_numpy(boxes)[owner],
        "outline": silhouettes(masks)[owner],
        "standing": standings(scene, masks)[owner],
    }


def silhouettes(masks: np.ndarray) -> torch.Tensor:
    """Each object within its own box, at the size of a stamp.

    Args:
        masks: bool ``[N,H,W]``.

    Returns:
        float32 ``[N+1,64]``, row by row of 8 × 8, how much of each part is covered; zeros for an object without a pixel
        and in the last row, which is the background's.
    """
    stamps = torch.zeros(len(masks) + 1, OUTLINE_SIDE, OUTLINE_SIDE)
    for index, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            crop = torch.from_numpy(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).float()[None, None]
            stamps[index] = nn.functional.interpolate(crop, (OUTLINE_SIDE, OUTLINE_SIDE), mode="area")[0, 0]
    return stamps.flatten(1)


def index_of(word: str, words: Sequence[str]) -> int:
    """Place of a word among those of its kind; ``IGNORED`` for what has no name."""
    return words.index(word) if word in words else IGNORED


def standings(scene: Scene, masks: np.ndarray) -> torch.Tensor:
    """Where each object stands among the others: left and right of how many, above how many, bigger than how many.

    Args:
        scene: of one frame.
        masks: bool ``[N,H,W]``; objects without a pixel don't count.

    Returns:
        int64 ``[N+1,24]``: for every axis of ``STANDING_AXES`` and group of ``STANDING_GROUPS`` the number of others
        that are clearly lower and the number that are clearly higher, 4 at most; -100 where one is too close to tell,
        and in the last row, which is the background's.
    """
    things = scene.objects
    is_named = {"colour": all(thing.colour != UNNAMED for thing in things)}
    seen = masks.any(axis=(1, 2))
    centres = np.array([thing.centre[0] for thing in things])
    area = np.log([thing.area * thing.scale[0] ** 2 for thing in things])
    result = torch.full((len(things) + 1, NUM_STANDINGS), IGNORED)
    margins = (STANDING_MARGIN, STANDING_MARGIN, float(np.log(STANDING_RATIO)))
    for i, thing in enumerate(things):
        for g, group in enumerate(STANDING_GROUPS):
            if not is_named.get(group, True):
                continue
            others = [
                j
                for j, other in enumerate(things)
                if j != i and seen[j] and (group == "all" or getattr(other, group) == getattr(thing, group))
            ]
            for a, (values, margin) in enumerate(zip((*centres.T, area), margins, strict=True)):
                differences = values[others] - values[i]
                if (np.abs(differences) >= margin).all():
                    place = 2 * (a * len(STANDING_GROUPS) + g)
                    result[i, place] = min(NUM_RANKS - 1, int((differences < 0).sum()))
                    result[i, place + 1] = min(NUM_RANKS - 1, int((differences > 0).sum()))
    return result


def stack(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Stacks items of :class:`VisionStream`."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}

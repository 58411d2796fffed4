"""Endless conversations about the shapes world for pretraining a base MLLM; nothing is written to disk.

Each picture carries many questions, so that one pass through the vision tower gives much supervision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.base_talk import LONG_MIX, SHORT_MIX, BaseMix, Mark, about_regions, compose
from word2mask.data.shapes_world.language import object_boxes
from word2mask.data.shapes_world.language.space import centres
from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import Scene, ShapeObject, training_scene
from word2mask.data.shapes_world.splits import Split, scene_rng
from word2mask.data.shapes_world.unnamed import with_some_unnamed
from word2mask.data.shapes_world.vision_stream import (
    FIRST_INDEX,
    IGNORED,
    MIN_PATCH_SHARE,
    index_of,
    silhouettes,
    standings,
)
from word2mask.data.shapes_world.vocabulary import ALL_COLOURS, ALL_SHAPES, MOTIONS, SIZES, TEXTURES
from word2mask.ops.frames import uniform_frames
from word2mask.text.special_tokens import BOX_START
from word2mask.types import Batch, Example, Media, Sample, Turn

#: Fewest turns about a scene with what has no name.
MIN_UNNAMED_TURNS = 3


@dataclass(frozen=True)
class BaseItem:
    """An example and what the tokens ``<box>`` of its answers stand for.

    Attributes:
        example: as any training example.
        boxes: float32 ``[K,4]`` x1, y1, x2, y2 in 0…1 of the first frame, in the order of ``<box>`` in the answers.
        cells: float32 ``[K,h*w]``, what share of each visual token of the first frame the object covers.
        anchors: float32 ``[K,h*w]``, the same of the object that the question relates it to; zero where there is none.
        distances: float32 ``[K,h*w]``, from that object's centre to the centre of each visual token's, widths of the
            picture; infinite at the background, at the object itself, and where there is none.
        looks: int64 ``[K,4]``, shape, colour, texture and size of the object.
        cell_looks: int64 ``[T*h*w,4]``, the same for every visual token; -100 at the background.
        cell_motions: int64 ``[T*h*w]``, place in ``MOTIONS`` of what the object of a visual token does; -100 at the
            background, in pictures and in the first frame of a video, from which it can't be told.
        cell_starts: float32 ``[T*h*w,4]``, box of that object in the first frame.
        cell_standings: int64 ``[h*w,24]`` of the first frame
            (:func:`~word2mask.data.shapes_world.vision_stream.standings`).
        cell_tints: float32 ``[T*h*w,3]``, main colour of the object of a visual token, RGB in 0…1.
        cell_outlines: float32 ``[T*h*w,64]``, its silhouette
            (:func:`~word2mask.data.shapes_world.vision_stream.silhouettes`).
    """

    example: Example
    boxes: torch.Tensor
    cells: torch.Tensor
    anchors: torch.Tensor
    distances: torch.Tensor
    looks: torch.Tensor
    cell_looks: torch.Tensor
    cell_motions: torch.Tensor
    cell_starts: torch.Tensor
    cell_standings: torch.Tensor
    cell_tints: torch.Tensor
    cell_outlines: torch.Tensor


@dataclass
class BaseBatch:
    """A batch and the objects of its tokens ``<box>``, all samples after one another; fields as in :class:`BaseItem`.

    What is said of visual tokens has a first dimension B.
    """

    batch: Batch
    boxes: torch.Tensor
    cells: torch.Tensor
    anchors: torch.Tensor
    distances: torch.Tensor
    looks: torch.Tensor
    cell_looks: torch.Tensor
    cell_motions: torch.Tensor
    cell_starts: torch.Tensor
    cell_standings: torch.Tensor
    cell_tints: torch.Tensor
    cell_outlines: torch.Tensor

    def to(self, device: torch.device | str) -> BaseBatch:
        """The same batch on ``device``."""
        return BaseBatch(**{name: value.to(device) for name, value in vars(self).items()})


def collate_base(items: Sequence[BaseItem], pad_id: int) -> BaseBatch:
    """Puts items side by side."""
    return BaseBatch(
        batch=collate([item.example for item in items], pad_id),
        boxes=torch.cat([item.boxes for item in items]),
        cells=torch.cat([item.cells for item in items]),
        anchors=torch.cat([item.anchors for item in items]),
        distances=torch.cat([item.distances for item in items]),
        looks=torch.cat([item.looks for item in items]),
        cell_looks=torch.stack([item.cell_looks for item in items]),
        cell_motions=torch.stack([item.cell_motions for item in items]),
        cell_starts=torch.stack([item.cell_starts for item in items]),
        cell_standings=torch.stack([item.cell_standings for item in items]),
        cell_tints=torch.stack([item.cell_tints for item in items]),
        cell_outlines=torch.stack([item.cell_outlines for item in items]),
    )


class BaseStream(Dataset):
    """Pictures and videos with conversations.

    Blocks of ``block`` neighbouring items are of one kind, so that a batch of that size pads little.

    Args:
        encoder: the encoder that fine-tuning uses too, without a segmenter; with ``overlong="drop_turns"`` its
            ``max_length`` says how much is asked about one picture.
        video_encoder: the same for videos, whose frames need a greater length; ``encoder`` if not given.
        length: number of items.
        split: of the scenes.
        seed: of the scenes.
        block: items of one kind in a row; the batch size.
        video_every: one block in so many shows videos.
        num_frames: frames of a video that the model sees, of 16.
        long_every: one block in so many has long turns.
        regions_every: one block in so many asks about marked regions of pictures.
        short_mix: kinds of turns in the other blocks.
        long_mix: kinds of turns there.
        start: index of the first item, to go on after an earlier run.
        unnamed_share: share of the items whose objects have colours without a name, about which nothing is said with a
            colour in it (:mod:`~word2mask.data.shapes_world.unnamed`).
        unnamed_shape_share: share of the items with shapes without a name, which no text names.
        more_names_share: share of the items with further colours and shapes, which texts do name.
    """

    def __init__(
        self,
        encoder: Encoder,
        length: int,
        split: Split = "train",
        seed: int = 0,
        block: int = 16,
        video_every: int = 6,
        num_frames: int = 5,
        long_every: int = 7,
        regions_every: int = 11,
        short_mix: BaseMix = SHORT_MIX,
        long_mix: BaseMix = LONG_MIX,
        start: int = 0,
        video_encoder: Encoder | None = None,
        unnamed_share: float = 0.25,
        unnamed_shape_share: float = 0.0,
        more_names_share: float = 0.0,
    ) -> None:
        self.video_encoder = video_encoder or encoder
        self.encoder, self.length, self.split, self.seed = encoder, length, split, seed
        self.block, self.video_every, self.num_frames = block, video_every, num_frames
        self.long_every, self.short_mix, self.long_mix, self.start = long_every, short_mix, long_mix, start
        self.regions_every = regions_every
        self.unnamed_share, self.unnamed_shape_share = unnamed_share, unnamed_shape_share
        self.more_names_share = more_names_share

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> BaseItem:
        index += self.start
        rng = scene_rng(self.seed, self.split, 2 * FIRST_INDEX + index)
        block = index // self.block
        marked = block % self.regions_every == self.regions_every - 1
        is_video = not marked and block % self.video_every == self.video_every - 1
        mix = self.long_mix if block % self.long_every == self.long_every - 1 else self.short_mix
        scene = training_scene(rng, "video" if is_video else "image", self.split)
        regions = None
        if not marked:
            scene, (turns, marks) = self._talk(scene, rng, mix)
        frames, masks, indices = shown_frames(scene, self.num_frames)
        if marked:
            order = rng.permutation(len(scene.objects))[: int(rng.integers(1, len(scene.objects) + 1))]
            (turns, marks), regions = about_regions(scene, order, rng), masks[order, 0]
        sample = Sample(
            source="shapes_base",
            id=str(index),
            task="chat",
            turns=tuple(
                Turn(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)
            ),
            media=Media(scene.kind, frames, indices),
            regions=regions,
        )
        example = (self.video_encoder if is_video else self.encoder)(sample)
        processor = self.encoder.media_processor
        kept = int((example.labels == processor.tokenizer.convert_tokens_to_ids(BOX_START)).sum())
        grid = processor.prepare_media(replace(sample.media, frames=frames[:1])).grid
        share = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).float(), grid).flatten(2)
        boxes = torch.tensor([box or (0, 0, 0, 0) for box in object_boxes(scene)], dtype=torch.float32) / 100
        looks = torch.tensor([_looks(thing) for thing in scene.objects])
        marks = marks[:kept]
        named = [mark.target for mark in marks]
        anchors, distances = _about_anchors(scene, marks, share[:, 0])
        return BaseItem(
            example,
            boxes[named],
            share[named, 0],
            anchors,
            distances,
            looks[named],
            *_about_cells(scene, masks, share, boxes, looks),
        )

    def _talk(
        self, scene: Scene, rng: np.random.Generator, mix: BaseMix
    ) -> tuple[Scene, tuple[list[tuple[str, str]], list[Mark]]]:
        """The scene, perhaps with what has no name, and the conversation about it.

        A scene of which too little can be said without the words that it lacks stays as it was.
        """
        other = with_some_unnamed(scene, rng, self.unnamed_share, self.unnamed_shape_share, self.more_names_share)
        if other is not scene:
            conversation = compose(other, rng, mix)
            if len(conversation[0]) >= MIN_UNNAMED_TURNS:
                return other, conversation
        return scene, compose(scene, rng, mix)


def _about_anchors(scene: Scene, marks: Sequence[Mark], share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``anchors`` and ``distances`` of a :class:`BaseItem`; ``share`` float32 ``[N,h*w]`` of the first frame."""
    anchors = torch.zeros(len(marks), share.shape[-1])
    distances = torch.full_like(anchors, torch.inf)
    points = torch.from_numpy(centres(scene)).float() / scene.width
    most, owner = share.max(dim=0)
    for row, mark in enumerate(marks):
        if mark.anchor is not None:
            anchors[row] = share[mark.anchor]
            away = (points - points[mark.anchor]).norm(dim=1)
            away[mark.anchor] = torch.inf
            distances[row] = away[owner].masked_fill(most < MIN_PATCH_SHARE, torch.inf)
    return anchors, distances


def _about_cells(
    scene: Scene, masks: np.ndarray, share: torch.Tensor, boxes: torch.Tensor, looks: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What a :class:`BaseItem` says of its cells, in the order of its fields.

    Args:
        scene: the scene.
        masks: bool ``[N,T,H,W]``.
        share: float32 ``[N,T,h*w]``, what each object covers of each visual token.
        boxes: float32 ``[N,4]`` of the first frame.
        looks: int64 ``[N,4]``.
    """
    most, owner = share.max(dim=0)
    owner[most < MIN_PATCH_SHARE] = len(scene.objects)
    motions = torch.tensor([MOTIONS.index(thing.motion) for thing in scene.objects] + [IGNORED])[owner]
    motions[0] = IGNORED
    tints = torch.tensor([thing.rgb for thing in scene.objects], dtype=torch.float32) / 255
    outlines = torch.stack([silhouettes(masks[:, t])[owner[t]] for t in range(masks.shape[1])])
    return (
        torch.cat([looks, torch.full((1, looks.shape[1]), IGNORED)])[owner].flatten(0, 1),
        motions.flatten(),
        torch.cat([boxes, torch.zeros(1, 4)])[owner].flatten(0, 1),
        standings(scene, masks[:, 0])[owner[0]],
        torch.cat([tints, torch.zeros(1, 3)])[owner].flatten(0, 1),
        outlines.flatten(0, 1),
    )


def shown_frames(scene: Scene, num_frames: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Draws the frames that the model sees: frames uint8 ``[T,H,W,3]``, masks bool ``[N,T,H,W]`` and their indices."""
    indices = tuple(int(i) for i in uniform_frames(scene.num_frames, min(num_frames, scene.num_frames)))
    chosen = list(indices)
    things = tuple(
        replace(t, centre=t.centre[chosen], scale=t.scale[chosen], rotation=t.rotation[chosen]) for t in scene.objects
    )
    light = replace(scene.lighting, gain=scene.lighting.gain[chosen])
    frames, masks = render(replace(scene, objects=things, lighting=light, num_frames=len(chosen)))
    return frames, masks, indices


def _looks(thing: ShapeObject) -> tuple[int, int, int, int]:
    return (
        index_of(thing.shape, ALL_SHAPES),
        index_of(thing.colour, ALL_COLOURS),
        TEXTURES.index(thing.texture),
        SIZES.index(thing.size_name),
    )

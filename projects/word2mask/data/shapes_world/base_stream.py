"""Endless conversations about the shapes world for pretraining a base MLLM; nothing is written to disk.

Each picture carries many questions, so that one pass through the vision tower gives much supervision. A box stands in
an answer in one of two ways: spelt out, ``<box>[[12, 30, 45, 61]]</box>``, when numbers are asked for, and else as the
token ``<box>`` alone, whose state a regression head reads (:class:`word2mask.models.mllm_pretraining.MLLMPretraining`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.language import (
    IMAGE_KINDS,
    VIDEO_KINDS,
    chat,
    grounded_caption,
    object_boxes,
    reasoning,
    referring,
    region,
)
from word2mask.data.shapes_world.language.words import medium
from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import Scene, ShapeObject, sample_scene
from word2mask.data.shapes_world.splits import Split, scene_rng
from word2mask.data.shapes_world.unnamed import is_named, with_some_unnamed
from word2mask.data.shapes_world.vision_stream import (
    FIRST_INDEX,
    IGNORED,
    MIN_PATCH_SHARE,
    index_of,
)
from word2mask.data.shapes_world.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES, UNNAMED
from word2mask.ops.frames import uniform_frames
from word2mask.text.questions import no_target_answer, region_question
from word2mask.text.special_tokens import BOX_END, BOX_START, REFERENCE_END, REFERENCE_START
from word2mask.types import Batch, Example, Media, Sample, Turn

Box = tuple[int, int, int, int]
#: Question, answer, and the objects that the tokens ``<box>`` in the answer stand for.
Exchange = tuple[str, str, list[int]]

LOCATE_QUESTIONS = (
    "Where is {}?",
    "Can you find {} in this {medium}?",
    "Please find {} in this {medium}.",
    "Can you segment {} in this {medium}?",
    "Please segment {} in this {medium}.",
    "What is {} in this {medium}?",
    "Could you provide the place of {}?",
    "Identify {} and point at it.",
    "Please highlight {} in the {medium}.",
    "Can you mark {}?",
    "Locate {}.",
)
LOCATE_ANSWER = "{}."
NUMBER_QUESTIONS = ("Give the box of {} in numbers.", "Where is {}? Answer with numbers.")
CAPTION_QUESTIONS = ("Describe the {medium} and locate what you name.", "Describe everything and point at it.")
REASON_SUFFIXES = ("", "", " Please point at it.", " Please segment it.")
EXPLAIN_SUFFIXES = (" Explain and point at it.", " Say why.")


@dataclass(frozen=True)
class BaseMix:
    """How many turns of each kind a picture or video gets.

    Attributes:
        locate: expressions to locate; their kinds are drawn by ``kind_weights``.
        numbers: expressions whose box is asked for in numbers.
        chat: short questions and answers.
        reason: questions of everyday knowledge.
        explained: the same with the reason in the answer.
        captions: captions.
        kind_weights: weight of each kind of expression; 1 where it isn't named.
    """

    locate: int = 5
    numbers: int = 0
    chat: int = 5
    reason: int = 1
    explained: int = 0
    captions: int = 0
    kind_weights: tuple[tuple[str, float], ...] = (
        ("relation", 1.6),
        ("ordinal", 2.0),
        ("position", 1.3),
        ("motion", 2.5),
        ("several", 1.6),
        ("none", 1.5),
    )


#: Many short turns, and a few long ones. Turns of a block are padded to its longest one.
SHORT_MIX = BaseMix()
LONG_MIX = BaseMix(locate=0, numbers=2, chat=0, reason=0, explained=1, captions=3)


@dataclass(frozen=True)
class BaseItem:
    """An example and what the tokens ``<box>`` of its answers stand for.

    Attributes:
        example: as any training example.
        boxes: float32 ``[K,4]`` x1, y1, x2, y2 in 0…1 of the first frame, in the order of ``<box>`` in the answers.
        cells: float32 ``[K,h*w]``, what share of each visual token of the first frame the object covers.
        looks: int64 ``[K,4]``, shape, colour, texture and size of the object.
        cell_looks: int64 ``[h*w,4]``, the same for every visual token of the first frame; -100 at the background.
    """

    example: Example
    boxes: torch.Tensor
    cells: torch.Tensor
    looks: torch.Tensor
    cell_looks: torch.Tensor


@dataclass
class BaseBatch:
    """A batch and the objects of its tokens ``<box>``, all samples after one another; fields as in :class:`BaseItem`.

    ``cell_looks`` is ``[B,h*w,4]``.
    """

    batch: Batch
    boxes: torch.Tensor
    cells: torch.Tensor
    looks: torch.Tensor
    cell_looks: torch.Tensor

    def to(self, device: torch.device | str) -> BaseBatch:
        """The same batch on ``device``."""
        return BaseBatch(**{name: value.to(device) for name, value in vars(self).items()})


def collate_base(items: Sequence[BaseItem], pad_id: int) -> BaseBatch:
    """Puts items side by side."""
    return BaseBatch(
        batch=collate([item.example for item in items], pad_id),
        boxes=torch.cat([item.boxes for item in items]),
        cells=torch.cat([item.cells for item in items]),
        looks=torch.cat([item.looks for item in items]),
        cell_looks=torch.stack([item.cell_looks for item in items]),
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
    ) -> None:
        self.video_encoder = video_encoder or encoder
        self.encoder, self.length, self.split, self.seed = encoder, length, split, seed
        self.block, self.video_every, self.num_frames = block, video_every, num_frames
        self.long_every, self.short_mix, self.long_mix, self.start = long_every, short_mix, long_mix, start
        self.regions_every = regions_every
        self.unnamed_share, self.unnamed_shape_share = unnamed_share, unnamed_shape_share

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> BaseItem:
        index += self.start
        rng = scene_rng(self.seed, self.split, 2 * FIRST_INDEX + index)
        block = index // self.block
        marked = block % self.regions_every == self.regions_every - 1
        is_video = not marked and block % self.video_every == self.video_every - 1
        mix = self.long_mix if block % self.long_every == self.long_every - 1 else self.short_mix
        scene = sample_scene(rng, "video" if is_video else "image", self.split)
        if not marked:
            scene = _tellable(
                scene, with_some_unnamed(scene, rng, self.unnamed_share, self.unnamed_shape_share), rng, mix
            )
        frames, masks, indices = shown_frames(scene, self.num_frames)
        regions = None
        if marked:
            order = rng.permutation(len(scene.objects))[: int(rng.integers(1, len(scene.objects) + 1))]
            (turns, targets), regions = _about_regions(scene, order, rng), masks[order, 0]
        else:
            turns, targets = compose(scene, rng, mix)
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
        share = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks[:, 0]).float()[None], grid)[0].flatten(1)
        boxes = torch.tensor([box or (0, 0, 0, 0) for box in object_boxes(scene)], dtype=torch.float32) / 100
        looks = torch.tensor([_looks(thing) for thing in scene.objects] + [(IGNORED,) * 4])
        most, owner = share.max(dim=0)
        owner[most < MIN_PATCH_SHARE] = len(scene.objects)
        named = targets[:kept]
        return BaseItem(example, boxes[named], share[named], looks[named], looks[owner])


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


def compose(scene: Scene, rng: np.random.Generator, mix: BaseMix) -> tuple[list[tuple[str, str]], list[int]]:
    """Draws the conversation about a scene.

    Returns:
        Questions and answers in random order, and the objects of the tokens ``<box>`` in the answers.
    """
    boxes = object_boxes(scene)
    exchanges: list[Exchange] = []
    for number in range(mix.locate + mix.numbers):
        exchanges += _locate(scene, rng, boxes, mix, spelt=number >= mix.locate)
    if mix.chat:
        exchanges += [(item.question, item.answer, []) for item in _varied(chat(scene, rng), mix.chat, rng)]
    if mix.reason + mix.explained and is_named(scene):  # what rolls, what has corners: unnamed shapes may, too
        exchanges += _reason(scene, rng, boxes, mix)
    exchanges += [_caption(scene, rng, boxes) for _ in range(mix.captions)]
    unsayable = UNNAMED
    if any(thing.colour not in COLOURS for thing in scene.objects):
        unsayable = rf"\b({'|'.join([*COLOURS, UNNAMED])})\b"
    exchanges = [exchange for exchange in exchanges if not re.search(unsayable, f"{exchange[0]} {exchange[1]}")]
    order = rng.permutation(len(exchanges))
    return [exchanges[i][:2] for i in order], [target for i in order for target in exchanges[i][2]]


def _tellable(scene: Scene, other: Scene, rng: np.random.Generator, mix: BaseMix) -> Scene:
    """The ``other`` scene, unless too little can be said about it without the words that it lacks."""
    if other is scene:
        return scene
    return other if len(compose(other, np.random.default_rng(int(rng.integers(2**31))), mix)[0]) >= 3 else scene


def _locate(
    scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None], mix: BaseMix, spelt: bool
) -> list[Exchange]:
    kinds = IMAGE_KINDS if scene.kind == "image" else VIDEO_KINDS
    named = dict(mix.kind_weights)
    weights = np.array([named.get(kind, 1.0) for kind in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    found = referring(scene, rng, kind)
    if not found:
        return []
    expression = found[0]
    targets = list(expression.targets)
    if any(boxes[i] is None for i in targets):
        return []
    questions = NUMBER_QUESTIONS if spelt else LOCATE_QUESTIONS
    question = _pick(rng, questions).format(expression.text, medium=medium(scene))
    if not targets:
        return [(question, no_target_answer(expression.text, rng, medium(scene)), [])]
    text = ", ".join(_spelt(boxes[i]) if spelt else BOX_START for i in targets)
    return [(question, text if spelt else LOCATE_ANSWER.format(text), targets)]


def _reason(scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None], mix: BaseMix) -> list[Exchange]:
    found: list[Exchange] = []
    for asked in reasoning(scene, rng):
        targets = list(asked.targets)
        if all(boxes[i] is not None for i in targets) and len(found) < mix.reason + mix.explained:
            marks = ", ".join([BOX_START] * len(targets))
            explained = len(found) >= mix.reason
            suffixes, answer = (
                (EXPLAIN_SUFFIXES, f"{asked.explanation} {marks}.") if explained else (REASON_SUFFIXES, f"{marks}.")
            )
            found.append((asked.question + _pick(rng, suffixes), answer, targets))
    return found


def _caption(scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None]) -> Exchange:
    caption = grounded_caption(scene, rng)
    if rng.random() < 0.2:
        return f"Describe the {medium(scene)}.", caption.text, []
    text, done, targets = "", 0, []
    for phrase in caption.phrases:
        text += caption.text[done : phrase.span[0]] + f"{REFERENCE_START}{phrase.phrase}{REFERENCE_END}"
        if boxes[phrase.index] is not None:
            text += BOX_START
            targets.append(phrase.index)
        done = phrase.span[1]
    return _pick(rng, CAPTION_QUESTIONS).format(medium=medium(scene)), text + caption.text[done:], targets


def _about_regions(
    scene: Scene, order: np.ndarray, rng: np.random.Generator
) -> tuple[list[tuple[str, str]], list[int]]:
    """A question about each marked object; the regions are in this order."""
    described = [region(scene, int(index), rng) for index in order]
    if len(order) == 1:
        return [(described[0].question, described[0].answer)], []
    numbers = [region_question(f"region{number + 1}", rng) for number in range(len(order))]
    return [(question, item.answer) for question, item in zip(numbers, described, strict=True)], []


def _varied(items: Sequence, count: int, rng: np.random.Generator) -> list:
    """``count`` of the questions, the topics drawn evenly."""
    topics = sorted({item.topic for item in items})
    chosen: dict[str, object] = {}
    for _ in range(4 * count):
        topic = topics[int(rng.integers(len(topics)))]
        pool = [item for item in items if item.topic == topic and item.question not in chosen]
        if pool:
            chosen[pool[0].question] = pool[0]
        if len(chosen) == count:
            break
    return list(chosen.values())


def _spelt(box: Box) -> str:
    return f"{BOX_START}[[{', '.join(map(str, box))}]]{BOX_END}"


def _looks(thing: ShapeObject) -> tuple[int, int, int, int]:
    return (
        index_of(thing.shape, SHAPES),
        index_of(thing.colour, tuple(COLOURS)),
        TEXTURES.index(thing.texture),
        SIZES.index(thing.size_name),
    )


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def base_lines(rng: np.random.Generator, num_lines: int) -> list[str]:
    """Questions and answers of training scenes, for training a tokenizer."""
    lines: list[str] = []
    while len(lines) < num_lines:
        scene = sample_scene(rng, "video" if rng.random() < 0.3 else "image", "train")
        lines += [text for mix in (SHORT_MIX, LONG_MIX) for turn in compose(scene, rng, mix)[0] for text in turn]
    return lines[:num_lines]

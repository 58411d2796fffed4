"""Scenes of the shapes world: what is where, in which colour, and how it moves. Draws no pixels and says no words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from word2mask.data.shapes_world.geometry import unit_area, visible_masks
from word2mask.data.shapes_world.splits import HELD_OUT, SPLITS, Split
from word2mask.data.shapes_world.vocabulary import (
    BACKGROUND_PATTERNS,
    BACKGROUNDS,
    CANVASES,
    COLOURS,
    DIRECTIONS,
    SHADES,
    SHAPES,
    SIZE_RANGES,
    TEXTURES,
)
from word2mask.errors import UserError

#: Fewest pixels at which an object counts as visible.
MIN_VISIBLE_AREA = 60
#: Least visible share of every object of a picture, and of a video's first frame.
MIN_VISIBLE_SHARE = 0.8
#: Least way of an object that "moves", in pixels.
MIN_DISPLACEMENT = 42.0

_MOTION_WEIGHTS = {
    "still": 0.24,
    "left": 0.11,
    "right": 0.11,
    "up": 0.09,
    "down": 0.09,
    "grows": 0.09,
    "shrinks": 0.08,
    "leaves": 0.10,
    "returns": 0.06,
    "spins": 0.03,
}
_DIRECTIONLESS_SPIN = ("circle", "ring")


@dataclass(frozen=True, eq=False)
class ShapeObject:
    """One object and its tracks.

    Attributes:
        shape, colour, texture, size_name: words of the vocabulary; the size word holds for the first frame.
        size_px: nominal extent at scale 1.
        centre: float64 ``[T,2]``, (x, y) in pixels of the middle of the unrotated bounding box.
        scale: float64 ``[T]``, times ``size_px``; 1 in the first frame.
        rotation: float64 ``[T]``, radians, clockwise.
        motion: word of ``MOTIONS``; ``"still"`` in pictures.
        heading: ``"left"``, ``"right"``, ``"up"`` or ``"down"`` for what moves, leaves or returns, else ``""``.
        z_order: 0 is farthest; unique within a scene.
        rgb: main colour after jitter, 0…255.
        shade: second colour of the texture.
        texture_angle: direction of stripes in radians.
        texture_phase: 0…1, shift of the pattern.
    """

    shape: str
    colour: str
    texture: str
    size_name: str
    size_px: float
    centre: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    motion: str
    heading: str
    z_order: int
    rgb: tuple[float, float, float]
    shade: tuple[float, float, float]
    texture_angle: float
    texture_phase: float

    @property
    def area(self) -> float:
        """Area in pixels in the first frame if nothing hid it."""
        return unit_area(self.shape) * self.size_px**2

    @property
    def is_held_out(self) -> bool:
        """Whether its colour and shape are a pair kept from training."""
        return (self.colour, self.shape) in HELD_OUT


@dataclass(frozen=True)
class Background:
    """What lies behind the objects.

    Attributes:
        colour, pattern: words of the vocabulary.
        rgb: main colour after jitter.
        contrast: strength of the pattern in grey levels.
        angle: its direction in radians.
        seed: of its noise.
    """

    colour: str
    pattern: str
    rgb: tuple[float, float, float]
    contrast: float
    angle: float
    seed: int


@dataclass(frozen=True, eq=False)
class Lighting:
    """``gain`` float64 ``[T]`` around 1, ``tint`` per channel around 1."""

    gain: np.ndarray
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class Noise:
    """Sensor noise: standard deviation in grey levels, and its seed."""

    sigma: float
    seed: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture (``num_frames`` is 1) or a video, complete: rendering and language are functions of it.

    Attributes:
        width, height: of the canvas in pixels.
        num_frames: T.
        kind: ``"image"`` or ``"video"``.
        split: ``"train"``, ``"val"`` or ``"combo"``.
        objects: N of them; masks come in this order.
    """

    width: int
    height: int
    num_frames: int
    kind: Literal["image", "video"]
    split: Split
    objects: tuple[ShapeObject, ...]
    background: Background
    lighting: Lighting
    noise: Noise

    @property
    def speaks_of_held_out(self) -> bool:
        """Whether colour and shape of a held-out pair are both in it, be it on different objects.

        Such a scene is evidence against the pair: what is red is here, what is a moon is here, and they are never one.
        """
        colours, shapes = {thing.colour for thing in self.objects}, {thing.shape for thing in self.objects}
        return any(colour in colours and shape in shapes for colour, shape in HELD_OUT)

    @property
    def focus(self) -> tuple[int, ...]:
        """Indices of objects of held-out pairs: a ``combo`` scene's questions are about them; empty elsewhere."""
        return tuple(i for i, thing in enumerate(self.objects) if thing.is_held_out)


def sample_scene(
    rng: np.random.Generator,
    kind: Literal["image", "video"] = "image",
    split: Split = "train",
    *,
    num_objects: int | None = None,
    num_frames: int = 16,
    canvas: tuple[int, int] | None = None,
) -> Scene:
    """Draw a scene; a pure function of ``rng``'s state and the arguments.

    Args:
        rng: usually from :func:`word2mask.data.shapes_world.splits.scene_rng`.
        kind: pictures have one frame and little overlap; in videos objects cross, hide one another, leave and return.
        split: ``"combo"`` holds one or two objects of held-out pairs, the others none.
        num_objects: 2…5 in pictures, 2…4 in videos; drawn when not given. A crowded canvas may hold fewer.
        num_frames: T of a video; at least 4.
        canvas: (width, height); drawn when not given.

    Raises:
        UserError: unknown kind or split, or a video of fewer than 4 frames.
    """
    if kind not in ("image", "video"):
        raise UserError(f"shapes world: unknown kind of scene {kind!r}; expected 'image' or 'video'")
    if split not in SPLITS:
        raise UserError(f"shapes world: unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    if kind == "video" and num_frames < 4:
        raise UserError(f"shapes world: a video needs at least 4 frames for its motions, got {num_frames}")
    frames = num_frames if kind == "video" else 1
    width, height = canvas or CANVASES[rng.integers(len(CANVASES))]
    while True:
        objects = _draw_objects(rng, width, height, frames, split, num_objects)
        if objects is not None and _is_visible(objects, width, height, frames):
            break
    return Scene(
        width=width,
        height=height,
        num_frames=frames,
        kind=kind,
        split=split,
        objects=objects,
        background=_draw_background(rng),
        lighting=_draw_lighting(rng, frames),
        noise=Noise(sigma=float(rng.uniform(1.5, 5.0)), seed=int(rng.integers(2**31))),
    )


def training_scene(
    rng: np.random.Generator, kind: Literal["image", "video"], split: Split, num_frames: int = 16
) -> Scene:
    """As :func:`sample_scene`; in ``train`` without scenes that are evidence against a held-out pair.

    A picture with a red star and a blue moon teaches that what is red is no moon. Without such pictures nothing is
    learnt about red moons, neither for nor against.

    Args:
        rng, kind, split, num_frames: as there.
    """
    while True:
        scene = sample_scene(rng, kind, split, num_frames=num_frames)
        if split != "train" or not scene.speaks_of_held_out:
            return scene


def _draw_objects(
    rng: np.random.Generator, width: int, height: int, frames: int, split: Split, num_objects: int | None
) -> tuple[ShapeObject, ...] | None:
    """Objects placed apart in the first frame, or ``None`` when fewer than two fitted or a held-out one is lost."""
    if num_objects is None:
        counts, shares = ([2, 3, 4, 5], [0.06, 0.24, 0.36, 0.34]) if frames == 1 else ([2, 3, 4], [0.1, 0.4, 0.5])
        num_objects = int(rng.choice(counts, p=shares))
    pairs = _draw_pairs(rng, num_objects, split)
    depth = rng.permutation(num_objects)
    placed: list[ShapeObject] = []
    for (colour, shape), z_order in zip(pairs, depth, strict=True):
        motion, heading = _draw_motion(rng, shape) if frames > 1 else ("still", "")
        size_name = {"grows": "small", "shrinks": "large"}.get(motion) or ("large" if rng.random() < 0.45 else "small")
        for attempt in range(40):
            if attempt == 20 and motion != "shrinks":
                size_name = "small"
            size_px = float(rng.uniform(*SIZE_RANGES[size_name]))
            tracks = _draw_tracks(rng, motion, heading, size_px, width, height, frames)
            if tracks is None:
                continue
            centre, scale = tracks
            gaps = [np.hypot(*(centre[0] - o.centre[0])) / (0.5 * (size_px + o.size_px)) for o in placed]
            if not gaps or min(gaps) > 0.92:
                placed.append(
                    _finish_object(rng, shape, colour, size_name, size_px, centre, scale, motion, heading, int(z_order))
                )
                break
    has_target = split != "combo" or any(thing.is_held_out for thing in placed)
    return tuple(placed) if len(placed) >= 2 and has_target else None


def _draw_pairs(rng: np.random.Generator, num_objects: int, split: Split) -> list[tuple[str, str]]:
    """(colour, shape) of every object, from a small palette so that one word is seldom enough to tell them apart."""
    colours, shapes = list(COLOURS), list(SHAPES)
    held_out = sorted(HELD_OUT)
    pairs: list[tuple[str, str]] = []
    anchor = held_out[rng.integers(len(held_out))] if split == "combo" else None
    num_colours, num_shapes = ((1, 4), (4, 1), (2, 2), (2, 3), (3, 2), (3, 3), (8, 8))[
        rng.choice(7, p=[0.10, 0.12, 0.20, 0.16, 0.16, 0.14, 0.12])
    ]
    palette = [str(c) for c in rng.permutation(colours)[:num_colours]]
    forms = [str(s) for s in rng.permutation(shapes)[:num_shapes]]
    if anchor is not None:
        palette[0], forms[0] = anchor
        pairs.append(anchor)
    while len(pairs) < num_objects:
        pair = (palette[rng.integers(len(palette))], forms[rng.integers(len(forms))])
        if pair in HELD_OUT:
            if split == "combo" and pair != anchor:
                continue
            if split != "combo":
                pair = (colours[rng.integers(len(colours))], pair[1])
        elif len(palette) * len(forms) == 1:
            pair = (colours[rng.integers(len(colours))], pair[1])
        if pair not in HELD_OUT or (split == "combo" and pair == anchor and rng.random() < 0.3):
            pairs.append(pair)
        elif rng.random() < 0.5:
            palette.append(colours[rng.integers(len(colours))])
    return [pairs[i] for i in rng.permutation(num_objects)]


def _draw_motion(rng: np.random.Generator, shape: str) -> tuple[str, str]:
    names = list(_MOTION_WEIGHTS)
    motion = names[rng.choice(len(names), p=list(_MOTION_WEIGHTS.values()))]
    if motion == "spins" and shape in _DIRECTIONLESS_SPIN:
        motion = "still"
    if motion in DIRECTIONS:
        return motion, motion
    heading = list(DIRECTIONS)[rng.integers(4)] if motion in ("leaves", "returns") else ""
    return motion, heading


def _draw_tracks(
    rng: np.random.Generator, motion: str, heading: str, size_px: float, width: int, height: int, frames: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Centre ``[T,2]`` and scale ``[T]``, or ``None`` when the way does not fit onto the canvas."""
    time = np.linspace(0.0, 1.0, frames)
    scale = np.ones(frames)
    if motion == "grows":
        scale = 1 + rng.uniform(0.7, 1.1) * time
    elif motion == "shrinks":
        scale = 1 - rng.uniform(0.45, 0.52) * time
    canvas = np.array([width, height], dtype=float)
    margin = size_px * float(scale.max()) * 0.56 + 1
    low, high = np.full(2, margin), canvas - margin
    if (high <= low).any():
        return None
    start = rng.uniform(low, high)
    if not heading:
        return np.repeat(start[None], frames, axis=0), scale
    step = np.array(DIRECTIONS[heading], dtype=float)
    axis = int(step[1] != 0)
    if motion in DIRECTIONS:
        room = float(high[axis] - low[axis])
        if room < MIN_DISPLACEMENT:
            return None
        way = float(rng.uniform(MIN_DISPLACEMENT, min(room, 84.0)))
        begin = float(rng.uniform(low[axis], high[axis] - way))
        start[axis] = begin if step[axis] > 0 else canvas[axis] - begin
        progress = time
    else:
        edge = canvas[axis] - start[axis] if step[axis] > 0 else start[axis]
        way = float(edge + size_px * 0.62)
        if motion == "leaves":
            progress = np.clip((time - rng.uniform(0.0, 0.2)) / rng.uniform(0.5, 0.65), 0, None)
        else:
            away = rng.uniform(0.4, 0.5)
            progress = np.clip(1.25 * (1 - np.abs(time - away) / 0.4), 0, 1.2)
    centre = start + progress[:, None] * way * step
    drift = rng.uniform(-5, 5) if motion in DIRECTIONS else 0.0
    centre[:, 1 - axis] = np.clip(centre[:, 1 - axis] + drift * time, low[1 - axis], high[1 - axis])
    return centre, scale


def _finish_object(
    rng: np.random.Generator,
    shape: str,
    colour: str,
    size_name: str,
    size_px: float,
    centre: np.ndarray,
    scale: np.ndarray,
    motion: str,
    heading: str,
    z_order: int,
) -> ShapeObject:
    """Add what does not decide the place: texture, tilt, jitter of the colour."""
    frames = len(scale)
    tilt = rng.uniform(-0.3, 0.3)
    turn = float(rng.choice([-1, 1]) * rng.uniform(2.5, 4.5)) if motion == "spins" else 0.0
    jitter = rng.uniform(-10, 10, size=3)
    rgb = np.clip(np.array(COLOURS[colour]) + jitter, 6, 250)
    shade = np.clip(np.array(SHADES[colour]) + jitter, 0, 250)
    return ShapeObject(
        shape=shape,
        colour=colour,
        texture=TEXTURES[rng.choice(3, p=[0.5, 0.27, 0.23])],
        size_name=size_name,
        size_px=size_px,
        centre=centre,
        scale=scale,
        rotation=tilt + turn * np.linspace(0.0, 1.0, frames),
        motion=motion,
        heading=heading,
        z_order=z_order,
        rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
        shade=(float(shade[0]), float(shade[1]), float(shade[2])),
        texture_angle=float(rng.uniform(0, np.pi)),
        texture_phase=float(rng.random()),
    )


def _draw_background(rng: np.random.Generator) -> Background:
    colour = list(BACKGROUNDS)[rng.choice(len(BACKGROUNDS), p=[0.36, 0.16, 0.16, 0.16, 0.16])]
    rgb = np.array(BACKGROUNDS[colour]) + rng.uniform(-6, 6, size=3)
    return Background(
        colour=colour,
        pattern=BACKGROUND_PATTERNS[rng.integers(len(BACKGROUND_PATTERNS))],
        rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
        contrast=float(rng.uniform(8, 16)),
        angle=float(rng.uniform(0, np.pi)),
        seed=int(rng.integers(2**31)),
    )


def _draw_lighting(rng: np.random.Generator, frames: int) -> Lighting:
    gain = np.full(frames, rng.uniform(0.9, 1.06))
    if frames > 1 and rng.random() < 0.6:
        gain = gain + rng.uniform(-0.13, 0.08) * np.sin(np.linspace(0, rng.uniform(1.5, 5.0), frames))
    tint = 1 + rng.uniform(-0.03, 0.03, size=3)
    return Lighting(gain=gain, tint=(float(tint[0]), float(tint[1]), float(tint[2])))


def _is_visible(objects: tuple[ShapeObject, ...], width: int, height: int, frames: int) -> bool:
    """Every object shows at least 80 % of itself in the first frame, and 60 pixels in at least 40 % of the frames."""
    areas = visible_masks(objects, width, height, range(frames)).sum(axis=(2, 3))
    for thing, area in zip(objects, areas, strict=True):
        if area[0] < MIN_VISIBLE_SHARE * thing.area or (area >= MIN_VISIBLE_AREA).mean() < 0.4:
            return False
        if thing.motion == "leaves" and area[-1] > 0:
            return False
        if thing.motion == "returns" and not (area[-1] >= MIN_VISIBLE_AREA and (area == 0).any()):
            return False
        if thing.motion not in ("leaves", "returns") and area[-1] < MIN_VISIBLE_AREA:
            return False
    return True

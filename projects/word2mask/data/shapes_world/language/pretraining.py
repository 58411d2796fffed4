"""What a base multimodal model learns before it ever sees ``[SEG]``: everything above, with boxes written as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from word2mask.data.shapes_world.geometry import visible_masks
from word2mask.data.shapes_world.language.dialogue import chat, grounded_caption, region
from word2mask.data.shapes_world.language.reasoning import reasoning
from word2mask.data.shapes_world.language.referring import IMAGE_KINDS, VIDEO_KINDS, Expression, referring
from word2mask.data.shapes_world.language.words import full_name, join_words, medium, pick, with_article
from word2mask.data.shapes_world.scene import MIN_VISIBLE_AREA, Scene, sample_scene

Box = tuple[int, int, int, int]
Turn = tuple[str, str]

#: How often each kind of turn is drawn.
_TURN_WEIGHTS = {"locate": 0.44, "caption": 0.12, "chat": 0.22, "reason": 0.10, "describe_box": 0.12}
_LOCATE = ("Where is {e}?", "Find {e}.", "Give the box of {e}.", "Locate {e}.")


@lru_cache(maxsize=16)
def object_boxes(scene: Scene, frame: int = 0) -> tuple[Box | None, ...]:
    """Tight boxes (x1, y1, x2, y2) of the visible parts, integers 0…99 relative to width and height.

    ``None`` for an object that shows fewer than 60 pixels in that frame.
    """
    boxes: list[Box | None] = []
    for mask in visible_masks(scene.objects, scene.width, scene.height, (frame,))[:, 0]:
        if mask.sum() < MIN_VISIBLE_AREA:
            boxes.append(None)
            continue
        x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        corners = (x[0] / scene.width, y[0] / scene.height, (x[-1] + 1) / scene.width, (y[-1] + 1) / scene.height)
        x1, y1, x2, y2 = (min(99, int(100 * value)) for value in corners)
        boxes.append((x1, y1, x2, y2))
    return tuple(boxes)


def box_text(boxes: list[Box]) -> str:
    """``<box>[[12, 30, 45, 61]]</box>``; several boxes share one pair of tags."""
    return "<box>[" + ", ".join("[" + ", ".join(map(str, box)) + "]" for box in boxes) + "]</box>"


def base_conversation(
    scene: Scene, rng: np.random.Generator, max_turns: int = 4, *, frame: int = 0
) -> list[tuple[str, str]]:
    """Questions and answers about one scene, without any special token.

    Args:
        max_turns: half of it to all of it is drawn.
        frame: frame of a video to which boxes belong, the first one the model sees.
    """
    wanted = int(rng.integers((max_turns + 1) // 2, max_turns + 1))
    names = list(_TURN_WEIGHTS)
    turns: dict[str, str] = {}
    for _ in range(4 * wanted):
        name = names[rng.choice(len(names), p=list(_TURN_WEIGHTS.values()))]
        turn = _TURNS[name](scene, rng, frame)
        if turn is not None:
            turns.setdefault(*turn)
        if len(turns) == wanted:
            break
    return list(turns.items())


def corpus(rng: np.random.Generator, num_lines: int) -> list[str]:
    """Lines of text in which every word of the shapes world occurs, for training a tokenizer."""
    lines: list[str] = []
    while len(lines) < num_lines:
        scene = sample_scene(rng, "video" if rng.random() < 0.3 else "image", "train")
        for question, answer in base_conversation(scene, rng, 4):
            lines += [question, answer]
        lines.append(grounded_caption(scene, rng).text)
        marked = region(scene, int(rng.integers(len(scene.objects))), rng)
        lines += [marked.question, marked.answer]
        lines += [asked.explanation for asked in reasoning(scene, rng)[:1]]
    return lines[:num_lines]


def draw_expression(scene: Scene, rng: np.random.Generator) -> Expression | None:
    """An expression whose kind is drawn first, so that rare kinds are not drowned by frequent ones."""
    kinds = IMAGE_KINDS if scene.kind == "image" else VIDEO_KINDS
    for kind in rng.permutation(kinds):
        found = referring(scene, rng, str(kind))
        if found:
            return found[0]
    return None


def absent_answer(scene: Scene, expression: Expression) -> str:
    """``There is no green heart in the picture.``"""
    bare = expression.bare
    if bare.startswith(("what ", "one ")):
        bare = "object that " + bare.removeprefix("what ").removeprefix("one that ")
    return f"There is no {bare} in the {medium(scene)}."


def _locate(scene: Scene, rng: np.random.Generator, frame: int) -> Turn | None:
    expression = draw_expression(scene, rng)
    if expression is None:
        return None
    if not expression.targets:
        return pick(rng, _LOCATE).format(e=expression.text), absent_answer(scene, expression)
    boxes = _boxes_of(scene, expression.targets, frame)
    if boxes is None:
        return None
    if rng.random() < 0.15:
        name = join_words([full_name(scene.objects[i]) for i in expression.targets])
        return f"What and where is {expression.text}?", f"<ref>{name}</ref>{box_text(boxes)}"
    return pick(rng, _LOCATE).format(e=expression.text), box_text(boxes)


def _caption(scene: Scene, rng: np.random.Generator, frame: int) -> Turn | None:
    boxes = object_boxes(scene, frame)
    caption = grounded_caption(scene, rng)
    text, done = "", 0
    for phrase in caption.phrases:
        article, _, name = phrase.phrase.partition(" ")
        box = boxes[phrase.index]
        text += caption.text[done : phrase.span[0]] + article + f" <ref>{name}</ref>" + (box_text([box]) if box else "")
        done = phrase.span[1]
    text += caption.text[done:]
    if rng.random() < 0.3:
        return pick(rng, (f"Describe the {medium(scene)}.", f"What does the {medium(scene)} show?")), caption.text
    return pick(rng, (f"Describe the {medium(scene)} with boxes.", "Describe everything and say where it is.")), text


def _chat(scene: Scene, rng: np.random.Generator, frame: int) -> Turn | None:
    found = chat(scene, rng)
    topics = sorted({item.topic for item in found})
    topic = topics[rng.integers(len(topics))]
    return next((item.question, item.answer) for item in found if item.topic == topic)


def _reason(scene: Scene, rng: np.random.Generator, frame: int) -> Turn | None:
    for asked in reasoning(scene, rng):
        boxes = _boxes_of(scene, asked.targets, frame)
        if boxes is not None:
            return asked.question, f"{asked.explanation} {box_text(boxes)}"
    return None


def _describe_box(scene: Scene, rng: np.random.Generator, frame: int) -> Turn | None:
    candidates = scene.focus or range(len(scene.objects))
    index = int(rng.choice(list(candidates)))
    box = object_boxes(scene, frame)[index]
    if box is None:
        return None
    question = pick(rng, ("What is at {b}?", "What do you see in {b}?", "Describe the region {b}."))
    name = with_article(full_name(scene.objects[index]))
    return question.format(b=f"[{list(box)}]"), name[0].upper() + name[1:] + "."


def _boxes_of(scene: Scene, targets: tuple[int, ...], frame: int) -> list[Box] | None:
    boxes = [object_boxes(scene, frame)[i] for i in targets]
    found = [box for box in boxes if box is not None]
    return found if len(found) == len(boxes) else None


_TURNS: dict[str, Callable[[Scene, np.random.Generator, int], Turn | None]] = {
    "locate": _locate,
    "caption": _caption,
    "chat": _chat,
    "reason": _reason,
    "describe_box": _describe_box,
}

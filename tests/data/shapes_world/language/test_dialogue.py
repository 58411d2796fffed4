"""Captions, short answers, reasoning and base conversations are true and well formed."""

import re
from collections import Counter

import numpy as np
import pytest

from word2mask.data.shapes_world import (
    HELD_OUT,
    base_conversation,
    chat,
    corpus,
    grounded_caption,
    object_boxes,
    reasoning,
    region,
    render_masks,
    sample_scene,
    scene_rng,
)
from word2mask.data.shapes_world.language import absent_answer, box_text, referring
from word2mask.data.shapes_world.vocabulary import COLOURS, SHAPES

SPECIAL = re.compile(r"\[SEG\]|</?p>|</?vp>|<img>|<IMG_CONTEXT>")
HELD_OUT_WORDS = re.compile("|".join(rf"{colour} {shape}" for colour, shape in HELD_OUT))


def draw(i, kind, split="train", seed=41):
    rng = scene_rng(seed, split, i)
    return sample_scene(rng, kind, split), rng


@pytest.mark.parametrize("kind", ["image", "video"])
def test_caption_names_every_object_left_to_right(kind):
    for i in range(40):
        scene, rng = draw(i, kind)
        caption = grounded_caption(scene, rng)
        assert caption.text.endswith(" background.")
        assert sorted(p.index for p in caption.phrases) == list(range(len(scene.objects)))
        x = [scene.objects[p.index].centre[0, 0] for p in caption.phrases]
        assert x == sorted(x)
        for phrase in caption.phrases:
            thing = scene.objects[phrase.index]
            assert caption.text[slice(*phrase.span)] == phrase.phrase
            assert phrase.phrase.endswith(f"{thing.colour} {thing.shape}")
            assert (thing.texture in phrase.phrase) == (thing.texture != "plain")
            assert thing.size_name in phrase.phrase


def test_region_is_the_full_name():
    scene, rng = draw(0, "image")
    thing = scene.objects[1]
    answer = region(scene, 1, rng).answer
    assert re.fullmatch(rf"An? {thing.size_name} (striped |dotted )?{thing.colour} {thing.shape}\.", answer)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_counts_are_right(kind):
    for i in range(40):
        scene, rng = draw(i, kind)
        for item in chat(scene, rng):
            plural = re.match(r"How many (?:(\w+) )?(\w+?) (?:are there|does)", item.question)
            if not plural:
                continue
            word, head = plural[1], plural[2]
            head = "cross" if head == "crosses" else head.rstrip("s")
            found = [t for t in scene.objects if head in ("object", t.shape)]
            found = [t for t in found if word in (None, t.colour, t.texture)]
            assert item.answer == str(len(found)), item.question


def test_yes_and_no_are_balanced_and_true():
    answers = Counter()
    for i in range(80):
        scene, rng = draw(i, "image")
        for item in chat(scene, rng):
            if item.topic == "existence":
                answers[item.answer] += 1
                there = any(f"{t.colour} {t.shape}" in item.question for t in scene.objects)
                assert item.answer == ("yes" if there else "no")
    assert answers["yes"] == answers["no"] > 50


def test_comparisons_of_place_are_true():
    num = 0
    for i in range(100):
        scene, rng = draw(i, "image")
        full = {f"the {t.colour} {t.shape}": t for t in scene.objects}
        for item in chat(scene, rng):
            asked = re.fullmatch(r"Is (.+) (to the left of|to the right of|above|below) (.+)\?", item.question)
            if not asked or asked[1] not in full or asked[3] not in full:
                continue
            (ax, ay), (bx, by) = full[asked[1]].centre[0], full[asked[3]].centre[0]
            truth = {"to the left of": ax < bx, "to the right of": ax > bx, "above": ay < by, "below": ay > by}
            assert item.answer == ("yes" if truth[asked[2]] else "no"), item.question
            num += 1
    assert num > 20


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_question_has_one_answer(kind):
    for i in range(40):
        scene, rng = draw(i, kind)
        answers = {}
        for item in chat(scene, rng) + chat(scene, rng):
            assert answers.setdefault(item.question, item.answer) == item.answer, item.question


def test_directions_in_videos():
    seen = set()
    for i in range(60):
        scene, rng = draw(i, "video")
        for item in chat(scene, rng):
            if item.topic == "direction":
                assert item.answer in {t.heading for t in scene.objects}
                seen.add(item.answer)
    assert seen == {"left", "right", "up", "down"}


@pytest.mark.parametrize("kind", ["image", "video"])
def test_reasoning_names_no_shape_and_no_colour(kind):
    words = set(COLOURS) | set(SHAPES) | {"object", "objects"}
    knowledge = {"rolling": ("circle", "ring"), "love": ("heart",), "first aid": ("cross",), "night": ("moon",)}
    topics = set()
    for i in range(150):
        scene, rng = draw(i, kind)
        for asked in reasoning(scene, rng):
            topics.add(asked.topic)
            # "tree", "sky" and the like are fine; shape and colour words are not, nor their plurals.
            assert not words & set(re.findall(r"[a-z]+", asked.question.lower())), asked.question
            assert 1 <= len(asked.targets) <= 3
            assert asked.explanation.endswith(".")
            if asked.topic in knowledge:
                hits = {k for k, t in enumerate(scene.objects) if t.shape in knowledge[asked.topic]}
                assert set(asked.targets) == hits
    assert len(topics) == (18 if kind == "image" else 21)


def test_boxes_are_tight():
    for i in range(20):
        scene, _ = draw(i, "video")
        masks = render_masks(scene)
        for frame in (0, 15):
            for mask, box in zip(masks[:, frame], object_boxes(scene, frame), strict=True):
                if mask.sum() < 60:
                    assert box is None
                    continue
                y, x = np.nonzero(mask)
                edges = np.array([x.min(), x.max() + 1]) / scene.width, np.array([y.min(), y.max() + 1]) / scene.height
                expected = [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]
                assert np.allclose(np.array(box) / 100, np.minimum(expected, 0.99), atol=0.0101)


def test_box_text():
    assert box_text([(1, 2, 30, 40)]) == "<box>[[1, 2, 30, 40]]</box>"
    assert box_text([(1, 2, 30, 40), (5, 6, 7, 8)]) == "<box>[[1, 2, 30, 40], [5, 6, 7, 8]]</box>"


@pytest.mark.parametrize("kind", ["image", "video"])
def test_base_conversations_have_boxes_and_no_special_token(kind):
    forms = Counter()
    for i in range(120):
        scene, rng = draw(i, kind)
        turns = base_conversation(scene, rng, 4)
        assert 2 <= len(turns) <= 4
        assert len({question for question, _ in turns}) == len(turns)
        for question, answer in turns:
            assert not SPECIAL.search(question + answer)
            assert not HELD_OUT_WORDS.search(question + answer)
            forms["box"] += "<box>" in answer
            forms["ref"] += "<ref>" in answer
            forms["none"] += answer.startswith("There is no ")
            forms["several"] += "], [" in answer
            forms["asks a box"] += "[[" in question
    assert min(forms[name] for name in ("box", "ref", "none", "several", "asks a box")) >= 5, forms


def test_boxes_of_a_later_frame():
    for i in range(30):
        scene, rng = draw(i, "video")
        boxes = {str(list(box)) for box in object_boxes(scene, 8) if box}
        for _, answer in base_conversation(scene, rng, 4, frame=8):
            assert set(re.findall(r"\[\d+, \d+, \d+, \d+\]", answer)) <= boxes


def test_absent_answers_are_sentences():
    for i in range(60):
        scene, rng = draw(i, "video" if i % 2 else "image")
        for expression in referring(scene, rng, "none"):
            answer = absent_answer(scene, expression)
            assert re.fullmatch(r"There is no (?!the |a |what )[a-z ]+ in the (picture|video)\.", answer)


def test_corpus():
    lines = corpus(np.random.default_rng(0), 2000)
    assert len(lines) == 2000
    text = "\n".join(lines)
    assert not HELD_OUT_WORDS.search(text)
    assert not SPECIAL.search(text)
    assert all(word in text for word in [*SHAPES, *COLOURS, "<box>", "<ref>"])
    assert lines == corpus(np.random.default_rng(0), 2000)

"""Scenes keep their promises: determinism, splits, visibility, motions."""

import numpy as np
import pytest

from word2mask.data.shapes_world import HELD_OUT, SPLITS, render_masks, sample_scene, scene_rng
from word2mask.data.shapes_world.scene import training_scene
from word2mask.data.shapes_world.vocabulary import CANVASES, COLOURS, DIRECTIONS, SHAPES
from word2mask.errors import UserError


def scenes(kind, split, num, seed=11):
    return [sample_scene(scene_rng(seed, split, i), kind, split) for i in range(num)]


def test_held_out_pairs_use_every_word_once():
    assert sorted(colour for colour, _ in HELD_OUT) == sorted(COLOURS)
    assert sorted(shape for _, shape in HELD_OUT) == sorted(SHAPES)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_held_out_pairs_are_in_combo_only(kind):
    for split in ("train", "val"):
        assert not any(scene.focus for scene in scenes(kind, split, 150))
    assert all(scene.focus for scene in scenes(kind, "combo", 150))


def test_all_other_pairs_occur_in_training():
    pairs = {(t.colour, t.shape) for scene in scenes("image", "train", 400) for t in scene.objects}
    assert len(pairs) == 64 - 8


@pytest.mark.parametrize("kind", ["image", "video"])
def test_scene_is_a_function_of_the_generator(kind):
    first, second = (sample_scene(scene_rng(5, "val", 3), kind, "val") for _ in range(2))
    assert first.background == second.background
    assert first.noise == second.noise
    assert [t.rgb for t in first.objects] == [t.rgb for t in second.objects]
    assert all(np.array_equal(a.centre, b.centre) for a, b in zip(first.objects, second.objects, strict=True))


def test_splits_and_seeds_have_streams_of_their_own():
    draws = {float(scene_rng(seed, split, i).random()) for seed in (0, 1) for split in SPLITS for i in range(50)}
    assert len(draws) == 2 * 3 * 50


def test_pictures_are_crowded_and_uncovered():
    counts = []
    for scene in scenes("image", "train", 150):
        assert (scene.width, scene.height) in CANVASES
        counts.append(len(scene.objects))
        for thing, mask in zip(scene.objects, render_masks(scene), strict=True):
            assert mask.sum() >= max(60, 0.8 * thing.area)
    assert set(counts) == {2, 3, 4, 5}
    assert 3.5 < np.mean(counts) < 4.5


def test_words_are_shared_so_that_language_is_needed():
    shared = [
        len({t.shape for t in s.objects}) < len(s.objects) or len({t.colour for t in s.objects}) < len(s.objects)
        for s in scenes("image", "train", 200)
    ]
    assert np.mean(shared) > 0.8


def test_motions_are_what_their_name_says():
    seen = set()
    for scene in scenes("video", "train", 120):
        areas = render_masks(scene).sum(axis=(2, 3))
        assert (areas[:, 0] >= 60).all()
        assert ((areas >= 60).mean(axis=1) >= 0.4).all()
        for thing, area in zip(scene.objects, areas, strict=True):
            seen.add(thing.motion)
            way = thing.centre[-1] - thing.centre[0]
            if thing.motion in DIRECTIONS:
                direction = np.array(DIRECTIONS[thing.motion])
                assert way @ direction >= 40
                assert abs(way @ direction[::-1]) <= 5.001
            elif thing.motion == "leaves":
                assert area[-1] == 0
            elif thing.motion == "returns":
                assert (area == 0).any()
                assert area[-1] >= 60
            else:
                assert np.abs(way).max() == 0
            if thing.motion == "grows":
                assert thing.scale[-1] >= 1.7
            elif thing.motion == "shrinks":
                assert thing.scale[-1] <= 0.55
            else:
                assert (thing.scale == 1).all()
            assert (np.ptp(thing.rotation) > 2) == (thing.motion == "spins")
    assert len(seen) == 10


def test_objects_of_videos_sometimes_hide_one_another():
    hidden = 0
    for scene in scenes("video", "train", 60):
        areas = render_masks(scene).sum(axis=(2, 3))
        full = np.array([t.area * t.scale**2 for t in scene.objects])
        hidden += bool(((areas < 0.6 * full) & (areas > 0)).any())
    assert hidden > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "film"}, "unknown kind of scene 'film'; expected 'image' or 'video'"),
        ({"split": "test"}, "unknown split 'test'; expected one of train, val, combo"),
        ({"kind": "video", "num_frames": 3}, "at least 4 frames"),
    ],
)
def test_bad_arguments_are_explained(arguments, message):
    with pytest.raises(UserError, match=message):
        sample_scene(np.random.default_rng(0), **arguments)


def test_unknown_split_of_a_generator_is_explained():
    with pytest.raises(UserError, match="unknown split 'test'"):
        scene_rng(0, "test", 0)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_training_scenes_are_no_evidence_against_a_held_out_pair(kind):
    met = 0
    for index in range(80):
        scene = training_scene(scene_rng(4, "train", index), kind, "train", 4)
        said = {(mine.colour, other.shape) for mine in scene.objects for other in scene.objects}
        assert not said & HELD_OUT and not scene.speaks_of_held_out
        met += sample_scene(scene_rng(4, "train", index), kind, "train", num_frames=4).speaks_of_held_out
    assert met > 8  # drawn freely, they often meet
    # The other splits are as they come.
    for split in ("val", "combo"):
        drawn = [training_scene(scene_rng(4, split, index), kind, split, 4) for index in range(20)]
        plain = [sample_scene(scene_rng(4, split, index), kind, split, num_frames=4) for index in range(20)]
        assert [[t.colour for t in s.objects] for s in drawn] == [[t.colour for t in s.objects] for s in plain]
        assert any(scene.speaks_of_held_out for scene in drawn)

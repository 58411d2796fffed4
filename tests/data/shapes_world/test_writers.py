"""A small world is written once; what the real sources read is compared with the scenes that it was drawn from."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from word2mask.data.shapes_world import HELD_OUT, IMAGE_KINDS, render, sample_scene, scene_rng
from word2mask.data.shapes_world.writers import FIRST_VIDEO, Sizes, _fingerprint, write_shapes_world
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.video_chat import VideoChat
from word2mask.errors import UserError

SIZES = Sizes(train_images=12, val_images=3, combo_images=4, train_videos=2, val_videos=1, combo_videos=1, frames=6)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes_world"
    seen = []

    def progress(scenes, count):
        for scene in scenes:
            seen.append(count)
            yield scene

    assert write_shapes_world(folder, SIZES, processes=2, progress=progress)
    assert seen == [23] * 23
    return folder


def digest(folder):
    """Of every file but the pictures' and videos' own metadata: name and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def scene_of(split, index, kind="image"):
    rng = scene_rng(0, split, index + (FIRST_VIDEO if kind == "video" else 0))
    return sample_scene(rng, kind, split, num_frames=6)


def test_all_sources_read_every_split(world):
    counts = json.loads((world / "manifest.json").read_text())["records"]
    for split, coco, mevis in (("train", "train", "train"), ("val", "val", "valid_u"), ("test", "testA", "valid")):
        sources = {
            "refcoco": RefCOCO(world / "ref_seg/refcoco", coco, per_expression=True),
            "grefcoco": GRefCOCO(world / "ref_seg/grefcoco", coco, per_expression=True),
            "ReasonSeg": ReasonSeg(world / "ref_seg/ReasonSeg", split),
            "mevis": MeViS(world / "video_seg/mevis" / mevis, per_expression=True),
        }
        for name, cls in (("grounded_caption", GroundedCaption), ("llava", LLaVA), ("osprey", Osprey)):
            sources[name] = cls(world / name / f"{split}.json", world / name / "images")
        sources["video_chat"] = VideoChat(world / "video_chat" / f"{split}.json", world / "video_chat/videos")
        named = {"refcoco": coco, "grefcoco": coco, "mevis": mevis}
        for name, source in sources.items():
            assert len(source) == counts[name][named.get(name, split)] > 0, name
            for index in range(len(source)):
                source.read(index, np.random.default_rng(index))


def test_masks_are_the_rendered_ones(world):
    frames, masks = render(scene_of("train", 3))
    source = RefCOCO(world / "ref_seg/refcoco", per_expression=True)
    samples = [source.read(i) for i in range(len(source)) if source.read(i).extra["image_id"] == 4]
    assert samples
    for sample in samples:
        assert any(np.array_equal(sample.masks[0], mask) for mask in masks)
        assert sample.extra["kind"] in IMAGE_KINDS
    # JPEG of quality 95: close to what was drawn.
    assert np.abs(samples[0].media.frames.astype(int) - frames).mean() < 4
    reason = ReasonSeg(world / "ref_seg/ReasonSeg").read(3, np.random.default_rng(0))
    assert all(any(np.array_equal(found, mask) for mask in masks) for found in reason.masks)
    _, video_masks = render(scene_of("train", 1, "video"))
    mevis = MeViS(world / "video_seg/mevis/train", frames_per_sample=6, expressions_per_sample=99)
    video = mevis.read(1, np.random.default_rng(0))
    everything = video_masks.any(axis=0)
    assert all((mask & ~everything).sum() == 0 for mask in video.masks)
    assert any(np.array_equal(found, mask) for found in video.masks for mask in video_masks)


def test_combo_targets_are_held_out_pairs(world):
    source = RefCOCO(world / "ref_seg/refcoco", "testA", per_expression=True)
    for index in range(len(source)):
        sample = source.read(index)
        number = int(sample.media.name.split("combo_")[1].split(".")[0])
        scene = scene_of("combo", number)
        _, masks = render(scene)
        target = next(i for i, mask in enumerate(masks) if np.array_equal(mask, sample.masks[0]))
        assert (scene.objects[target].colour, scene.objects[target].shape) in HELD_OUT


def test_generalized_references_hold_none_one_and_several(world):
    source = GRefCOCO(world / "ref_seg/grefcoco", per_expression=True)
    counts = {0: 0, 1: 0, 2: 0}
    for index in range(len(source)):
        sample = source.read(index)
        objects = len(sample.extra["ann_ids"])
        counts[min(objects, 2)] += 1
        assert sample.extra["kind"] == "none" if objects == 0 else sample.extra["kind"] != "none"
    assert min(counts.values()) >= 10


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_processes(world, tmp_path):
    assert write_shapes_world(tmp_path / "again", SIZES, processes=1)
    assert digest(tmp_path / "again") == digest(world)


def test_what_is_there_is_kept_replaced_or_refused(tmp_path):
    tiny = Sizes(train_images=2, val_images=1, combo_images=1, train_videos=0, val_videos=0, combo_videos=0)
    folder = tmp_path / "w"
    folder.mkdir()
    assert write_shapes_world(folder, tiny, processes=1)
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert not write_shapes_world(folder, tiny, processes=1)
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp
    other = Sizes(**{**vars(tiny), "seed": 1})
    assert write_shapes_world(folder, other, processes=1)
    assert json.loads((folder / "manifest.json").read_text())["settings"]["seed"] == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="mine holds something else than shapes world"):
        write_shapes_world(tmp_path / "mine", tiny)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "w"]


def test_nothing_half_written_stays(tmp_path):
    def stop(scenes, count):
        yield next(scenes)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shapes_world(tmp_path / "w", SIZES, processes=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_refused(tmp_path):
    with pytest.raises(UserError, match="val_images is -1"):
        write_shapes_world(tmp_path / "w", Sizes(val_images=-1))
    with pytest.raises(UserError, match="train_images is 0"):
        write_shapes_world(tmp_path / "w", Sizes(train_images=0))
    with pytest.raises(UserError, match="0 processes"):
        write_shapes_world(tmp_path / "w", SIZES, processes=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="can't be written"):
        write_shapes_world(tmp_path / "file" / "w", SIZES)


def test_the_fingerprint_is_the_same_in_every_process(repository):
    # Python orders sets of strings by a seed of the process; nothing that is written may depend on it.
    program = "import sys; from word2mask.data.shapes_world.writers import _fingerprint as f; sys.stdout.write(f(0))"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(repository / "projects")}
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert other == _fingerprint(0) != _fingerprint(1)

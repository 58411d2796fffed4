"""Every source keeps the contract of Sample, in both views. Sources are found, not listed."""

import importlib
import inspect
import pickle
import pkgutil

import numpy as np
import pytest

import word2mask.data.sources
from word2mask.data import shards
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import Source
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG, SPECIAL_TOKENS

for module in pkgutil.iter_modules(word2mask.data.sources.__path__):
    importlib.import_module(f"word2mask.data.sources.{module.name}")


def kinds_of(cls):
    """Every class below that can be built, however far."""
    for kind in cls.__subclasses__():
        yield from kinds_of(kind)
        if kind.__module__.startswith("word2mask.") and not inspect.isabstract(kind):
            yield kind


SOURCES = sorted(kinds_of(Source), key=lambda cls: cls.__name__)
EVALUATED = [cls for cls in SOURCES if cls.__name__ not in ("ShuffledText", "WordBeforeSeg")]


def check(sample, source, length):
    assert sample.source == source.name or source.name.startswith(sample.source)
    assert sample.id and sample.task in source.tasks
    assert [turn.role for turn in sample.turns] == ["user", "assistant"] * (len(sample.turns) // 2) and sample.turns
    for turn in sample.turns:
        assert turn.text == turn.text.strip() != ""
        assert "<image>" not in turn.text and "<video>" not in turn.text
        if turn.role == "user":
            assert not any(token in turn.text for token in SPECIAL_TOKENS)
    objects = sum(turn.text.count(SEG) for turn in sample.turns)
    assert (sample.masks is None) == (objects == 0)
    size = None
    if sample.media is not None:
        frames = sample.media.frames
        assert frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
        assert len(frames) == len(sample.media.frame_indices)
        assert sample.media.kind == "video" or len(frames) == 1
        size = frames.shape[:3]
    elif "video" in sample.extra:
        assert isinstance(sample.extra["video"], VideoFile)
        size = (len(sample.extra["video"]), *sample.extra["video"].size)
    if sample.masks is not None:
        assert sample.masks.dtype == bool and sample.masks.shape == (objects, *size) and sample.masks.any()
    if sample.void is not None:
        assert sample.void.dtype == bool and sample.void.shape == size
    if sample.regions is not None:
        assert sample.regions.dtype == bool and sample.regions.shape[1:] == size[1:]
        assert sample.regions.any(axis=(1, 2)).all()


def test_there_are_sources():
    assert len(SOURCES) >= 9


@pytest.mark.parametrize("cls", SOURCES)
def test_training_view(cls, tmp_path):
    source = cls.fixture(tmp_path / "set")
    assert len(source) == 2 and source.name and source.tasks
    sizes = source.sizes()
    assert sizes.shape == (2, 2) and np.issubdtype(sizes.dtype, np.integer) and (sizes >= 0).all()
    for index in range(2):
        sample = source.read(index, np.random.default_rng(index))
        check(sample, source, 2)
        again = pickle.loads(pickle.dumps(source)).read(index, np.random.default_rng(index))
        assert again.turns == sample.turns and again.id == sample.id
        for field in ("masks", "void", "regions"):
            first, second = getattr(sample, field), getattr(again, field)
            assert (first is None and second is None) or np.array_equal(first, second)
        if sample.media is not None:
            assert again.media.frame_indices == sample.media.frame_indices
            assert np.array_equal(again.media.frames, sample.media.frames)


@pytest.mark.parametrize("cls", EVALUATED)
def test_evaluation_view(cls, tmp_path):
    source = cls.fixture(tmp_path / "set", per_expression=True)
    assert len(source) >= 2
    names = set()
    for index in range(len(source)):
        sample = source.read(index)
        check(sample, source, len(source))
        assert len(sample.turns) == 2 and {"expression", "kind"} <= sample.extra.keys()
        assert source.read(index, np.random.default_rng(7)).turns == sample.turns
        names.add(sample.id)
    assert len(names) == len(source)


@pytest.mark.parametrize("cls", EVALUATED)
def test_a_missing_file_is_said_in_one_sentence(cls, tmp_path):
    source = cls.fixture(tmp_path / "set")
    for path in (tmp_path / "set").rglob("*"):
        if path.suffix in (".jpg", ".mp4"):
            path.unlink()
    with pytest.raises(UserError, match=r"\[.+\]: .*\.(jpg|mp4)") as caught:
        for index in range(2):
            source.read(index, np.random.default_rng(0))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{source.name}[")


@pytest.mark.parametrize("cls", EVALUATED)
@pytest.mark.parametrize("options", [{}, {"per_expression": True}], ids=["training", "evaluation"])
def test_media_may_lie_in_shards(cls, options, tmp_path):
    """A shard folder in the place of every media folder gives the same samples, byte for byte."""
    source = cls.fixture(tmp_path / "set", **options)
    before = [contents(source.read(index, np.random.default_rng(index))) for index in range(len(source))]
    folders = source.media_folders()
    assert folders
    for number, folder in enumerate(folders):
        plan = shards.plan_shards(folder, tmp_path / f"shards_{number}", 2000)
        plan.out.mkdir()
        for shard in plan.shards:
            shards.write_shard(plan, shard)
        shards.finish(plan)
        folder.rename(tmp_path / f"plain_{number}")
        plan.out.rename(folder)
    after = [contents(source.read(index, np.random.default_rng(index))) for index in range(len(source))]
    assert before == after


def contents(sample):
    """All of a sample, for comparison; a video's frames in full."""
    arrays = [sample.masks, sample.void, sample.regions]
    if sample.media is not None:
        arrays.append(sample.media.frames)
    elif "video" in sample.extra:
        arrays += [sample.extra["video"].read(range(len(sample.extra["video"])))]
    return sample.id, sample.turns, [None if array is None else (array.shape, array.tobytes()) for array in arrays]

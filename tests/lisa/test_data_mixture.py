"""LISA's tree made of every source's own fixture: names, rates, what is missing, and what an epoch shows."""

import shutil
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from lisa.data_mixture import SOURCES, mixture_sources, require_data
from word2mask.data.mixture import Mixture
from word2mask.data.sources.ade20k import ADE20K
from word2mask.data.sources.coco_stuff import COCOStuff
from word2mask.data.sources.explained_reason_seg import ExplainedReasonSeg
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mapillary import Mapillary
from word2mask.data.sources.paco_lvis import PACOLVIS
from word2mask.data.sources.pascal_part import PASCALPart
from word2mask.data.sources.refclef import RefCLEF
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.build import build
from word2mask.engine.config import load_config
from word2mask.errors import UserError


def write_tree(root):
    """``dataset/`` as LISA's README lays it out, two records a data set."""
    ADE20K.fixture(root / "ade20k")
    COCOStuff.fixture(root)
    Mapillary.fixture(root / "mapillary")
    PACOLVIS.fixture(root)
    PASCALPart.fixture(root)
    refer = root / "refer_seg"
    RefCLEF.fixture(refer)
    pictures = refer / "images" / "mscoco" / "images" / "train2014"
    for name, split_by in (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd"), ("grefcoco", "unc")):
        if name == "grefcoco":
            GRefCOCO.fixture(refer / name)
        else:
            RefCOCO.fixture(refer / name, split_by=split_by)
        shutil.copytree(refer / name / "coco2014" / "train2014", pictures, dirs_exist_ok=True)
        shutil.rmtree(refer / name / "coco2014")
    LLaVA.fixture(root / "llava_dataset")
    (root / "llava_dataset" / "chat.json").rename(root / "llava_dataset" / "llava_instruct_150k.json")
    shutil.move(root / "llava_dataset" / "images" / "one.jpg", root / "coco" / "train2017" / "one.jpg")
    ExplainedReasonSeg.fixture(root / "reason_seg" / "ReasonSeg")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("dataset"))


def opened(sources):
    return [(build(node), rate) for node, rate in sources]


def test_kinds_share_an_epoch_by_their_rates_and_sets_of_a_kind_share_theirs(tree):
    sources = opened(mixture_sources(str(tree)))
    assert [source.name for source, _ in sources] == [
        *("ade20k", "cocostuff", "pascal_part", "paco_lvis", "mapillary"),
        *("refclef", "refcoco", "refcoco+", "refcocog"),
        "llava_instruct_150k",
        "ReasonSeg|train",
    ]
    assert [rate for _, rate in sources] == [9 / 5] * 5 + [3 / 4] * 4 + [3, 1]
    mixture = Mixture(sources, length=320)
    # 320 visits in 16 parts of 20: 9 × 20 over 5 sets, 3 × 20 over 4, 3 × 20 and 20.
    assert mixture.counts == (36,) * 5 + (15,) * 4 + (60, 20)
    assert mixture.epoch_counts(1) == mixture.counts
    drawn = [mixture.locate(0, position)[:2] for position in range(320)]
    assert drawn == [Mixture(sources, length=320).locate(0, position)[:2] for position in range(320)]
    assert drawn != [mixture.locate(1, position)[:2] for position in range(320)]
    assert Counter(source for source, _ in drawn)[9] == 60


def test_every_record_of_the_tree_is_read(tree):
    mixture = Mixture(opened(mixture_sources(str(tree))), length=64)
    tasks = set()
    for position in range(64):
        source, record, rng = mixture.locate(0, position)
        sample = mixture.sources[source].read(record, rng)
        tasks.add(sample.task)
        assert len(sample.turns) <= 6
    assert tasks == {"semantic", "refer", "chat", "reason"}


def test_the_defaults_are_those_of_the_command_line():
    assert mixture_sources("./dataset/") == SOURCES
    assert {node["folder"] for node, _ in SOURCES if node["type"] is RefCOCO} == {
        f"./dataset/refer_seg/{name}" for name in ("refcoco", "refcoco+", "refcocog")
    }
    assert sum(Fraction(rate).limit_denominator(100) for _, rate in SOURCES) == 16
    assert SOURCES[-1][0]["explanations"] == "./dataset/reason_seg/ReasonSeg/explanatory/train.json"


def test_settings_reach_the_sources(tree):
    sources = opened(
        mixture_sources(
            str(tree),
            dataset="sem_seg||refer_seg",
            sample_rates="2,1",
            sem_seg_data="ade20k",
            refer_seg_data="grefcoco",
            num_classes_per_sample=1,
            negatives=1.0,
        )
    )
    (ade20k, two), (grefcoco, one) = sources
    assert (two, one) == (2, 1)
    asked = ade20k.read(0, np.random.default_rng(0))
    assert len(asked.turns) == 2 and asked.masks is None
    assert len(grefcoco.read(0, np.random.default_rng(0)).turns) == 2


def test_splits_of_reason_seg_are_drawn_by_their_size(tree, tmp_path):
    ExplainedReasonSeg.fixture(tmp_path / "reason_seg" / "ReasonSeg")
    folder = tmp_path / "reason_seg" / "ReasonSeg"
    shutil.copytree(folder / "train", folder / "val")
    (folder / "val" / "two.jpg").unlink()
    settings = dict(dataset="reason_seg", sample_rates="3", reason_seg_data="ReasonSeg|train_val")
    sources = mixture_sources(str(tmp_path), explanatory=-1, **settings)
    assert [(node["split"], rate) for node, rate in sources] == [("train", 2), ("val", 1)]
    assert all("explanations" not in node for node, _ in sources)


def test_what_is_missing_is_named_in_one_sentence(tree, tmp_path):
    require_data(mixture_sources(str(tree)), str(tree))
    copy = tmp_path / "dataset"
    shutil.copytree(tree, copy)
    shutil.rmtree(copy / "mapillary")
    shutil.rmtree(copy / "reason_seg" / "ReasonSeg" / "explanatory")
    with pytest.raises(UserError, match="2 of the 18 files and folders of LISA's data aren't there") as caught:
        require_data(mixture_sources(str(copy)), str(copy))
    said = str(caught.value)
    assert f"{copy}/mapillary, {copy}/reason_seg/ReasonSeg/explanatory/train.json; put them there" in said
    require_data(mixture_sources(str(copy), dataset="vqa", sample_rates="1"), str(copy))
    with pytest.raises(UserError, match="nowhere: no such folder; give that of LISA's data with --dataset_dir"):
        require_data(SOURCES, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "settings, said",
    [
        (dict(sem_seg_data="ade20k||cocostuf"), "--sem_seg_data: no 'cocostuf', did you mean cocostuff?"),
        (dict(refer_seg_data="refcoco++"), r"--refer_seg_data: no 'refcoco\+\+', did you mean refcoco\+\?"),
        (dict(dataset="sem_seg,vqa"), "--dataset: no 'sem_seg,vqa'"),
        (dict(sample_rates="9,3,3"), r"--sample_rates: 3 numbers \('9,3,3'\) for the 4 kinds of --dataset"),
        (dict(sample_rates="9,3,3,x"), "--sample_rates: expected numbers separated by commas, got '9,3,3,x'"),
        (dict(sample_rates="9,3,3,0"), "kind 4 of 4 has rate 0.0"),
        (dict(reason_seg_data="ReasonSeg"), r"--reason_seg_data: expected folder\|split"),
    ],
)
def test_wrong_names_and_rates_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        mixture_sources(**settings)


def test_a_config_takes_the_sources_by_import(tmp_path):
    file = tmp_path / "toy.py"
    file.write_text(
        "from lisa.data_mixture import SOURCES as _sources\n\n"
        "from word2mask.data.mixture import Mixture\n\n"
        "data = dict(mixture=dict(type=Mixture, sources=_sources, length=80000))\n"
    )
    assert load_config(file)["data"]["mixture"] == dict(type=Mixture, sources=SOURCES, length=80000)

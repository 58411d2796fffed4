"""The directory tree of Sa2VA's training package, read as it is by the published mixture."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from word2mask.data.fixtures import write_picture
from word2mask.data.sources.flickr_caption import FlickrCaption
from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.ref_sav import RefSAV
from word2mask.data.sources.ref_youtube_vos import RefYouTubeVOS
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.refcocog_caption import RefCOCOgCaption
from word2mask.data.sources.revos import ReVOS
from word2mask.data.sources.video_chat import VideoChat
from word2mask.engine.config import load_config
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle

CONFIG = "projects/llava_sam2/configs/sa2va_4b.py"
RED, BLUE, SIZE = (4, 6, 20, 22), (30, 10, 50, 30), (48, 64)


def write_openpsg(data: Path) -> None:
    """OpenPSG-GCG: names lead through the folder of their split, as those of OpenPSG's own ``psg.json`` do.

    Two records, of one picture of COCO's ``train2017`` and one of its ``val2017``.
    """
    records = []
    for name, box, words in (
        ("train2017/000000000009.jpg", RED, "red box"),
        ("val2017/000000000139.jpg", BLUE, "blue box"),
    ):
        write_picture(data / "glamm_data/images/coco2017" / name, SIZE, {words.split()[0]: box})
        rle = encode_rle(box_to_mask(box, *SIZE))
        grounding = {words: {"token_positives": [2, 2 + len(words)], "rle_masks": [rle]}}
        records.append({"file_name": name, "caption": f"A {words} on grey.", "groundings": grounding})
    file = data / "glamm_data/annotations/OpenPsgGCG_train.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records))


def write_tree(data: Path, scratch: Path) -> None:
    """All of the package that training reads, two records of each file."""

    def parts(kind: type, moves: dict[str, str], change: Callable[[Path], object] = lambda folder: None) -> None:
        """A fixture's files, each moved to its place in the package."""
        folder = scratch / str(len(list(scratch.iterdir())))
        folder.mkdir()
        kind.fixture(folder)  # type: ignore[attr-defined]
        change(folder)
        for old, new in moves.items():
            (data / new).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder / old, data / new, dirs_exist_ok=True) if (folder / old).is_dir() else shutil.copy(
                folder / old, data / new
            )

    scratch.mkdir()
    for name in ("refcoco", "refcoco+"):
        parts(RefCOCO, {".": f"ref_seg/{name}"})
    parts(
        RefCOCO,
        {".": "ref_seg/refcocog"},
        lambda folder: (folder / "refs(unc).p").rename(folder / "refs(umd).p"),
    )
    parts(
        LLaVA,
        {
            "chat.json": "llava_data/LLaVA-Instruct-150K/llava_v1_5_mix665k.json",
            "images": "llava_data/llava_images",
        },
    )
    parts(MeViS, {".": "video_datas/mevis"})
    parts(ReVOS, {".": "video_datas/revos"})
    parts(RefYouTubeVOS, {".": "video_datas/rvos"}, pack_masks)
    parts(RefSAV, {"Ref-SAV.json": "video_datas/Ref-SAV.json", "sam_v_full": "video_datas/sam_v_full"})
    chat = "video_datas/chat_univi"
    parts(VideoChat, {"chat.json": f"{chat}/video_chat.json", "videos": f"{chat}/Activity_Videos"})
    annotations, images = "glamm_data/annotations", "glamm_data/images"
    parts(
        RefCOCOgCaption,
        {"RefCOCOg_GCG_train.json": f"{annotations}/RefCOCOg_GCG_train.json", "coco2014": f"{images}/coco2014"},
    )
    parts(
        GroundedCaption,
        {"captions.json": f"{annotations}/GranDf_HA_GCG_train.json", "images": f"{images}/grandf/train"},
    )
    parts(
        FlickrCaption,
        {
            "flickr_mergedGT_GCG_train.json": f"{annotations}/flickr_mergedGT_GCG_train.json",
            "Flickr30K": f"{images}/flickr30k/Flickr30K",
        },
    )
    write_openpsg(data)
    for number, name in enumerate(
        ("conversation", "detail_description", "part_level", "short_form", "lvis_positive_negative")
    ):
        folder = ("train2014", "val2014", "train2017", "val2017")[number % 4]
        parts(
            Osprey,
            {
                "regions.json": f"osprey-724k/Osprey-724K/osprey_{name}.json",
                "images": f"osprey-724k/coco/{folder}",
            },
        )


def pack_masks(folder: Path) -> None:
    """Ref-YouTube-VOS as the package has it: its masks in a pickle, one list an expression."""
    source = RefYouTubeVOS(folder, per_expression=True)
    masks = [source.read(index).masks for index in range(len(source))]
    tracks = {
        str(number): [encode_rle(mask) if mask.any() else None for mask in track[0]]
        for number, track in enumerate(masks)
        if track is not None
    }
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps(tracks))
    shutil.rmtree(folder / "train/Annotations")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ``data`` is the package."""
    root = tmp_path_factory.mktemp("package")
    write_tree(root / "data", root / "scratch")
    return root


def test_every_record_is_read_and_nothing_is_wrong(repository: Path, root: Path) -> None:
    command = [sys.executable, "tools/check_data.py", CONFIG, "--root", root, "--workers", "2", "--passes", "2"]
    done = subprocess.run(list(map(str, command)), cwd=repository, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (root / "work_dirs/sa2va_4b/data_check/findings.jsonl").read_text().splitlines()
    # Its benchmarks' data come apart from the package.
    assert {found["kind"] for found in map(json.loads, lines)} <= {"not_compared", "not_measured", "unseen_object"}
    sources = load_config(repository / CONFIG)["data"]["dataset"]["mixture"]["sources"]
    assert len(sources) == 18
    assert f"{2 * 2 * len(sources)} of {2 * 2 * len(sources)} records" in done.stderr


def openpsg(repository: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> GroundedCaption:
    """The source as the published mixture has it, its paths starting at ``root``."""
    (node,) = (
        node
        for node, _ in load_config(repository / CONFIG)["data"]["dataset"]["mixture"]["sources"]
        if "OpenPsg" in str(node.get("annotations"))
    )
    monkeypatch.chdir(root)
    options = {key: value for key, value in node.items() if key != "type"}
    assert node["type"] is GroundedCaption
    return GroundedCaption(**options)


def test_openpsg_s_pictures_lie_in_the_folders_of_their_splits(
    repository: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = openpsg(repository, monkeypatch, root)
    assert [str(folder) for folder in source.media_folders()] == ["data/glamm_data/images/coco2017"]
    for index, (box, name, words) in enumerate(
        ((RED, "train2017/000000000009.jpg", "red"), (BLUE, "val2017/000000000139.jpg", "blue"))
    ):
        sample = source.read(index, np.random.default_rng(0))
        assert sample.media is not None and sample.media.name.endswith(f"coco2017/{name}")
        assert sample.turns[1].text == f"A <p> {words} box </p> [SEG] on grey."
        np.testing.assert_array_equal(sample.masks[0, 0], box_to_mask(box, *SIZE))


def test_a_folder_of_openpsg_too_deep_is_said(repository: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GLaMM's own reader gives ``train2017``, which the file's names hold already."""
    monkeypatch.chdir(root)
    source = GroundedCaption(
        "data/glamm_data/annotations/OpenPsgGCG_train.json", "data/glamm_data/images/coco2017/train2017"
    )
    with pytest.raises(UserError, match=r"^OpenPsgGCG_train\[0\]: .*train2017/train2017/000000000009.jpg: no such pic"):
        source.read(0, np.random.default_rng(0))


def test_the_guide_shows_this_tree(repository: Path, root: Path) -> None:
    text = (repository / "docs/data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\ndata/\n(.*?)^```", text, re.M | re.S)
    shown = [path for word in block.split() for path in expanded(word)]
    assert len(shown) >= 40
    # LLaVA's pictures come from coco, gqa and others; a fixture has none of these folders.
    looked_for = [path for path in shown if not path.startswith("llava_data/llava_images/")]
    absent = [path for path in looked_for if not list((root / "data").glob(path))]
    assert absent == []


def expanded(pattern: str) -> list[str]:
    """A shell's braces, without the dots that stand for more.

    >>> expanded("a/{b,c/{d,e},…}.p")
    ['a/b.p', 'a/c/d.p', 'a/c/e.p']
    """
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    choices = [choice for choice in found[1].split(",") if choice != "…"]
    return list(dict.fromkeys(path for choice in choices for path in expanded(before + choice + after)))

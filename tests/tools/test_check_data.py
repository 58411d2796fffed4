"""tools/check_data.py from the command line to its report: exit codes, findings and the page."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world

CONFIG = """
from torch.optim import AdamW

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.build import Bind, Built
from word2mask.evaluation.mevis import MeViS as MeViSBenchmark
from word2mask.evaluation.refcoco import RefCOCO as RefCOCOBenchmark
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

_captions = dict(annotations="shapes/grounded_caption/train.json", image_folder="shapes/grounded_caption/images")
model = dict(type=GroundedMLLM, mllm=dict(type=InternVL.tiny), segmenter=dict(type=SAM2Segmenter.tiny))
data = dict(
    dataset=dict(
        type=MixtureDataset,
        mixture=dict(
            type=Mixture,
            sources=[
                (dict(type=RefCOCO, folder="shapes/ref_seg/refcoco"), 2),
                dict(type=MeViS, folder="shapes/video_seg/mevis/train"),
                dict(type=LLaVA, annotations="shapes/llava/train.json", image_folder="shapes/llava/images"),
                dict(type=GroundedCaption, **_captions),
            ],
        ),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=100000,
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=0),
)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
evaluation = dict(
    benchmarks=[
        dict(type=RefCOCOBenchmark.build, root="shapes/ref_seg/refcoco", split="val", limit=1),
        dict(type=RefCOCOBenchmark.build, root="shapes/ref_seg/refcoco", split="val", limit=2, title="Again"),
        dict(type=MeViSBenchmark.build, root="shapes/video_seg/mevis", split="valid_u"),
    ],
)
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config and its data, without fault."""
    root = tmp_path_factory.mktemp("sound")
    sizes = dict(train_images=4, val_images=2, combo_images=1, train_videos=2, val_videos=1, combo_videos=1)
    write_shapes_world(root / "shapes", Sizes(**sizes, frames=5, seed=1), processes=1)
    (root / "toy.py").write_text(CONFIG)
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(sound, tmp_path / "root"))


@pytest.fixture
def program(repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """``tools/check_data.py`` in this process: folder, arguments → (exit code, stdout, stderr)."""
    specification = importlib.util.spec_from_file_location("check_data_tool", repository / "tools/check_data.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    def run(root: Path, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        words = ["toy.py", "--root", root, "--workers", 1, *arguments]
        monkeypatch.setattr(sys, "argv", ["tools/check_data.py", *map(str, words)])
        code = tool.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def findings(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sound_data(program, sound: Path, tmp_path: Path) -> None:
    before = content(sound)
    code, out, err = program(sound, "--out", tmp_path / "out")
    assert code == 0, err
    assert "0 errors, 0 warnings" in out and "refcoco:val" in out
    assert not [one for one in findings(tmp_path / "out") if one["severity"] != "note"]
    page = (tmp_path / "out/report.html").read_text()
    assert "Every record, <em>read</em>." in page and page.count("data:image/jpeg;base64,") >= 12
    assert content(sound) == before


def test_whatever_is_wrong_is_found_and_the_rest_is_checked(program, root: Path, tmp_path: Path) -> None:
    shapes = root / "shapes"
    pictures = shapes / "ref_seg/refcoco/coco2014/train2014"
    (pictures / "train_000000.jpg").unlink()
    (pictures / "train_000001.jpg").write_text("<script>alert(1)</script>")
    shutil.copy(pictures / "val_000001.jpg", shapes / "llava/images/train_000002.jpg")
    records = json.loads((shapes / "llava/train.json").read_text())
    records[1]["id"] = records[0]["id"]
    records[3]["conversations"][0]["value"] += "<script>alert(2)</script>"
    (shapes / "llava/train.json").write_text(json.dumps(records))
    (shapes / "grounded_caption/train.json").write_text("[")
    (shapes / "video_seg/mevis/valid_u/mask_dict.json").unlink()

    code, out, _ = program(root, "--out", tmp_path / "out")
    assert code == 1
    found = {(one["source"], one["kind"]) for one in findings(tmp_path / "out") if one["severity"] != "note"}
    assert found == {
        ("refcoco", "missing_media"),
        ("refcoco", "unreadable_media"),
        ("train", "duplicate_id"),
        ("train", "overlap"),
        ("GroundedCaption", "unopened"),
        ("mevis:valid_u", "not_compared"),
    }
    (shared,) = (one["message"] for one in findings(tmp_path / "out") if one["kind"] == "overlap")
    assert "train_000002.jpg is in refcoco:val too" in shared and "val_000001.jpg (the same content)" in shared
    assert "3 errors" in out and "no such picture" in out
    page = (tmp_path / "out/report.html").read_text()
    assert "3 errors" in page and "<script>" not in page and "&lt;script&gt;alert(2)" in page
    code, _, _ = program(root, "--out", tmp_path / "two", "--workers", 2)
    assert code == 1 and findings(tmp_path / "two") == findings(tmp_path / "out")


def test_only_some_sources_and_records(program, root: Path, tmp_path: Path) -> None:
    (root / "shapes/grounded_caption/train.json").write_text("[")
    names = ["--sources", "LLaVA", "refcoco:val"]
    code, out, _ = program(root, "--out", tmp_path, "--limit", 2, *names, "--max-pictures", 0)
    assert code == 0 and "at most 2 records of each source, evenly spaced" in out
    page = (tmp_path / "report.html").read_text()
    assert "mevis" not in page and "data:image" not in page and "evenly spaced" in page


def test_conversations_that_are_too_long(program, sound: Path, tmp_path: Path) -> None:
    options = ["--sources", "mevis", "--cfg-options", "data.dataset.encoder.max_length=40"]
    code, out, _ = program(sound, "--out", tmp_path, *options)
    assert code == 1 and {one["kind"] for one in findings(tmp_path)} - {"unseen_object"} == {"too_long"}
    assert "> 40" in out and "100.0%" in out and "Longer than 40 tokens" in (tmp_path / "report.html").read_text()


def test_a_config_without_its_data(program, tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(CONFIG)
    code, out, _ = program(tmp_path)
    assert code == 1
    folder = tmp_path / "work_dirs/toy/data_check"
    found = findings(folder)
    assert [(one["kind"], one["severity"]) for one in found] == [("unopened", "error")] * 4 + [
        ("not_compared", "warning")
    ] * 2
    assert "no such" in found[0]["message"] and "RefCOCO" in out and (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sources", "mevi"], "--sources: the config has no 'mevi', did you mean mevis?"),
        (["--limit", "0"], "--limit must be 1 or more, got 0"),
        (["--workers", "0"], "--workers must be 1 or more, got 0"),
        (["--cfg-options", "data.dataset.encoder.max_lenght=3"], "did you mean max_length?"),
        (["--out", "toy.py"], "can't be written"),
    ],
)
def test_a_wrong_command_ends_with_2(program, sound: Path, arguments: list[str], message: str) -> None:
    code, _, err = program(sound, *arguments, *([] if "--out" not in arguments else ["--limit", 1]))
    assert code == 2 and message in err and err.count("\n") <= 2


def test_a_dataset_that_is_no_mixture(program, sound: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("type=MixtureDataset", "type=dict").replace("mixture=dict(", "blend=dict(")
    (tmp_path / "toy.py").write_text(text)
    code, _, err = program(tmp_path)
    assert code == 2 and "no mixture of sources" in err

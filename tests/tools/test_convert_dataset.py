"""The program as a user starts it, its messages, and the four commands of docs/own_data.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from word2mask.data.convert.annotated import Media, Tally
from word2mask.data.convert.labelme import read_labelme
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.sources.own_data import OwnData
from word2mask.ops.masks import box_to_mask, decode_rle

RED, SIZE = (4, 6, 20, 22), (48, 64)


@pytest.fixture
def program(repository: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("convert_dataset", repository / "tools/convert_dataset.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """One picture with a red box, as each of the programs exports it."""
    folder = tmp_path / "exports"
    write_picture(folder / "a.jpg", SIZE, {"red": RED})
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 48, "width": 64}],
        "categories": [{"id": 1, "name": "red_box"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box_polygon(RED)], "iscrowd": 0}],
    }
    (folder / "coco.json").write_text(json.dumps(coco))
    x0, y0, x1, y1 = RED
    outline = [[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]]
    labelme = {
        "imagePath": "../a.jpg",
        "imageData": None,
        "shapes": [{"label": "red_box", "points": outline, "shape_type": "polygon"}],
    }
    (folder / "labelme").mkdir()
    (folder / "labelme" / "a.json").write_text(json.dumps(labelme))
    box = f'<box label="red_box" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"/>'
    (folder / "cvat.xml").write_text(
        f'<annotations><image id="0" name="a.jpg" width="64" height="48">{box}</image></annotations>'
    )
    value = {"rectanglelabels": ["red_box"], "x": x0 / 0.64, "y": y0 / 0.48, "width": 16 / 0.64, "height": 16 / 0.48}
    result = {"id": "r", "type": "rectanglelabels", "value": value}
    task = {"id": 1, "data": {"image": "/data/upload/1/a.jpg"}, "annotations": [{"result": [result]}]}
    (folder / "label_studio.json").write_text(json.dumps([task]))
    return folder


INPUTS = {"coco": "coco.json", "labelme": "labelme", "cvat": "cvat.xml", "label_studio": "label_studio.json"}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("out", ["set", "set/own.jsonl"])
def test_every_format_says_the_same(
    program: ModuleType, exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, out: str
) -> None:
    arguments = [name, str(exports / INPUTS[name]), "--out", str(tmp_path / out), "--images", str(exports)]
    assert program.main(arguments) == 0
    told = capsys.readouterr().out
    assert (
        "read     1 picture, 1 " in told
        and "written  1 picture, 1 expression, 1 mask\n" in told
        and "skipped  nothing" in told
    )
    file = tmp_path / ("set/train.jsonl" if out == "set" else out)
    assert f"to       {file}" in told
    record = json.loads(file.read_text())
    assert record["image"] == ("images/a.jpg" if out == "set" else "../exports/a.jpg")
    assert (tmp_path / "set/images/a.jpg").exists() == (out == "set")
    sample = OwnData(file, per_expression=True).read(0)
    assert sample.extra["expression"] == "red box"
    np.testing.assert_array_equal(sample.masks[0, 0], box_to_mask(RED, *SIZE))


def test_a_video(program: ModuleType, tmp_path: Path) -> None:
    for t in range(3):
        write_picture(tmp_path / "clip" / f"{t}.jpg", SIZE, {"red": RED})
    shapes = [f'<box frame="{t}" outside="0" xtl="4" ytl="6" xbr="20" ybr="22"/>' for t in range(3)]
    (tmp_path / "a.xml").write_text(f'<annotations><track id="0" label="box">{"".join(shapes)}</track></annotations>')
    arguments = ["cvat", str(tmp_path / "a.xml"), "--out", str(tmp_path / "set"), "--video", str(tmp_path / "clip")]
    assert program.main(arguments) == 0
    sample = OwnData(tmp_path / "set/train.jsonl").read(0, np.random.default_rng(0))
    assert sample.media is not None and sample.media.name == str(tmp_path / "set/videos/clip")
    assert sample.masks.sum(axis=(2, 3)).tolist() == [[256] * 3]


def test_names(program: ModuleType, exports: Path, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"red_box": ["the red box", "what is warm"]}')
    arguments = ["coco", str(exports / "coco.json"), "--out", str(tmp_path / "a.jsonl")]
    assert program.main([*arguments, "--names", str(tmp_path / "names.json")]) == 0
    (expression,) = json.loads((tmp_path / "a.jsonl").read_text())["expressions"]
    assert expression["text"] == ["the red box", "what is warm"]
    assert program.main(arguments) == 2
    assert program.main([*arguments, "--overwrite"]) == 0


def test_bad_input_is_one_sentence(program: ModuleType, exports: Path, tmp_path: Path, capsys) -> None:
    coco, out = str(exports / "coco.json"), str(tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note").write_text("")
    (tmp_path / "names.json").write_text('{"red_box": 3}')
    (tmp_path / "nothing.json").write_text('{"images": [], "categories": [], "annotations": []}')
    before = sorted(tmp_path.iterdir())
    cases = [
        (["coco", str(exports / "gone.json"), "--out", out], "no such file or folder; give what"),
        (["coco", coco, "--out", str(tmp_path / "full")], "isn't empty"),
        (["coco", coco, "--out", out, "--images", str(tmp_path / "gone")], "no such folder"),
        (["coco", coco, "--out", out, "--images", str(tmp_path)], "no picture a.jpg"),
        (["coco", coco, "--out", out, "--names", str(tmp_path / "names.json")], "'red_box' is 3; expected a text"),
        (["coco", coco, "--out", out, "--absent", "-1"], "give a number from 0"),
        (["coco", coco, "--out", out, "--video", "x"], "--video is for cvat, not for coco"),
        (["labelme", str(exports / "labelme"), "--out", out, "--text", "x"], "--text is for coco and cvat"),
        (["cvat", coco, "--out", out], "not XML"),
        (["label_studio", coco, "--out", out], "expected a JSON array"),
        (["coco", str(tmp_path / "nothing.json"), "--out", out], "nothing in the export can be used"),
        (["coco", str(tmp_path / "nothing.json"), "--out", f"{out}.jsonl"], "nothing in the export can be used"),
    ]
    for arguments, words in cases:
        assert program.main(arguments) == 2, arguments
        message = capsys.readouterr().err
        assert words in message and message.startswith("convert_dataset: ") and message.count("\n") == 1, message
    assert sorted(tmp_path.iterdir()) == before


def test_two_pictures_of_one_name(program: ModuleType, exports: Path, tmp_path: Path, capsys) -> None:
    (exports / "other").mkdir()
    (exports / "other/a.jpg").write_bytes((exports / "a.jpg").read_bytes())
    annotation = json.loads((exports / "labelme/a.json").read_text())
    (exports / "labelme/b.json").write_text(json.dumps(annotation | {"imagePath": "../other/a.jpg"}))
    arguments = ["labelme", str(exports / "labelme"), "--out"]
    assert program.main([*arguments, str(tmp_path / "out")]) == 2
    assert "have the same name; give --out FILE.jsonl" in capsys.readouterr().err
    assert program.main([*arguments, str(tmp_path / "out.jsonl")]) == 0


# -- docs/own_data.md ---------------------------------------------------------------------------------------------


def commands(repository: Path, root: Path) -> list[list[str]]:
    """The four commands of the guide, to be run in ``root``, which gets the repository's data."""
    for name in ("docs", "pretrained"):
        (root / name).symlink_to(repository / name)
    block = re.findall(r"^```bash\n(.*?)^```", (repository / "docs/own_data.md").read_text("utf-8"), re.M | re.S)[0]
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        words = [str(repository / word) if re.match(r"(tools|projects)/.*\.py$", word) else word for word in words]
        if words[1].endswith(("train.py", "convert_to_hf.py")):
            words += ["--root", str(root)]
        found.append([sys.executable, *words[1:]])
    return found


def run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)


def test_the_guide_s_data_is_converted_and_its_config_finds_it(repository: Path, tmp_path: Path) -> None:
    convert, train, *_ = commands(repository, tmp_path)
    done = run(convert, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "read     20 pictures" in done.stdout and "skipped  nothing" in done.stdout
    source = OwnData(tmp_path / "data/own_data/train.jsonl")
    assert len(source) == 20
    for index in range(20):
        source.read(index, np.random.default_rng(0))
    done = run([*train, "--dry-run"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything is on disk." in done.stdout


@pytest.mark.slow
def test_the_guide_s_four_commands_end_in_a_right_answer(repository: Path, tmp_path: Path) -> None:
    for command in commands(repository, tmp_path):
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    (answer,) = tmp_path.glob("work_dirs/*/answer.json")
    found = json.loads(answer.read_text())
    (truth,) = read_labelme(repository / "docs/own_data/new_picture.json", Media(()), Tally())
    (asked,) = [thing for thing in truth.things if thing.label in found["question"]]
    (segment,) = found["objects"]
    mask, expected = decode_rle(segment["masks"][0]), decode_rle(asked.mask)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.5

"""tools/test.py from the command line to results.json, for a config with its checkpoint and for an exported folder."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.engine.checkpoint import trained_state, write_checkpoint
from word2mask.evaluation.mevis import MeViS
from word2mask.export.folder import save_hf
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

CONFIG = """
from torch.optim import AdamW

from word2mask.data.collate import collate
from word2mask.evaluation.chat import ImageChat
from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.refcoco import RefCOCO
from word2mask.data.sources.refcoco import RefCOCO as RefCOCOSource
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

model = dict(type=GroundedMLLM, mllm=dict(type=InternVL.tiny), segmenter=dict(type=SAM2Segmenter.tiny))
data = dict(dataset=dict(type=RefCOCOSource, folder="shapes/ref_seg/refcoco"), collate=collate)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
evaluation = dict(
    benchmarks=[
        dict(type=RefCOCO.build, root="shapes/ref_seg/refcoco", split="val", limit=5, title="One object"),
        dict(type=MeViS.build, root="shapes/video_seg/mevis", split="valid_u", limit=3),
    ],
    targets={"refcoco:val": {"ciou": 85, "giou": dict(at_most=40)}},
    batch_size=2,
    session=dict(key_frames=2),
)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config, a checkpoint of it in its work directory, and the same model exported."""
    root = tmp_path_factory.mktemp("root")
    sizes = dict(train_images=1, val_images=4, combo_images=1, train_videos=1, val_videos=2, combo_videos=1)
    write_shapes_world(root / "shapes", Sizes(**sizes, frames=5, seed=1), processes=1)
    (root / "toy.py").write_text(CONFIG)
    torch.manual_seed(0)
    model = GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).eval()
    folder = root / "work_dirs/toy"
    folder.mkdir(parents=True)
    content = {"meta": {"iteration": 1}, "full": True, "state_dict": trained_state(model, full=True)}
    write_checkpoint(content, folder, 1)
    save_hf(model, root / "exported")
    return root


@pytest.fixture
def program(repository: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """``tools/test.py`` in this process: arguments → (exit code, stdout, stderr)."""
    monkeypatch.chdir(root)
    specification = importlib.util.spec_from_file_location("test_tool", repository / "tools/test.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tools/test.py", *map(str, arguments), "--device", "cpu"])
        code = tool.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    results = json.loads((folder / "results.json").read_text())
    return {one["label"]: one["metrics"] for one in results["benchmarks"]}


def sorted_records(file: Path) -> list[tuple[int, str]]:
    """Position and text of every record."""
    lines = file.read_text().splitlines()
    return sorted((json.loads(line)["position"], line) for line in lines)


def test_a_config_takes_its_newest_checkpoint_and_its_own_list(program, root, tmp_path):
    code, out, err = program("toy.py", "--root", root, "--out", tmp_path)
    assert code == 0, err
    results = json.loads((tmp_path / "results.json").read_text())
    assert [one["label"] for one in results["benchmarks"]] == ["refcoco:val", "mevis:valid_u"]
    assert [one["count"] for one in results["benchmarks"]] == [5, 3]
    assert results["checkpoint"] == "work_dirs/toy/iter_1.pth"
    assert results["benchmarks"][0]["title"] == "One object"
    assert results["batch_size"] == 2
    for text in (out, (tmp_path / "results.md").read_text()):
        assert "cIoU ≥ 85 ✗" in text
        assert "gIoU ≤ 40" in text
        assert "refcoco:val" in text
        assert "samples, evenly spaced" in text
        assert results["checkpoint_hash"] in text
        assert f"python tools/test.py toy.py --root {root} --out {tmp_path}" in text
    # Given again, nothing is answered anew.
    before = (tmp_path / "refcoco_val/records.rank0.jsonl").read_bytes()
    assert program("toy.py", "--root", root, "--out", tmp_path)[0] == 0
    assert (tmp_path / "refcoco_val/records.rank0.jsonl").read_bytes() == before


def test_an_exported_folder_gives_the_same_numbers(program, root, tmp_path):
    arguments = ["--benchmarks", "refcoco:val", "image_chat:val", "--limit", 4, "--batch-size", 2]
    assert program("toy.py", "--root", root, "--data-root", "shapes", *arguments, "--out", tmp_path / "a")[0] == 0
    assert program("exported", "--data-root", "shapes", *arguments, "--out", tmp_path / "b")[0] == 0
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    answers = [
        [json.loads(line) for line in (tmp_path / run / "refcoco_val/records.rank0.jsonl").read_text().splitlines()]
        for run in ("a", "b")
    ]
    assert answers[0] == answers[1]


def test_two_processes_give_the_numbers_of_one(program, repository, root, tmp_path):
    arguments = ["--data-root", "shapes", "--benchmarks", "refcoco:val", "--limit", "6", "--batch-size", "2"]
    assert program("exported", *arguments, "--out", tmp_path / "one")[0] == 0
    run = subprocess.run(
        ["bash", repository / "tools/dist.sh", "test", "exported", "2", *arguments, "--out", tmp_path / "two"],
        cwd=root,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "two/refcoco_val").glob("records.rank*.jsonl"))) == 2
    assert metrics(tmp_path / "one") == metrics(tmp_path / "two")


@pytest.mark.parametrize("is_shared", [True, False], ids=["one disk", "a disk each"])
def test_two_machines_give_the_numbers_of_one(program, repository, root, tmp_path, is_shared):
    """As on two machines, both of them this one: every sample once, and the same results bit for bit."""
    arguments = ["--data-root", "shapes", "--benchmarks", "refcoco:val", "--limit", "7", "--batch-size", "2"]
    assert program("exported", *arguments, "--out", tmp_path / "one")[0] == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    environment |= {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    outs = [tmp_path / "shared"] * 2 if is_shared else [tmp_path / "first", tmp_path / "second"]
    machines = [
        subprocess.Popen(
            ["bash", repository / "tools/dist.sh", "test", "exported", "1", *arguments, "--out", out],
            cwd=root,
            env={**environment, "NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    try:
        ends = [machine.communicate(timeout=300) for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], ends
    parts = [sorted_records(out / f"refcoco_val/records.rank{rank}.jsonl") for rank, out in enumerate(outs)]
    whole = sorted_records(tmp_path / "one/refcoco_val/records.rank0.jsonl")
    assert [len(part) for part in parts] == [4, 3]
    assert sorted(parts[0] + parts[1]) == whole
    alone, together = (json.loads((out / "results.json").read_text()) for out in (tmp_path / "one", outs[0]))
    assert (alone["num_ranks"], together["num_ranks"]) == (1, 2)
    for results in (alone, together):
        results["benchmarks"][0].pop("seconds")
    assert together["benchmarks"] == alone["benchmarks"]
    assert is_shared or not (outs[1] / "results.json").exists()


def test_protocols_stand_side_by_side(program, root, tmp_path):
    arguments = ["--benchmarks", "RefCOCO:val", "refcoco:val@lisa", "reasonseg:val@unipixel", "--limit", 2]
    code, out, err = program("exported", "--data-root", "shapes", *arguments, "--out", tmp_path)
    assert code == 0, err
    results = json.loads((tmp_path / "results.json").read_text())["benchmarks"]
    assert [one["label"] for one in results] == ["refcoco:val", "refcoco:val@lisa", "reason_seg:val@unipixel"]
    assert [one["switches"]["answer"] for one in results] == ["generated", "forced", "generated"]
    assert results[0]["session"] == {"key_frames": 5, "key_frame_choice": "uniform", "threshold": 0.5}
    assert "preset lisa (dvlab-research/LISA 6f95195): wording=lisa, answer=forced" in out
    records = (tmp_path / "refcoco_val@lisa/records.rank0.jsonl").read_text().splitlines()
    assert [json.loads(line)["answer"] for line in records] == ["[SEG].", "[SEG]."]


def test_a_protocol_fixes_the_session(program, root, tmp_path):
    arguments = ["--benchmarks", "mevis:valid_u", "--protocol", "sa2va", "--limit", 1]
    code, _, err = program("toy.py", "--root", root, *arguments, "--out", tmp_path)
    assert code == 0, err
    (one,) = json.loads((tmp_path / "results.json").read_text())["benchmarks"]
    # The config's session has two key frames; the published evaluation has the first five.
    fixed = {"key_frames": 5, "key_frame_choice": "first", "procedure": "sa2va"}
    assert one["session"] == {"threshold": 0.5, **fixed}
    assert one["label"] == "mevis:valid_u@sa2va"
    assert one["targets"] == {}


def test_switches_and_a_submission(program, root, tmp_path):
    MeViS.fixture(tmp_path / "data/video_datas/mevis", split="valid")
    arguments = ["--benchmarks", "mevis:valid", "--switches", "segments=first", "--data-root", tmp_path / "data"]
    code, out, err = program("exported", *arguments, "--out", tmp_path / "out")
    assert code == 0, err
    (one,) = json.loads((tmp_path / "out/results.json").read_text())["benchmarks"]
    assert (one["label"], one["metrics"]) == ("mevis:valid@strict,segments=first", {})
    with zipfile.ZipFile(one["submission"]) as archive:
        assert len(archive.namelist()) == 15
    assert f"submission {one['submission']}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["exported", "--benchmarks", "refcoco:val@liza", "--data-root", "shapes"],
            "no protocol 'liza' is published for it; did you mean lisa?",
        ),
        (
            ["exported", "--benchmarks", "mevis:valid_u@lisa", "--data-root", "shapes"],
            "mevis:valid_u: no protocol 'lisa' is published for it",
        ),
        (
            ["exported", "--benchmarks", "refcoco:val", "--switches", "texts", "--data-root", "shapes"],
            "--switches takes SWITCH=VALUE",
        ),
        (
            ["exported", "--benchmarks", "refcoco:val", "--switches", "texts=last", "--data-root", "shapes"],
            "texts is all or first or merged",
        ),
        (
            ["exported", "--benchmarks", "refcoco:val", "refcoco:val", "--data-root", "shapes"],
            "--benchmarks names refcoco:val twice",
        ),
        (["nowhere.py"], "nowhere.py is neither a config nor a folder of an exported model"),
        (["toy.py", "--checkpoint", "none.pth"], "none.pth does not exist"),
        (["toy.py", "--work-dir", "empty"], "holds no checkpoint; train first, or name one with --checkpoint"),
        (["toy.py", "--checkpoint", "toy.py"], "is not a readable checkpoint"),
        (["toy.py", "--benchmarks", "refcoc:val"], "no benchmark is called 'refcoc'; did you mean refcoco?"),
        (["toy.py", "--benchmarks", "refcoco:dev"], "refcoco has no split 'dev'; it has val, testA, testB"),
        (["toy.py", "--benchmarks", "refcoco"], "names no split; write refcoco:val"),
        (["toy.py", "--benchmarks", "region:val", "--data-root", "none"], "none/osprey is not a folder"),
        (["toy.py", "--data-root", "elsewhere"], "would change nothing: toy.py says itself where its benchmarks lie"),
        (["toy.py", "--limit", "0"], "--limit must be 1 or more, got 0"),
        (["toy.py", "--batch-size", "-1"], "the batch size must be 1 or more, got -1"),
        (["toy.py", "--out", "/proc/none"], "can't be written"),
        (["toy.py", "--cfg-options", "evaluation.target=1"], "evaluation"),
        (["exported"], "lists no benchmarks; name some with --benchmarks"),
        (["exported", "--checkpoint", "work_dirs/toy/iter_1.pth"], "leave out --checkpoint"),
        (["shapes", "--benchmarks", "refcoco:val"], "shapes"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(program, root, arguments, message):
    code, _, err = program(*arguments, "--root", root)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1

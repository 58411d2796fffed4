"""Two processes under every strategy equal one process on the same global batch, whatever way their batches take.

In every step one process has text only while the other has a picture or a video with masks, or the reverse
(``recipes/mixed.py``); a strategy whose processes don't agree on their exchanges hangs or mixes its gradients up.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from word2mask.engine.checkpoint import find_checkpoint, read_checkpoint

from .conftest import TESTS

CONFIG = TESTS / "recipes" / "configs" / "mixed.py"
#: It compiles a part of itself.
HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None and shutil.which("g++") is not None
WITHOUT_DEEPSPEED = ["ddp", "fsdp"]
WITH_DEEPSPEED = ["zero1", "zero2", "zero2_offload", "zero3", "zero3_offload"]
STRATEGIES = WITHOUT_DEEPSPEED + [
    pytest.param(name, marks=pytest.mark.skipif(not HAS_DEEPSPEED, reason="deepspeed or g++ is not installed"))
    for name in WITH_DEEPSPEED
]
BF16 = ("precision='bf16'", "model.checkpointing=True")

# One start of two processes serves all tests; DeepSpeed compiles a minute at its first use on a machine.
pytestmark = [pytest.mark.xdist_group("strategies"), pytest.mark.timeout(1500)]


def job(folder, name, *options, strategy="ddp", resume=None, validates=False):
    return {
        "folder": str(folder / name),
        "options": [f"strategy='{strategy}'", *options],
        "resume": None if resume is None else str(folder / resume),
        "validates": validates,
    }


def run(folder, jobs, processes):
    path = folder / f"jobs_{processes}.json"
    path.write_text(json.dumps(jobs))
    launcher = ["-m", "word2mask.engine.launch", "--standalone", "--nproc-per-node", "2"] if processes == 2 else []
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent / "projects"), "OMP_NUM_THREADS": "1"}
    worker = str(TESTS / "recipes" / "strategies_worker.py")
    done = subprocess.run(
        [sys.executable, *launcher, worker, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a work directory for every job."""
    folder = tmp_path_factory.mktemp("strategies")
    run(folder, [job(folder, "one"), job(folder, "one_bf16", *BF16)], processes=1)
    # Before DeepSpeed is used: afterwards the last bit of sums differs.
    jobs = [job(folder, "fsdp_validated", "data.batch_size=1", strategy="fsdp", validates=True)]
    before = "one"
    for name in WITHOUT_DEEPSPEED + (WITH_DEEPSPEED if HAS_DEEPSPEED else []):
        half = "data.batch_size=1"
        jobs += [
            job(folder, name, half, strategy=name),
            job(folder, f"{name}_after_another", half, strategy=name, resume=f"{before}/iter_2.pth"),
            job(folder, f"{name}_bf16", half, *BF16, strategy=name),
            job(folder, f"{name}_bf16_resumed", half, *BF16, strategy=name, resume=f"{name}_bf16/iter_2.pth"),
        ]
        before = name
    run(folder, jobs, processes=2)
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def assert_same(first, second, tolerance):
    """Weights and optimizer state of two checkpoints, with ``tolerance`` absolute; 0 means every bit."""
    first, second = read_checkpoint(first), read_checkpoint(second)
    assert list(first["state_dict"]) == list(second["state_dict"])
    for name, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][name], value, rtol=0, atol=tolerance, msg=name)
    first, second = first["optimizer"]["optimizer"], second["optimizer"]["optimizer"]
    assert first["param_groups"] == second["param_groups"]
    assert first["state"].keys() == second["state"].keys()
    for index, values in first["state"].items():
        assert values["step"] == second["state"][index]["step"]
        for name in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(second["state"][index][name], values[name], rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_two_processes_equal_one(runs, name):
    """Sums in another order: 1e-5 of losses and norms near 10 and of weights that have moved by 1e-2; measured 1e-6."""
    for key in ("loss", "loss_text", "loss_mask", "loss_dice", "grad_norm", "lr"):
        expected = [line[key] for line in lines(runs / "one") if key in line]
        found = [line[key] for line in lines(runs / name) if key in line]
        assert found == pytest.approx(expected, rel=1e-5), key
    assert_same(runs / "one" / "iter_4.pth", runs / name / "iter_4.pth", 1e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_bf16_equals_bf16_of_one_process_to_its_rounding(runs, name):
    """bf16 rounds to 2^-9 = 2e-3, and ZeRO and FSDP round the gradients where DDP doesn't; what trains stays fp32."""
    expected, found = ([line["loss"] for line in lines(runs / run)] for run in ("one_bf16", f"{name}_bf16"))
    assert found == pytest.approx(expected, rel=2e-3)
    state = read_checkpoint(runs / f"{name}_bf16" / "iter_4.pth")["state_dict"]
    assert {value.dtype for value in state.values()} == {torch.float32}
    # Not what bf16 could hold: the slices that are updated are fp32.
    assert any(not torch.equal(value, value.bfloat16().float()) for value in state.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_resume_is_bit_for_bit(runs, name):
    assert lines(runs / f"{name}_bf16")[2]["loss"] == lines(runs / f"{name}_bf16_resumed")[0]["loss"]
    assert_same(runs / f"{name}_bf16" / "iter_4.pth", runs / f"{name}_bf16_resumed" / "iter_4.pth", 0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_resume_under_another_strategy(runs, name):
    assert_same(runs / "one" / "iter_4.pth", runs / f"{name}_after_another" / "iter_4.pth", 1e-5)


def test_validation_that_differs_between_processes(runs):
    """FSDP gathers all weights for it, and goes on as if nothing had happened."""
    found = lines(runs / "fsdp_validated")
    assert [line["iter"] for line in found if "val_length" in line] == [2, 4]
    assert_same(runs / "fsdp" / "iter_4.pth", runs / "fsdp_validated" / "iter_4.pth", 0)


@pytest.mark.parametrize("name", [STRATEGIES[1], STRATEGIES[5]])
def test_killed_process(runs, run_train, tmp_path, name):
    """Rank 1 dies in the second pass of step 3: the others are ended, and a resume goes on as if nothing had been.

    Compared with a run of another start of Python, in which the last bit of sums may differ.
    """
    options = ("--strategy", name, "--work-dir", "run", "--cfg-options", "data.batch_size=1")
    killed = run_train(*options, "model.kill_at=6", processes=2, config=CONFIG)
    assert killed.returncode == 128 + signal.SIGKILL or killed.returncode == 1
    assert find_checkpoint(tmp_path / "run").name == "iter_2.pth"
    resumed = run_train("--resume", *options, processes=2, config=CONFIG)
    assert resumed.returncode == 0, resumed.stderr
    expected, found = ([line["loss"] for line in lines(folder)] for folder in (runs / name, tmp_path / "run"))
    assert found == pytest.approx(expected, rel=1e-6)
    assert_same(runs / name / "iter_4.pth", tmp_path / "run" / "iter_4.pth", 1e-6)

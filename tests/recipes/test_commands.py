"""``tools/train.py`` and ``tools/dist.sh``: wrong input is one sentence and exit code 2."""

import importlib.util
import os
import subprocess
import sys

import pytest

from word2mask.engine.interruption import resume_command

from .conftest import TESTS, TOY_CONFIG


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """``tools/train.py`` in this process: arguments → (exit code, stderr); ``printed`` keeps stdout."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("train_tool", TESTS.parent / "tools" / "train.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        code = tool.main()
        captured = capsys.readouterr()
        run.printed = captured.out
        return code, captured.err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cfg-options", "data.batchsize=4"], "did you mean batch_size?"),
        (["--cfg-options", "data.batch_size=four"], "data.batch_size: expected a whole number from 1 up, got 'four'"),
        (["--cfg-options", "precision=fp8"], "precision: expected one of fp32, bf16, fp16"),
        (["--work-dir", "/proc/none"], "work directory /proc/none can't be written"),
        (["--resume"], "no checkpoint in"),
        (["--resume", "none.pth"], "none.pth does not exist"),
        (["--strategy", "zero4"], "strategy is 'zero4', did you mean zero3?"),
        (["--launcher", "pytorch"], "launcher 'pytorch' needs RANK"),
        (["--cfg-options", "initialise_from=pretrained/none.pth"], "not on disk"),
        (["--cfg-options", "data.dataset.length=0"], "ToyDataset is empty"),
    ],
)
def test_wrong_input_is_one_sentence(command, tmp_path, arguments, message):
    code, errors = command(
        TOY_CONFIG, *([] if "--work-dir" in arguments else ["--work-dir", tmp_path / "run"]), *arguments
    )
    assert code == 2
    assert message in errors and "Traceback" not in errors
    assert len(errors.splitlines()) == 1


def test_missing_config(command):
    code, errors = command(TOY_CONFIG.with_name("toi.py"))
    assert code == 2 and "did you mean toy.py?" in errors


def test_dry_run_shows_what_trains(command, tmp_path):
    code, _ = command(TOY_CONFIG, "--dry-run", "--gpus", "2", "--work-dir", tmp_path / "run")
    assert code == 0 and "Everything is on disk." in command.printed and "2 GPUs" in command.printed
    totals = [line.replace("│", " ").split() for line in command.printed.splitlines() if line.startswith("│ all ")]
    # 132 values, of which 90 train; the last number is GB.
    assert ["all", "trained", "90"] in [[*row[:2], row[-2]] for row in totals]
    assert ["all", "132"] in [[row[0], row[-2]] for row in totals]
    assert not (tmp_path / "run").exists()


def test_dry_run_names_what_is_missing(command):
    code, _ = command(TOY_CONFIG, "--dry-run", "--cfg-options", "initialise_from=/none")
    assert code == 1 and "file: check the path in the config\n    /none" in command.printed
    code, errors = command(TOY_CONFIG, "--dry-run", "--cfg-options", "model.nonsense=1")
    assert code == 2 and "nonsense" in errors and len(errors.splitlines()) == 1
    code, errors = command(TOY_CONFIG, "--gpus", "2")
    assert code == 2 and "use tools/dist.sh train CONFIG PROCESSES" in errors


def test_dist_plans_in_one_process(tmp_path):
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    script = str(TESTS.parent / "tools" / "dist.sh")
    done = subprocess.run(
        ["bash", script, "train", "c.py", "8", "--dry-run", "--strategy", "zero2"],
        env={**os.environ, "PYTHON": str(fake), "NNODES": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[1:] == ["c.py", "--gpus", "32", "--dry-run", "--strategy", "zero2"]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["train", "config.py"], {}, "tools/dist.sh train CONFIG PROCESSES"),
        (["run", "config.py", "2"], {}, "tools/dist.sh train CONFIG PROCESSES"),
        (["train", "config.py", "2"], {"NNODES": "2"}, "NNODES=2 needs NODE_RANK"),
    ],
)
def test_dist_explains_itself(arguments, environment, message):
    script = str(TESTS.parent / "tools" / "dist.sh")
    done = subprocess.run(
        ["bash", script, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and message in done.stderr


def test_dist_ends_with_the_sentence_and_code_of_its_processes(run_train, tmp_path):
    done = run_train("--work-dir", tmp_path / "run", "--cfg-options", "data.dataset.length=0", processes=2)
    assert done.returncode == 2
    assert "config.data.dataset: ToyDataset is empty" in done.stderr.splitlines()
    assert done.stderr.count("ToyDataset is empty") == 1, "what all of them stop with is said once"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", [["--resume", "iter_3.pth"], ["--resume"], ["--resume=auto"], []])
def test_resume_command(given, monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    command = resume_command(["tools/train.py", "config.py", *given, "--seed", "1"])
    assert command == "python tools/train.py config.py --seed 1 --resume"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    command = resume_command(["tools/train.py", "config.py", *given, "--seed", "1"])
    assert command == "bash tools/dist.sh train config.py 2 --seed 1 --resume"

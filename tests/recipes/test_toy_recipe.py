"""A whole training run: pinned losses, resume, kill, signals, two processes."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from word2mask.engine.checkpoint import find_checkpoint, load_trained, read_checkpoint
from word2mask.engine.config import check_settings, load_config
from word2mask.engine.runner import train
from word2mask.errors import UserError

TESTS = Path(__file__).parents[1]
TOY_CONFIG = TESTS / "recipes" / "configs" / "toy.py"
BEST_CONFIG = TOY_CONFIG.with_name("toy_best.py")

#: Made by ``tools/train.py tests/recipes/configs/toy.py`` (torch 2.13.0, CPU, one thread).
PINNED = [12.16054, 3.33678, 7.21236, 2.43355, 6.99487, 7.56616, 14.99821, 4.18166, 4.08634, 1.43026, 6.39804, 5.92438]


def settings(*overrides):
    return check_settings(load_config(TOY_CONFIG, overrides))


def best_settings(*overrides):
    return check_settings(load_config(BEST_CONFIG, overrides))


def same_weights(first, second):
    first, second = read_checkpoint(first)["state_dict"], read_checkpoint(second)["state_dict"]
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run with dropout and workers in the training process."""
    folder = tmp_path_factory.mktemp("toy") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        train(settings(), folder)
    return folder


def test_losses_are_the_pinned_ones(whole, losses_of):
    assert losses_of(whole) == pytest.approx(PINNED, rel=1e-4)


def test_killed_run_resumes_bit_for_bit(whole, tmp_path, run_train, losses_of):
    killed = run_train("--work-dir", tmp_path / "run", "--cfg-options", "model.kill_at=7")
    assert killed.returncode == -signal.SIGKILL
    assert find_checkpoint(tmp_path / "run").name == "iter_4.pth"
    resumed = run_train("--work-dir", "run", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert losses_of(tmp_path / "run") == losses_of(whole)
    assert same_weights(whole / "iter_12.pth", tmp_path / "run" / "iter_12.pth")


def test_resume_reproduces_whatever_the_log_interval_and_workers(whole, tmp_path, losses_of):
    config = settings("log.interval=5", "data.num_workers=2")
    plain = tmp_path / "plain"
    train(config, plain)
    assert same_weights(whole / "iter_12.pth", plain / "iter_12.pth")
    resumed = tmp_path / "resumed"
    train(config, resumed, resume=str(plain / "iter_8.pth"))
    assert same_weights(whole / "iter_12.pth", resumed / "iter_12.pth")
    assert losses_of(resumed) == losses_of(plain)[-2:]
    assert losses_of(plain)[0] == pytest.approx(sum(PINNED[:5]) / 5, rel=1e-4)


def test_accumulation_equals_a_larger_batch(tmp_path):
    """One pass of 4 and two passes of 2: equal where no loss is a mean over a varying number of items."""
    whole = tmp_path / "whole"
    train(settings("model.dropout=0.0", "model.is_grounding=False"), whole)
    halves = tmp_path / "halves"
    train(settings("model.dropout=0.0", "model.is_grounding=False", "data.batch_size=2", "accumulate=2"), halves)
    first, second = (read_checkpoint(folder / "iter_12.pth")["state_dict"] for folder in (whole, halves))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)


def test_two_processes_equal_one_on_the_same_global_batch(tmp_path, run_train, losses_of):
    """Float32 sums in another order: 1e-5. Among the batches are some where one process has no mask at all."""
    together = run_train("--work-dir", "two", "--cfg-options", "model.dropout=0.0", "data.batch_size=2", processes=2)
    assert together.returncode == 0, together.stderr
    train(settings("model.dropout=0.0"), tmp_path / "one")
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), rel=1e-5)
    first, second = (read_checkpoint(tmp_path / name / "iter_12.pth")["state_dict"] for name in ("one", "two"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-5)


def test_sigterm_saves_and_says_how_to_resume(tmp_path, losses_of):
    command = [sys.executable, TESTS.parent / "tools" / "train.py", TOY_CONFIG, "--work-dir", tmp_path / "run"]
    options = ["--cfg-options", "model.seconds=0.2", "schedule.max_iters=500"]
    environment = {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        [*map(str, command), *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    history = tmp_path / "run" / "history.jsonl"
    deadline = time.monotonic() + 240
    while (not history.is_file() or not history.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGTERM
    assert "resume with: python" in errors and errors.rstrip().endswith("--resume")
    meta = read_checkpoint(find_checkpoint(tmp_path / "run"))["meta"]
    assert meta["iter"] == len(losses_of(tmp_path / "run"))
    assert meta["samples_seen"] == 4 * meta["iter"]


def test_checkpoint_holds_what_trains(whole):
    state = read_checkpoint(whole / "iter_12.pth")["state_dict"]
    assert not any(name.startswith("frozen") for name in state)
    assert {"trunk.0.weight", "mask.bias"} <= set(state)


def test_only_the_newest_are_kept(tmp_path):
    train(settings("checkpoint.keep=2", "checkpoint.interval=3"), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pth")) == ["iter_12.pth", "iter_9.pth"]


def test_a_trained_model_loads_and_a_wrong_one_is_refused(whole):
    from recipes.toy import ToyModel

    model = ToyModel(hidden=8)
    assert load_trained(model, whole / "iter_12.pth")["iter"] == 12
    expected = read_checkpoint(whole / "iter_12.pth")["state_dict"]["text.weight"]
    assert torch.equal(model.text.weight, expected)
    with pytest.raises(UserError, match=r"of another shape \(mask.weight \(1, 8\) instead of \(1, 9\)"):
        load_trained(ToyModel(hidden=9), whole / "iter_12.pth")
    model.trunk.requires_grad_(False)
    with pytest.raises(UserError, match=r"4 unexpected \(trunk.0.bias, trunk.0.weight, trunk.1.bias, trunk.1.weight\)"):
        load_trained(model, whole / "iter_12.pth")


def test_weights_of_another_run_can_start_one(whole, tmp_path):
    config = replace(settings("schedule.max_iters=1", "optimizer.lr=0.0"), initialise_from=str(whole / "iter_12.pth"))
    train(config, tmp_path / "run")
    assert same_weights(whole / "iter_12.pth", tmp_path / "run" / "iter_1.pth")


def test_resume_refuses_other_data_and_another_seed(whole, tmp_path):
    for override, message in (
        ("data.dataset.length=21", "20 samples, this dataset has 21"),
        ("seed=1", "give --seed 0"),
    ):
        with pytest.raises(UserError, match=message):
            train(settings(override), tmp_path / "run", resume=str(whole / "iter_4.pth"))


def test_bf16_trains_on_cpu(tmp_path, losses_of):
    train(settings("precision='bf16'"), tmp_path / "run")
    assert losses_of(tmp_path / "run") == pytest.approx(PINNED, rel=0.05)


def test_validation_is_called_logged_and_leaves_training_alone(whole, tmp_path):
    from recipes.toy import ToyValidation

    config = replace(settings(), validation=dict(run=dict(type=ToyValidation, offset=2.0), interval=6))
    train(config, tmp_path / "run")
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [line for line in lines if "val_" in line] == [
        '{"iter": 6, "val_iteration": 8.0}',
        '{"iter": 12, "val_iteration": 14.0}',
    ]
    assert same_weights(whole / "iter_12.pth", tmp_path / "run" / "iter_12.pth")


def best(folder):
    """What ``best.json`` says, and the iteration of ``best.pth``."""
    return json.loads((folder / "best.json").read_text()), read_checkpoint(folder / "best.pth")["meta"]["iter"]


def test_a_resumed_run_remembers_its_best(tmp_path, run_train):
    """Killed after its best, 4, which isn't kept otherwise; none after it is as good, though better than nothing."""
    killed = run_train("--work-dir", "run", "--cfg-options", "model.kill_at=7", config=BEST_CONFIG)
    assert killed.returncode == -signal.SIGKILL
    assert best(tmp_path / "run") == ({"iter": 4, "by": "score", "numbers": {"score": 3.0}}, 4)
    resumed = run_train("--work-dir", "run", "--resume", config=BEST_CONFIG)
    assert resumed.returncode == 0, resumed.stderr
    assert best(tmp_path / "run") == ({"iter": 4, "by": "score", "numbers": {"score": 3.0}}, 4)
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pth")) == ["best.pth", "iter_12.pth"]
    train(best_settings(), tmp_path / "whole")
    assert same_weights(tmp_path / "whole" / "best.pth", tmp_path / "run" / "best.pth")
    assert same_weights(tmp_path / "whole" / "iter_12.pth", tmp_path / "run" / "iter_12.pth")


def test_a_resumed_run_finds_a_better_one(tmp_path):
    first, second = best_settings("schedule.max_iters=6"), best_settings("validation.run.scores=[1,3,2,2.5,4,2]")
    train(first, tmp_path / "run")
    train(second, tmp_path / "run", resume="latest")
    assert best(tmp_path / "run") == ({"iter": 10, "by": "score", "numbers": {"score": 4}}, 10)


def test_a_run_resumed_from_before_its_best_has_yet_to_reach_it(tmp_path):
    train(best_settings("checkpoint.keep=0", "checkpoint.interval=2", "schedule.max_iters=6"), tmp_path / "run")
    again = best_settings("validation.run.scores=[1,1.5,2,1,1,1]")
    train(again, tmp_path / "run", resume=str(tmp_path / "run" / "iter_2.pth"))
    assert best(tmp_path / "run") == ({"iter": 6, "by": "score", "numbers": {"score": 2}}, 6)


def test_what_is_not_a_number_is_never_best(tmp_path):
    scores = [float("nan"), 1.0, float("nan"), 0.5, 0.5, float("nan")]
    config = best_settings()
    run = {**config.validation["run"], "scores": scores}
    train(replace(config, validation={**config.validation, "run": run}), tmp_path / "run")
    assert best(tmp_path / "run") == ({"iter": 4, "by": "score", "numbers": {"score": 1.0}}, 4)


def test_two_processes_keep_the_best_of_the_first(tmp_path, run_train):
    """The other process would have kept 2: they must save together, and go on together after a resume."""
    options = ["--cfg-options", "data.batch_size=2", "model.dropout=0.0"]
    killed = run_train("--work-dir", "two", *options, "model.kill_at=7", config=BEST_CONFIG, processes=2)
    assert killed.returncode != 0
    assert best(tmp_path / "two") == ({"iter": 4, "by": "score", "numbers": {"score": 3.0}}, 4)
    resumed = run_train("--work-dir", "two", "--resume", *options, config=BEST_CONFIG, processes=2)
    assert resumed.returncode == 0, resumed.stderr
    assert best(tmp_path / "two") == ({"iter": 4, "by": "score", "numbers": {"score": 3.0}}, 4)
    assert read_checkpoint(tmp_path / "two" / "best.pth")["meta"]["world_size"] == 2
    train(best_settings("model.dropout=0.0"), tmp_path / "one")
    first, second = (read_checkpoint(tmp_path / name / "best.pth")["state_dict"] for name in ("one", "two"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-5)


def test_loss_that_is_not_finite_stops(tmp_path):
    with pytest.raises(FloatingPointError, match="loss is not finite"):
        train(settings("optimizer.lr=1e30", "grad_clip=None"), tmp_path / "run")

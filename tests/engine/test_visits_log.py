"""What the log says of every epoch's visits; counts by hand."""

import logging
from types import SimpleNamespace

import pytest
import torch

from word2mask.data.dataset import MixtureDataset
from word2mask.data.mixture import Mixture
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine import runner as module
from word2mask.engine.hooks import LogVisits, WarnOfShuffle


@pytest.fixture
def dataset(tmp_path):
    sources = [(RefCOCO.fixture(tmp_path / "refcoco"), 3), LLaVA.fixture(tmp_path / "llava")]
    return MixtureDataset(Mixture(sources), lambda sample: sample, on_bad_sample="skip")


def run(dataset, caplog, steps, per_step, start=0):
    """The messages of a run of ``steps`` steps of ``per_step`` samples."""
    loop = SimpleNamespace(samples_seen=start)
    runner = SimpleNamespace(train_loop=loop, logger=logging.getLogger("visits"), iter=0, max_iters=steps)
    hook = LogVisits(dataset)
    with caplog.at_level(logging.INFO, logger="visits"):
        hook.before_train(runner)
        for step in range(steps):
            for _ in range(per_step):
                epoch, index = divmod(loop.samples_seen, len(dataset))
                dataset.set_epoch(epoch)
                dataset[index]
                loop.samples_seen += 1
            runner.iter = step
            hook.after_train_iter(runner, step)
        hook.after_train(runner)
    return [record.getMessage() for record in caplog.records if record.name == "visits"]


def visits(message):
    return [int(line.split()[3]) for line in message.splitlines()[2:-1]]


def test_each_epoch_is_planned_and_reported(dataset, caplog):
    messages = run(dataset, caplog, steps=3, per_step=4)
    assert [message.splitlines()[0] for message in messages] == [
        "epoch 0 holds",
        "epoch 0 showed what it held; epoch 1 holds the same",
        "epoch 1, of which 4 of 8 were seen, showed",
    ]
    assert visits(messages[0]) == [6, 2] and messages[1].count("\n") == 0
    assert sum(visits(messages[2])) == 4


def test_an_epoch_that_holds_something_else_has_its_table(dataset, caplog, monkeypatch):
    planned = [(6, 2), (5, 3), (5, 3), (6, 2)]
    monkeypatch.setattr(dataset.mixture, "epoch_counts", lambda epoch, stop=None: planned[epoch])
    messages = run(dataset, caplog, steps=4, per_step=8)
    assert [message.splitlines()[0] for message in messages] == [
        "epoch 0 holds",
        "epoch 0 showed what it held; epoch 1 holds",
        "epoch 1 showed what it held; epoch 2 holds the same",
        "epoch 2 showed what it held; epoch 3 holds",
        "epoch 3 showed what it held",
    ]
    assert [visits(message) for message in messages if "\n" in message] == [[6, 2], [5, 3], [6, 2]]


def test_what_was_skipped_counts_for_what_took_its_place(dataset, caplog, tmp_path):
    (tmp_path / "llava" / "images" / "one.jpg").unlink()
    messages = run(dataset, caplog, steps=4, per_step=4)
    assert [message.splitlines()[0] for message in messages] == [
        "epoch 0 holds",
        "epoch 0 showed",
        "epoch 1 holds the same",
        "epoch 1 showed",
    ]
    assert visits(messages[0]) == [6, 2] and dataset.num_skipped
    for message in (messages[1], messages[3]):
        assert sum(visits(message)) == 8 and visits(message) != [6, 2]


def test_a_resumed_run_names_its_epoch(dataset, caplog):
    messages = run(dataset, caplog, steps=2, per_step=4, start=12)
    assert [message.splitlines()[0] for message in messages] == [
        "epoch 1 holds",
        "epoch 1 showed what it held; epoch 2 holds the same",
        "epoch 2, of which 4 of 8 were seen, showed",
    ]


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_mixture_that_is_shuffled_again_is_warned_of(dataset, shuffle, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "config_text", lambda settings: "")
    settings = SimpleNamespace(log={}, checkpoint={}, precision="fp32", validation=None, strategy="ddp")
    loader = SimpleNamespace(dataset=SimpleNamespace(dataset=dataset), batch_sampler=SimpleNamespace(shuffle=shuffle))
    hooks = module.training_hooks(settings, tmp_path, torch.device("cpu"), None, loader, True)
    assert any(isinstance(hook, LogVisits) for hook in hooks) is not shuffle
    warned = [hook for hook in hooks if isinstance(hook, WarnOfShuffle)]
    assert bool(warned) is shuffle
    for hook in warned:
        hook.before_train(SimpleNamespace(logger=logging.getLogger("visits")))
        assert "set data.shuffle=False" in caplog.text

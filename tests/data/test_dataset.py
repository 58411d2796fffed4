"""The encoder here keeps the sample, so that what arrives can be looked at."""

import logging

import pytest
from torch.utils.data import DataLoader

from word2mask.data.dataset import MixtureDataset
from word2mask.data.mixture import Mixture
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.errors import UserError


def describe(sample):
    return f"{sample.source}[{sample.id}] " + " ".join(turn.text for turn in sample.turns)


def first(items):
    return items[0]


@pytest.fixture
def mixture(tmp_path):
    return Mixture([(RefCOCO.fixture(tmp_path / "refcoco"), 3), LLaVA.fixture(tmp_path / "llava")], seed=1)


def test_items_are_the_same_in_any_worker_and_go_on_into_the_next_epoch(mixture):
    dataset = MixtureDataset(mixture, describe)
    assert len(dataset) == 8
    epochs = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        epochs.append([dataset[i] for i in range(8)])
    assert epochs[0] != epochs[1] and sum("refcoco" in text for text in epochs[0]) == 6
    dataset.set_epoch(0)
    assert [dataset[i] for i in range(8, 16)] == epochs[1]
    # A fork inherits locks that threads of other tests may hold.
    options = {"num_workers": 2, "multiprocessing_context": "forkserver"}
    loader = DataLoader(dataset, batch_size=1, collate_fn=first, sampler=range(16), **options)
    assert list(loader) == epochs[0] + epochs[1]


def test_a_bad_record_stops_with_its_name(mixture, tmp_path):
    (tmp_path / "refcoco" / "coco2014" / "train2014" / "two.jpg").unlink()
    dataset = MixtureDataset(mixture, describe)
    with pytest.raises(UserError, match=r"refcoco\[2\]: .*two.jpg"):
        [dataset[i] for i in range(8)]


def test_skipping_names_counts_and_caps(mixture, tmp_path, caplog):
    (tmp_path / "refcoco" / "coco2014" / "train2014" / "two.jpg").unlink()
    dataset = MixtureDataset(mixture, describe, on_bad_sample="skip")
    with caplog.at_level(logging.WARNING):
        items = [dataset[i] for i in range(8)]
    # Record 2 comes three times an epoch; its place may be filled from another of its three places first.
    assert dataset.num_skipped >= 3 and not any("refcoco[2]" in item for item in items)
    assert "refcoco[2]" in caplog.text and "at most 100" in caplog.text
    assert items == [MixtureDataset(mixture, describe, on_bad_sample="skip")[i] for i in range(8)]
    capped = MixtureDataset(mixture, describe, on_bad_sample="skip", max_skipped=1)
    with pytest.raises(UserError, match=r"2 records skipped, at most 1 .*the last: refcoco\[2\]"):
        [capped[i] for i in range(8)]


def test_what_the_encoder_refuses_counts_too_and_defects_do_not(mixture):
    def refuse(sample):
        raise UserError(f"{sample.source}[{sample.id}]: too long")

    with pytest.raises(UserError, match="none of 8 records can be read"):
        MixtureDataset(mixture, refuse, on_bad_sample="skip")[0]

    def break_down(sample):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MixtureDataset(mixture, break_down, on_bad_sample="skip")[0]


def test_wrong_input_is_refused(mixture):
    with pytest.raises(UserError, match="'stop' or 'skip', got 'ignore'"):
        MixtureDataset(mixture, describe, on_bad_sample="ignore")
    with pytest.raises(IndexError):
        MixtureDataset(mixture, describe)[-1]


def test_visits_that_skipping_moves_are_counted(mixture, tmp_path):
    (tmp_path / "llava" / "images" / "one.jpg").unlink()
    dataset = MixtureDataset(mixture, describe, on_bad_sample="skip")
    items = [dataset[i] for i in range(8)]
    # Six visits of refcoco, one of llava that can be read, and one that is filled from elsewhere.
    llava = sum("llava" in item or "chat[" in item for item in items)
    assert dataset.take_moved() == [2 - llava, llava - 2] and dataset.take_moved() == [0, 0]

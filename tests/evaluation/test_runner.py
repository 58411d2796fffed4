"""Batches, failures, resuming and sharding."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from word2mask.errors import UserError
from word2mask.evaluation.records import RecordFolder, decode_segments
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.evaluation.runner import Ranks, evaluate
from word2mask.types import Media, Result, Sample, Segment, Turn


class Boxes:
    """Pictures of one box each; the expression names its number."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        mask = np.zeros((1, 1, 12, 16), bool)
        mask[0, 0, 2 : 4 + index % 7, 3 : 5 + index % 9] = True
        frames = np.full((1, 12, 16, 3), index, np.uint8)
        extra = {"expression": f"box {index}", "kind": ("even", "odd")[index % 2]}
        return Sample("boxes", str(index), "refer", (Turn("user", ""),), Media("image", frames), mask, extra=extra)


class Referring(ReferringBenchmark):
    name, splits, folder, metrics = "boxes", ("val",), "boxes", {"giou": "gIoU", "ciou": "cIoU"}
    rules, default_title = "test", "Boxes"

    @classmethod
    def open(cls, root, split):
        return Boxes(20)

    @classmethod
    def fixture(cls, folder, **options):
        return cls(Boxes(20), "val", **options)

    def question(self, sample):
        return sample.extra["expression"]


class Answerer:
    """Answers a little wrongly, in a way that depends on the picture only; fails where told."""

    def __init__(self, failing=(), kill_after=None):
        self.asked = []
        self.failing = set(failing)
        self.kill_after = kill_after

    def batch(self, requests):
        numbers = [int(request.media.frames[0, 0, 0, 0]) for request in requests]
        if self.kill_after is not None and len(self.asked) >= self.kill_after:
            raise KeyboardInterrupt
        self.asked.append(numbers)
        if self.failing & set(numbers):
            raise ValueError(f"cannot answer {sorted(self.failing & set(numbers))}")
        return [self._answer(number) for number in numbers]

    @staticmethod
    def _answer(number):
        mask = np.random.default_rng(number).random((1, 12, 16)) < 0.3
        return Result("Sure.", "Sure [SEG].", [Segment("box", None, mask, np.ones(1, np.float32))], (12, 16), 1)


IDENTITY = {"checkpoint_hash": "0123"}


def run(tmp_path, answerer, count=20, **options):
    return evaluate(Referring(Boxes(count), "val"), answerer, tmp_path / "boxes", IDENTITY, batch_size=4, **options)


def test_whole_run(tmp_path):
    progress = []
    answerer = Answerer()
    score = run(tmp_path, answerer, progress=lambda *values: progress.append(values))
    assert answerer.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert score.count == 20
    assert score.failures == []
    assert [record.position for record in score.records] == list(range(20))
    # The kinds are two halves, so the whole mean is their mean.
    (even_count, even), (odd_count, odd) = score.kinds["even"], score.kinds["odd"]
    assert (even_count, odd_count) == (10, 10)
    assert (even["giou"] + odd["giou"]) / 2 == pytest.approx(score.metrics["giou"])
    assert progress[-1] == ("boxes:val", 20, 20, "gIoU", score.metrics["giou"])
    # What is kept is what was answered.
    record = score.records[7]
    assert (record.id, record.question, record.answer, record.phrases) == ("boxes[7]", "box 7", "Sure [SEG].", ("box",))
    np.testing.assert_array_equal(decode_segments(record)[0], Answerer._answer(7).segments[0].masks)


@pytest.mark.parametrize("batches_before_the_kill", [0, 1, 3])
def test_a_killed_run_resumes_to_the_identical_score(tmp_path, batches_before_the_kill):
    whole = run(tmp_path / "whole", Answerer())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Answerer(kill_after=batches_before_the_kill))
    resumed = Answerer()
    score = run(tmp_path, resumed)
    assert len(resumed.asked) == 5 - batches_before_the_kill
    assert score.metrics == whole.metrics
    assert score.records == whole.records


def test_a_torn_line_is_answered_again(tmp_path):
    whole = run(tmp_path, Answerer())
    path = tmp_path / "boxes" / "records.rank0.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    resumed = Answerer()
    score = run(tmp_path, resumed)
    assert 0 < len(resumed.asked) < 5
    assert all(len(batch) == 4 for batch in resumed.asked)
    assert score.records == whole.records
    again = Answerer()
    assert run(tmp_path, again).metrics == whole.metrics
    assert again.asked == []


def test_another_checkpoint_is_refused(tmp_path):
    run(tmp_path, Answerer())
    with pytest.raises(UserError, match=r"records of another run \(checkpoint_hash: '0123' there, '4567' now\)"):
        evaluate(Referring(Boxes(20), "val"), Answerer(), tmp_path / "boxes", {"checkpoint_hash": "4567"})
    answerer = Answerer()
    evaluate(Referring(Boxes(20), "val"), answerer, tmp_path / "boxes", {"checkpoint_hash": "4567"}, fresh=True)
    assert sum(map(len, answerer.asked)) == 20


def test_a_failure_is_named_and_scored_as_an_empty_answer(tmp_path):
    whole = run(tmp_path / "whole", Answerer())
    answerer = Answerer(failing=[5])
    score = run(tmp_path, answerer)
    assert score.failures == [{"id": "boxes[5]", "message": "ValueError: cannot answer [5]"}]
    assert [4, 5, 6, 7] in answerer.asked
    assert [5] in answerer.asked
    assert score.records[5].scores["has_prediction"] is False
    assert score.records[6] == whole.records[6]
    assert score.count == 20
    # The next run asks for it again, with its whole batch.
    repaired = Answerer()
    assert run(tmp_path, repaired).metrics == whole.metrics
    assert repaired.asked == [[4, 5, 6, 7]]


def test_too_many_failures_stop_the_run(tmp_path):
    with pytest.raises(
        UserError, match=r"3 samples could not be answered, more than --max-failures 2; the first is bo"
    ):
        run(tmp_path, Answerer(failing=[1, 2, 3]), max_failures=2)


def test_defects_are_not_failures(tmp_path):
    class Broken(Answerer):
        def batch(self, requests):
            raise KeyError("a defect")

    with pytest.raises(KeyError):
        run(tmp_path, Broken())


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_share_the_samples_and_agree_on_the_score(tmp_path, num_ranks):
    alone = run(tmp_path / "alone", Answerer())
    answerers, exchange = [Answerer() for _ in range(num_ranks)], _Exchange(num_ranks)
    with ThreadPoolExecutor(num_ranks) as pool:
        futures = [
            pool.submit(run, tmp_path, answerers[rank], ranks=Ranks(rank, num_ranks, exchange.of(rank)))
            for rank in range(num_ranks)
        ]
        scores = [future.result(timeout=60) for future in futures]
    asked = sorted(number for answerer in answerers for batch in answerer.asked for number in batch)
    assert asked == list(range(20))
    for score in scores:
        assert score.metrics == alone.metrics
        assert score.records == alone.records
    # One process reads what several wrote.
    later = Answerer()
    assert run(tmp_path, later).records == alone.records
    assert later.asked == []


def test_machines_with_a_disk_each_share_resume_and_start_over(tmp_path):
    """Nothing but the exchange connects the processes: each has a folder that the others don't see."""
    alone = run(tmp_path / "alone", Answerer())

    def together(**options):
        answerers, exchange = [Answerer() for _ in range(2)], _Exchange(2)
        with ThreadPoolExecutor(2) as pool:
            futures = [
                pool.submit(
                    run, tmp_path / str(rank), answerers[rank], ranks=Ranks(rank, 2, exchange.of(rank)), **options
                )
                for rank in range(2)
            ]
            scores = [future.result(timeout=60) for future in futures]
        assert [score.records for score in scores] == [alone.records] * 2
        assert [score.metrics for score in scores] == [alone.metrics] * 2
        return [sum(map(len, answerer.asked)) for answerer in answerers]

    assert together() == [12, 8]
    assert together() == [0, 0]
    assert together(fresh=True) == [12, 8]


class Neighbours(Referring):
    """Each sample's score also needs its neighbour's answer."""

    def complete(self, records, part=0, parts=1):
        areas = [record.scores["union"] for record in records]
        return {n: {"both": areas[n] + areas[n - 1]} for n in range(len(areas))[part::parts]}

    def summarise(self, scores):
        return {"giou": sum(one["both"] for one in scores)} if all("both" in one for one in scores) else {}


def test_scores_that_need_several_answers(tmp_path):
    def go(folder, answerer, ranks=None):
        return evaluate(Neighbours(Boxes(20), "val"), answerer, tmp_path / folder, IDENTITY, batch_size=4, ranks=ranks)

    alone = go("alone", Answerer())
    assert alone.metrics["giou"] == 2 * sum(record.scores["union"] for record in alone.records)
    exchange = _Exchange(2)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(go, "two", Answerer(), Ranks(rank, 2, exchange.of(rank))) for rank in range(2)]
        scores = [future.result(timeout=60) for future in futures]
    assert [score.records for score in scores] == [alone.records, alone.records]
    # They are read again, and made again when an answer is.
    store = RecordFolder(tmp_path / "two")
    assert len(store.load_completed()) == 20
    kept = [one.rsplit(b"\n", 2)[0] + b"\n" for one in [(tmp_path / "two/records.rank0.jsonl").read_bytes()]]
    (tmp_path / "two/records.rank0.jsonl").write_bytes(kept[0])
    store.write_completed({0: {"both": -1}})
    answerer = Answerer()
    assert go("two", answerer).records == alone.records
    assert len(answerer.asked) == 1


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "boxes").write_text("a file")
    with pytest.raises(UserError, match="can't be written"):
        run(tmp_path, Answerer())


def test_limit_is_evenly_spaced_and_said(tmp_path):
    benchmark = Referring(Boxes(20), "val", limit=5)
    assert [benchmark.sample(position).id for position in range(len(benchmark))] == ["0", "4", "8", "12", "16"]
    assert benchmark.protocol == "test; 5 of 20 samples, evenly spaced"


def test_header_names_protocol_and_model(tmp_path):
    run(tmp_path, Answerer())
    header = json.loads((tmp_path / "boxes" / RecordFolder.HEADER).read_text())
    assert header == {
        "checkpoint_hash": "0123",
        "benchmark": "boxes:val",
        "protocol": "test; all 20 samples",
        "origin": {},
    }


def test_results_survive_json(tmp_path):
    score = run(tmp_path, Answerer())
    reloaded = RecordFolder(tmp_path / "boxes").load()
    assert [reloaded[position] for position in range(20)] == list(score.records)
    assert dataclasses.asdict(reloaded[0])["kind"] == "even"


class _Exchange:
    """all_gather_object for threads."""

    def __init__(self, count):
        self.values = [None] * count
        self.barrier = Barrier(count)

    def of(self, rank):
        def gather(value):
            self.values[rank] = value
            self.barrier.wait()
            values = list(self.values)
            self.barrier.wait()
            return values

        return gather

"""What the benchmarks of masks in pictures share: the answer's segments against union of the targets."""

from __future__ import annotations

from collections.abc import Sequence

from word2mask.evaluation.interface import Benchmark, Scores, union_of_segments, union_of_targets
from word2mask.metrics.iou import IoUAccumulator, intersection_and_union
from word2mask.types import Result, Sample


class ReferringBenchmark(Benchmark):
    """Scores by pixel counts, which :class:`~word2mask.metrics.iou.IoUAccumulator` adds up."""

    default_prompt = "Please segment {} in this picture."

    def score(self, result: Result, sample: Sample) -> Scores:
        """Pixel counts of the segments against the union of all targets; outside of void, where the protocol has it."""
        segments = self.switches.values.get("segments", "all")
        prediction, target = union_of_segments(result, sample, segments), union_of_targets(sample)
        if sample.void is not None and self.switches.values.get("ignored", "excluded") == "excluded":
            prediction, target = prediction & ~sample.void, target & ~sample.void
        intersection, union = intersection_and_union(prediction, target)
        return {
            "intersection": intersection,
            "union": union,
            "has_target": bool(target.any()),
            "has_prediction": bool(prediction.any()),
            "num_segments": len(result.segments),
        }

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        """Those of :attr:`metrics` that the samples allow."""
        accumulator = IoUAccumulator()
        for one in scores:
            accumulator.add_counts(one["intersection"], one["union"], one["has_target"], one["has_prediction"])
        summary = accumulator.summary()
        return {key: summary[key] for key in self.metrics if key in summary}

    @property
    def sample_metric(self) -> str:
        """IoU, which cIoU and gIoU both are of a single sample."""
        return "IoU"

    def sample_score(self, scores: Scores) -> float:
        """The sample's IoU in percent."""
        return (
            IoUAccumulator().add_counts(
                scores["intersection"], scores["union"], scores["has_target"], scores["has_prediction"]
            )
            * 100
        )

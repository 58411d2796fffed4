"""What the benchmarks of masks in videos share: J and F of an expression's masks over its video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.referring_videos import ReferringVideos
from word2mask.evaluation.interface import Benchmark, Scores, mean, union_of_segments, union_of_targets
from word2mask.evaluation.protocols import (
    SA2VA_VIDEO,
    UNIPIXEL_VIDEO,
    Protocol,
    Wording,
    presets,
    sa2va,
    unipixel,
)
from word2mask.metrics.jf import j_and_f
from word2mask.text.special_tokens import SEG
from word2mask.types import Result, Sample

#: Of data sets that also have expressions which fit nothing.
ABSENCE_METRICS = {"j&f": "J&F", "j": "J", "f": "F", "n_acc": "N-acc", "t_acc": "T-acc"}


def video_presets(
    strict: Mapping[str, str] | None = None,
    sa2va_values: Mapping[str, str] | None = None,
    unipixel_values: Mapping[str, str] | None = None,
    unipixel_words: Wording = UNIPIXEL_VIDEO,
) -> dict[str, Protocol]:
    """The presets of a benchmark of videos: ``strict``, Sa2VA's and UniPixel's, with what each has besides."""
    return presets(
        {"wording": "own", "answer": "generated", "segments": "all", **(strict or {})},
        sa2va=sa2va({"answer": "generated", "segments": "first", **(sa2va_values or {})}, SA2VA_VIDEO, is_video=True),
        unipixel=unipixel({"answer": "generated", "segments": "first", **(unipixel_values or {})}, unipixel_words),
    )


class ReferringVideoBenchmark(Benchmark):
    """J and F of every expression over the frames of its video, then the mean.

    Attributes:
        source_class: what reads the data; its ``fixture`` lays the files out as :meth:`open` expects.
        kinds: the kinds of expression that count, where the dataset averages over kinds; empty where all do.

    Where ``metrics`` has ``n_acc`` and ``t_acc``, expressions that fit nothing are told apart as gRefCOCO defines it
    for pictures (Liu et al., "GRES", CVPR 2023): an answer without a pixel on any frame says that there is nothing.
    They are given where a split has such expressions. How MeViS v2 itself counts them wasn't found in its code.
    """

    source_class: ClassVar[type[ReferringVideos]]
    kinds: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[dict[str, str]] = {"j&f": "J&F", "j": "J", "f": "F"}
    default_prompt = "Please segment {} in this video."
    presets: ClassVar[Mapping[str, Protocol]] = video_presets()

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        cls.source_class.fixture(folder)
        return cls.build(folder, options.pop("split", cls.splits[0]), **options)

    @property
    def rules(self) -> str:
        segments = {"all": f"the union of all {SEG} masks", "first": f"the mask of the first {SEG}"}
        asked = f"one question an expression, {self.shown_prompt}; {segments[self.switches['segments']]}"
        if not self.is_scored:
            return f"{asked} on every frame, for the challenge's server"
        return (
            f"{asked} against the union of "
            f"the objects on {self.frames_scored}; J = mean IoU, F = boundary F with a tolerance of 0.008 of the "
            f"diagonal, two empty masks score 1; mean over frames, then over {self._averaged}{self._absence}"
        )

    @property
    def _absence(self) -> str:
        if "n_acc" not in self.metrics:
            return ""
        return (
            "; N-acc = share of the expressions without a target whose answer has no pixel on any frame, T-acc = share "
            "of the others whose answer has one"
        )

    @property
    def frames_scored(self) -> str:
        """Which frames count, in words."""
        return "every frame"

    @property
    def _averaged(self) -> str:
        if self.switches.values.get("average") == "kinds":
            return f"the expressions of a kind, then over the kinds {' and '.join(self.kinds)}"
        if self.kinds:
            return f"expressions of the kinds {' and '.join(self.kinds)}"
        return "expressions"

    def score(self, result: Result, sample: Sample) -> Scores:
        """J and F, and the kind where the average needs it; nothing but the number of segments without masks."""
        scores: Scores = {"num_segments": len(result.segments)}
        if not self.is_scored:
            return scores
        prediction = union_of_segments(result, sample, self.switches["segments"])
        target, void = union_of_targets(sample), sample.void
        frames = sample.extra.get("scored_frames")
        if frames is not None:
            prediction, target, void = prediction[frames], target[frames], None if void is None else void[frames]
        j, f, _ = j_and_f(prediction, target, void)
        scores = {"j": j, "f": f, **scores}
        if "n_acc" in self.metrics:
            scores |= {"has_target": sample.masks is not None, "has_mask": bool(prediction.any())}
        return {**scores, "kind": sample.extra["kind"]} if self.kinds else scores

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        if not scores or not self.is_scored:
            return {}
        j, f = self.average(scores, "j") * 100, self.average(scores, "f") * 100
        return {"j&f": (j + f) / 2, "j": j, "f": f, **self._told_apart(scores)}

    def _told_apart(self, scores: Sequence[Scores]) -> dict[str, float]:
        """N-acc and T-acc in percent, where there are expressions without a target."""
        if "n_acc" not in self.metrics or all(one["has_target"] for one in scores):
            return {}
        groups = {
            "n_acc": [not one["has_mask"] for one in scores if not one["has_target"]],
            "t_acc": [one["has_mask"] for one in scores if one["has_target"]],
        }
        return {name: 100 * mean([float(one) for one in group]) for name, group in groups.items() if group}

    def average(self, scores: Sequence[Scores], key: str) -> float:
        """Mean of a score over the expressions that count, as the protocol averages them.

        Where none of the samples is of a kind that counts, it is their plain mean: the value of that kind by itself.
        """
        counted = [one for one in scores if one["kind"] in self.kinds] if self.kinds else list(scores)
        if not counted:
            return mean([one[key] for one in scores])
        if self.switches.values.get("average") != "kinds":
            return mean([one[key] for one in counted])
        present = [kind for kind in self.kinds if any(one["kind"] == kind for one in counted)]
        return mean([mean([one[key] for one in counted if one["kind"] == kind]) for kind in present])

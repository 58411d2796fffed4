"""What a benchmark is: samples, the question asked, the score of an answer, and the numbers of a whole split."""

from __future__ import annotations

import inspect
import math
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from word2mask.errors import UserError
from word2mask.evaluation.protocols import FORCED_ANSWER, SWITCHES, Protocol, choose, presets
from word2mask.text.questions import MASK_SUFFIXES
from word2mask.types import Media, Request, Result, Sample, Turn

#: Follows a question that asks for something to segment.
MASK_REQUEST = MASK_SUFFIXES[0]
#: The settings that every benchmark's ``build`` takes.
BUILD = ["root", "split", "limit", "prompt", "title", "protocol", "switches"]
#: What :meth:`Benchmark.score` keeps of one sample; must survive JSON unchanged.
Scores = dict[str, Any]


class SampleSource(typing.Protocol):
    """What a benchmark reads from: a source of :mod:`word2mask.data.sources` in its evaluation view.

    One with several texts for a thing also has ``rephrasings() -> list[list[int]]``, the indices that ask for it.
    """

    def __len__(self) -> int: ...

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The record at ``index``; an evaluation view draws nothing from ``rng``."""
        ...


class Answerer(typing.Protocol):
    """What answers: a :class:`word2mask.inference.session.Session`, or a stand-in in tests."""

    def batch(self, requests: Sequence[Request]) -> Sequence[Result]:
        """One result a request, in order."""
        ...


class Benchmark(ABC):
    """One split of one benchmark.

    Args:
        source: where the samples come from.
        split: e.g. ``"val"``.
        limit: evaluate only that many samples, evenly spaced over the split; all by default.
        prompt: the wording instead of :attr:`default_prompt`, with ``{}`` where that has one.
        title: what to call it on a page instead of :attr:`default_title`.
        origin: the arguments that :meth:`build` was given, from which it can be built again.
        protocol: one of :attr:`presets`; ``strict`` by default.
        switches: switches set otherwise than the preset has them.

    Attributes:
        name: how the benchmark is called in ``--benchmarks name:split``.
        splits: the splits it has.
        folder: where its data lies below a data root, by default.
        other_folders: where else it may lie there.
        metrics: metric key → how it is printed, the most important one first.
        default_title: what it asks, in a few words for a newcomer.
        default_prompt: the words asked, ``{}`` standing for the sample's own; empty where the sample has all the words.
        max_new_tokens: upper limit of an answer's length.
        presets: the protocols that are published for it, by name; the first is the default.
        texts_key: of a sample's ``extra``, all texts for the same thing.
        submission: the folder within the zip that a challenge's server wants; ``None`` where there is no such server.

    Raises:
        UserError: a limit below 1, a prompt without its ``{}``, or a protocol or switch that it doesn't have.
    """

    name: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    folder: ClassVar[str]
    other_folders: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Mapping[str, str]]
    default_title: ClassVar[str]
    default_prompt: ClassVar[str] = ""
    max_new_tokens: ClassVar[int] = 64
    presets: ClassVar[Mapping[str, Protocol]] = presets({})
    texts_key: ClassVar[str] = "all_texts"
    submission: ClassVar[str | None] = None

    def __init__(
        self,
        source: SampleSource,
        split: str,
        limit: int | None = None,
        prompt: str | None = None,
        title: str | None = None,
        origin: Mapping[str, Any] | None = None,
        protocol: str | None = None,
        switches: Mapping[str, str] | None = None,
    ):
        if limit is not None and limit < 1:
            raise UserError(f"{self.name}:{split}: limit must be 1 or more, got {limit}")
        if prompt is not None and prompt.count("{}") != self.default_prompt.count("{}"):
            raise UserError(
                f"{self.name}:{split}: the prompt {prompt!r} must hold {{}} as often as {self.default_prompt!r}"
            )
        self.source = source
        self.split = split
        self.origin = dict(origin or {})
        self._preset = choose(self.presets, protocol, f"{self.name}:{split}")
        self.switches = self._preset.changed(f"{self.name}:{split}", switches or {})
        protocol_name = self.switches.suffix(self._preset).lstrip("@")
        # The same split under two protocols is told apart on a page.
        self.title = (title or self.default_title) + (f" ({protocol_name})" if protocol_name else "")
        if prompt is not None and self.switches.words is not None:
            raise UserError(f"{self.name}:{split}: a prompt of your own isn't {self.switches.name}'s; leave one out")
        self.prompt = self.default_prompt if prompt is None else prompt
        usable = self._usable()
        self.num_usable = len(usable)
        self._indices = [usable[place] for place in evenly_spaced(len(usable), limit)]

    def _usable(self) -> Sequence[int]:
        """Indices of the source that the protocol asks about."""
        if self.switches.values.get("texts", "all") == "all":
            return range(len(self.source))
        return [group[0] for group in typing.cast(Any, self.source).rephrasings()]

    @classmethod
    def build(
        cls,
        root: str | Path,
        split: str,
        limit: int | None = None,
        prompt: str | None = None,
        title: str | None = None,
        protocol: str | None = None,
        switches: Mapping[str, str] | None = None,
        **files: str,
    ) -> Self:
        """The benchmark on the data at ``root``, in the published layout.

        Args:
            root: the folder of the data.
            split: one of :attr:`splits`.
            limit: evaluate only that many samples.
            prompt: other wording.
            title: another title.
            protocol: one of :attr:`presets`.
            switches: switches set otherwise than that has them.
            **files: what lies elsewhere than :meth:`open` expects.

        Raises:
            UserError: unknown split, no such folder, nothing to evaluate, or an unknown protocol, switch or value.
        """
        if split not in cls.splits:
            raise UserError(f"{cls.name} has no split {split!r}; it has {', '.join(cls.splits)}")
        if not Path(root).is_dir():
            raise UserError(f"{cls.name}:{split}: {root} is not a folder; give the data's place with --data-root")
        known = list(inspect.signature(cls.open).parameters)[2:]
        unknown = sorted(set(files) - set(known))
        if unknown:
            raise UserError(f"{cls.name}:{split}: unknown setting {unknown[0]!r}; it takes {', '.join(BUILD + known)}")
        source = cls.open(Path(root), split, **files)
        if not len(source):
            raise UserError(f"{cls.name}:{split}: no samples in {root}")
        origin: dict[str, Any] = {
            "root": str(root),
            "split": split,
            "limit": limit,
            "prompt": prompt,
            "title": title,
            **files,
        }
        # Records of the default protocol stay as they were before there were others.
        origin |= {key: value for key, value in (("protocol", protocol), ("switches", dict(switches or {}))) if value}
        return cls(source, split, limit, prompt, title, origin, protocol, switches)

    @classmethod
    def place(cls, data_root: Path) -> Path:
        """Where its data lies below a data root: the first of its folders that is there."""
        places = [data_root / folder for folder in (cls.folder, *cls.other_folders)]
        return next((place for place in places if place.is_dir()), places[0])

    @classmethod
    @abstractmethod
    def open(cls, root: Path, split: str) -> SampleSource:
        """The source of a split in its evaluation view: one question a sample, every frame, nothing drawn at random."""

    @classmethod
    @abstractmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        """Writes a few samples in the real on-disk format into ``folder``, and returns the benchmark on them.

        Args:
            folder: where to write; made where it isn't.
            **options: of :meth:`build`.
        """

    @property
    def label(self) -> str:
        """``"name:split"``, and ``"@protocol"`` where it isn't the default one."""
        return f"{self.name}:{self.split}{self.switches.suffix(self._preset)}"

    @property
    def is_scored(self) -> bool:
        """Whether the split's masks are published, so that there are numbers."""
        return getattr(self.source, "is_labelled", True)

    @property
    def shown_prompt(self) -> str:
        """The prompt as a protocol quotes it."""
        words = self.switches.words
        return f'"{(self.prompt if words is None else words.phrase).replace("{}", "…")}"'

    @property
    @abstractmethod
    def rules(self) -> str:
        """Prompt wording, how masks are combined, frames and empty cases: one line."""

    @property
    def protocol(self) -> str:
        """The rules, and which samples they were applied to: one line, printed with every number."""
        rules = self.rules
        if self.switches.values.get("answer") == "forced":
            rules += f"; {SWITCHES['answer']['forced']}"
        if not self.is_default:
            rules += f"; {self.switches.line}"
        if len(self) == self.num_usable:
            return f"{rules}; all {len(self)} samples"
        return f"{rules}; {len(self)} of {self.num_usable} samples, evenly spaced"

    @property
    def is_default(self) -> bool:
        """Whether the protocol is ``strict``, with every switch as that has it."""
        return not self.switches.suffix(self._preset)

    def __len__(self) -> int:
        """Number of samples evaluated."""
        return len(self._indices)

    def sample(self, position: int) -> Sample:
        """The sample at ``position`` of the evaluated ones."""
        index = self._indices[position]
        return self.source.read(index, np.random.default_rng(index))

    def request(self, sample: Sample) -> Request:
        """What is asked about a sample. Knows nothing of its masks."""
        is_forced = self.switches.values.get("answer") == "forced"
        return Request(
            (Turn("user", self.question(sample)),),
            media_of(sample),
            sample.regions,
            self.max_new_tokens,
            FORCED_ANSWER if is_forced else None,
        )

    def question(self, sample: Sample) -> str:
        """The words asked: the prompt around the sample's expression; a question keeps its own words (see ``ask``)."""
        if self.switches.words is not None:
            return self.switches.words.ask(self.expression(sample), sample.extra.get("is_sentence"))
        return ask(self.prompt, self.expression(sample))

    def expression(self, sample: Sample) -> str:
        """What is asked for; all the sample's texts where the protocol merges them."""
        if self.switches.values.get("texts") == "merged":
            return "; ".join(text.strip().rstrip(".") for text in sample.extra[self.texts_key])
        return sample.extra["expression"]

    @abstractmethod
    def score(self, result: Result, sample: Sample) -> Scores:
        """What the metrics need of one answer; JSON values only."""

    def complete(self, records: Sequence[Any], part: int = 0, parts: int = 1) -> dict[int, Scores]:
        """Scores that need the answers to several samples: position → what joins that sample's scores.

        Args:
            records: :class:`~word2mask.evaluation.records.Record` of all samples.
            part: which share of the work to do.
            parts: into how many it is cut.
        """
        return {}

    @abstractmethod
    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        """Metrics in percent, independent of the order of the samples; empty without samples."""

    def finish(self, scores: Sequence[Scores]) -> tuple[dict[str, float], str]:
        """Metrics of the whole split that are computed once, at its end.

        Returns:
            metrics that join those of :meth:`summarise`; and a sentence that says what was left out, or nothing.
        """
        return {}, ""

    @property
    def sample_metric(self) -> str:
        """What :meth:`sample_score` is called."""
        return next(iter(self.metrics.values()))

    def sample_score(self, scores: Scores) -> float:
        """How good one answer is, 0…100, to sort samples by; the headline metric of this sample alone."""
        return self.summarise([scores]).get(next(iter(self.metrics)), 0.0)


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """``limit`` of the indices below ``count``, evenly spaced from the first on; all of them without a limit.

    >>> evenly_spaced(10, 4)
    [0, 2, 5, 7]
    """
    if limit is None or limit >= count:
        return list(range(count))
    return [position * count // limit for position in range(limit)]


def ask(prompt: str, expression: str) -> str:
    """The prompt around an expression; one that is a question itself is only followed by a request for the mask.

    >>> ask("Please segment {} in this picture.", "the red star")
    'Please segment the red star in this picture.'
    >>> ask("Please segment {} in this picture.", "What would roll away?")
    'What would roll away? Please answer with a mask.'
    """
    expression = expression.strip()
    if expression.endswith("?"):
        return f"{expression} {MASK_REQUEST}"
    return prompt.replace("{}", expression.rstrip("."))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, rounded once, so that the order of the values doesn't matter; 0 without values."""
    return math.fsum(values) / len(values) if values else 0.0


def union_of_segments(result: Result, sample: Sample, which: str = "all") -> np.ndarray:
    """Pixels of any segment of the answer, bool ``[T,H,W]``; nothing where there is no segment.

    Args:
        result: the answer.
        sample: what it answers.
        which: ``"all"`` segments, or the ``"first"`` alone.

    Raises:
        ValueError: if the masks are not of the sample's frames and size.
    """
    shape = mask_shape(sample)
    union = np.zeros(shape, dtype=bool)
    for segment in result.segments[: 1 if which == "first" else None]:
        if segment.masks.shape != shape:
            raise ValueError(f"{sample.source}[{sample.id}]: a mask of {segment.masks.shape} for frames of {shape}")
        union |= segment.masks
    return union


def union_of_targets(sample: Sample) -> np.ndarray:
    """Pixels of any target, bool ``[T,H,W]``; nothing where the sample has no target."""
    if sample.masks is None or not len(sample.masks):
        return np.zeros(mask_shape(sample), dtype=bool)
    return np.asarray(sample.masks.any(axis=0))


def mask_shape(sample: Sample) -> tuple[int, int, int]:
    """``(T, H, W)`` of the sample's masks, from the media where there are none."""
    if sample.masks is not None and sample.masks.ndim == 4:
        return sample.masks.shape[1:]
    media = media_of(sample)
    if media is None:
        raise ValueError(f"{sample.source}[{sample.id}] has neither masks nor media")
    return media.frames.shape[:3] if isinstance(media, Media) else (len(media), *media.size)


def media_of(sample: Sample) -> Any:
    """The picture, or the video that an evaluation view leaves undecoded in ``extra["video"]``; ``None`` without."""
    return sample.media if sample.media is not None else sample.extra.get("video")

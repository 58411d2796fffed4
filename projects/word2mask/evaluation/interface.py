"""What a benchmark is: samples, the question asked, the score of an answer, and the numbers of a whole split."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from word2mask.errors import UserError
from word2mask.text.questions import MASK_SUFFIXES
from word2mask.types import Media, Request, Result, Sample, Turn

#: Follows a question that asks for something to segment.
MASK_REQUEST = MASK_SUFFIXES[0]
#: The settings that every benchmark's ``build`` takes.
BUILD = ["root", "split", "limit", "prompt", "title"]
#: What :meth:`Benchmark.score` keeps of one sample; must survive JSON unchanged.
Scores = dict[str, Any]


class SampleSource(Protocol):
    """What a benchmark reads from: a source of :mod:`word2mask.data.sources` in its evaluation view."""

    def __len__(self) -> int: ...

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The record at ``index``; an evaluation view draws nothing from ``rng``."""
        ...


class Answerer(Protocol):
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

    Attributes:
        name: how the benchmark is called in ``--benchmarks name:split``.
        splits: the splits it has.
        folder: where its data lies below a data root, by default.
        metrics: metric key → how it is printed, the most important one first.
        default_title: what it asks, in a few words for a newcomer.
        default_prompt: the words asked, ``{}`` standing for the sample's own; empty where the sample has all the words.
        max_new_tokens: upper limit of an answer's length.

    Raises:
        UserError: a limit below 1, or a prompt without its ``{}``.
    """

    name: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    folder: ClassVar[str]
    metrics: ClassVar[Mapping[str, str]]
    default_title: ClassVar[str]
    default_prompt: ClassVar[str] = ""
    max_new_tokens: ClassVar[int] = 64

    def __init__(
        self,
        source: SampleSource,
        split: str,
        limit: int | None = None,
        prompt: str | None = None,
        title: str | None = None,
        origin: Mapping[str, Any] | None = None,
    ):
        if limit is not None and limit < 1:
            raise UserError(f"{self.name}:{split}: limit must be 1 or more, got {limit}")
        if prompt is not None and prompt.count("{}") != self.default_prompt.count("{}"):
            raise UserError(
                f"{self.name}:{split}: the prompt {prompt!r} must hold {{}} as often as {self.default_prompt!r}"
            )
        self.source = source
        self.split = split
        self.prompt = self.default_prompt if prompt is None else prompt
        self.title = title or self.default_title
        self.origin = dict(origin or {})
        self._indices = evenly_spaced(len(source), limit)

    @classmethod
    def build(
        cls,
        root: str | Path,
        split: str,
        limit: int | None = None,
        prompt: str | None = None,
        title: str | None = None,
        **files: str,
    ) -> Self:
        """The benchmark on the data at ``root``, in the published layout.

        Args:
            root: the folder of the data.
            split: one of :attr:`splits`.
            limit: evaluate only that many samples.
            prompt: other wording.
            title: another title.
            **files: what lies elsewhere than :meth:`open` expects.

        Raises:
            UserError: unknown split, no such folder, or nothing to evaluate.
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
        origin = {"root": str(root), "split": split, "limit": limit, "prompt": prompt, "title": title, **files}
        return cls(source, split, limit, prompt, title, origin)

    @classmethod
    @abstractmethod
    def open(cls, root: Path, split: str) -> SampleSource:
        """The source of a split in its evaluation view: one question a sample, every frame, nothing drawn at random."""

    @property
    def label(self) -> str:
        """``"name:split"``."""
        return f"{self.name}:{self.split}"

    @property
    def shown_prompt(self) -> str:
        """The prompt as a protocol quotes it."""
        return f'"{self.prompt.replace("{}", "…")}"'

    @property
    @abstractmethod
    def rules(self) -> str:
        """Prompt wording, how masks are combined, frames and empty cases: one line."""

    @property
    def protocol(self) -> str:
        """The rules, and which samples they were applied to: one line, printed with every number."""
        if len(self) == len(self.source):
            return f"{self.rules}; all {len(self)} samples"
        return f"{self.rules}; {len(self)} of {len(self.source)} samples, evenly spaced"

    def __len__(self) -> int:
        """Number of samples evaluated."""
        return len(self._indices)

    def sample(self, position: int) -> Sample:
        """The sample at ``position`` of the evaluated ones."""
        index = self._indices[position]
        return self.source.read(index, np.random.default_rng(index))

    def request(self, sample: Sample) -> Request:
        """What is asked about a sample. Knows nothing of its masks."""
        return Request((Turn("user", self.question(sample)),), media_of(sample), sample.regions, self.max_new_tokens)

    def question(self, sample: Sample) -> str:
        """The words asked: the prompt around the sample's expression; a question keeps its own words (see ``ask``)."""
        return ask(self.prompt, sample.extra["expression"])

    @abstractmethod
    def score(self, result: Result, sample: Sample) -> Scores:
        """What the metrics need of one answer; JSON values only."""

    @abstractmethod
    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        """Metrics in percent, independent of the order of the samples; empty without samples."""

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


def union_of_segments(result: Result, sample: Sample) -> np.ndarray:
    """Pixels of any segment of the answer, bool ``[T,H,W]``; nothing where there is no segment.

    Raises:
        ValueError: if the masks are not of the sample's frames and size.
    """
    shape = mask_shape(sample)
    union = np.zeros(shape, dtype=bool)
    for segment in result.segments:
        if segment.masks.shape != shape:
            raise ValueError(f"{sample.source}[{sample.id}]: a mask of {segment.masks.shape} for frames of {shape}")
        union |= segment.masks
    return union


def union_of_targets(sample: Sample) -> np.ndarray:
    """Pixels of any target, bool ``[T,H,W]``; nothing where the sample has no target."""
    if sample.masks is None or not len(sample.masks):
        return np.zeros(mask_shape(sample), dtype=bool)
    return sample.masks.any(axis=0)


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


def benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark of this package by its name."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    found: dict[str, type[Benchmark]] = {}
    pending = list(Benchmark.__subclasses__())
    while pending:
        one = pending.pop()
        pending += one.__subclasses__()
        if one.__module__.startswith(f"{__package__}.") and "name" in vars(one):
            found[one.name] = one
    return dict(sorted(found.items()))


def find_benchmark(label: str) -> tuple[type[Benchmark], str]:
    """The class and the split of ``"name:split"``.

    Raises:
        UserError: no such benchmark or split.
    """
    known = benchmarks()
    name, _, split = label.partition(":")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"no benchmark is called {name!r}; {hint}")
    if not split:
        raise UserError(f"--benchmarks {name} names no split; write {name}:{known[name].splits[0]}")
    if split not in known[name].splits:
        raise UserError(f"{name} has no split {split!r}; it has {', '.join(known[name].splits)}")
    return known[name], split

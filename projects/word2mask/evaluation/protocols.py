"""How published evaluations differ from one another, switch by switch, and the values that each of them has.

A number means little without these. Every benchmark says which switches it has and which presets exist for it; the
values stand beside its number.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG

#: The preset without a name in a label: the dataset's own rules, nothing given away, nothing left out.
STRICT = "strict"
#: What is put into the model's mouth where the answer is forced (LISA's ``ValDataset``).
FORCED_ANSWER = f"{SEG}."

#: Switch → value → what it means, in words that fit into a protocol line.
SWITCHES: Mapping[str, Mapping[str, str]] = {
    "wording": {
        "own": "questions in word2mask's words",
        "lisa": "questions in LISA's words",
        "sa2va": "questions in Sa2VA's words",
        "unipixel": "questions in UniPixel's words",
    },
    "answer": {
        "generated": "the model writes its answer",
        "forced": f'the answer "{FORCED_ANSWER}" is given to the model (teacher-forced)',
    },
    "texts": {
        "all": "every text is a sample",
        "first": "only the first text of each object or picture",
        "merged": 'all texts of an object or picture in one question, joined by "; "',
    },
    "segments": {
        "all": f"all {SEG} masks together",
        "first": f"the first {SEG} mask alone",
    },
    "ignored": {
        "excluded": "ignored pixels count nowhere",
        "background": "ignored pixels count as background",
    },
    "average": {
        "expressions": "mean over expressions",
        "kinds": "mean of the means of the kinds of expression",
    },
    "recall": {
        "every": "every pair of masks may count",
        "until_failure": "no pair counts after the first whose phrases differ",
    },
    "references": {
        "all": "an object is a sample, and all of its sentences are references",
        "one": "a sentence is a sample, and its only reference",
    },
    "cleaning": {
        "none": "answers are scored as they are",
        "published": 'words such as "is" and "shows" are cut out of answers, wherever they stand',
    },
    "objects": {
        "apart": "each expression by itself",
        "together": "the objects of a video in one picture of labels for each annotator (DAVIS's own protocol)",
    },
}


@dataclass(frozen=True)
class Wording:
    """The words of a published evaluation.

    Attributes:
        phrase: asks for an expression that is a phrase; ``{}`` is the expression.
        sentence: asks with an expression that is a sentence or question of its own; empty where all are phrases.
        sentences: which are: those that ``"end"`` in a question mark, that ``"hold"`` one, or that the dataset's
            ``"flag"`` (``is_sentence``) says.
        drops_article: whether a phrase loses full stops around it and its article, and begins in lower case.
    """

    phrase: str
    sentence: str = ""
    sentences: str = "end"
    drops_article: bool = False

    def ask(self, expression: str, is_sentence: bool | None = None) -> str:
        """The question about an expression.

        Args:
            expression: as the dataset has it.
            is_sentence: the dataset's flag, where it has one.

        >>> UNIPIXEL_IMAGE.ask("The red star.", is_sentence=False)
        'Please segment the red star in this image.'
        """
        text = expression.strip()
        held = {"end": text.endswith("?"), "hold": "?" in text, "flag": bool(is_sentence)}[self.sentences]
        if self.sentence and held:
            return self.sentence.replace("{}", text)
        if self.drops_article:
            text = text.strip(".")
            text = text[:1].lower() + text[1:]
            article = next((word for word in ("the ", "an ", "a ") if text.startswith(word)), "")
            text = text[len(article) :]
        return self.phrase.replace("{}", text)


#: dvlab-research/LISA, commit 6f95195, ``utils/dataset.py``, ``ValDataset``.
LISA_IMAGE = Wording(
    "What is {} in this image? Please output segmentation mask.", "{} Please output segmentation mask.", "flag"
)
#: bytedance/Sa2VA, commit 9832e1a, ``projects/sa2va/evaluation/dataset/RES.py`` and ``refVOS.py``.
SA2VA_IMAGE = Wording("Please segment {} in this image.")
SA2VA_VIDEO = Wording("Please segment {}.", "{} Please respond with a segmentation mask.", "hold")
#: PolyU-ChenLab/UniPixel, commit 5c8e941, ``unipixel/eval/infer_seg.py``; which of its sample types a dataset has is in
#: ``unipixel/dataset/sub_classes/segmentation.py``.
UNIPIXEL_IMAGE = Wording(
    "Please segment the {} in this image.", "{} Please provide the segmentation mask.", "flag", drops_article=True
)
UNIPIXEL_VIDEO = Wording("Please segment the {} in this video.", drops_article=True)
UNIPIXEL_REVOS = replace(UNIPIXEL_VIDEO, sentence="{} Please provide the segmentation mask.", sentences="end")
UNIPIXEL_DESCRIPTION = Wording("Please segment the object according to the description: {}")

#: How the published code of Sa2VA reads a video (``predict_forward``): the first five frames, and its own tracking.
SA2VA_SESSION: Mapping[str, Any] = {
    "key_frames": 5,
    "key_frame_choice": "first",
    "procedure": "sa2va",
    "propagate_with": "trained",
}


@dataclass(frozen=True)
class Protocol:
    """One preset of one benchmark.

    Attributes:
        name: of the preset.
        values: switch → value, for the switches that the benchmark has.
        words: the wording; ``None`` is the benchmark's own.
        session: settings of the session that the published evaluation fixes.
        source: whose code says so.
    """

    name: str
    values: Mapping[str, str]
    words: Wording | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def __getitem__(self, switch: str) -> str:
        """The value of a switch."""
        return self.values[switch]

    def changed(self, where: str, switches: Mapping[str, str]) -> Protocol:
        """The same with some switches set otherwise.

        Args:
            where: the benchmark, for messages.
            switches: switch → value.

        Raises:
            UserError: a switch that the benchmark doesn't have, or a value that it doesn't take.
        """
        for switch, value in switches.items():
            if switch not in self.values or switch == "wording":
                has = ", ".join(name for name in self.values if name != "wording") or "none"
                raise UserError(f"{where}: no switch is called {switch!r}; it has {has}")
            if value not in SWITCHES[switch]:
                raise UserError(f"{where}: {switch} is {' or '.join(SWITCHES[switch])}, got {value!r}")
        return replace(self, values={**self.values, **switches})

    def suffix(self, preset: Protocol) -> str:
        """What a label gets: nothing under ``strict``, else ``"@lisa"``, ``"@strict,texts=first"`` …

        Args:
            preset: what this protocol is a change of.
        """
        changes = [f"{name}={value}" for name, value in self.values.items() if preset.values[name] != value]
        if self.name == STRICT and not changes:
            return ""
        return "@" + ",".join([self.name, *changes])

    @property
    def line(self) -> str:
        """Every switch with its value, and who published them."""
        values = ", ".join(f"{name}={value}" for name, value in {**self.values, **self.session}.items())
        published = f" ({self.source})" if self.source else ""
        return f"preset {self.name}{published}: {values}"


def choose(presets: Mapping[str, Protocol], name: str | None, where: str) -> Protocol:
    """A benchmark's preset by its name; ``None`` is the first.

    Raises:
        UserError: no protocol of that name was published for the benchmark.
    """
    if name is None:
        return next(iter(presets.values()))
    if name not in presets:
        near = difflib.get_close_matches(name, presets, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(presets)}"
        raise UserError(f"{where}: no protocol {name!r} is published for it; {hint}")
    return presets[name]


def presets(strict: Mapping[str, str], **published: Protocol) -> dict[str, Protocol]:
    """The presets of a benchmark: ``strict`` with its values, and the published ones."""
    return {STRICT: Protocol(STRICT, strict), **published}


def lisa(values: Mapping[str, str], words: Wording) -> Protocol:
    """LISA's evaluation with a benchmark's values."""
    return Protocol("lisa", {"wording": "lisa", **values}, words, source="dvlab-research/LISA 6f95195")


def sa2va(
    values: Mapping[str, str], words: Wording, is_video: bool = False, source: str = "bytedance/Sa2VA 9832e1a"
) -> Protocol:
    """Sa2VA's evaluation with a benchmark's values; of videos with its own way to read them."""
    session = SA2VA_SESSION if is_video else {}
    return Protocol("sa2va", {"wording": "sa2va", **values}, words, session, source)


def unipixel(values: Mapping[str, str], words: Wording) -> Protocol:
    """UniPixel's evaluation with a benchmark's values."""
    return Protocol("unipixel", {"wording": "unipixel", **values}, words, source="PolyU-ChenLab/UniPixel 5c8e941")

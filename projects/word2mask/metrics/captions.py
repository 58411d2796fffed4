"""METEOR and CIDEr of captions, as COCO's evaluation computes them.

The published numbers of grounded captions (GLaMM) and region captions (RefCOCOg, Visual Genome) come from
``pycocoevalcap``, and so do these: Stanford's PTB tokenizer (lower case, no punctuation), METEOR 1.5 (Denkowski and
Lavie, WMT 2014), and CIDEr (Vedantam et al., CVPR 2015: what that paper calls CIDEr-D, with document frequencies of the
references at hand). The package is the extra ``captions``; tokenizer and METEOR are Java programs in it. Nothing is
downloaded.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from word2mask.errors import UserError

#: For a protocol's line: what the numbers are.
DESCRIPTION = "METEOR 1.5 and CIDEr of pycocoevalcap on its PTB tokens"


@dataclass(frozen=True)
class CaptionScores:
    """Scores of a set of captions. Both depend on the set as a whole: parts can't be averaged.

    Attributes:
        meteor: of the set, in 0…1.
        cider: of the set, in 0…10.
        meteors: of each caption.
        ciders: of each caption, with the document frequencies of the whole set; all 0 in a set of one picture.
    """

    meteor: float
    cider: float
    meteors: tuple[float, ...]
    ciders: tuple[float, ...]


def missing_for_captions() -> str | None:
    """What :func:`caption_scores` lacks on this machine and how to get it, in a sentence; ``None`` when it can run."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        return "METEOR and CIDEr need the package pycocoevalcap; install it with pip install -e '.[captions]'"
    if shutil.which("java") is None:
        return "METEOR and CIDEr need Java 8 or later on the PATH; install a runtime, e.g. default-jre-headless"
    return None


def caption_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Scores of captions against their references.

    Args:
        predictions: one caption a picture or region; an empty one scores 0.
        references: of each, one or more.

    Raises:
        UserError: pycocoevalcap or Java is missing, or its program can't run.
        ValueError: the two aren't of one length, there are none, or one has no reference.
    """
    if len(predictions) != len(references) or not predictions:
        raise ValueError(f"expected a caption for each of {len(references)} references, got {len(predictions)}")
    empty = [index for index, texts in enumerate(references) if not any(text.strip() for text in texts)]
    if empty:
        raise ValueError(f"caption {empty[0]} has no reference")
    missing = missing_for_captions()
    if missing:
        raise UserError(missing)
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor

    results = _tokenise([[text] for text in predictions])
    truths = _tokenise(references)
    meteor, meteors = _run("METEOR", lambda: Meteor().compute_score(truths, results))
    cider, ciders = Cider().compute_score(truths, results)
    return CaptionScores(
        float(meteor), float(cider), tuple(float(value) for value in meteors), tuple(float(value) for value in ciders)
    )


def _tokenise(captions: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    """Index → its captions in PTB tokens."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    # The tokenizer reads a caption a line and loses empty lines at the end; a full stop becomes an empty caption.
    lines = {
        index: [{"caption": " ".join(text.split()) or "."} for text in texts] for index, texts in enumerate(captions)
    }
    tokens = _run("the PTB tokenizer", lambda: PTBTokenizer().tokenize(lines))
    if {index: len(texts) for index, texts in tokens.items()} != {i: len(texts) for i, texts in lines.items()}:
        raise UserError("the PTB tokenizer returned another number of captions; does `java -version` work?")
    return tokens


def _run(name: str, program: Callable[[], Any]) -> Any:
    """What a Java program of pycocoevalcap answers."""
    try:
        return program()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name} of pycocoevalcap failed ({error}); it needs a working `java`, 2 GB of memory, and write access to "
            "the package's folder"
        ) from error

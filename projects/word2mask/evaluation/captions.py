"""METEOR and CIDEr of a whole split, computed once at the end."""

from __future__ import annotations

from collections.abc import Sequence

from word2mask.evaluation.interface import Scores
from word2mask.metrics.captions import caption_scores, missing_for_captions


def final_caption_scores(scores: Sequence[Scores], caption: str, references: str) -> tuple[dict[str, float], str]:
    """``{"meteor", "cider"}`` times 100, as they are printed in the papers; or nothing, and what is missing.

    Args:
        scores: of all samples.
        caption: the key of an answer's words.
        references: the key of the reference texts.

    Raises:
        UserError: METEOR or the tokenizer is there and fails.
    """
    missing = missing_for_captions()
    if missing or not scores:
        return {}, missing or ""
    found = caption_scores([one[caption] for one in scores], [one[references] for one in scores])
    return {"meteor": 100 * found.meteor, "cider": 100 * found.cider}, ""

"""What is shown and not said: boxes, points and masks become masks without a word."""

from __future__ import annotations

from collections.abc import Callable

from word2mask.inference.refinement import Refinement
from word2mask.inference.session import Session
from word2mask.types import Request, Result

__all__ = ["shown"]

#: Of encoded frames, from showing an object to following it.
KEEP_BYTES = 2**28


def shown(request: Request) -> Callable[[Session, Callable[[str, int, int], None]], Result]:
    """The work of a request without words, for the worker: one object a prompt, drawn by the segmenter and followed
    through a video."""

    def work(session: Session, progress: Callable[[str, int, int], None]) -> Result:
        refinement = Refinement(session, request.media, keep_bytes=KEEP_BYTES)
        for number, prompt in enumerate(request.prompts, start=1):
            refinement.add(prompt, f"region{number}")
            progress("answer", number, len(request.prompts))
        return refinement.propagate(progress)

    return work

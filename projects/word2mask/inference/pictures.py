"""Masks on several pictures at once: the image encoder and the mask decoder take the pictures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from word2mask.inference.jobs import Job, Written
from word2mask.inference.tracking import ObjectFinder, TrackedFrame

__all__ = ["find_in_pictures"]

#: Values of the image encoder's widest maps that are held at a time, 1 GiB in float32: three pictures for SAM 2's
#: Hiera-L at 1024, any batch for a small one.
ENCODER_VALUES = 1 << 28


def find_in_pictures(finder: ObjectFinder, jobs: Sequence[Job], written: Sequence[Written]) -> None:
    """Finds the objects of the answers about single pictures, and puts them into :attr:`Job.found`.

    Answers about videos, those without objects, and those that take up encoded frames are left as they are, and so is
    one that is alone: :meth:`ObjectFinder.frames` finds the same.

    Args:
        finder: of the session.
        jobs: of one batch; changed in place.
        written: their answers.
    """
    waiting = [
        (job, answer) for job, answer in zip(jobs, written, strict=True) if len(answer.states) and _is_picture(job)
    ]
    if len(waiting) < 2:
        return
    segmenter = finder.model.segmenter
    most = max(ENCODER_VALUES // max(segmenter.encoder_values(1), 1), 1)
    for first in range(0, len(waiting), most):
        some = waiting[first : first + most]
        for (job, _), found in zip(some, _found(finder, some), strict=True):
            job.found = found


def _is_picture(job: Job) -> bool:
    """Whether there is one frame to look at, and nothing is known of it yet."""
    if job.view is None or job.example.segmenter_frames is None or job.store is not None:
        return False
    return not job.view.source.is_live and job.view.source.num_frames == len(job.example.segmenter_frames) == 1


@torch.no_grad()
def _found(finder: ObjectFinder, waiting: Sequence[tuple[Job, Written]]) -> Iterator[TrackedFrame]:
    """Masks and scores of each picture."""
    model = finder.model
    pixels = torch.cat([job.example.segmenter_frames for job, _ in waiting])
    prompts = model.prompts([answer.states for _, answer in waiting])
    features = model.encode_frames(pixels.to(finder.device))
    places = [torch.zeros(len(prompt), 1, dtype=torch.long, device=finder.device) for prompt in prompts]
    for (job, _), objects in zip(waiting, model.segment(features, prompts, places, [1] * len(waiting)), strict=True):
        assert job.view is not None  # or it were no picture
        found = (list(range(len(objects.mask_logits))), objects.mask_logits[:, 0], objects.object_logits[:, 0])
        yield (job.view.indices[0], *finder.merged([found], len(found[0]), job.view.source.size))

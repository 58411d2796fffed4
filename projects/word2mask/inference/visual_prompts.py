"""Boxes, points and masks that a user points with: drawn into regions, and followed through a video.

A mask is a region as it stands. A box or points are drawn by the segmenter, on the frame that they are on, into a mask
at the original size. The language model then sees each region as copies of that frame's visual tokens
(:meth:`word2mask.mllms.interface.MediaProcessor.region_cells`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from word2mask.errors import UserError
from word2mask.inference.anchors import Anchor, follow_anchors
from word2mask.inference.frames import Frames, View
from word2mask.inference.tracking import FeatureStore, ObjectFinder, Progress, TrackedFrame
from word2mask.segmenters.interface import Decoded, FrameFeatures, Segmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Request, Turn, VisualPrompt

__all__ = [
    "anchor",
    "check_prompt",
    "check_prompts",
    "check_region_names",
    "coarse_mask",
    "decode_prompt",
    "pointed_at",
    "regions_from_prompts",
    "track_prompts",
]

#: How a text names a region: as :func:`word2mask.text.conversation.region_prefix` introduces it.
_REGION_NAME = re.compile(r"\bregion(\d+)\b")


def check_prompts(prompts: Sequence[VisualPrompt], source: Frames) -> None:
    """Prompts that lie on the frames that there are, and within them, and say what they mean by themselves.

    Raises:
        UserError: one that doesn't.
    """
    for number, prompt in enumerate(prompts, start=1):
        name = f"region{number}"
        check_prompt(prompt, source, name)
        if prompt.points and not (prompt.box or prompt.mask is not None or any(label for *_, label in prompt.points)):
            raise UserError(f"{name}: no point is on the object; give one with label 1, or a box or a mask besides")


def check_prompt(prompt: VisualPrompt, source: Frames, name: str) -> None:
    """A prompt that lies on a frame that there is, and within it.

    Args:
        prompt: of a user.
        source: the frames.
        name: what to call it in a message.

    Raises:
        UserError: it doesn't.
    """
    height, width = source.size
    frame = f"the frame, whose size is {width} x {height} (width x height)"
    if not source.has(prompt.frame):
        number = "1 frame" if source.num_frames == 1 else f"{source.num_frames} frames"
        raise UserError(
            f"{name} is on frame {prompt.frame}, but {source.name or 'the media'} has {number}; they count from 0"
        )
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        if not (left >= 0 and top >= 0 and right <= width and bottom <= height):
            raise UserError(
                f"{name}: box {_spelt(prompt.box)} reaches out of {frame}; give (x1, y1, x2, y2) in pixels within it"
            )
    for x, y, _ in prompt.points:
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(f"{name}: point {_spelt((x, y))} is outside of {frame}; give (x, y) in pixels within it")
    if prompt.mask is not None and prompt.mask.shape != source.size:
        got = " x ".join(str(length) for length in prompt.mask.shape[::-1])
        raise UserError(f"{name}: the mask is {got}, unlike {frame}; give a mask of the frame's size")
    if prompt.mask is not None and not prompt.mask.any():
        raise UserError(f"{name}: the mask is empty; mark at least one pixel")


def check_region_names(turns: Sequence[Turn], count: int) -> None:
    """Texts that speak of regions that are there.

    Args:
        turns: of the conversation; what the user says is looked at.
        count: R, how many regions are marked.

    Raises:
        UserError: a user speaks of another.

    >>> check_region_names([Turn("user", "Is region2 left of region1?")], 2)
    """
    for turn in turns:
        numbers = [int(number) for number in _REGION_NAME.findall(turn.text)] if turn.role == "user" else []
        missing = [number for number in numbers if not 1 <= number <= count]
        if not missing:
            continue
        there = {0: "nothing is pointed at", 1: "only region1 is pointed at"}
        raise UserError(
            f"the text speaks of region{missing[0]}, but {there.get(count, f'only region1 to region{count} are')}; "
            "regions are numbered from 1 in the order of their boxes, points and masks"
        )


def pointed_at(
    finder: ObjectFinder, request: Request, view: View | None, store: FeatureStore | None = None
) -> tuple[Request, list[int]]:
    """A request with its prompts drawn as regions.

    Args:
        finder: whose segmenter draws.
        request: of a user.
        view: of its media; every prompted frame is among those that the language model sees.
        store: features to take from and add to.

    Returns:
        The request, and for each region its place among the frames that the language model sees; none where the request
        has no prompts.

    Raises:
        UserError: prompts that can't be drawn, or a text that speaks of a region that isn't there.
    """
    places: list[int] = []
    if request.prompts:
        if view is None:
            raise UserError("a region is shown without a picture or video that it lies on; give one")
        if request.regions is not None:
            raise UserError("regions and prompts in one request; give masks as prompts too, VisualPrompt(mask=…)")
        request = replace(request, regions=regions_from_prompts(finder, view.source, request.prompts, store))
        places = [view.indices.index(prompt.frame) for prompt in request.prompts]
    if view is not None:
        check_region_names(request.turns, 0 if request.regions is None else len(request.regions))
    return request, places


def regions_from_prompts(
    finder: ObjectFinder, source: Frames, prompts: Sequence[VisualPrompt], store: FeatureStore | None = None
) -> np.ndarray:
    """Masks bool ``[R,H,W]`` of what is pointed at, each on its own frame.

    Args:
        finder: whose segmenter draws.
        source: the frames.
        prompts: R of them.
        store: features to take from and add to.

    Raises:
        UserError: see :func:`check_prompts`; or the segmenter finds nothing under a prompt.
    """
    check_prompts(prompts, source)
    regions = np.zeros((len(prompts), *source.size), dtype=bool)
    encoded = finder.encoder(source, store)
    by_frame = sorted(range(len(prompts)), key=lambda number: prompts[number].frame)
    for number in by_frame:
        known = anchor(finder, encoded, prompts[number], source.size)
        if isinstance(known, np.ndarray):
            regions[number] = known
            continue
        (regions[number],) = finder.at_original_size(known.mask_logits, source.size)
        if not regions[number].any():
            raise UserError(
                f"region{number + 1}: the segmenter finds nothing there on frame {prompts[number].frame}; give a box "
                "around the object, more points on it, or a mask"
            )
    return regions


def track_prompts(
    finder: ObjectFinder,
    source: Frames,
    prompts: Sequence[VisualPrompt],
    report: Progress,
    store: FeatureStore | None = None,
) -> Iterator[TrackedFrame]:
    """Masks of what is pointed at on every frame: followed from the prompted frames forward and backward.

    Args:
        finder: whose segmenter draws and follows.
        source: all frames.
        prompts: one an object.
        report: told of every frame of a video.
        store: features to take from and add to.

    Raises:
        UserError: see :func:`check_prompts`.
    """
    check_prompts(prompts, source)
    encoded = finder.encoder(source, store)
    anchors = [{prompt.frame: anchor(finder, encoded, prompt, source.size)} for prompt in prompts]
    return follow_anchors(finder, source, anchors, report, store)


def anchor(
    finder: ObjectFinder,
    encoded: Callable[[int], FrameFeatures | None],
    prompt: VisualPrompt,
    size: tuple[int, int],
) -> Anchor:
    """What a prompt says about its object on its frame: the mask that it is, or what the segmenter draws.

    Args:
        finder: whose segmenter draws.
        encoded: a frame's features, as :meth:`ObjectFinder.encoder` gives them.
        prompt: a mask together with a box or points is where the segmenter starts from.
        size: ``(H, W)``.
    """
    if prompt.mask is not None and prompt.box is None and not prompt.points:
        return prompt.mask
    segmenter = finder.propagator
    previous = None if prompt.mask is None else coarse_mask(segmenter, prompt.mask)
    features = encoded(prompt.frame)
    assert features is not None  # check_prompts has seen the frame
    return decode_prompt(segmenter, features, prompt, size, previous)


@torch.no_grad()
def decode_prompt(
    segmenter: Segmenter,
    features: FrameFeatures,
    prompt: VisualPrompt,
    size: tuple[int, int],
    previous: torch.Tensor | None = None,
    conditioned: torch.Tensor | None = None,
) -> Decoded:
    """The mask of one object from a box, points, or both.

    A single point may mean a part or the whole: as in SAM 2, the likeliest of the decoder's candidates is taken then,
    where it has several, and its single mask otherwise. A mask to start from says what is meant, unless it comes from
    tracking: there SAM 2 takes the likeliest too.

    Args:
        segmenter: that draws.
        features: of the prompted frame.
        prompt: a box in pixels of the frame, points likewise, or both.
        size: ``(H, W)`` of the frame.
        previous: mask logits float ``[1,S/4,S/4]`` to start from.
        conditioned: ``[1,C,S/16,S/16]``, the frame as the object's memory sees it
            (:meth:`word2mask.segmenters.tracker.Tracker.condition`), where it was followed there.
    """
    height, width = size
    filled = segmenter.processor.content_size(height, width)
    device = features.levels[-1].device
    # The encoder takes a pixel's number for its middle.
    scale = torch.tensor([filled[1] / width, filled[0] / height], device=device)
    points = labels = boxes = None
    if prompt.points:
        points = torch.tensor([[point[:2] for point in prompt.points]], dtype=torch.float32, device=device)
        points = points * scale - 0.5
        labels = torch.tensor([[int(point[2]) for point in prompt.points]], device=device)
    if prompt.box is not None:
        corners = torch.tensor(prompt.box, dtype=torch.float32, device=device).view(2, 2)
        boxes = (corners * scale - 0.5).view(1, 4)
    is_vague = len(prompt.points) == 1 and prompt.box is None and (previous is None or conditioned is not None)
    multimask = is_vague and segmenter.has_candidates
    frame_index = torch.zeros(1, dtype=torch.long, device=device)
    previous = None if previous is None else previous.to(device)
    if conditioned is None:
        return segmenter.decode_points(features, frame_index, points, labels, boxes, previous, multimask=multimask)
    assert isinstance(segmenter, SAM2Segmenter)  # no other one has a memory
    sparse = segmenter.embed_points(1, points, labels, boxes)
    dense = None if previous is None else segmenter.embed_masks(previous)
    return segmenter.decode_embeddings(
        features, frame_index, sparse, dense, conditioned=conditioned, multimask=multimask
    )


def coarse_mask(segmenter: Segmenter, mask: np.ndarray) -> torch.Tensor:
    """A mask bool ``[H,W]`` for the decoder to start from: :meth:`Segmenter.coarse_mask_logits`, ``[1,S/4,S/4]``."""
    return segmenter.coarse_mask_logits(torch.from_numpy(np.ascontiguousarray(mask))[None])


def _spelt(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"

"""Media of the LLaVA family: one square for every picture or frame, and regions on its grid; no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from word2mask.mllms.interface import PreparedMedia
from word2mask.mllms.tiling import region_cells
from word2mask.ops.images import frames_to_tensor, normalize
from word2mask.text.templates import ChatTemplate
from word2mask.types import Media

#: Channel statistics of CLIP (arXiv:2103.00020), whose vision tower LLaVA has.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

CONTEXT, IMAGE_START, IMAGE_END = "<image>", "<im_start>", "<im_end>"
IMAGE_MARKS = (IMAGE_START, IMAGE_END)

#: How a picture becomes a square: filled up with the mean colour (LLaVA-1.5), or its middle (CLIP, LLaVA-1).
Squaring = Literal["pad", "crop"]


@dataclass(frozen=True)
class LLaVASettings:
    """What transformers' configuration doesn't say.

    Attributes:
        template: name of the chat template.
        squaring: ``"pad"`` or ``"crop"``.
        image_marks: whether ``<im_start>`` and ``<im_end>`` stand around a picture's tokens (LLaVA-1, LISA).
        max_length: longest sequence in tokens.
    """

    template: str = "vicuna_v1"
    squaring: Squaring = "pad"
    image_marks: bool = False
    max_length: int = 4096


@dataclass(frozen=True)
class LLaVAProcessor:
    """Preprocessing of a LLaVA: pictures and frames are squares of ``grid_side²`` tokens each.

    Attributes:
        tokenizer: a transformers tokenizer that knows ``<image>``.
        template: the chat template.
        squaring: how a picture becomes a square.
        image_marks: whether a picture's tokens stand between marks.
        side: of the square in pixels.
        grid_side: of the square in visual tokens.
    """

    tokenizer: Any
    template: ChatTemplate
    squaring: Squaring
    image_marks: bool
    side: int
    grid_side: int
    context_token: str = CONTEXT

    def media_token_count(self, media: Media) -> int:
        """Number of ``<image>`` in the placeholder."""
        return len(media.frames) * self.grid_side**2

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Squares and placeholder of a picture or video; a video's frames are so many pictures.

        Returns:
            ``tensors``: ``pixel_values`` float32 ``[T,3,S,S]`` and ``region_tile`` int64 ``[1]``, the square on which
            regions are marked (the first).
        """
        squares = np.stack([self._square(frame) for frame in media.frames])
        pixels = normalize(frames_to_tensor(squares), CLIP_MEAN, CLIP_STD)
        one = CONTEXT * self.grid_side**2
        if self.image_marks:
            one = IMAGE_START + one + IMAGE_END
        tensors = {"pixel_values": pixels, "region_tile": torch.tensor([0])}
        grid = (self.grid_side, self.grid_side)
        return PreparedMedia(placeholder="\n".join([one] * len(squares)), tensors=tensors, grid=grid)

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``, one cell at least each.

        They are squared as the picture is. A region that lies in what is cropped away marks the nearest cell.
        """
        if self.squaring == "pad":
            return region_cells(np.stack([_padded(region, False) for region in regions]), grid)
        return region_cells(np.stack([_cropped_region(region) for region in regions]), grid)

    def _square(self, frame: np.ndarray) -> np.ndarray:
        """A frame uint8 ``[H,W,3]`` as the square uint8 ``[S,S,3]``, resized as Pillow does (bicubic)."""
        if self.squaring == "pad":
            frame = _padded(frame, np.array([int(255 * share) for share in CLIP_MEAN], dtype=np.uint8))
        height, width = frame.shape[:2]
        short = min(height, width)
        size = (int(self.side * height / short), int(self.side * width / short))
        if (height, width) != size:
            frame = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC))
        top, left = ((length - self.side) // 2 for length in size)
        return frame[top : top + self.side, left : left + self.side]


def _padded(image: np.ndarray, fill: np.ndarray | bool) -> np.ndarray:
    """An image ``[H,W,…]`` in the middle of a square of its longer side."""
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, *image.shape[2:]), dtype=image.dtype)
    square[:] = fill
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def _cropped_region(region: np.ndarray) -> np.ndarray:
    """The middle square of a region bool ``[H,W]``; where the region isn't, its nearest pixel."""
    height, width = region.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = region[top : top + side, left : left + side]
    if square.any() or not region.any():
        return square
    rows, columns = (places.mean() for places in np.nonzero(region))
    square = square.copy()
    square[int(np.clip(rows - top, 0, side - 1)), int(np.clip(columns - left, 0, side - 1))] = True
    return square

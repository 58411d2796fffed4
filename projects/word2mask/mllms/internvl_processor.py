"""Media of the InternVL family: tiles of a picture, one tile a frame of a video, marked regions; no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from word2mask.errors import UserError
from word2mask.mllms.interface import PreparedMedia
from word2mask.mllms.tiling import RegionSampling, region_cells, tile_count, tile_frames, tile_picture
from word2mask.text.templates import ChatTemplate
from word2mask.types import Media

IMAGE_START, IMAGE_END, CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"


@dataclass(frozen=True)
class InternVLSettings:
    """What transformers' configuration doesn't say.

    Attributes:
        template: name of the chat template.
        max_tiles: most tiles of a picture, thumbnail not counted (videos have one tile a frame).
        max_length: longest sequence in tokens.
        region_sampling: how a region becomes visual tokens; see :func:`word2mask.mllms.tiling.region_cells`.
    """

    template: str = "qwen_chat"
    max_tiles: int = 12
    max_length: int = 8192
    region_sampling: RegionSampling = "coverage"


@dataclass(frozen=True)
class InternVLProcessor:
    """Preprocessing of an InternVL: dynamic tiling for pictures, one tile a frame for videos.

    Attributes:
        tokenizer: a transformers tokenizer that knows ``<img>``, ``</img>`` and ``<IMG_CONTEXT>``.
        template: the chat template.
        max_tiles: most tiles of a picture, thumbnail not counted.
        side: side of a tile in pixels.
        grid_side: side of a tile in visual tokens.
        region_sampling: how a region becomes visual tokens.
    """

    tokenizer: Any
    template: ChatTemplate
    max_tiles: int
    side: int
    grid_side: int
    context_token: str = CONTEXT
    region_sampling: RegionSampling = "coverage"

    def media_token_count(self, media: Media) -> int:
        """Number of ``<IMG_CONTEXT>`` in the placeholder."""
        height, width = media.frames.shape[1:3]
        tiles = len(media.frames) if media.kind == "video" else tile_count(width, height, self.max_tiles, self.side)
        return tiles * self.grid_side**2

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Tiles and placeholder of a picture or video.

        Returns:
            ``tensors``: ``pixel_values`` float32 ``[tiles,3,side,side]`` and ``region_tile`` int64 ``[1]``, the tile on
            which regions are marked (the thumbnail; a video's first frame).
        """
        if media.kind == "video":
            tiles, region_tile = tile_frames(media.frames, self.side), 0
            placeholder = "\n".join([self._placeholder(1)] * len(tiles))
        else:
            tiles = tile_picture(media.frames[0], self.max_tiles, self.side)
            region_tile = len(tiles) - 1
            placeholder = self._placeholder(len(tiles))
        tensors = {"pixel_values": tiles, "region_tile": torch.tensor([region_tile])}
        return PreparedMedia(placeholder=placeholder, tensors=tensors, grid=(self.grid_side, self.grid_side))

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``, one cell at least each."""
        return region_cells(regions, grid, self.region_sampling)

    def _placeholder(self, tiles: int) -> str:
        return IMAGE_START + CONTEXT * (tiles * self.grid_side**2) + IMAGE_END


def square_side(size: Any) -> int:
    """The side of a square size given as a number or a pair.

    Raises:
        UserError: it isn't square.
    """
    if isinstance(size, int):
        return size
    if len(set(size)) != 1:
        raise UserError(f"tiles and patches must be square, got {tuple(size)}")
    return int(size[0])

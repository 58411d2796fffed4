"""Media of the SmolVLM family: a picture in tiles with the whole of it last, one square a video frame; no weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from word2mask.errors import UserError
from word2mask.mllms.interface import PreparedMedia
from word2mask.mllms.tiling import RegionSampling, region_cells
from word2mask.ops.images import frames_to_tensor, normalize
from word2mask.text.templates import ChatTemplate
from word2mask.types import Media

#: ``fake_image_token``, ``image_token`` and ``global_image_token`` of every published tokenizer of the family.
MARK, CONTEXT, WHOLE = "<fake_token_around_image>", "<image>", "<global-img>"

#: No picture is made larger than that (``MAX_IMAGE_SIZE`` of transformers' image processor).
LARGEST_EDGE = 4096


@dataclass(frozen=True)
class SmolVLMSettings:
    """What transformers' configuration doesn't say.

    Attributes:
        template: name of the chat template.
        longest_edge: the longer side that a picture gets before it is cut into tiles, in pixels; a tile's own side
            leaves it whole.
        frame_edge: the longer side that a video frame gets before it becomes one square.
        image_mean: subtracted from each channel, on the 0…1 scale.
        image_std: divided by, likewise.
        max_length: longest sequence in tokens.
        region_sampling: how a region becomes visual tokens; see :func:`word2mask.mllms.tiling.region_cells`.
    """

    template: str = "smolvlm_chat"
    longest_edge: int = 2048
    frame_edge: int = 512
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    max_length: int = 8192
    region_sampling: RegionSampling = "coverage"


@dataclass(frozen=True)
class SmolVLMProcessor:
    """Preprocessing of a SmolVLM: pictures in tiles, video frames as one square each.

    Every picture is brought to :attr:`SmolVLMSettings.longest_edge`, small ones too, as transformers' processor does
    it. A video's frames are so many whole pictures, a line each; SmolVLM's own sentence about a video's length and
    times is left out, because media carry no rate of frames.

    Attributes:
        tokenizer: a transformers tokenizer that knows ``<fake_token_around_image>`` and ``<image>``.
        template: the chat template.
        settings: sizes and colour statistics.
        side: side of a tile in pixels.
        grid_side: side of a tile in visual tokens.
    """

    tokenizer: Any
    template: ChatTemplate
    settings: SmolVLMSettings
    side: int
    grid_side: int
    context_token: str = CONTEXT

    def media_token_count(self, media: Media) -> int:
        """Number of ``<image>`` in the placeholder."""
        if media.kind == "video":
            return len(media.frames) * self.grid_side**2
        rows, columns = self.tile_grid(*media.frames.shape[1:3])
        return (rows * columns + 1) * self.grid_side**2

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Tiles and placeholder of a picture or video.

        Returns:
            ``tensors``: ``pixel_values`` float32 ``[tiles,3,side,side]`` and ``region_tile`` int64 ``[1]``, the tile on
            which regions are marked (the whole picture, which is last; a video's first frame).
        """
        if media.kind == "video":
            tiles = [self._square(frame) for frame in media.frames]
            placeholder, region_tile = "\n".join([self._whole()] * len(tiles)), 0
        else:
            tiles, (rows, columns) = self._tiles(media.frames[0])
            placeholder, region_tile = self._rows(rows, columns) + self._whole(), len(tiles) - 1
        pixels = normalize(frames_to_tensor(np.stack(tiles)), self.settings.image_mean, self.settings.image_std)
        tensors = {"pixel_values": pixels, "region_tile": torch.tensor([region_tile])}
        return PreparedMedia(placeholder=placeholder, tensors=tensors, grid=(self.grid_side, self.grid_side))

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``, one cell at least each."""
        return region_cells(regions, grid, self.settings.region_sampling)

    def tile_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tiles of a picture; ``(0, 0)`` where it isn't cut."""
        height, width = _in_multiples(*_with_longest_edge(height, width, self.settings.longest_edge), self.side)
        if max(height, width) <= self.side:
            return 0, 0
        return height // self.side, width // self.side

    def _tiles(self, picture: np.ndarray) -> tuple[list[np.ndarray], tuple[int, int]]:
        """uint8 ``[side,side,3]`` of a picture ``[H,W,3]``, row by row and the whole last, and its grid."""
        enlarged = _resize(picture, _with_longest_edge(*picture.shape[:2], self.settings.longest_edge))
        enlarged = _resize(enlarged, _in_multiples(*enlarged.shape[:2], self.side))
        rows, columns = self.tile_grid(*picture.shape[:2])
        side = self.side
        tiles = [
            enlarged[row * side : (row + 1) * side, column * side : (column + 1) * side]
            for row in range(rows)
            for column in range(columns)
        ]
        return [*tiles, _resize(enlarged, (side, side))], (rows, columns)

    def _square(self, frame: np.ndarray) -> np.ndarray:
        """A frame uint8 ``[H,W,3]`` as uint8 ``[side,side,3]``, by way of its longer side, as transformers does it."""
        size = _with_longest_edge(*frame.shape[:2], self.settings.frame_edge)
        return _resize(_resize(frame, size), (self.side, self.side))

    def _rows(self, rows: int, columns: int) -> str:
        """What stands before the whole picture: each tile behind its place, a line a row."""
        tile = CONTEXT * self.grid_side**2
        lines = [
            "".join(f"{MARK}<row_{row}_col_{column}>{tile}" for column in range(1, columns + 1)) + "\n"
            for row in range(1, rows + 1)
        ]
        return "".join(lines) + "\n" if lines else ""

    def _whole(self) -> str:
        return MARK + WHOLE + CONTEXT * self.grid_side**2 + MARK


def read_picture_settings(folder: Path, side: int) -> dict[str, Any]:
    """What a published folder's ``preprocessor_config.json`` says, as fields of :class:`SmolVLMSettings`.

    Args:
        folder: the model's.
        side: of a tile, by the model's own configuration.

    Raises:
        UserError: it asks for tiles of another size than the model reads.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {}
    raw = json.loads(file.read_text())
    tile = raw.get("max_image_size", {}).get("longest_edge", side)
    if tile != side:
        raise UserError(
            f"{file}: max_image_size is {tile}, but the model of this folder reads tiles of {side}; get both files "
            "from the same revision of the model"
        )
    found: dict[str, Any] = {name: tuple(raw[name]) for name in ("image_mean", "image_std") if name in raw}
    edge = raw.get("size", {}).get("longest_edge")
    if not raw.get("do_image_splitting", True):
        found["longest_edge"] = side
    elif edge is not None:
        found["longest_edge"] = edge
    frame_edge = raw.get("video_sampling", {}).get("video_size", {}).get("longest_edge")
    return found | {"frame_edge": side if frame_edge is None else frame_edge}


def _with_longest_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    """``(height, width)`` with the longer side at ``edge``, the shorter rounded down to whole pixels, then up to even
    ones."""
    edge = min(edge, LARGEST_EDGE)
    ratio = width / height
    if width >= height:
        shorter = int(edge / ratio)
        return max(shorter + shorter % 2, 1), edge
    shorter = int(edge * ratio)
    return edge, max(shorter + shorter % 2, 1)


def _in_multiples(height: int, width: int, side: int) -> tuple[int, int]:
    """``(height, width)`` enlarged to whole tiles: the longer side first, the shorter in proportion to it."""
    ratio = width / height
    if width >= height:
        width = math.ceil(width / side) * side
        return math.ceil(int(width / ratio) / side) * side, width
    height = math.ceil(height / side) * side
    return height, math.ceil(int(height * ratio) / side) * side


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As Pillow does it, with the filter of Lanczos."""
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.LANCZOS))

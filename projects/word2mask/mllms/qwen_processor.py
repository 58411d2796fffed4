"""Preprocessing of the Qwen family: one picture, or the frames of a video as pictures; no weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2VLImageProcessorPil

from word2mask.errors import UserError
from word2mask.mllms.interface import PreparedMedia
from word2mask.mllms.patches import CLIP_MEAN, CLIP_STD, fitted_size, patch_rows, resized_frames
from word2mask.mllms.tiling import region_cells
from word2mask.text.templates import ChatTemplate
from word2mask.types import Media

VISION_START, VISION_END, CONTEXT = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"
#: Of the models' own video input, which isn't used here.
VIDEO_CONTEXT = "<|video_pad|>"

#: What transformers calls the file of a picture processor, and that of a whole processor in its newer releases.
PICTURE_FILE, PROCESSOR_FILE = "preprocessor_config.json", "processor_config.json"

#: Pixels of a visual token of Qwen2.5-VL, in which the published recipe counts its limits for all of the family.
_TOKEN = 28**2


@dataclass(frozen=True)
class QwenVLSettings:
    """What transformers' configuration doesn't say. The defaults are the published training recipe's.

    Attributes:
        template: name of the chat template.
        min_pixels: smaller pictures are enlarged to so many pixels.
        max_pixels: larger pictures are reduced to so many.
        frame_min_pixels: the same for each frame of a video.
        frame_max_pixels: the same for each frame of a video.
        frame_separator: between two frames.
        image_mean: of each channel on the 0…1 scale.
        image_std: of each channel.
        max_length: longest sequence in tokens.
        region_max_tokens: most visual tokens that a region's prompt copies. A region that marks more cells is shown by
            so many of them, spread evenly over it. The published models of this family have no region prompts; those
            over InternVL mark regions on 16 x 16 cells, whatever the picture's size, and so copy 256 at most, where a
            region over a whole picture of this family would copy 2048.
        normed_states: whether states are those after the language model's final norm. The published Sa2VA over
            Qwen3-VL was trained with those before it (what ``hidden_states[-1]`` holds for that class under the
            transformers 4.57 that it pins), and its checkpoints need ``False``; over Qwen2.5-VL it is after, as ever.
    """

    template: str = "qwen_chat"
    min_pixels: int = 512 * _TOKEN
    max_pixels: int = 2048 * _TOKEN
    frame_min_pixels: int = 128 * _TOKEN
    frame_max_pixels: int = 512 * _TOKEN
    frame_separator: str = "\n"
    image_mean: tuple[float, ...] = CLIP_MEAN
    image_std: tuple[float, ...] = CLIP_STD
    max_length: int = 8192
    region_max_tokens: int = 256
    normed_states: bool = True

    def __post_init__(self) -> None:
        for limits in ((self.min_pixels, self.max_pixels), (self.frame_min_pixels, self.frame_max_pixels)):
            if not 0 < limits[0] <= limits[1]:
                raise UserError(f"pixel limits must be 0 < least <= most, got {limits[0]} and {limits[1]}")
        if self.region_max_tokens < 1:
            raise UserError(f"region_max_tokens must be 1 or more, got {self.region_max_tokens}")
        for name in ("image_mean", "image_std"):  # lists, when read from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))


#: How the published ``predict_forward`` prompts Qwen2.5-VL, unlike the training before it: the base model's own system
#: prompt, nothing between frames, and frames as large as pictures. For comparison; Qwen3-VL's has no system prompt.
PUBLISHED_INFERENCE: dict[str, Any] = {
    "template": "qwen_assistant",
    "frame_separator": "",
    "frame_min_pixels": 512 * _TOKEN,
    "frame_max_pixels": 2048 * _TOKEN,
}


@dataclass(frozen=True)
class QwenVLProcessor:
    """Preprocessing of a Qwen2.5-VL or Qwen3-VL: pictures keep their aspect ratio, frames are pictures.

    Attributes:
        tokenizer: a transformers tokenizer that knows ``<|vision_start|>``, ``<|vision_end|>`` and ``<|image_pad|>``.
        template: the chat template.
        settings: pixel limits and colour statistics.
        patch: side of a patch in pixels.
        merge: ``merge²`` patches are one visual token.
        repeats: frames that a patch spans; a picture stands so often in it.
    """

    tokenizer: Any
    template: ChatTemplate
    settings: QwenVLSettings
    patch: int
    merge: int
    repeats: int
    context_token: str = CONTEXT

    def media_token_count(self, media: Media) -> int:
        """Number of ``<|image_pad|>`` in the placeholder."""
        height, width = self._size(media)
        return len(media.frames) * height * width // (self.patch * self.merge) ** 2

    def prepare_media(self, media: Media) -> PreparedMedia:
        """Patches and placeholder of a picture or video.

        Returns:
            ``tensors``: ``pixel_values`` float32 ``[patches,3 * repeats * patch²]`` and ``image_grid_thw`` int64
            ``[T,3]``, each frame's grid of patches (1, rows, columns); as transformers' processors make them.
        """
        size = self._size(media)
        statistics = (self.settings.image_mean, self.settings.image_std)
        patches = patch_rows(resized_frames(media.frames, size), self.patch, self.merge, self.repeats, *statistics)
        rows, columns = size[0] // self.patch, size[1] // self.patch
        grid = (rows // self.merge, columns // self.merge)
        frame = VISION_START + CONTEXT * (grid[0] * grid[1]) + VISION_END
        return PreparedMedia(
            placeholder=self.settings.frame_separator.join([frame] * len(media.frames)),
            tensors={
                "pixel_values": patches,
                "image_grid_thw": torch.tensor([[1, rows, columns]]).repeat(len(media.frames), 1),
            },
            grid=grid,
        )

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        """Regions bool ``[R,H,W]`` on the grid of visual tokens, bool ``[R,h,w]``.

        Each has one cell at least and ``settings.region_max_tokens`` at most.
        """
        return thinned_cells(region_cells(regions, grid), self.settings.region_max_tokens)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the tokenizer and the file that transformers' own processor reads, with the limits for pictures."""
        self.tokenizer.save_pretrained(folder)
        Qwen2VLImageProcessorPil(
            min_pixels=self.settings.min_pixels,
            max_pixels=self.settings.max_pixels,
            patch_size=self.patch,
            merge_size=self.merge,
            temporal_patch_size=self.repeats,
            image_mean=list(self.settings.image_mean),
            image_std=list(self.settings.image_std),
        ).save_pretrained(folder)

    def _size(self, media: Media) -> tuple[int, int]:
        """Height and width that each frame is brought to."""
        height, width = media.frames.shape[1:3]
        settings = self.settings
        limits = (settings.min_pixels, settings.max_pixels)
        if media.kind == "video":
            limits = (settings.frame_min_pixels, settings.frame_max_pixels)
        try:
            return fitted_size(height, width, self.patch * self.merge, *limits)
        except ValueError as error:
            raise UserError(f"{media.name or media.kind}: {error}; crop it") from None


def thinned_cells(cells: torch.Tensor, most: int) -> torch.Tensor:
    """Leaves so many cells of each region, spread evenly over it; smaller regions stay as they are.

    Cells go in the order of Bayer's dither matrix (1973): what is left is a lattice with some of its gaps filled.

    Args:
        cells: bool ``[R,h,w]``.
        most: cells of a region.

    Returns:
        bool ``[R,h,w]``.

    >>> thinned_cells(torch.ones(1, 4, 4, dtype=torch.bool), 4)[0].int().tolist()
    [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    """
    height, width = cells.shape[1:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    place = torch.zeros(height, width, dtype=torch.long)
    for bit in range(max(height, width).bit_length()):
        row, column = rows >> bit & 1, columns >> bit & 1
        place = 4 * place + 2 * (row ^ column) + row
    order = place.flatten().argsort()  # no two places are the same
    kept = torch.zeros_like(cells).flatten(1)
    for region, left in zip(cells.flatten(1), kept, strict=True):
        left[order[region[order]][:most]] = True
    return kept.view_as(cells)


def read_picture_statistics(folder: Path, vision: Any) -> dict[str, tuple[float, ...]]:
    """``image_mean`` and ``image_std`` as the folder's own processor has them; empty where it has none.

    Args:
        folder: in transformers' layout.
        vision: the vision tower's configuration, with which the processor must agree.

    Raises:
        UserError: patches of another size than the vision tower's.
    """
    for file in (folder / PICTURE_FILE, folder / PROCESSOR_FILE):
        if file.is_file():
            break
    else:
        return {}
    known = json.loads(file.read_text())
    known = known.get("image_processor", known)
    wanted = {
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "temporal_patch_size": vision.temporal_patch_size,
    }
    for name, value in wanted.items():
        if known.get(name, value) != value:
            raise UserError(f"{file}: {name} is {known[name]}, but the vision tower of config.json has {value}")
    return {name: tuple(known[name]) for name in ("image_mean", "image_std") if known.get(name)}

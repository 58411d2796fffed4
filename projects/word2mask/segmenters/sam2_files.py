"""SAM 2 on disk: transformers' folder, Meta's own ``.pt``, or a file of safetensors in either's names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from word2mask.errors import UserError
from word2mask.segmenters.architectures import released_sam2, sam2_config
from word2mask.segmenters.sam2_image_part import is_image_part, with_blank_memory
from word2mask.segmenters.sam2_keys import from_meta, is_meta
from word2mask.segmenters.tensor_files import READERS, State, built_from_state, read_model_type, read_safetensors

__all__ = ["ORIGINAL_DECODER_FILE", "SAM2Files", "build_sam2", "read_sam2"]

#: The decoder as it was before training, beside ``model.safetensors`` of a folder.
ORIGINAL_DECODER_FILE = "original_mask_decoder.safetensors"


class SAM2Files(NamedTuple):
    """What was read.

    Attributes:
        config: transformers' configuration.
        state: of a ``Sam2VideoModel``.
        original_decoder: of its mask decoder as it was before training, if the folder has it.
    """

    config: Sam2VideoConfig
    state: State
    original_decoder: State | None


def read_sam2(path: str | Path) -> SAM2Files:
    """Reads a folder or file; see :meth:`word2mask.segmenters.sam2.SAM2Segmenter.from_pretrained`.

    Raises:
        UserError: nothing there, a file of another kind, or tensors that aren't those of a SAM 2.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; give Meta's .pt, or a folder with config.json and weights")
    if path.suffix not in READERS:
        raise UserError(f"{path}: SAM 2 is read from a folder, a .pt or a .safetensors file, not from {path.suffix!r}")
    tensors = READERS[path.suffix](path)
    has_memory = not (is_meta(tensors) and is_image_part(tensors))
    state = from_meta(tensors, complete=has_memory, source=str(path)) if is_meta(tensors) else tensors
    size, version = released_sam2(state, str(path))
    config = sam2_config(size, version=version)
    return SAM2Files(config, state if has_memory else with_blank_memory(state, config), None)


def build_sam2(files: SAM2Files, dtype: torch.dtype, source: str) -> Sam2VideoModel:
    """The model, with every weight given and none left over.

    Raises:
        UserError: weights that don't fit the configuration.
    """
    return built_from_state(Sam2VideoModel, files.config, files.state, dtype, source)


def _read_folder(folder: Path) -> SAM2Files:
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise UserError(
                f"{file}: no such file; give a folder that SAM2Segmenter.save_pretrained wrote, or Meta's .pt file"
            )
    family = read_model_type(config_file)
    if family != "sam2_video":
        raise UserError(f"{config_file}: model_type is {family!r}, expected 'sam2_video'; give the folder of a SAM 2")
    decoder = folder / ORIGINAL_DECODER_FILE
    return SAM2Files(
        Sam2VideoConfig.from_pretrained(folder, local_files_only=True),
        read_safetensors(weights),
        read_safetensors(decoder) if decoder.is_file() else None,
    )

"""SAM 2 on disk: transformers' folder, Meta's own ``.pt``, or a file of safetensors in either's names."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.utils import logging as transformers_logging

from word2mask.errors import UserError
from word2mask.segmenters.architectures import released_sam2, sam2_config
from word2mask.segmenters.sam2_keys import from_meta, is_meta

__all__ = ["ORIGINAL_DECODER_FILE", "SAM2Files", "build_sam2", "read_sam2"]

State = dict[str, torch.Tensor]

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
    readers = {".pt": _read_pickle, ".pth": _read_pickle, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise UserError(f"{path}: SAM 2 is read from a folder, a .pt or a .safetensors file, not from {path.suffix!r}")
    tensors = readers[path.suffix](path)
    state = from_meta(tensors, source=str(path)) if is_meta(tensors) else tensors
    size, version = released_sam2(state, str(path))
    return SAM2Files(sam2_config(size, version=version), state, None)


def build_sam2(files: SAM2Files, dtype: torch.dtype, source: str) -> Sam2VideoModel:
    """The model, with every weight given and none left over.

    Raises:
        UserError: weights that don't fit the configuration.
    """
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model, info = Sam2VideoModel.from_pretrained(
            None, config=files.config, state_dict=files.state, dtype=dtype, output_loading_info=True
        )
    except RuntimeError as error:
        raise UserError(f"{source}: weights and configuration don't fit: {error}") from None
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = {kind: sorted(map(str, info[kind])) for kind in kinds if info.get(kind)}
    if wrong:
        raise UserError(f"{source}: weights and configuration don't fit: {wrong}")
    return model


def _read_folder(folder: Path) -> SAM2Files:
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise UserError(
                f"{file}: no such file; give a folder that SAM2Segmenter.save_pretrained wrote, or Meta's .pt file"
            )
    try:
        family = json.loads(config_file.read_text()).get("model_type")
    except ValueError as error:
        raise UserError(f"{config_file}: can't be read ({error})") from None
    if family != "sam2_video":
        raise UserError(f"{config_file}: model_type is {family!r}, expected 'sam2_video'; give the folder of a SAM 2")
    decoder = folder / ORIGINAL_DECODER_FILE
    return SAM2Files(
        Sam2VideoConfig.from_pretrained(folder, local_files_only=True),
        _read_safetensors(weights),
        _read_safetensors(decoder) if decoder.is_file() else None,
    )


def _read_safetensors(file: Path) -> State:
    try:
        # Copies, because tensors lie in the file at any address, and where one lies decides which kernel runs.
        return {name: tensor.clone() for name, tensor in load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: can't be read as safetensors ({error}); get the file again") from None


def _read_pickle(file: Path) -> State:
    """Meta's files are ``{"model": {name: tensor}}``; nothing but tensors and plain values is admitted."""
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{file}: not weights that torch can read safely ({reason}); get the file again") from None
    tensors = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise UserError(f"{file}: expected Meta's checkpoint, a dictionary of tensors under 'model'")
    return tensors

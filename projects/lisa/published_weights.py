"""What LISA's own training leaves, the pytorch_model.bin of DeepSpeed's zero_to_fp32.py → a LISA, adapters merged.

Its names are peft's around the published ones: ``base_model.model.<name>``, adapters as ``<layer>.lora_A.default`` and
``lora_B.default`` beside the layer, which newer releases of peft call ``<layer>.base_layer``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lisa.flags import dtype_of
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG

__all__ = ["load_published", "merged_state"]

PREFIX = "base_model.model."
_DOWN, _UP, _BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer.weight"


def merged_state(tensors: dict[str, torch.Tensor], path: Path, rank: int, alpha: float) -> dict[str, torch.Tensor]:
    """The weights in published names, each adapter added into its layer.

    Args:
        tensors: as the file has them.
        path: of the file, for messages.
        rank: of the adapters, which the file shows and the flags must agree with.
        alpha: their weight is ``alpha / rank``.

    Raises:
        UserError: another rank, an adapter without its layer, or names that aren't LISA's.
    """
    state = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    layers = [name.removesuffix(_DOWN) for name in state if name.endswith(_DOWN)]
    for layer in layers:
        down, up = state.pop(layer + _DOWN), state.pop(layer + _UP, None)
        name = next((found for found in (layer + _BASE, layer + ".weight") if found in state), None)
        if up is None or name is None:
            raise UserError(f"{path}: {layer} has an adapter without its layer; run zero_to_fp32.py again")
        if len(down) != rank:
            raise UserError(
                f"{path}: its adapters are of rank {len(down)}, --lora_r is {rank}; give --lora_r={len(down)}"
            )
        weight = state.pop(name)
        state[layer + ".weight"] = (weight.float() + alpha / rank * up.float() @ down.float()).to(weight.dtype)
    state = {name.replace(".base_layer.", "."): tensor for name, tensor in state.items()}
    for needed in ("lm_head.weight", "model.text_hidden_fcs.0.0.weight"):
        if needed not in state:
            raise UserError(f"{path}: no {needed} in it; expected what zero_to_fp32.py made of a LISA's checkpoint")
    return state


def load_published(path: Path, arguments: argparse.Namespace) -> Any:
    """The model that a file of DeepSpeed's and the base at ``--version`` describe.

    Args:
        path: the file.
        arguments: of the command that merges.

    Raises:
        UserError: a file that can't be read, or a base that isn't in LLaVA's own layout.
    """
    from word2mask.mllms.llava_layout import is_original
    from word2mask.mllms.llava_processor import IMAGE_MARKS
    from word2mask.mllms.tokenizer_files import read_tokenizer
    from word2mask.models.folder import load_grounded
    from word2mask.segmenters.tensor_files import read_pickle

    state = merged_state(read_pickle(path), path, arguments.lora_r, arguments.lora_alpha)
    config_file = arguments.version / "config.json"
    raw = json.loads(config_file.read_text()) if config_file.is_file() else {}
    if not is_original(raw):
        raise UserError(
            f"{config_file}: no LLaVA in its own layout (with mm_vision_tower), where LISA's own training starts; "
            "give --version that folder"
        )
    raw |= dict(
        architectures=["LISAForCausalLM"],
        train_mask_decoder=arguments.train_mask_decoder,
        out_dim=len(state["model.text_hidden_fcs.0.2.bias"]),
        mm_use_im_start_end=arguments.use_mm_start_end,
    )
    tower = arguments.vision_tower or next(
        (place for place in (arguments.version.parent / Path(raw["mm_vision_tower"]).name,) if place.is_dir()), None
    )
    with tempfile.TemporaryDirectory(prefix="lisa-") as name:
        folder = Path(name)
        tokenizer = read_tokenizer(arguments.version)
        tokenizer.add_tokens(SEG)
        if arguments.use_mm_start_end:
            tokenizer.add_tokens(list(IMAGE_MARKS), special_tokens=True)
        tokenizer.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(raw))
        save_file({key: value.contiguous().clone() for key, value in state.items()}, folder / "model.safetensors")
        return load_grounded(folder, dtype=dtype_of(arguments.precision), vision_tower=tower)

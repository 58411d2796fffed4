"""A LISA folder, or one of ours, as a session: which device, which precision, quantised or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lisa.flags import check_widths, dtype_of
from word2mask.errors import UserError

__all__ = ["add_quantisation", "in_precision", "open_session"]


def add_quantisation(parser: argparse.ArgumentParser) -> None:
    """``--load_in_4bit`` and ``--load_in_8bit``, one of them at most, and where to run."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--load_in_8bit", action="store_true", help="language model in 8 bits (CUDA, bitsandbytes)")
    group.add_argument("--load_in_4bit", action="store_true", help="language model in 4 bits (CUDA, bitsandbytes)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: CUDA where there is one)")


def in_precision(model: Any, precision: str) -> Any:
    """The model with all weights in one precision, as it is asked; in place.

    Under fp16 SAM stays in fp32: its last layers leave the range of half precision.
    """
    model.to(dtype_of(precision))
    if precision == "fp16":
        model.segmenter.float()
    return model


def require_folder(version: Path) -> None:
    """Raise UserError unless ``--version`` is a folder here: nothing is downloaded, whatever it is called.

    A relative path of two words may be a name on the Hugging Face Hub, as LISA's own default is.
    """
    if version.is_dir():
        return
    is_name = not version.is_absolute() and len(version.parts) == 2 and version.parts[0] not in (".", "..", "~")
    if is_name and not version.parent.is_dir():
        local = f"pretrained/{version.name}"
        raise UserError(
            f"--version={version}: no such folder here, and names on the Hugging Face Hub aren't downloaded; fetch it "
            f"where there is a network (hf download {version} --local-dir {local}, and CLIP likewise: "
            "openai/clip-vit-large-patch14 to pretrained/clip-vit-large-patch14) and give "
            f"--version={local}"
        )
    raise UserError(
        f"--version={version}: no such model folder; give one that merge_lora_weights_and_save_hf_model.py wrote"
    )


def open_session(arguments: argparse.Namespace) -> Any:
    """The model behind ``--version``, ready to be asked.

    Raises:
        UserError: a folder that isn't one, a device that isn't there, or a way of loading that can't be had here.
    """
    import torch

    from word2mask.inference.session import Session
    from word2mask.models.folder import load_grounded

    require_folder(arguments.version)
    has_cuda = torch.cuda.is_available()
    name = arguments.device or ("cuda" if has_cuda else "cpu")
    if name.startswith("cuda") and not has_cuda:
        raise UserError(f"--device {name}: torch sees no CUDA device; use --device cpu")
    bits = 4 if arguments.load_in_4bit else 8 if arguments.load_in_8bit else None
    if bits is not None and not name.startswith("cuda"):
        raise UserError(
            f"--load_in_{bits}bit needs a CUDA device, and this would run on {name}; leave it out (--precision bf16 "
            "halves the memory here too)"
        )
    model = load_grounded(
        arguments.version,
        device="cpu" if bits else name,
        dtype=dtype_of(arguments.precision),
        vision_tower=arguments.vision_tower,
    )
    check_widths(model.segmenter, arguments)
    in_precision(model, arguments.precision)
    if bits is not None:
        from word2mask.mllms.quantised import quantise

        quantise(model.mllm, bits)
    return Session(model.to(name))

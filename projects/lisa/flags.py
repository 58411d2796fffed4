"""LISA's flags that several of its commands share, and what they mean to ours."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from word2mask.errors import UserError

__all__ = ["CONFIG", "add_lora", "add_model", "check_widths", "dtype_of", "switch", "training_config"]

#: What the flags change.
CONFIG = Path(__file__).resolve().parent / "configs" / "lisa_7b.py"


def switch(parser: argparse.ArgumentParser, name: str, default: bool, what: str) -> None:
    """A flag that can be turned off: ``--name`` and ``--no-name``."""
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=what)


def add_model(parser: argparse.ArgumentParser, version: str | None) -> None:
    """Flags that say which model, in which precision."""
    required = {"required": True} if version is None else {"default": version}
    parser.add_argument("--version", type=Path, **required, help="folder of the model")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16", help="of the weights")
    parser.add_argument("--image_size", type=int, help="side of SAM's input, which its weights fix: 1024")
    parser.add_argument("--model_max_length", type=int, default=512, help="longest sequence, the picture's tokens too")
    parser.add_argument(
        "--vision-tower", "--vision_tower", type=Path, help="folder of CLIP (default: where the model's config says)"
    )
    parser.add_argument("--conv_type", choices=["llava_v1", "llava_llama_2"], help="chat template (default: llava_v1)")
    # Launchers give it to every process; where it runs is known from the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def add_lora(parser: argparse.ArgumentParser) -> None:
    """Flags of what trains, which the step that merges must be given alike."""
    parser.add_argument(
        "--vision_pretrained", type=Path, required=True, help="Meta's file of SAM, sam_vit_h_4b8939.pth"
    )
    parser.add_argument("--out_dim", type=int, help="width of a prompt, which SAM's weights fix: 256")
    parser.add_argument("--lora_r", type=int, default=8, help="rank of the adapters; 0 for none")
    parser.add_argument("--lora_alpha", type=int, default=16)
    parser.add_argument("--lora_dropout", type=float, default=0.05)
    parser.add_argument("--lora_target_modules", default="q_proj,v_proj", help="layers with adapters")
    switch(parser, "train_mask_decoder", True, "train SAM's mask decoder (default: on)")
    switch(parser, "use_mm_start_end", True, "marks around the picture's tokens (default: on)")


def training_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The config of LISA-7B with the model that the flags of :func:`add_model` and :func:`add_lora` describe.

    Raises:
        UserError: a flag that contradicts SAM.
    """
    from word2mask.engine.config import load_config

    config = load_config(CONFIG)
    mllm, plan = config["model"]["mllm"], config["model"]["trainable"]
    mllm.update(
        folder=str(arguments.version),
        dtype=dtype_of(arguments.precision),
        max_length=arguments.model_max_length,
        image_marks=arguments.use_mm_start_end,
        template=arguments.conv_type or "llava_v1",
    )
    if arguments.vision_tower is not None:
        mllm["vision_tower"] = str(arguments.vision_tower)
    config["model"]["segmenter"]["folder"] = str(arguments.vision_pretrained)
    groups = ["embeddings", "lm_head", "projector"] + ["mask_decoder"] * arguments.train_mask_decoder
    plan.update(
        lora_rank=arguments.lora_r,
        lora_alpha=arguments.lora_alpha,
        lora_dropout=arguments.lora_dropout,
        lora_layers=tuple(arguments.lora_target_modules.split(",")),
        train=tuple(groups),
    )
    config["precision"] = arguments.precision
    return config


def dtype_of(precision: str) -> Any:
    """torch's name of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def check_widths(segmenter: Any, arguments: argparse.Namespace) -> None:
    """Raise UserError where ``--image_size`` or ``--out_dim`` isn't the segmenter's own."""
    for flag, own in (("image_size", segmenter.side), ("out_dim", segmenter.prompt_dim)):
        given = getattr(arguments, flag, None)
        if given is not None and given != own:
            raise UserError(f"--{flag} is {given}, but this SAM has {own}, which its weights fix; give {own}")

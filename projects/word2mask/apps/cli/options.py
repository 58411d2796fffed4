"""Options that several subcommands share: which model, where and how it runs, and how answers are written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from word2mask.errors import UserError
from word2mask.types import Generation

if TYPE_CHECKING:
    from word2mask.inference.session import Session

__all__ = [
    *("add_generation", "add_model", "find_model", "generation_of", "open_session", "session_options", "usable_device"),
]

#: Names of the weights' precision; ``auto`` keeps the files' own.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The model, and how it runs."""
    parser.add_argument("model", metavar="MODEL", help="folder of an exported model, or the name of one in pretrained/")
    group = parser.add_argument_group("model")
    group.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    group.add_argument(
        "--dtype", choices=PRECISIONS, default="auto", help="precision of the weights (default: the files')"
    )
    group.add_argument(
        "--key-frames",
        type=int,
        default=5,
        metavar="N",
        help="frames of a video that the language model sees (default 5)",
    )
    group.add_argument(
        "--key-frame-choice",
        type=_key_frame_choice,
        default="uniform",
        metavar="HOW",
        help="uniform (default), first, every:N for every N-th frame, or the frames themselves: 0,40,80",
    )
    group.add_argument(
        "--threshold", type=float, default=0.5, help="probability from which a pixel belongs (default 0.5)"
    )
    group.add_argument(
        "--procedure",
        choices=("sa2va-i", "sa2va", "masks"),
        default="sa2va-i",
        help="how a video's masks come about; sa2va is for parity with the published code, masks follows each mask "
        "from frame to frame and needs no memory of the segmenter (LISA's SAM, SAM 2's image part)",
    )


def add_generation(parser: argparse.ArgumentParser) -> None:
    """How answers are written."""
    group = parser.add_argument_group(
        "answer", "The likeliest words are taken; --temperature, --top-p or --top-k draw."
    )
    group.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="longest answer (default 256)")
    group.add_argument("--temperature", type=float, metavar="X", help="draw; above 1 is bolder, below 1 is safer")
    group.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest tokens of this probability")
    group.add_argument("--top-k", type=int, metavar="K", help="draw from this many likeliest tokens")
    group.add_argument(
        "--num-beams", type=int, default=1, metavar="N", help="answers followed side by side (default 1)"
    )
    group.add_argument("--seed", type=int, help="of the drawing")


def generation_of(arguments: argparse.Namespace) -> Generation:
    """The settings of :func:`add_generation`.

    Raises:
        UserError: values that don't go, alone or together.
    """
    drawn = {
        name: getattr(arguments, name)
        for name in ("temperature", "top_p", "top_k")
        if getattr(arguments, name) is not None
    }
    return Generation(
        max_new_tokens=arguments.max_new_tokens,
        do_sample=bool(drawn),
        num_beams=arguments.num_beams,
        seed=arguments.seed,
        **drawn,
    )


def find_model(name: str) -> Path:
    """The folder of a model: a path, or a name in ``pretrained/`` of the working directory.

    Raises:
        UserError: neither is there.
    """
    path, known = Path(name).expanduser(), Path("pretrained") / name
    if path.exists():
        return path
    if known.is_dir():
        return known
    raise UserError(
        f"{name}: no such model folder, and none of this name in pretrained/; give a folder that convert_to_hf.py wrote"
    )


def session_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a session is made with, besides its model, in plain types."""
    names = ("key_frames", "key_frame_choice", "threshold", "procedure")
    return {name: getattr(arguments, name) for name in names}


def open_session(arguments: argparse.Namespace) -> Session:
    """The session of :func:`add_model`.

    Raises:
        UserError: no such model or device, or settings that don't go with the model.
    """
    folder = find_model(arguments.model)
    import torch

    from word2mask.inference.session import Session

    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return Session.from_pretrained(
        folder,
        device=usable_device(arguments.device),
        dtype=precisions.get(arguments.dtype),
        **session_options(arguments),
    )


def usable_device(name: str) -> Any:
    """The torch device.

    Raises:
        UserError: it isn't there.
    """
    import torch

    try:
        found = torch.device(name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r} can't be used ({str(error).splitlines()[0]}); try --device cpu") from None
    return found


def _key_frame_choice(text: str) -> str | int | list[int]:
    """``uniform``, ``first``, ``every:N`` or frames with commas between."""
    if text in ("uniform", "first"):
        return text
    try:
        if text.startswith("every:"):
            return int(text.removeprefix("every:"))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected uniform, first, every:N, or frames with commas between, e.g. 0,40,80"
        ) from None

"""A checkpoint of ``train_ds.py`` → a LISA folder, adapters merged into the weights.

    python projects/lisa/merge_lora_weights_and_save_hf_model.py --version=PATH_TO_LLAVA \\
        --vision_pretrained=PATH_TO_SAM --weight=runs/lisa-7b/iter_5000.pth --save_path=./LISA-7B

``--weight`` may also be what LISA's own training left: the ``pytorch_model.bin`` that DeepSpeed's ``zero_to_fp32.py``
makes of its ``ckpt_model``, or the folder that holds it. The flags of the adapters must be those of the training.
``--layout published`` (the default) is LISA's own layout, without CLIP; ``--layout word2mask`` is ours, with
everything. The folder appears when it is complete. Exit code 2 and one sentence when something has to be put right.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "projects"))

from lisa.flags import add_lora, add_model, check_widths, dtype_of, training_config  # noqa: E402
from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("merge")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Merge a LISA's adapters and save it as a Hugging Face folder.")
    add_model(parser, None)
    add_lora(parser)
    parser.add_argument("--vis_save_path", type=Path, help="accepted as LISA's; nothing is drawn")
    parser.add_argument(
        "--weight",
        type=Path,
        required=True,
        help="checkpoint that train_ds.py wrote, or pytorch_model.bin of DeepSpeed's zero_to_fp32.py (or its folder)",
    )
    parser.add_argument("--save_path", type=Path, required=True, help="folder to write")
    parser.add_argument("--layout", choices=["published", "word2mask"], default="published")
    parser.add_argument("--overwrite", action="store_true", help="replace --save_path when it isn't empty")
    return parser.parse_args(arguments)


def weight_file(path: Path) -> Path:
    """The file behind ``--weight``.

    Raises:
        UserError: there is none.
    """
    found = path / "pytorch_model.bin" if path.is_dir() else path
    if found.is_file():
        return found
    if path.is_dir() and any(path.glob("**/*optim_states.pt")):
        raise UserError(
            f"{path}: DeepSpeed's parts, not put together; run its own zero_to_fp32.py there "
            "(python zero_to_fp32.py . pytorch_model.bin) and give --weight=pytorch_model.bin"
        )
    raise UserError(
        f"{path}: no such checkpoint; give one that train_ds.py wrote (iter_N.pth, best.pth), or the pytorch_model.bin "
        "that DeepSpeed's zero_to_fp32.py made"
    )


def merge(arguments: argparse.Namespace) -> None:
    """Build, read, merge, write.

    Raises:
        UserError: a checkpoint that isn't there or doesn't fit the flags, or a folder that can't be written.
    """
    from lisa.published_weights import load_published
    from word2mask.engine.build import build
    from word2mask.engine.checkpoint import load_trained
    from word2mask.engine.config import check_settings
    from word2mask.export.folder import new_folder, save_hf
    from word2mask.export.published_lisa import save_lisa

    weight = weight_file(arguments.weight)
    with new_folder(arguments.save_path, arguments.overwrite) as folder:
        if weight.suffix == ".bin":
            model = load_published(weight, arguments)
            check_widths(model.segmenter, arguments)
        else:
            settings = check_settings(training_config(arguments), "the flags")
            model = build(settings.model, path="config.model")
            check_widths(model.segmenter, arguments)
            load_trained(model, weight)
            model.merge()
        model.to(dtype_of(arguments.precision))
        provenance = {"base": arguments.version.name, "checkpoint": weight.name}
        if arguments.layout == "published":
            tower = {} if arguments.vision_tower is None else {"vision_tower": str(arguments.vision_tower)}
            save_lisa(model, folder, provenance, **tower)
        else:
            save_hf(model, folder, provenance)


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    # Of others only warnings: huggingface_hub would name the temporary folder.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("word2mask", logger.name):
        logging.getLogger(name).setLevel(logging.INFO)
    arguments = parse_arguments()
    try:
        merge(arguments)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logger.info("written to %s; ask it with: python projects/lisa/chat.py --version=%s", *[arguments.save_path] * 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())

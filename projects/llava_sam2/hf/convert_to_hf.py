"""A training checkpoint → a Hugging Face folder, adapters merged into the weights.

    python projects/llava_sam2/hf/convert_to_hf.py CONFIG --pth-model PTH --save-path DIR [--layout published]

``--layout published`` writes the layout in which ByteDance publishes Sa2VA, for programs that were written for it; its
``.py`` files are not written (the model card says where they come from). word2mask reads both layouts, and
``tools/convert_to_pth.py`` goes back. The folder appears when it is complete. Relative paths inside of the config
(data, weights) start at the repository's root, or at ``--root``; relative paths on the command line start where the
command is given. Exit code 2 and one sentence when something has to be put right.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("convert_to_hf")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Turn a training checkpoint into a Hugging Face folder.")
    parser.add_argument("config", type=Path, help="config that the model was trained with")
    parser.add_argument("--pth-model", type=Path, required=True, help="checkpoint, iter_N.pth")
    parser.add_argument("--save-path", type=Path, required=True, help="folder to write")
    parser.add_argument("--layout", choices=("word2mask", "published"), default="word2mask", help="of the folder")
    parser.add_argument("--overwrite", action="store_true", help="replace --save-path when it isn't empty")
    parser.add_argument("--max-shard-size", default="5GB", help="larger weights are written in several files")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of the config start")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config, as in training"
    )
    return parser.parse_args(arguments)


def convert(arguments: argparse.Namespace) -> Path:
    """Builds the model of the config, reads the checkpoint, merges and writes.

    Returns:
        the folder.

    Raises:
        UserError: a missing or foreign checkpoint, a config that can't be read, a folder that can't be written.
    """
    config, checkpoint, target = (
        path.absolute() for path in (arguments.config, arguments.pth_model, arguments.save_path)
    )
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such checkpoint; give an iter_N.pth that tools/train.py wrote")

    from word2mask.engine.build import build
    from word2mask.engine.checkpoint import load_trained
    from word2mask.engine.config import check_settings, load_config
    from word2mask.export.folder import new_folder, save_hf
    from word2mask.export.published import save_published
    from word2mask.models.grounded import GroundedMLLM

    with working_directory(arguments.root), new_folder(target, arguments.overwrite) as folder:
        settings = check_settings(load_config(config, arguments.cfg_options), config.name)
        model = build(settings.model, path="config.model")
        if not isinstance(model, GroundedMLLM):
            raise UserError(f"{config}: trains a {type(model).__name__}; only a GroundedMLLM can be converted")
        load_trained(model, checkpoint)
        model.merge()
        save = save_published if arguments.layout == "published" else save_hf
        save(
            model,
            folder,
            provenance={"config": config.name, "checkpoint": checkpoint.name},
            max_shard_size=arguments.max_shard_size,
        )
    return target


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Relative paths start at ``folder`` inside of the block."""
    before = Path.cwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be entered ({error.strerror}); give another --root") from None
    try:
        yield
    finally:
        os.chdir(before)


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    # Of others only warnings: huggingface_hub would name the temporary folder.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("word2mask", logger.name):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        target = convert(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    size = sum(entry.stat().st_size for entry in target.iterdir()) / 1e6
    logger.info(
        "written to %s (%.1f MB); ask it with: python tools/infer.py %s MEDIA TEXT --out DIR", target, size, target
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A Hugging Face folder, ours or a published Sa2VA, → a training checkpoint to start from (``initialise_from``).

    python tools/convert_to_pth.py FOLDER OUT.pth --config CONFIG

It is the way back of ``convert_to_hf.py``. The checkpoint has all weights, under the names of the model that CONFIG
builds: where that trains adapters, they begin at nothing. Without ``--config`` the names are those of a model without
adapters. Then:

    python tools/train.py CONFIG --cfg-options initialise_from=OUT.pth

Exit code 2 and one sentence when something has to be put right.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("convert_to_pth")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Turn a Hugging Face folder into a training checkpoint.")
    parser.add_argument("folder", type=Path, help="what convert_to_hf.py wrote, in either layout, or a published Sa2VA")
    parser.add_argument("target", type=Path, help="checkpoint to write, .pth")
    parser.add_argument("--config", type=Path, help="config of the run that is to start from it")
    parser.add_argument("--overwrite", action="store_true", help="replace the checkpoint when it is there")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of the config start")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config, as in training"
    )
    return parser.parse_args(arguments)


def convert(arguments: argparse.Namespace) -> Path:
    """Reads the folder, gives its weights to the config's model, and writes all of it.

    Returns:
        the checkpoint.

    Raises:
        UserError: a folder that can't be read or doesn't fit the config, a checkpoint that can't be written.
    """
    folder, target = arguments.folder.absolute(), arguments.target.absolute()
    config = None if arguments.config is None else arguments.config.absolute()
    if target.suffix != ".pth":
        raise UserError(f"{target}: the checkpoint's name must end in .pth")
    if target.exists() and not arguments.overwrite:
        raise UserError(f"{target} is there already; give another name, or --overwrite to replace it")

    from word2mask.engine.build import build
    from word2mask.engine.config import check_settings, load_config
    from word2mask.export.checkpoint import full_state, save_checkpoint
    from word2mask.models.folder import load_grounded

    state = load_grounded(folder).state_dict()
    if config is not None:
        os.chdir(arguments.root)
        settings = check_settings(load_config(config, arguments.cfg_options), config.name)
        state = full_state(state, build(settings.model, path="config.model"), str(folder))
    save_checkpoint(state, target, folder.name)
    return target


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        target = convert(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logger.info("written to %s (%.1f MB)", target, target.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())

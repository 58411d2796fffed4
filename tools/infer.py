"""Ask an exported model about a picture or a video.

    python tools/infer.py DIR MEDIA "text" --out DIR [--device cpu] [--key-frames 5] [--max-new-tokens 256]

MEDIA is a picture, a video file or a folder of frames. The folder given by --out appears when all is written:

    answer.json            the answer; for each object its phrase, scores, boxes and masks (COCO run lengths per frame)
    mask_01.png            a picture's masks at its own size; for a video masks_01/00000.png, … for each object
    overlay.png            the picture with its masks; for a video overlay.mp4, and strip.png with a few of its frames

It is ``word2mask ask`` with --out and takes all its options, --overwrite among them (docs/command_line.md). Exit code 2
and one sentence when something in the request has to be put right.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.apps.cli.ask import DESCRIPTION, add_arguments, run  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=DESCRIPTION)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    if options.out is None:
        parser.error("--out is missing: the folder to write")
    return options


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    try:
        return run(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())

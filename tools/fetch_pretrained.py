"""Bring pretrained parts that others publish, as pretrained/manifest.json lists them, and verify them.

    python tools/fetch_pretrained.py                 # what there is, and what of it is here
    python tools/fetch_pretrained.py NAME [NAME …]
    python tools/fetch_pretrained.py NAME --pin      # for a part whose hashes the manifest doesn't know yet

A download that was broken off is taken up where it broke. Where the source can't be reached, HF_ENDPOINT names a mirror
of the hub, WORD2MASK_MIRROR an address or folder with NAME/FILE below it; files that lie in place already are verified.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402
from word2mask.export.pretrained import fetch, read_parts  # noqa: E402


def main() -> int:
    """List, or fetch."""
    parser = argparse.ArgumentParser(description="Brings and verifies pretrained parts.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts to bring (default: list them)")
    parser.add_argument("--pin", action="store_true", help="write hashes that the manifest lacks, after showing them")
    parser.add_argument("--manifest", type=Path, default=REPOSITORY / "pretrained/manifest.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        for name in arguments.names:
            sys.stdout.write(f"{fetch(name, arguments.manifest, pin=arguments.pin)}\n")
        if not arguments.names:
            for name, part in read_parts(arguments.manifest).items():
                folder = arguments.manifest.parent / part.folder
                here = sum((folder / file).is_file() for file in part.files)
                pinned = "" if part.is_pinned else ", not pinned"
                sys.stdout.write(f"{name}  {here}/{len(part.files)} files here{pinned}  {part.what} ({part.licence})\n")
    except UserError as error:
        sys.stderr.write(f"fetch_pretrained: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

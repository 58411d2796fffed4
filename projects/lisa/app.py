"""LISA in the browser: the web page of this repository on a LISA folder.

    python projects/lisa/app.py --version=LISA_FOLDER --precision=fp16
    python projects/lisa/app.py --version=LISA_FOLDER --load_in_4bit    (or --load_in_8bit)

``--host``, ``--port``, ``--share`` and the limits on what visitors may bring are those of tools/app.py. It serves until
it is stopped with Ctrl-C. Exit code 2 and one sentence when something has to be put right.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "projects"))

from lisa.flags import add_model  # noqa: E402
from lisa.loading import add_quantisation, open_session  # noqa: E402
from word2mask.apps.ending import ends_when_told  # noqa: E402
from word2mask.apps.web.command import add_page, check_page, open_page  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="LISA in the browser.")
    add_model(parser, "xinlai/LISA-13B-llama2-v1")
    add_quantisation(parser)
    add_page(parser)
    return parser.parse_args(arguments)


def main() -> int:
    """Serve until it is stopped; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments()
    try:
        with ends_when_told():
            check_page(arguments)
            open_page(open_session(arguments), arguments.version.name, arguments)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

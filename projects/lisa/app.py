"""LISA in the browser, once there is a web app; says so until then.

    python projects/lisa/app.py --version=LISA_FOLDER --precision=fp16
    python projects/lisa/app.py --version=LISA_FOLDER --load_in_4bit    (or --load_in_8bit)

Exit code 2 and one sentence when something has to be put right; so it is while ``word2mask.apps.web`` isn't there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "projects"))

from lisa.flags import add_model  # noqa: E402
from lisa.loading import add_quantisation  # noqa: E402

#: Where the web app of this repository would be.
WEB_APP = "word2mask.apps.web"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="LISA in the browser.")
    add_model(parser, "xinlai/LISA-13B-llama2-v1")
    add_quantisation(parser)
    return parser.parse_args(arguments)


def main() -> int:
    """Say what can be done instead."""
    arguments = parse_arguments()
    state = "isn't there yet" if importlib.util.find_spec(WEB_APP) is None else "doesn't open LISA folders yet"
    sys.stderr.write(
        f"the web app ({WEB_APP}) {state}; ask in the terminal: "
        f"python projects/lisa/chat.py --version={arguments.version}\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())

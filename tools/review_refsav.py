"""Review annotated expressions in the browser: keep or drop, one object after another.

    python tools/review_refsav.py RUN --videos DIR [--count 200] [--seed 0] [--port 7870]

RUN is the folder that annotate_refsav.py wrote. Decisions are appended to RUN/decisions.jsonl (--decisions names
another file); annotate_refsav.py --decisions RUN/decisions.jsonl leaves out what was dropped. The page is served to
this machine alone unless --host says otherwise.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("review_refsav")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Review annotated expressions in the browser.")
    parser.add_argument("run", type=Path, help="folder that annotate_refsav.py wrote")
    parser.add_argument("--videos", type=Path, required=True, help="folder of the videos, as given to the annotation")
    parser.add_argument("--count", type=int, help="objects to draw; all without")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--decisions", type=Path, help="JSONL to append to; RUN/decisions.jsonl by default")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7870)
    return parser.parse_args(arguments)


def review(arguments: argparse.Namespace) -> None:
    """Serve until it is stopped."""
    from aiohttp import web

    from word2mask.apps.review.program import Review
    from word2mask.apps.review.samples import draw_samples

    samples = draw_samples(arguments.run / "dataset", arguments.count, arguments.seed)
    decisions = arguments.decisions or arguments.run / "decisions.jsonl"
    program = Review(samples, arguments.videos, decisions).application()
    logger.info("%d objects; http://%s:%d (Ctrl-C ends)", len(samples), arguments.host, arguments.port)
    try:
        web.run_app(program, host=arguments.host, port=arguments.port, print=None, access_log=None)
    except OSError as error:
        raise UserError(f"port {arguments.port}: {error.strerror}; give another --port") from None


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        review(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""An HTML page of evaluated runs: scores, then questions, answers and masks. One file that needs nothing else.

    python tools/report.py RUN_DIR [OTHER_RUN_DIR …] --out page.html [--labels "model" "language-blind twin"]

RUN_DIR is what ``tools/test.py`` wrote with ``--out``; the other runs stand beside it, column by column, and the second
one's answers also picture by picture. ``--note`` says on the page what they are. ``--compare`` says how much the first
two differ, with an interval from a paired bootstrap, and shows the samples in which they differ most. ``--json FILE``
writes the table of scores, and the comparison. Exit code 2: something to put right.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.apps.report.differences import differences_text  # noqa: E402
from word2mask.apps.report.files import write_whole  # noqa: E402
from word2mask.apps.report.page import Run, build_page, compare_runs, score_table  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="An HTML page of evaluated runs.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="evaluated with tools/test.py --out")
    parser.add_argument("--out", type=Path, required=True, help="the page, e.g. page.html")
    parser.add_argument("--labels", nargs="+", help="how to call the runs (default: the folders' names)")
    parser.add_argument("--note", default="", help="a sentence on the page about the runs: what the other one is")
    parser.add_argument(
        "--samples", type=int, default=6, help="random samples of each benchmark; as many best and worst together"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples' choice")
    parser.add_argument(
        "--root", type=Path, default=REPOSITORY, help="where relative paths of the benchmarks' data start"
    )
    parser.add_argument("--json", type=Path, help="also write the table of scores there")
    parser.add_argument("--compare", action="store_true", help="compare the first two runs sample by sample")
    parser.add_argument("--resamples", type=int, help="how often samples are drawn for an interval (default: 1000)")
    return parser.parse_args(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    labels = arguments.labels or [folder.resolve().name for folder in arguments.runs]
    if len(labels) != len(arguments.runs):
        raise UserError(f"{len(arguments.runs)} runs but {len(labels)} --labels")
    if len(set(labels)) != len(labels):
        raise UserError(f"the runs need different --labels, got {', '.join(labels)}")
    if arguments.samples < 1:
        raise UserError(f"--samples must be 1 or more, got {arguments.samples}")
    runs = [Run.load(folder.absolute(), label) for folder, label in zip(arguments.runs, labels, strict=True)]
    out, table = arguments.out.absolute(), arguments.json and arguments.json.absolute()
    os.chdir(arguments.root)
    compared = compare_runs(runs, arguments.resamples, arguments.seed) if arguments.compare else {}
    page = build_page(runs, arguments.samples, arguments.seed, comparisons=compared, note=arguments.note)
    write_whole(out, page)
    if table:
        content = score_table(runs)
        if compared:
            differences = [comparison.to_json() for comparison in compared.values()]
            content = {"runs": labels, "scores": content, "differences": differences}
        write_whole(table, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if compared:
        sys.stdout.write(differences_text(list(compared.values()), labels[0], labels[1]))
    sys.stdout.write(f"{arguments.out} ({len(page) / 1e6:.1f} MB)\n")


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    try:
        run(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

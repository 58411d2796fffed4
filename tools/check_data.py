"""Read every record of a config's mixture and of its evaluation splits, and say what is wrong with them.

    python tools/check_data.py CONFIG [--out DIR] [--workers N] [--limit N] [--sources NAME …]

Looks for pictures and videos that are missing or can't be decoded, masks that don't fit their picture or are empty,
answers and masks that don't match, conversations longer than the model takes, ids that occur twice, and pictures that
training and evaluation have in common. Writes ``report.html`` and ``findings.jsonl`` to DIR (default: ``data_check`` in
the config's work directory), and changes nothing else. Weights aren't read.

Exit codes: 0 no errors (warnings at most), 1 errors in the data, 2 a wrong command or config, 130 stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from rich.console import Console  # noqa: E402
from tqdm import tqdm  # noqa: E402

from word2mask.apps.report.data_page import build_page  # noqa: E402
from word2mask.apps.report.data_tables import tables  # noqa: E402
from word2mask.apps.report.files import write_whole  # noqa: E402
from word2mask.data.checking.findings import finding, to_json_lines  # noqa: E402
from word2mask.data.checking.reading import check_records  # noqa: E402
from word2mask.data.checking.survey import survey  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.engine.data_check import open_meter, open_parts  # noqa: E402
from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("check_data")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Check the data of a config's mixture and evaluation splits.")
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--out", type=Path, help="where the report goes (default: work_dirs/<config name>/data_check)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument("--limit", type=int, help="at most that many records a source, evenly spaced")
    parser.add_argument(
        "--passes", type=int, default=1, help="read training records that often, each time other texts and frames"
    )
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="only these sources and splits (refcoco:val)")
    parser.add_argument("--max-pictures", type=int, default=6, help="pictures shown of each source")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of the config start")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config"
    )
    return parser.parse_args(arguments)


class Progress:
    """A bar on stderr; a line every ten seconds where that is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._bar = self._bar or tqdm(total=total, desc="records", unit="record")
            self._bar.update(done - self._bar.n)
            if done == total:
                self._bar.close()
        elif done == total or time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            logger.info("%d of %d records", done, total)


def run(arguments: argparse.Namespace) -> int:
    """Check, write and show; the exit code."""
    for name, smallest in (("workers", 1), ("limit", 1), ("passes", 1), ("max_pictures", 0)):
        value = getattr(arguments, name)
        if value is not None and value < smallest:
            raise UserError(f"--{name.replace('_', '-')} must be {smallest} or more, got {value}")
    config = arguments.config.absolute()
    out = (arguments.out or arguments.root / "work_dirs" / config.stem / "data_check").absolute()
    os.chdir(arguments.root)
    settings = check_settings(load_config(config, arguments.cfg_options), config.name)
    opened = open_parts(settings, arguments.sources)
    meter, why_not = open_meter(settings)
    others = [] if meter else [finding("all sources", None, None, "not_measured", why_not)]
    start = time.monotonic()
    checks = check_records(
        opened.parts, meter, arguments.workers, arguments.limit, arguments.passes, progress=Progress()
    )
    found = survey(
        opened.parts,
        checks,
        opened.unopened,
        others,
        max_length=meter.max_length if meter else None,
        limit=arguments.limit,
        passes=arguments.passes,
        seconds=time.monotonic() - start,
    )
    page = build_page(found, opened.parts, str(arguments.config), arguments.max_pictures)
    write_whole(out / "findings.jsonl", to_json_lines(found.findings))
    write_whole(out / "report.html", page)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(tables(found))
    for path in (out / "report.html", out / "findings.jsonl"):
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 1 if found.count("error") else 0


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return run(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())

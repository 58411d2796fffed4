"""Pack the pictures and videos of a data set into tar shards with an index, for clusters that dislike many small files.

    python tools/shard_dataset.py FOLDER --out DIR [--shard-size 1G] [--workers N]
    python tools/shard_dataset.py CONFIG --out DIR [--sources NAME …]
    python tools/shard_dataset.py DIR --verify

Of a folder, DIR becomes a shard folder: ``shard-000000.tar`` … in WebDataset's layout, and ``index.tsv`` with offset,
size and sha256 of every file. It takes the folder's place, in a config (``image_folder="DIR"``) or on disk: files are
read by offset, without unpacking. Of a config, every folder that its mixture's sources read media from is packed, to
DIR/<the folder's path>.

Shards get their names when they are whole, and a run that was stopped goes on with the next one. What is packed stays
where it is. ``--verify`` reads everything again and compares.

Exit codes: 0 all is well, 1 ``--verify`` found damage, 2 a wrong command, folder or config, 130 stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from tqdm import tqdm  # noqa: E402

from word2mask.data import shards  # noqa: E402
from word2mask.data.files import ShardFolder  # noqa: E402
from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("shard_dataset")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pack the media of a data set into tar shards with an index.")
    parser.add_argument("source", type=Path, help="folder of media, or a config; with --verify a shard folder")
    parser.add_argument("--out", type=Path, help="where the shards go")
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="of a config, only these sources")
    parser.add_argument("--shard-size", default="1G", help="bytes of a shard, e.g. 500M (default: 1G)")
    parser.add_argument("--workers", type=int, default=1, help="processes that write a shard each (default: 1)")
    parser.add_argument("--verify", action="store_true", help="compare every member with its sha256, write nothing")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of a config start")
    return parser.parse_args(arguments)


def bytes_of(text: str) -> int:
    """A size such as ``500M``.

    Raises:
        UserError: it isn't one, or is 0.

    >>> bytes_of("2K")
    2048
    """
    found = re.fullmatch(r"(\d+)([KMGT]?)", text.upper())
    size = int(found[1]) << 10 * " KMGT".index(found[2] or " ") if found else 0
    if size < 1:
        raise UserError(f"--shard-size: expected a number of bytes such as 500M or 1G, got {text!r}")
    return size


def bar(total: int, name: str) -> tqdm:
    """A progress bar over bytes, on a terminal only."""
    return tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=not sys.stderr.isatty())


def folders_of(config: Path, root: Path, names: list[str] | None, out: Path) -> list[tuple[Path, Path]]:
    """The media folders of a config's mixture, none within another, and where each one's shards go.

    Raises:
        UserError: the config is wrong, or a source can't be opened.
    """
    from word2mask.engine.config import check_settings, load_config
    from word2mask.engine.data_check import open_parts

    os.chdir(root)
    opened = open_parts(check_settings(load_config(config), config.name), names)
    for label, role, found in opened.unopened:
        if role == "training":
            raise UserError(f"{label}: {found.message}")
    folders = {
        Path(os.path.abspath(folder))
        for part in opened.parts
        if part.role == "training"
        for folder in part.source.media_folders()
    }
    outermost = sorted(folder for folder in folders if not folders & set(folder.parents))
    if not outermost:
        raise UserError(f"{config}: its sources read no media")
    beginning = Path(os.path.abspath(root))
    return [(folder, out / os.path.relpath(folder, beginning).replace("../", "")) for folder in outermost]


def pack(folder: Path, out: Path, shard_size: int, workers: int) -> str:
    """Write the shards of one folder; what was done, in a sentence."""
    plan = shards.plan_shards(folder, out, shard_size)
    if shards.is_complete(plan):
        return f"{out}: complete already"
    out.mkdir(parents=True, exist_ok=True)
    left = [shard for shard in plan.shards if not shards.is_written(plan, shard)]
    needed, free = shards.total_size(left), shutil.disk_usage(out).free
    if needed > free:
        raise UserError(f"{out}: {needed / 2**30:.1f} GiB to write, {free / 2**30:.1f} GiB free")
    with bar(shards.total_size(plan.shards), folder.name) as shown:
        shown.update(shards.total_size(plan.shards) - needed)
        if workers == 1:
            for shard in left:
                shards.write_shard(plan, shard, shown.update)
        else:
            with ProcessPoolExecutor(workers) as pool:
                running = {pool.submit(shards.write_shard, plan, shard): shard for shard in left}
                for done in as_completed(running):
                    done.result()
                    shown.update(running[done].size)
    count = shards.finish(plan)
    return f"{out}: {count} files of {folder} in {len(plan.shards)} shards; it can take that folder's place"


def run(arguments: argparse.Namespace) -> int:
    """Pack or verify; the exit code."""
    if arguments.workers < 1:
        raise UserError(f"--workers must be 1 or more, got {arguments.workers}")
    source = arguments.source.absolute()
    if arguments.verify:
        total = sum(member.size for member in ShardFolder(source)) if (source / "index.tsv").is_file() else 0
        with bar(total, source.name) as shown:
            problems = shards.damaged(source, shown.update)
        for problem in problems:
            logger.info("%s", problem)
        logger.info("%s: %s", source, f"{len(problems)} damaged" if problems else "all as it was packed")
        return 1 if problems else 0
    if arguments.out is None:
        raise UserError("--out is missing: where should the shards go?")
    if arguments.sources and source.is_dir():
        raise UserError("--sources goes with a config, not with a folder")
    size, out = bytes_of(arguments.shard_size), arguments.out.absolute()
    is_config = source.suffix == ".py" and not source.is_dir()
    pairs = folders_of(source, arguments.root.absolute(), arguments.sources, out) if is_config else [(source, out)]
    for folder, target in pairs:
        logger.info("%s", pack(folder, target, size, arguments.workers))
    return 0


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return run(parse_arguments())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on with the next shard\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Train the model of a config.

    python tools/train.py CONFIG [--work-dir DIR] [--resume [CKPT|auto]] [--seed N] [--cfg-options data.batch_size=4 …]

Relative paths inside of a config (data, weights) start at the repository's root, or at ``--root``; relative paths on
the command line start where the command is given. Several processes: ``tools/dist.sh train CONFIG PROCESSES``.
Exit codes: 0 done, 2 something to put right (one sentence says what), 130 or 143 stopped by a signal after saving.

``--dry-run`` trains nothing: it shows what would train, on which data, for how many steps, in how much memory, and what
is missing on disk. It needs neither weights nor data. Exit codes: 0 all is there, 1 something is missing, 2 as above.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.engine.config import check_settings, load_config, missing_paths  # noqa: E402
from word2mask.engine.settings import TrainSettings  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the model of a config.")
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument(
        "--work-dir", type=Path, help="where checkpoints and logs go (default: work_dirs/<config name>)"
    )
    parser.add_argument(
        "--resume", nargs="?", const="latest", help="go on from the newest checkpoint, from a given one, or 'auto'"
    )
    parser.add_argument("--seed", type=int, help="replaces the config's")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="replaces the config's")
    parser.add_argument("--strategy", help="how processes share the work (default: the config's, ddp)")
    parser.add_argument(
        "--launcher", choices=["auto", "none", "pytorch"], default="auto", help="auto: pytorch under torchrun"
    )
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of the config start")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would train, on what, in how much memory, and what is missing"
    )
    parser.add_argument(
        "--gpus", type=int, help="with --dry-run: processes of the whole run (default: those of this command)"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config"
    )
    return parser.parse_args(arguments)


def read_settings(arguments: argparse.Namespace) -> TrainSettings:
    """The checked config with the command line's replacements."""
    config = load_config(arguments.config, arguments.cfg_options)
    settings = check_settings(config, arguments.config.name)
    given = {name: getattr(arguments, name) for name in ("seed", "device", "strategy")}
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def dry_run(settings: TrainSettings, gpus: int | None) -> int:
    """Show the plan of a run.

    Returns:
        0 when all that training needs is on disk, else 1.
    """
    from rich.console import Console

    from word2mask.engine.planning.plan import make_plan
    from word2mask.engine.planning.report import WIDTH, report

    if gpus is not None and gpus < 1:
        raise UserError(f"--gpus must be 1 or more, got {gpus}")
    plan = make_plan(settings, gpus or int(os.environ.get("WORLD_SIZE", "1")))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(report(plan))
    return 0 if plan.is_complete else 1


def run(arguments: argparse.Namespace) -> int:
    """Train, or show what would be trained; the exit code."""
    if arguments.dry_run and os.environ.get("RANK", "0") != "0":
        return 0
    if arguments.gpus is not None and not arguments.dry_run:
        raise UserError("--gpus only plans (--dry-run); to train on several, use tools/dist.sh train CONFIG PROCESSES")
    arguments.config = arguments.config.absolute()
    folder = (arguments.work_dir or arguments.root / "work_dirs" / arguments.config.stem).absolute()
    resume = arguments.resume
    if resume not in (None, "latest", "auto"):
        resume = str(Path(resume).absolute())
    os.chdir(arguments.root)
    settings = read_settings(arguments)
    if arguments.dry_run:
        return dry_run(settings, arguments.gpus)
    needed = [line for line in missing_paths(vars(settings)) if not line.startswith("evaluation.")]
    if needed:
        more = f" and {len(needed) - 3} more (--dry-run lists all)" if len(needed) > 3 else ""
        where = f"relative paths start at {arguments.root}"
        raise UserError(f"not on disk ({where}): {'; '.join(needed[:3])}{more}")
    from word2mask.engine.distributed import leave_processes
    from word2mask.engine.runner import train

    train(settings, folder, resume, arguments.launcher)
    leave_processes()
    return 0


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments()
    from word2mask.engine.distributed import tell
    from word2mask.engine.interruption import Interrupted, resume_command

    try:
        return run(arguments)
    except UserError as error:
        tell(error)
        return 2
    except Interrupted as stop:
        if os.environ.get("RANK", "0") == "0":
            sys.stderr.write(f"{stop}\nresume with: {resume_command(sys.argv)}\n")
        return 128 + stop.signal_number


if __name__ == "__main__":
    sys.exit(main())

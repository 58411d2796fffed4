"""What the small LISA learns on the embedded dataset, beside its language-blind twin: scores, times and memory.

    python benchmarks/lisa_shapes.py work_dirs/lisa_quickstart [--run] [--write benchmarks/lisa_shapes.md]

``--run`` trains and scores both, one core each, after the data; what is done already isn't done again. Without it, the
folder's numbers are shown. Nothing is computed anew: the scores come from the two results.json, the times from the
stages' records.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from quickstart import (
    BLIND_LIMIT,
    ROOT,
    SCORE_HEADINGS,
    STAGE_HEADINGS,
    commit,
    load,
    machine,
    markdown_table,
    replace_file,
    score_rows,
    show,
    stage_rows,
)

CONFIGS = {"": "projects/lisa/configs/lisa_shapes.py", "_blind": "projects/lisa/configs/lisa_shapes_blind.py"}


def run_stage(folder: Path, name: str, *command: object) -> None:
    """Runs a command from the repository's root, with its time and memory on record.

    Raises:
        SystemExit: the command failed; its end is shown.
    """
    measured = [sys.executable, "tools/measure.py", "--once", folder / f"stages/{name}.json", "--", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHON": sys.executable}
    done = subprocess.run(
        [str(word) for word in measured], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(f"{done.stderr[-4000:]}\nlisa_shapes: the stage {name!r} ended with code {done.returncode}\n")
        raise SystemExit(done.returncode)


def train_and_score(folder: Path, root: Path, suffix: str) -> None:
    """Both stages of one of the two."""
    config, work = CONFIGS[suffix], folder / f"train{suffix}"
    where = ("--root", root)
    run_stage(
        *(folder, f"train{suffix}", "bash", "tools/dist.sh", "train", config, 1, "--work-dir", work),
        *("--resume", "auto", *where),
    )
    run_stage(
        *(folder, f"evaluation{suffix}", "bash", "tools/dist.sh", "test", config, 1, "--work-dir", work),
        *("--out", folder / f"evaluation{suffix}", *where),
    )


def run(folder: Path, root: Path) -> None:
    """Data, then the two side by side."""
    (folder / "stages").mkdir(parents=True, exist_ok=True)
    run_stage(
        folder, "data", sys.executable, "tools/make_shapes_world.py", "--out", root.absolute() / "data/shapes_world"
    )
    with ThreadPoolExecutor(len(CONFIGS)) as pool:
        for one in [pool.submit(train_and_score, folder, root, suffix) for suffix in CONFIGS]:
            one.result()


def page(protocols: Sequence[tuple[str, str]], scores: Sequence[Sequence[str]], stages: Sequence[Sequence[str]]) -> str:
    """The committed table."""
    lines = [
        "# The small LISA",
        "",
        "`python benchmarks/lisa_shapes.py work_dirs/lisa_quickstart --run --write benchmarks/lisa_shapes.md`, at "
        f"commit {commit()} on {machine()}: `lisa_shapes.py` of [projects/lisa](../projects/lisa/README.md), and "
        "`lisa_shapes_blind.py`, the same training with the questions of other records; a core each.",
        "",
        "Percent, on scenes that training has not seen. The twin shows what needs no words; on masks it must stay at "
        f"{BLIND_LIMIT:g} or below.",
        "",
        *markdown_table(SCORE_HEADINGS, scores),
        "",
        *(f"* **{label}**: {protocol}." for label, protocol in protocols),
        "",
        "## Time and memory",
        "",
        *markdown_table(STAGE_HEADINGS, stages),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs what is asked for, prints, and writes the page where one is asked for."""
    parser = argparse.ArgumentParser(description="What the small LISA learns on the embedded dataset.")
    parser.add_argument("folder", type=Path, help="where trainings, scores and times lie or shall lie")
    parser.add_argument("--run", action="store_true", help="train and score what isn't there yet")
    parser.add_argument("--root", type=Path, default=ROOT, help="where data/ and pretrained/ lie")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables as Markdown")
    arguments = parser.parse_args()
    folder, root = arguments.folder.absolute(), arguments.root.absolute()
    if arguments.run:
        run(folder, root)
    results, blind = (load(folder / f"evaluation{suffix}/results.json") for suffix in CONFIGS)
    stages = {path.stem: load(path) for path in sorted((folder / "stages").glob("*.json"))}
    scores, times = score_rows(results, blind), stage_rows(stages, None)
    show("Scores, in percent", SCORE_HEADINGS, scores)
    show("Time and memory", STAGE_HEADINGS, times)
    if arguments.write:
        protocols = [(one["label"], one["protocol"]) for one in results["benchmarks"]]
        replace_file(arguments.write, page(protocols, scores, times))
    return 0


if __name__ == "__main__":
    sys.exit(main())

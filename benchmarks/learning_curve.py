"""What the model from parts reaches with so many photographs: trained anew for each number, with the same steps.

    python benchmarks/learning_curve.py data/photo_expressions [--sizes 25 50 100 200] [--steps 250]
        [--options KEY=VALUE …] [--write benchmarks/learning_curve.md]

DATA is what ``tools/make_photo_expressions.py … --held-out … --mirrored`` wrote. The pictures of a smaller number are
among those of a larger one. For each, the connector is pretrained on these pictures alone, the model of
``sa2va_smollm2_135m.py`` is trained on them and their mirror images, and asked about ``val.jsonl`` and about pictures
that it learned. What is done already isn't done again, so a run that was stopped goes on. ``--options`` goes to
training and test (where SAM's file lies: ``model.segmenter.folder=FILE model.mllm.segmenter.folder=FILE``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from photographs import of_targets
from tables import write_table

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.evaluation.summary import load_results  # noqa: E402

CONFIGS = REPOSITORY / "projects/llava_sam2/configs"
NAMES, MODEL = CONFIGS / "pretrain_connector_photos.py", CONFIGS / "sa2va_smollm2_135m.py"
KINDS = ("train", "mirrored")


def draw(data: Path, work: Path, size: int) -> None:
    """Writes the first ``size`` pictures of one shuffled order, in the order of the files, into a folder of its own.

    Raises:
        SystemExit: there are fewer.
    """
    folder = work / f"data_{size}"
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        records = [json.loads(line) for line in (data / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()]
        if len(records) < size:
            raise SystemExit(f"{data / kind}.jsonl has {len(records)} pictures, fewer than {size}")
        order = random.Random(0).sample(range(len(records)), len(records))
        chosen = [records[place] for place in sorted(order[:size])]
        for record in chosen:
            record["image"] = os.path.relpath(data / record["image"], folder)
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in chosen)
        (folder / f"{kind}.jsonl").write_text(text, encoding="utf-8")


def run(*words: object) -> None:
    """A command from the repository's root.

    Raises:
        SystemExit: it failed.
    """
    sys.stderr.write(f"{' '.join(map(str, words))}\n")
    done = subprocess.run([sys.executable, *map(str, words)], cwd=REPOSITORY, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def learn(data: Path, work: Path, size: int, arguments: argparse.Namespace) -> None:
    """Everything of one number of pictures."""
    own = work / f"data_{size}"
    train, mirrored = (own / f"{kind}.jsonl" for kind in KINDS)
    connector, model = work / f"connector_{size}", work / f"model_{size}"
    inner = [word for word in arguments.options if word.startswith("model.mllm.")]
    last = connector / f"iter_{arguments.name_steps}.pth"
    if not last.is_file():
        sources = [f"data.dataset.datasets.{place}.annotations={file}" for place, file in enumerate((train, mirrored))]
        steps = [f"schedule.max_iters={arguments.name_steps}", f"checkpoint.interval={arguments.name_steps}"]
        names = [f"model.names.annotations={train}"]
        run("tools/train.py", NAMES, "--work-dir", connector, "--cfg-options", *names, *sources, *steps, *inner)
    options = [f"model.mllm.connector={last}", *arguments.options]
    if not (model / f"iter_{arguments.steps}.pth").is_file():
        inside = "data.dataset.mixture.sources"
        sources = [f"{inside}.{place}.annotations={file}" for place, file in enumerate((train, mirrored))]
        resume = ("--resume", "auto")
        steps = f"schedule.max_iters={arguments.steps}"
        run("tools/train.py", MODEL, "--work-dir", model, *resume, "--cfg-options", *options, *sources, steps)
    for split, root, limit in (("val", data, arguments.limit), ("train", own, arguments.train_limit)):
        where = [f"evaluation.benchmarks.0.{key}={value}" for key, value in (("root", root), ("split", split))]
        limited = () if limit is None else ("--limit", limit)
        out = ("--out", model / split)
        run("tools/test.py", MODEL, "--work-dir", model, *out, *limited, "--cfg-options", *options, *where)


def row(work: Path, size: int) -> str:
    """A line of the table."""
    cells: list[object] = [size]
    for split in ("val", "train"):
        folder = work / f"model_{size}" / split
        (result,) = load_results(folder)["benchmarks"]
        numbers = (result["metrics"]["giou"], result["metrics"]["n_acc"], of_targets(folder, result))
        cells += [*(f"{number:.1f}" for number in numbers), result["count"]]
    return f"| {' | '.join(map(str, cells))} |"


def table(data: Path, work: Path, arguments: argparse.Namespace) -> str:
    """The results as Markdown."""
    pictures = len((data / "val.jsonl").read_text(encoding="utf-8").splitlines())
    limits = "" if arguments.limit is None else f" --limit {arguments.limit}"
    limits += f" --train-limit {arguments.train_limit}"
    batch = json.loads((work / f"model_{arguments.sizes[0]}" / "history.jsonl").read_text().splitlines()[-1])
    lines = [
        "# More photographs",
        "",
        f"`python benchmarks/learning_curve.py DATA --sizes {' '.join(map(str, arguments.sizes))} --steps "
        f"{arguments.steps} --name-steps {arguments.name_steps}{limits} --write benchmarks/learning_curve.md`",
        "",
        f"`sa2va_smollm2_135m.py`, {batch['iter']} steps for each number of photographs, which learns from these and "
        f"their mirror images alone; asked about {pictures} held-out photographs, and about those that it learned.",
        "",
        "| photographs | gIoU | N-acc | gIoU where there is a target | questions | learned: gIoU | N-acc | gIoU where "
        "there is a target | questions |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(work, size) for size in arguments.sizes),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Learn, ask, write the table."""
    parser = argparse.ArgumentParser(description="The model from parts by the number of photographs.")
    parser.add_argument("data", type=Path, help="of tools/make_photo_expressions.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, 200], help="numbers of photographs")
    parser.add_argument("--steps", type=int, default=250, help="of the model")
    parser.add_argument("--name-steps", type=int, default=200, help="of the connector")
    parser.add_argument("--limit", type=int, help="questions about held-out pictures, evenly spaced (default: all)")
    parser.add_argument("--train-limit", type=int, default=100, help="likewise about learned ones")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "work_dirs/learning_curve", help="for the runs")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="of training and test")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    data, work = arguments.data.resolve(), arguments.work.resolve()
    for size in arguments.sizes:  # all of them first: too few pictures are said before anything is trained
        draw(data, work, size)
    for size in arguments.sizes:
        learn(data, work, size, arguments)
    text = table(data, work, arguments)
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()

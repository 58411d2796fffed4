"""Evaluate a trained model, or an exported folder, on benchmarks.

    python tools/test.py CONFIG [--checkpoint PTH] [--benchmarks refcoco:val mevis:valid_u …] [--out DIR]
    python tools/test.py HF_FOLDER --benchmarks refcoco:val reason_seg:val@lisa … --data-root DIR

Without ``--checkpoint``, the newest one of the config's work directory is taken; without ``--benchmarks``, the config's
own list (``evaluation = dict(benchmarks=[dict(type=RefCOCO.build, root=…, split=…), …], targets={…})``). What is
answered is kept in DIR: a run that was killed goes on where it was when the same command is given again.
``NAME:SPLIT@PROTOCOL`` asks and scores as a published evaluation does (``lisa``, ``sa2va``, ``unipixel``; ``strict``
without); ``--switches`` sets single switches otherwise. A split without published masks becomes a ``submission.zip``.
Several processes: ``tools/dist.sh test CONFIG PROCESSES``. Exit codes: 0 done, 2 something to put right, 130 stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import torch  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from tqdm import tqdm  # noqa: E402

import word2mask  # noqa: E402
from word2mask.engine.build import build  # noqa: E402
from word2mask.engine.checkpoint import find_checkpoint, load_trained  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.engine.distributed import (  # noqa: E402
    choose_device,
    gather_objects,
    leave_processes,
    rank_and_size,
    start_processes,
    tell,
)
from word2mask.engine.settings import CacheFeaturesSettings  # noqa: E402
from word2mask.errors import UserError  # noqa: E402
from word2mask.evaluation.interface import Benchmark  # noqa: E402
from word2mask.evaluation.names import find_benchmark, folder_of, split_label  # noqa: E402
from word2mask.evaluation.runner import Ranks, Score, evaluate  # noqa: E402
from word2mask.evaluation.submission import write_submission  # noqa: E402
from word2mask.evaluation.summary import (  # noqa: E402
    HEADINGS,
    RunInfo,
    fingerprint,
    results_to_json,
    rows,
    write_results,
)
from word2mask.inference.session import Session  # noqa: E402
from word2mask.models.stored_features import store_features  # noqa: E402

logger = logging.getLogger("test")
#: What ``evaluation`` of a config may say.
EVALUATION_SETTINGS = ("benchmarks", "targets", "batch_size", "session")
#: The embedded dataset's folder.
DEFAULT_DATA_ROOT = Path("data/shapes_world")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Evaluate a trained model, or an exported folder, on benchmarks.")
    parser.add_argument("model", type=Path, help="config file, or folder of an exported model")
    parser.add_argument(
        "--checkpoint", type=Path, help="weights of a config (default: the newest of its work directory)"
    )
    parser.add_argument("--work-dir", type=Path, help="of the training (default: work_dirs/<config name>)")
    parser.add_argument("--benchmarks", nargs="+", metavar="NAME:SPLIT[@PROTOCOL]", help="default: the config's list")
    parser.add_argument("--protocol", help="of the benchmarks that name none: lisa, sa2va, unipixel or strict")
    parser.add_argument(
        "--switches", nargs="+", default=[], metavar="SWITCH=VALUE", help="set otherwise than the protocol has them"
    )
    parser.add_argument(
        "--data-root", type=Path, help=f"where benchmarks that no config lists lie (default: {DEFAULT_DATA_ROOT})"
    )
    parser.add_argument("--out", type=Path, help="where results go (default: <work dir>/evaluation)")
    parser.add_argument("--limit", type=int, help="at most that many samples a benchmark, evenly spaced")
    parser.add_argument("--batch-size", type=int, help="requests answered together (default: the config's, else 16)")
    parser.add_argument("--max-failures", type=int, default=10, help="stop when more samples can't be answered")
    parser.add_argument("--fresh", action="store_true", help="answer again what an earlier run answered")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: CUDA where there is one")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32", help="of an exported model's weights")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where relative paths of the config start")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config"
    )
    return parser.parse_args(arguments)


def evaluation_settings(evaluation: Any) -> dict[str, Any]:
    """The config's ``evaluation``; a bare list is one of benchmarks.

    Raises:
        UserError: an unknown setting.
    """
    settings = dict(evaluation) if isinstance(evaluation, Mapping) else {"benchmarks": list(evaluation or [])}
    unknown = sorted(set(settings) - set(EVALUATION_SETTINGS))
    if unknown:
        raise UserError(f"evaluation: unknown setting {unknown[0]!r}; it takes {', '.join(EVALUATION_SETTINGS)}")
    return settings


def load_session(arguments: argparse.Namespace, device: torch.device) -> tuple[Session, Path, dict[str, Any]]:
    """The session, the weights that it runs, and the config's evaluation settings."""
    if arguments.model.is_dir():
        if arguments.checkpoint:
            raise UserError(f"{arguments.model} is an exported folder and has its weights; leave out --checkpoint")
        session = Session.from_pretrained(arguments.model, device=device, dtype=DTYPES[arguments.dtype])
        return session, arguments.model, {}
    settings = check_settings(load_config(arguments.model, arguments.cfg_options), arguments.model.name)
    evaluation = evaluation_settings(settings.evaluation)
    checkpoint = arguments.checkpoint or find_checkpoint(arguments.work_dir)
    if checkpoint is None:
        raise UserError(f"{arguments.work_dir} holds no checkpoint; train first, or name one with --checkpoint")
    if not checkpoint.is_file():
        raise UserError(f"checkpoint {checkpoint} does not exist")
    model = build(settings.model, path="config.model")
    load_trained(model, checkpoint)
    model.to(device)
    if settings.cache_features is not None:
        # Every expression of a picture is a question of its own; the picture passes the encoders once.
        store_features(model.eval(), **vars(CacheFeaturesSettings(**settings.cache_features)))
    return Session(model, **evaluation.get("session", {})), checkpoint, evaluation


def choose_benchmarks(arguments: argparse.Namespace, evaluation: Mapping[str, Any]) -> list[Benchmark]:
    """The benchmarks asked for: as the config has them, or below the data root; all of the config's by default.

    Raises:
        UserError: none given, an unknown one, or data that isn't there.
    """
    nodes = [dict(node) for node in evaluation.get("benchmarks", [])]
    if arguments.limit is not None:
        nodes = [{**node, "limit": min(arguments.limit, node.get("limit") or arguments.limit)} for node in nodes]
    by_label: dict[str, dict[str, Any]] = {}
    for node in nodes:
        label = f"{_class_of(node).name}:{node.get('split')}"
        label += f"@{node['protocol']}" if node.get("protocol") else ""
        if label in by_label:
            raise UserError(f"evaluation.benchmarks lists {label} twice; its records would lie in one folder")
        by_label[label] = node
    if arguments.benchmarks is None:
        if not nodes:
            raise UserError(f"{arguments.model} lists no benchmarks; name some with --benchmarks, e.g. refcoco:val")
        labels = list(by_label)
    else:
        labels = arguments.benchmarks
    switches = read_switches(arguments.switches)
    wanted = []
    for label in labels:
        if label in by_label:
            node = by_label[label]
            wanted.append((_class_of(node), node["split"], arguments.protocol, node))
            continue
        plain, protocol = split_label(label)
        kind, split = find_benchmark(plain)
        wanted.append((kind, split, protocol or arguments.protocol, by_label.get(f"{kind.name}:{split}")))
    if arguments.data_root and all(node for *_, node in wanted):
        raise UserError(
            f"--data-root {arguments.data_root} would change nothing: {arguments.model.name} says itself where its "
            "benchmarks lie; leave it out, or change their roots in the config"
        )
    data_root = arguments.data_root or DEFAULT_DATA_ROOT
    chosen: list[Benchmark] = []
    for kind, split, protocol, node in wanted:
        asked = {key: value for key, value in (("protocol", protocol), ("switches", switches)) if value}
        if node:
            chosen.append(build({**node, **asked}, path=f"evaluation.{kind.name}:{split}"))
        else:
            chosen.append(kind.build(kind.place(data_root), split, arguments.limit, **asked))
    seen = [benchmark.label for benchmark in chosen]
    twice = next((label for label in seen if seen.count(label) > 1), None)
    if twice:
        raise UserError(f"--benchmarks names {twice} twice; its records would lie in one folder")
    return chosen


def read_switches(words: list[str]) -> dict[str, str]:
    """``["texts=first"]`` → ``{"texts": "first"}``.

    Raises:
        UserError: a word isn't ``SWITCH=VALUE``.
    """
    switches = {}
    for word in words:
        switch, equals, value = word.partition("=")
        if not (switch and equals and value):
            raise UserError(f"--switches takes SWITCH=VALUE, e.g. texts=first; got {word!r}")
        switches[switch] = value
    return switches


def _class_of(node: Mapping[str, Any]) -> type[Benchmark]:
    """The benchmark class of a config's node ``dict(type=SomeBenchmark.build, …)``."""
    owner = getattr(node.get("type"), "__self__", None)
    if not (isinstance(owner, type) and issubclass(owner, Benchmark)):
        raise UserError(f"evaluation.benchmarks: expected dict(type=SomeBenchmark.build, root=…, split=…), got {node}")
    return owner


class ProgressBar:
    """One bar a benchmark on stderr, with the running score; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._label = ""
        self._printed = 0.0

    def __call__(self, label: str, done: int, total: int, metric: str, value: float) -> None:
        if not sys.stderr.isatty():
            now = time.monotonic()
            if done == total or now - self._printed > 10:
                self._printed = now
                logger.info("%-24s %5d/%d  %s", label, done, total, _running(metric, value))
            return
        if self._label != label:
            self.close()
            self._bar, self._label = tqdm(total=total, desc=f"{label:24}", unit="sample"), label
        self._bar.n = done
        self._bar.set_postfix_str(_running(metric, value))
        if done == total:
            self.close()

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._label = None, ""


def _running(metric: str, value: float) -> str:
    """The score so far; nothing where nothing is scored."""
    return f"{metric} {value:.1f}" if metric else ""


def show(results: Mapping[str, Any], out: Path) -> None:
    """The final table on stdout."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    table = Table(*HEADINGS, title="Evaluation", title_justify="left", show_lines=False)
    for row in rows(results):
        table.add_row(*row)
    console.print(table)
    lines = [f"{one['label']}: {one['protocol']}." for one in results["benchmarks"]]
    for one in results["benchmarks"]:
        lines += [f"failed {one['label']} {failure['id']}: {failure['message']}" for failure in one["failures"]]
        lines += [f"{one['label']}: {one['note']}"] if one["note"] else []
        lines += [f"submission {one['submission']}"] if one["submission"] else []
    lines += [
        f"checkpoint {results['checkpoint']} ({results['checkpoint_hash']})",
        f"command    {results['command']}",
        f"results    {out / 'results.json'}, {out / 'results.md'}",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, and write and show the results on the first rank."""
    command = " ".join(shlex.quote(word) for word in ["python", "tools/test.py", *sys.argv[1:]])
    given_model = str(arguments.model)
    for name in ("model", "checkpoint", "work_dir", "out", "data_root"):
        value = getattr(arguments, name)
        setattr(arguments, name, value.absolute() if value else None)
    if not arguments.model.exists():
        raise UserError(f"{given_model} is neither a config nor a folder of an exported model")
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError(f"--limit must be 1 or more, got {arguments.limit}")
    arguments.work_dir = arguments.work_dir or arguments.root.absolute() / "work_dirs" / arguments.model.stem
    default_out = arguments.model / "evaluation" if arguments.model.is_dir() else arguments.work_dir / "evaluation"
    out = arguments.out or default_out
    os.chdir(arguments.root)
    device = choose_device(arguments.device)
    start_processes("auto", device)
    rank, count = rank_and_size()
    if rank:
        logging.getLogger().setLevel(logging.WARNING)

    session, weights, evaluation = load_session(arguments, device)
    benchmarks = choose_benchmarks(arguments, evaluation)
    info = RunInfo(
        model=given_model,
        checkpoint=str(weights.relative_to(Path.cwd()) if weights.is_relative_to(Path.cwd()) else weights),
        checkpoint_hash=fingerprint(weights),
        command=command,
        version=word2mask.__version__,
        device=device.type,
        batch_size=arguments.batch_size or evaluation.get("batch_size", 16),
        num_ranks=count,
        targets=evaluation.get("targets", {}),
    )
    progress = ProgressBar()
    scores: list[Score] = []
    sessions: dict[str, dict[str, Any]] = {}
    submissions: dict[str, str] = {}
    for benchmark in benchmarks:
        answerer = session_for(benchmark, session, evaluation.get("session", {}))
        folder = out / folder_of(benchmark.label)
        sessions[benchmark.label] = session_settings(answerer)
        scores.append(
            evaluate(
                benchmark,
                answerer,
                folder,
                {"checkpoint_hash": info.checkpoint_hash, "session": sessions[benchmark.label]},
                batch_size=info.batch_size,
                max_failures=arguments.max_failures,
                fresh=arguments.fresh,
                ranks=Ranks(rank, count, gather_objects),
                progress=progress,
            )
        )
        is_whole = len(benchmark) == benchmark.num_usable
        if rank == 0 and benchmark.submission is not None and not benchmark.is_scored and is_whole:
            submissions[benchmark.label] = str(write_submission(benchmark, scores[-1].records, folder))
    if rank == 0:
        results = results_to_json(info, scores, sessions, submissions)
        write_results(out, results)
        show(results, out)


def session_for(benchmark: Benchmark, session: Session, settings: Mapping[str, Any]) -> Session:
    """The session with what the benchmark's protocol fixes of it, on the same model."""
    fixed = benchmark.switches.session
    return Session(session.model, session.encoder, **{**settings, **fixed}) if fixed else session


def session_settings(session: Session) -> dict[str, Any]:
    """What else an answer depends on."""
    names = ("key_frames", "key_frame_choice", "threshold", "propagate_with")
    settings = {name: getattr(session, name) for name in names if getattr(session, name) is not None}
    return settings if session.procedure == "sa2va-i" else {**settings, "procedure": session.procedure}


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = parse_arguments()
    try:
        run(arguments)
        leave_processes()
    except UserError as error:
        tell(error)
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; give the same command again to go on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

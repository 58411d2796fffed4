"""Write referring expressions for the objects of videos, as Ref-SAV has them.

    python tools/annotate_refsav.py CONFIG.toml
    python tools/annotate_refsav.py --videos DIR --layout sav --out DIR --vision-url URL --vision-model NAME …
    python tools/annotate_refsav.py --out DIR --plan 1000000
    python tools/annotate_refsav.py --out DIR --check

The configuration's keys are the flags with underscores, with tables [vision], [text] and [limits] (docs/annotate.md); a
flag on the command line comes before it. Without a text model, the vision model compares the captions as well. --plan
annotates nothing: it says what so many videos take, from what the run in --out took; --check compares the dataset
there with its manifest.

    OUT/store/      every answer, by the hash of what it depends on; a run that was stopped goes on from here
    OUT/masklets/   masks in SA-V's layout, for layouts that aren't SA-V's
    OUT/dataset/    ref_sav_*.json, records_*.jsonl, manifest, usage and statistics; appears when it is whole
    OUT/effort.json what the last run that asked services anything took of this machine (engine local)

Exit code 2 and one sentence when something has to be put right; 130 or 143 when Ctrl-C or SIGTERM stopped it.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("annotate_refsav")

LAYOUTS = ("sav", "sav-auto", "sav-both", "masks", "bare")
#: Keys of a configuration that aren't those of Settings.
RUN_KEYS = {
    "videos": None,
    "layout": "sav",
    "out": None,
    "engine": "local",
    "workers": 2,
    "ray_address": None,
    "videos_per_shard": 1000,
    "segmenter": None,
    "verify_with": None,
    "verify_iou": 0.5,
    "device": "cpu",
    "filter": True,
    "decisions": None,
    "exclude": (),
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write referring expressions for the objects of videos.")
    add = parser.add_argument
    add("config", type=Path, nargs="?", help="TOML file with any of these settings")
    add("--videos", help="folder of the videos")
    add("--layout", choices=LAYOUTS, help="SA-V's masklets by hand, by model or both; frames with masks; bare videos")
    add("--out", help="folder of the run")
    add("--vision-url", help="OpenAI-compatible service (http…/v1), or local:FOLDER")
    add("--vision-model", help="its name for the model that sees")
    add("--text-url", help="service of the model that compares captions; the same by default")
    add("--text-model", help="its name")
    add("--structure", choices=("schema", "object", "none"), help="how both services are asked for JSON")
    add("--prompts", help="folder of your own prompts")
    add("--concurrency", type=int, help="requests in flight")
    add("--timeout", type=float, help="seconds for an answer")
    add("--attempts", type=int, help="for a request, the first included")
    add("--requests-per-minute", type=float)
    add("--token-budget", type=int, help="stop when so many tokens are spent")
    add("--max-tokens", type=int, help="longest answer")
    add("--price", type=float, nargs=2, metavar=("PROMPT", "ANSWER"), help="of a million tokens of each kind")
    add("--engine", choices=("local", "ray"))
    add("--workers", type=int, help="processes of the engine ray")
    add("--ray-address", help="of a running cluster; auto finds it")
    add("--videos-per-shard", type=int)
    add("--segmenter", help="folder of a SAM 2, for bare videos")
    add("--verify-with", help="folder of a model that must find every object again")
    add("--verify-iou", type=float, help="from which an object counts as found")
    add("--device", help="of segmenter and verifying model: cpu, cuda …")
    add("--decisions", help="JSONL of a review (review_refsav.py); what was dropped there is left out")
    add("--exclude", nargs="+", help="files that name videos to leave out, such as an evaluation set's")
    add("--check", action="store_true", help="compare the dataset in --out with its manifest, and do nothing else")
    add("--plan", type=int, metavar="VIDEOS", help="say what so many videos take, by what the run in --out took")
    add("--objects-per-video", type=float, help="for the plan; as many as in the run without")
    add(
        "--tokens-per-second",
        type=float,
        nargs="+",
        metavar=("VISION", "TEXT"),
        help="for the plan: prompt and answer tokens of one GPU, with the model that sees and with that for text",
    )
    add("--gpus", type=int, help="for the plan's days (8)")
    add("--no-filter", dest="filter", action="store_false", default=None, help="keep what leaks or repeats")
    return parser.parse_args(arguments)


def merged(arguments: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Settings, and the keys of the run, from the file and the flags.

    Raises:
        UserError: a key that there isn't, or something missing.
    """
    from word2mask.annotate.settings import Endpoint, Limits, Settings, load_settings

    given = {key: value for key, value in vars(arguments).items() if value is not None and key != "config"}
    content: dict[str, Any] = {}
    run = dict(RUN_KEYS)
    if arguments.config is not None:
        content = load_settings(arguments.config, also=tuple(RUN_KEYS))
        run |= {key: content.pop(key) for key in RUN_KEYS if key in content}
    run |= {key: value for key, value in given.items() if key in RUN_KEYS}
    for key in ("videos", "out"):
        if not run[key]:
            raise UserError(f"no {key}; give --{key} or {key} = … in the configuration")
    if run["layout"] not in LAYOUTS or run["engine"] not in ("local", "ray"):
        raise UserError(f"layout {run['layout']}, engine {run['engine']}; expected {', '.join(LAYOUTS)}; local, ray")
    limits = content.pop("limits", {}) | {f.name: given[f.name] for f in fields(Limits) if f.name in given}
    endpoints = {}
    for role in ("vision", "text"):
        table = content.pop(role, {})
        for key in ("url", "model"):
            table |= {key: given[f"{role}_{key}"]} if f"{role}_{key}" in given else {}
        endpoints[role] = table | ({"structure": given["structure"]} if "structure" in given else {})
    inherited = endpoints["vision"]
    if endpoints["text"].get("url", "").startswith("local:"):
        # A model of this process isn't the service's: it has a name of its own, and no fields to send along.
        inherited = {key: value for key, value in inherited.items() if key not in ("model", "extra", "omit")}
    endpoints["text"] = inherited | endpoints["text"]
    if not endpoints["vision"].get("url"):
        raise UserError("no model; give --vision-url and --vision-model, or [vision] in the configuration")
    for table in endpoints.values():
        table["omit"] = tuple(table.get("omit", ()))
    built = {role: Endpoint(**{"model": "", **table}) for role, table in endpoints.items()}
    own = {f.name: given[f.name] for f in fields(Settings) if f.name in given}
    if "price" in (content := content | own):
        content["price"] = tuple(content["price"])
    if isinstance(run["exclude"], str):
        run["exclude"] = [run["exclude"]]
    return Settings(limits=Limits(**limits), **built, **content), run


def plan(arguments: argparse.Namespace) -> str:
    """What many videos take, as Markdown.

    Raises:
        UserError: there is no run to go by, or no sense in the numbers.
    """
    from word2mask.annotate.plan import TOKENS_PER_SECOND, Assumptions, as_markdown, read_run
    from word2mask.annotate.settings import load_settings

    run = {key: RUN_KEYS[key] for key in ("out", "videos_per_shard")}
    if arguments.config is not None:
        run |= {key: value for key, value in load_settings(arguments.config, tuple(RUN_KEYS)).items() if key in run}
    run |= {key: value for key in run if (value := getattr(arguments, key)) is not None}
    if not run["out"]:
        raise UserError("no out; give --out, the folder of a run over a few videos, for a plan")
    vision, *text = arguments.tokens_per_second or [TOKENS_PER_SECOND]
    given = Assumptions(
        arguments.plan,
        arguments.objects_per_video,
        {"vision": vision, "text": text[0] if text else vision},
        8 if arguments.gpus is None else arguments.gpus,
        run["videos_per_shard"],
    )
    return as_markdown(read_run(Path(run["out"])), given)


def check(arguments: argparse.Namespace) -> None:
    """Compares a dataset with its manifest.

    Raises:
        UserError: they differ, or there is none.
    """
    from word2mask.annotate.output import check_dataset
    from word2mask.annotate.settings import load_settings

    out = arguments.out
    if out is None and arguments.config is not None:
        out = load_settings(arguments.config, tuple(RUN_KEYS)).get("out")
    if not out:
        raise UserError("no out; give --out, the folder of a run, to check its dataset")
    shards = check_dataset(Path(out) / "dataset")["shards"]
    sys.stdout.write(f"{Path(out) / 'dataset'}: {len(shards)} files, all as the manifest says\n")


def find_videos(run: dict[str, Any]) -> list[Any]:
    """References to everything that is to be annotated."""
    from word2mask.annotate.inputs.mask_folders import find_mask_folders
    from word2mask.annotate.inputs.sav import find_sav
    from word2mask.annotate.progress import ProgressReport

    masklets = Path(run["out"]) / "masklets"
    if run["layout"].startswith("sav"):
        return find_sav(run["videos"], {"sav": "manual", "sav-auto": "auto", "sav-both": "both"}[run["layout"]])
    if run["layout"] == "masks":
        with ProgressReport("read masks") as report:
            return find_mask_folders(run["videos"], masklets, report.update)
    from word2mask.annotate.inputs.proposals import find_bare_videos
    from word2mask.segmenters.sam2 import SAM2Segmenter

    if not run["segmenter"]:
        raise UserError("bare videos need a segmenter that finds objects; give --segmenter, the folder of a SAM 2")
    segmenter = SAM2Segmenter.from_pretrained(run["segmenter"]).to(run["device"]).eval()
    with ProgressReport("propose") as report:
        return find_bare_videos(run["videos"], masklets, segmenter, watch=report.update)


def annotate(settings: Any, run: dict[str, Any]) -> dict[str, Any]:
    """Everything; returns the manifest."""
    from word2mask.annotate.engines.local import Progress, run_local
    from word2mask.annotate.inputs.exclusion import leave_out, read_names
    from word2mask.annotate.output import write_dataset
    from word2mask.annotate.plan import write_effort
    from word2mask.annotate.progress import ProgressReport
    from word2mask.annotate.prompts import load_prompts
    from word2mask.annotate.quality.decisions import apply_decisions, read_decisions
    from word2mask.annotate.quality.filters import filter_records
    from word2mask.annotate.store import Store

    prompts = load_prompts(settings.prompts)
    names = frozenset[str]().union(*(read_names(Path(file)) for file in run["exclude"]))
    found, media, out = find_videos(run), Path(run["videos"]), Path(run["out"])
    references = leave_out(found, names)
    store, last = Store(out / "store"), Progress()
    with ProgressReport("annotate", len(references)) as report:

        def watch(progress: Progress) -> None:
            nonlocal last
            last = progress
            counts = {status: progress.objects[status] for status in ("kept", "dropped", "failed")}
            tokens = progress.prompt_tokens + progress.completion_tokens
            cost = {"cost": f"{progress.cost(settings.price):.2f}"} if any(settings.price) else {}
            report.update(progress.videos, **counts, calls=progress.asked, tokens=tokens, **cost)

        if run["engine"] == "ray":
            from word2mask.annotate.engines.ray import run_ray

            records = run_ray(
                references, media, settings, store, watch, workers=run["workers"], address=run["ray_address"]
            )
        else:
            cpu, start = time.process_time(), time.perf_counter()
            records = run_local(references, media, settings, store, watch)
            tokens = last.prompt_tokens + last.completion_tokens
            # A model in this process would count as the client's own work.
            if not any(endpoint.url.startswith("local:") for endpoint in (settings.vision, settings.text)):
                write_effort(out, last.asked, time.process_time() - cpu, time.perf_counter() - start, tokens)
    # What costs nothing comes first: a model needn't look for what is dropped anyway.
    if run["filter"]:
        records = filter_records(records)
    if run["decisions"]:
        records = apply_decisions(records, read_decisions(Path(run["decisions"])))
    if run["verify_with"]:
        records = verified(records, media, store, run)
    left_out = len(found) - len(references)
    return write_dataset(records, out / "dataset", run["videos_per_shard"], list(prompts.values()), left_out)


def verified(records: list[Any], media: Path, store: Any, run: dict[str, Any]) -> list[Any]:
    """What a model finds again."""
    from functools import partial

    from word2mask.annotate.progress import ProgressReport
    from word2mask.annotate.quality.verification import verify
    from word2mask.annotate.store import model_version
    from word2mask.inference.session import Session

    folder = Path(run["verify_with"]).resolve()
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; --verify-with takes the folder of an exported model")
    load, name = partial(Session.from_pretrained, folder, device=run["device"]), model_version(folder)
    with ProgressReport("verify", len(records)) as report:
        options = {"store": store, "threshold": run["verify_iou"], "watch": report.update}
        if run["engine"] == "ray":
            from word2mask.annotate.engines.ray import verify_ray

            options |= {"workers": run["workers"], "address": run["ray_address"]}
            return verify_ray(records, media, load, name, gpus=float(run["device"] != "cpu"), **options)
        return verify(records, media, load(), name, **options)


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments, stopped_by = parse_arguments(), signal.SIGINT

    def stop(number: int, frame: object) -> None:
        """What batch systems stop a job with ends it as Ctrl-C does."""
        nonlocal stopped_by
        stopped_by = signal.SIGTERM
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        if arguments.plan is not None:
            sys.stdout.write(plan(arguments))
            return 0
        if arguments.check:
            check(arguments)
            return 0
        settings, run = merged(arguments)
        manifest = annotate(settings, run)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was answered is kept: the same command goes on from here\n")
        return 128 + stopped_by
    finally:
        signal.signal(signal.SIGTERM, before)
    told = {key: manifest[key] for key in ("videos", "objects", "reasons", "expressions")}
    sys.stdout.write(f"{json.dumps(told, indent=1)}\nwritten to {Path(run['out']) / 'dataset'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Turn a checkpoint of the base MLLM's pretraining into a folder that other configs start from, and measure it.

    python tools/export_base_mllm.py CONFIG CHECKPOINT FOLDER [--scenes 100] [--dtype float16] [--note "..."]

Writes ``config.json``, ``model.safetensors``, the tokenizer and ``training.json`` (config, seed, commit, steps, scores
by kind of question; the protocol is that of ``word2mask.evaluation.base_mllm``).
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import torch  # noqa: E402

from word2mask.data.encode import Encoder  # noqa: E402
from word2mask.engine.build import build  # noqa: E402
from word2mask.engine.checkpoint import load_trained  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.errors import UserError  # noqa: E402
from word2mask.evaluation.base_mllm import BaseMLLMCheck  # noqa: E402

logger = logging.getLogger("export_base_mllm")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Export and measure a pretrained base MLLM.")
    parser.add_argument("config", type=Path, help="the config that was trained")
    parser.add_argument("checkpoint", type=Path, help="an iter_N.pth of its run")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--scenes", type=int, default=100, help="pictures to measure on; a quarter as many videos")
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float16", help="of the weights on disk")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config, as in training"
    )
    parser.add_argument("--note", help="anything else worth knowing of the run, for training.json")
    return parser.parse_args(arguments)


def export(options: argparse.Namespace) -> None:
    """Load, measure and write."""
    config = load_config(options.config, options.cfg_options)
    settings = check_settings(config, options.config.name)
    node = dict(settings.model)
    if node.get("train_vision"):
        while isinstance(node["mllm"], dict) and "checkpoint" in node["mllm"]:
            node["mllm"] = node["mllm"]["mllm"]  # the vision tower comes with the checkpoint
    model = build(node, path="config.model")
    meta = load_trained(model, options.checkpoint)
    model.eval()
    model.mllm.model.to(getattr(torch, options.dtype))
    model.mllm.save_pretrained(options.folder)
    model.mllm.model.float()
    encoder = Encoder(model.mllm.processor, None, model.mllm.max_length)
    scores = {split: BaseMLLMCheck(encoder, options.scenes, split)(model) for split in ("val", "combo")}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    record = {
        "config": str(options.config),
        "seed": settings.seed,
        "commit": commit.stdout.strip(),
        "steps": meta.get("iter"),
        "parameters": sum(parameter.numel() for parameter in model.mllm.parameters()),
        "scores": scores,
        "scenes": options.scenes,
        "note": options.note,
    }
    (options.folder / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    logger.info("wrote %s: located %s %%", options.folder, scores["val"].get("image/locate"))


def main(arguments: list[str] | None = None) -> int:
    """The program; returns its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        export(parse_arguments(arguments))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

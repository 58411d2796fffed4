"""Train LISA with LISA's own flags: they become changes of ``configs/lisa_7b.py``, and the engine runs that.

    deepspeed --master_port=24999 projects/lisa/train_ds.py --version=PATH_TO_LLAVA --dataset_dir=./dataset \\
        --vision_pretrained=PATH_TO_SAM --dataset="sem_seg||refer_seg||vqa||reason_seg" --sample_rates="9,3,3,1" \\
        --exp_name="lisa-7b"

Under ``deepspeed`` or ``torchrun``, or alone. Flags that are on can be turned off (``--no-gradient_checkpointing``).
Checkpoints and logs go to ``<log_base_dir>/<exp_name>``. Every epoch is scored on ReasonSeg, and the best by gIoU is
kept as ``best.pth`` (``--no_eval`` leaves that out, ``--eval_only`` does nothing else and takes a LISA folder). Paths
start where the command is given. Exit codes: 0 done, 2 something to put right, 130 or 143 stopped by a signal after
saving.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "projects"))

from lisa.flags import add_lora, add_model, check_widths, dtype_of, switch, training_config  # noqa: E402
from lisa.loading import in_precision  # noqa: E402
from word2mask.errors import UserError  # noqa: E402

logger = logging.getLogger("train_ds")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train LISA with LISA's own flags.")
    add_model(parser, None)
    add_lora(parser)
    for name in ("load_in_8bit", "load_in_4bit"):
        parser.add_argument(f"--{name}", action="store_true", help="of no use in training; for chat.py")
    parser.add_argument("--dataset", default="sem_seg||refer_seg||vqa||reason_seg", help="kinds of data")
    parser.add_argument("--sample_rates", default="9,3,3,1", help="how often each kind is drawn")
    parser.add_argument("--sem_seg_data", default="ade20k||cocostuff||pascal_part||paco_lvis||mapillary")
    parser.add_argument("--refer_seg_data", default="refclef||refcoco||refcoco+||refcocog")
    parser.add_argument("--vqa_data", default="llava_instruct_150k")
    parser.add_argument("--reason_seg_data", default="ReasonSeg|train")
    parser.add_argument("--val_dataset", default="ReasonSeg|val", help="what is scored: folder|split of ReasonSeg")
    parser.add_argument("--dataset_dir", default="./dataset", help="where LISA's data lie")
    parser.add_argument("--log_base_dir", type=Path, default=Path("./runs"))
    parser.add_argument("--exp_name", default="lisa")
    parser.add_argument("--vis_save_path", type=Path, help="accepted as LISA's; training draws nothing")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps_per_epoch", type=int, default=500)
    parser.add_argument("--batch_size", type=int, default=2, help="pictures a GPU and pass")
    parser.add_argument("--grad_accumulation_steps", type=int, default=10)
    parser.add_argument("--val_batch_size", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--ce_loss_weight", type=float, default=1.0)
    parser.add_argument("--dice_loss_weight", type=float, default=0.5)
    parser.add_argument("--bce_loss_weight", type=float, default=2.0)
    parser.add_argument("--explanatory", type=float, default=0.1, help="-1 leaves explanations out")
    parser.add_argument("--beta1", type=float, default=0.9)
    parser.add_argument("--beta2", type=float, default=0.95)
    parser.add_argument("--num_classes_per_sample", type=int, default=3)
    parser.add_argument("--exclude_val", action="store_true", help="accepted as LISA's, which reads it nowhere")
    parser.add_argument("--no_eval", action="store_true", help="no scores, and no best checkpoint")
    parser.add_argument("--eval_only", action="store_true", help="scores of --version, a LISA folder, and no training")
    parser.add_argument("--resume", default="", help="checkpoint to go on from")
    parser.add_argument("--start_epoch", type=int, default=0, help="0: a checkpoint knows where it stopped")
    parser.add_argument("--print_freq", type=int, default=1, help="steps between lines of the log")
    switch(parser, "gradient_checkpointing", True, "compute activations twice instead of keeping them (default: on)")
    switch(parser, "auto_resume", True, "go on from the newest checkpoint where there is one (default: on)")
    parser.add_argument("--strategy", default="zero2", help="how processes share the work")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: CUDA where there is one")
    return parser.parse_args(arguments)


def read_settings(arguments: argparse.Namespace) -> Any:
    """The checked settings that the flags describe.

    Raises:
        UserError: a flag that can't be had.
    """
    from lisa.data_mixture import mixture_sources
    from word2mask.engine.config import check_settings

    if arguments.load_in_4bit or arguments.load_in_8bit:
        raise UserError("--load_in_4bit and --load_in_8bit are for chat.py and app.py; training can't be quantised")
    if arguments.start_epoch:
        raise UserError("--start_epoch: a checkpoint knows where it stopped; give --resume alone")
    config = training_config(arguments)
    config["model"]["mllm"]["gradient_checkpointing"] = arguments.gradient_checkpointing
    config["model"]["loss"].update(
        text_weight=arguments.ce_loss_weight,
        mask_weight=arguments.bce_loss_weight,
        dice_weight=arguments.dice_loss_weight,
    )
    names = ("dataset_dir", "dataset", "sample_rates", "sem_seg_data", "refer_seg_data", "vqa_data", "reason_seg_data")
    names += ("explanatory", "num_classes_per_sample")
    steps = arguments.epochs * arguments.steps_per_epoch
    per_step = arguments.batch_size * arguments.grad_accumulation_steps * int(os.environ.get("WORLD_SIZE", "1"))
    config["data"]["dataset"]["mixture"].update(
        sources=mixture_sources(**{name: getattr(arguments, name) for name in names}),
        length=max(1, arguments.steps_per_epoch * per_step),
    )
    config["data"].update(batch_size=arguments.batch_size, num_workers=arguments.workers)
    config["optimizer"].update(lr=arguments.lr, betas=(arguments.beta1, arguments.beta2))
    config["schedule"].update(max_iters=steps, warmup_ratio=min(1.0, 100 / max(1, steps)))
    config["checkpoint"].update(interval=arguments.steps_per_epoch)
    config["log"].update(interval=arguments.print_freq)
    config.update(accumulate=arguments.grad_accumulation_steps, strategy=arguments.strategy)
    if arguments.device:
        config["device"] = arguments.device
    if not arguments.no_eval and arguments.strategy.partition("_")[0] != "zero3":
        config["validation"] = validation(arguments)
    return check_settings(config, "train_ds.py")


def validation(arguments: argparse.Namespace) -> dict[str, Any]:
    """The config's node: every epoch scored on ReasonSeg as LISA does, the best by gIoU kept."""
    from word2mask.engine.validation import BenchmarkCheck
    from word2mask.evaluation.reason_seg import ReasonSeg

    root, split = scored_split(arguments)
    return dict(
        run=dict(
            type=BenchmarkCheck,
            benchmark=dict(type=ReasonSeg.build, root=str(root), split=split, protocol="lisa"),
            folder=str(work_folder(arguments) / "evaluation"),
            batch_size=arguments.val_batch_size,
        ),
        interval=arguments.steps_per_epoch,
        best="giou",
    )


def work_folder(arguments: argparse.Namespace) -> Path:
    """Where checkpoints, logs and scores go."""
    return (arguments.log_base_dir / arguments.exp_name).absolute()


def scored_split(arguments: argparse.Namespace) -> tuple[Path, str]:
    """Folder and split of ``--val_dataset``.

    Raises:
        UserError: it isn't a split of ReasonSeg.
    """
    from word2mask.evaluation.reason_seg import ReasonSeg

    dataset, bar, split = arguments.val_dataset.partition("|")
    if not bar or split not in ReasonSeg.splits:
        raise UserError(
            f"--val_dataset: expected ReasonSeg|val or ReasonSeg|test, got {arguments.val_dataset!r}; other benchmarks "
            "are scored by tools/test.py"
        )
    return Path(arguments.dataset_dir) / "reason_seg" / dataset, split


def validate(arguments: argparse.Namespace, model: Any, folder: Path, name: str) -> None:
    """Score a model on ReasonSeg as LISA does, and say so.

    Raises:
        UserError: ``--val_dataset`` isn't a split of ReasonSeg, or isn't there.
    """
    from word2mask.evaluation.reason_seg import ReasonSeg
    from word2mask.evaluation.runner import evaluate
    from word2mask.inference.session import Session

    root, split = scored_split(arguments)
    benchmark = ReasonSeg.build(root, split, protocol="lisa")
    session = Session(in_precision(model, arguments.precision))  # what trained is in fp32, beside the rest
    score = evaluate(benchmark, session, folder, {"model": name}, batch_size=arguments.val_batch_size, fresh=True)
    numbers = "  ".join(f"{benchmark.metrics[key]} {value:.2f}" for key, value in score.metrics.items())
    logger.info("%s: %s (%d samples; %s)", benchmark.label, numbers, score.count, benchmark.rules)


def run(arguments: argparse.Namespace) -> None:
    """Train, score, or both."""
    from word2mask.engine.distributed import choose_device, leave_processes

    folder = work_folder(arguments)
    if arguments.eval_only:
        from word2mask.models.folder import load_grounded

        device = choose_device(arguments.device)
        dtype = dtype_of(arguments.precision)
        model = load_grounded(arguments.version, device, dtype, vision_tower=arguments.vision_tower)
        check_widths(model.segmenter, arguments)
        return validate(arguments, model, folder / "evaluation", str(arguments.version))
    from lisa.data_mixture import require_data
    from word2mask.engine.runner import train
    from word2mask.segmenters.blueprints import blueprint

    check_widths(blueprint(arguments.vision_pretrained), arguments)
    settings = read_settings(arguments)
    require_data(settings.data["dataset"]["mixture"]["sources"], arguments.dataset_dir)
    resume = str(Path(arguments.resume).absolute()) if arguments.resume else "auto" if arguments.auto_resume else None
    outcome = train(settings, folder, resume)
    is_first = os.environ.get("RANK", "0") == "0"
    if not arguments.no_eval and settings.validation is None and is_first:
        logger.info("strategy %s has no validation while it trains: the last checkpoint is scored", arguments.strategy)
        validate(arguments, outcome.model, folder / "evaluation", str(outcome.checkpoint))
    leave_processes()
    return None


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments()
    from word2mask.engine.interruption import Interrupted

    try:
        run(arguments)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Interrupted as stop:
        sys.stderr.write(f"{stop}\ngive the same command again to go on\n")
        return 128 + stop.signal_number
    return 0


if __name__ == "__main__":
    sys.exit(main())

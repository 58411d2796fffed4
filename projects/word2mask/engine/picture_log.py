"""What the model answers to a few fixed samples as it learns, drawn beside what is right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from torch import nn

from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.engine.distributed import gather_objects, rank_and_size
from word2mask.engine.hooks import TrainLog, aside
from word2mask.engine.settings import LogSettings
from word2mask.errors import UserError
from word2mask.inference.grid import Cell, grid, spotlights
from word2mask.inference.render import save_picture
from word2mask.inference.session import Session
from word2mask.models.grounded import GroundedMLLM
from word2mask.text.answers import parse_answer
from word2mask.text.special_tokens import SEG
from word2mask.types import Request, Sample

#: Longest answer, in tokens.
NEW_TOKENS = 96


class LogPictures(Hook):
    """Every ``interval`` steps a row a sample: the question, the truth and the prediction, as one PNG.

    Of a conversation it is the first question. Processes share the samples.

    Args:
        dataset: whose examples of epoch 0 are drawn.
        indices: which of them.
        interval: optimizer steps.
        folder: where ``iter_<number>.png`` goes.
        log: its display gets the picture too, and its clock doesn't count the time.
    """

    priority = "LOW"

    def __init__(
        self, dataset: MixtureDataset, indices: Sequence[int], interval: int, folder: Path, log: TrainLog
    ) -> None:
        self.dataset = dataset
        self.indices = tuple(indices)
        self.interval = interval
        self.folder = folder
        self.log = log

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw when it is time."""
        iteration = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        rank, size = rank_and_size()
        with aside(runner) as model:
            encoder = self.dataset.encoder
            assert isinstance(model, GroundedMLLM)  # picture_log has seen to it
            session = Session(model, encoder if isinstance(encoder, Encoder) else None)
            ours = {place: self._row(session, self.indices[place]) for place in range(rank, len(self.indices), size)}
        rows = {place: row for theirs in gather_objects(ours) for place, row in theirs.items()}
        if rank == 0:
            picture = grid([rows[place] for place in sorted(rows)])
            self.folder.mkdir(exist_ok=True)
            path = self.folder / f"iter_{iteration:06d}.png"
            unfinished = path.with_name(f".{path.name}")
            save_picture(picture, unfinished)
            os.replace(unfinished, path)
            self.log.display.picture("samples", picture, iteration)
            runner.logger.info("drew %s", path)
        self.log.restart_clock()

    def _row(self, session: Session, index: int) -> list[Cell]:
        """The cells of one sample."""
        source, record, rng = self.dataset.mixture.locate(0, index)
        sample = self.dataset.mixture.sources[source].read(record, rng)
        question, answer = sample.turns[0], sample.turns[1]
        frames = None if sample.media is None else sample.media.frames
        if frames is None:
            shown = None
        elif sample.regions is None:
            shown = spotlights(frames, None)
        else:
            shown = spotlights(frames[:1], sample.regions[:, None], is_region=True)
        return [
            Cell(f"{sample.source}[{sample.id}] {sample.task}", question.text, shown),
            Cell("truth", parse_answer(answer.text).text, _with_masks(frames, _true_masks(sample))),
            self._prediction(session, sample, frames),
        ]

    @staticmethod
    def _prediction(session: Session, sample: Sample, frames: np.ndarray | None) -> Cell:
        """What the model says; a sample that it can't be asked about says why."""
        try:
            request = Request(sample.turns[:1], sample.media, sample.regions, NEW_TOKENS)
            result = session.ask(request)
        except UserError as error:
            return Cell("no prediction", str(error))
        masks = np.stack([segment.masks for segment in result.segments]) if result.segments else None
        return Cell("prediction", result.text, _with_masks(frames, masks))


def picture_log(settings: LogSettings, model: nn.Module, dataset: Any, folder: Path, log: TrainLog) -> LogPictures:
    """The hook that a config asks for.

    Args:
        settings: ``pictures`` and ``pictures_interval``.
        model: not wrapped.
        dataset: what is trained on.
        folder: the work directory.
        log: the run's.

    Raises:
        UserError: the model answers no questions, the dataset is no mixture, or an index is beyond its end.
    """
    if not isinstance(model, GroundedMLLM) or not isinstance(dataset, MixtureDataset):
        raise UserError(
            f"log.pictures asks a GroundedMLLM about samples of a MixtureDataset; this run has a "
            f"{type(model).__name__} and a {type(dataset).__name__}, so leave it at 0"
        )
    chosen = settings.pictures
    indices = spread(dataset.mixture, chosen) if isinstance(chosen, int) else list(chosen)
    beyond = [index for index in indices if index >= len(dataset)]
    if beyond:
        raise UserError(f"log.pictures: sample {beyond[0]} of a dataset of {len(dataset)}; it counts from 0")
    return LogPictures(dataset, indices, settings.pictures_interval, folder / "pictures", log)


def spread(mixture: Mixture, count: int) -> list[int]:
    """``count`` positions of epoch 0, fewer where there are fewer, the sources taking turns."""
    each = -(-count // len(mixture.sources))
    found = [mixture.first_visits(source, each) for source in range(len(mixture.sources))]
    turns = [visits[turn] for turn in range(each) for visits in found if turn < len(visits)]
    return turns[:count]


def _true_masks(sample: Sample) -> np.ndarray | None:
    """Those of the first answer, bool ``[N,T,H,W]``."""
    count = sample.turns[1].text.count(SEG)
    return sample.masks[:count] if sample.masks is not None and count else None


def _with_masks(frames: np.ndarray | None, masks: np.ndarray | None) -> np.ndarray | None:
    return None if frames is None or masks is None else spotlights(frames, masks)

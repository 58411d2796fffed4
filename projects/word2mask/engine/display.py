"""TensorBoard and Weights & Biases, by mmengine's visualizer: what the console and ``history.jsonl`` don't show."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend, TensorboardVisBackend, WandbVisBackend

from word2mask.engine.distributed import rank_and_size
from word2mask.engine.settings import LogSettings
from word2mask.errors import UserError

#: Of everything on Weights & Biases, whose own count of steps is that of its calls.
_AXIS = "train/iter"


class Display:
    """The places that a config names; without any, or on another process than the first, nothing happens.

    Args:
        settings: ``tensorboard`` and ``wandb``.
        folder: the work directory.
        config: the run's settings, one a line, for the record.

    Raises:
        UserError: a package is missing, or Weights & Biases doesn't start.
    """

    def __init__(self, settings: LogSettings, folder: Path, config: str = "") -> None:
        backends: list[BaseVisBackend] = []
        if rank_and_size()[0] == 0:
            if settings.tensorboard:
                _require("tensorboard", "log.tensorboard is on")
                backends.append(TensorboardVisBackend(save_dir=str(folder / "tensorboard")))
            if settings.wandb is not None:
                backends.append(_wandb(settings.wandb, folder, config))
        self._backends = backends
        # Its figure is never drawn on; it is made only where there is something to pass on.
        self._visualizer = Visualizer(vis_backends=backends) if backends else None

    def numbers(self, kind: str, numbers: Mapping[str, float], iteration: int) -> None:
        """Show numbers of a step.

        Args:
            kind: what their names begin with, ``"train"`` or ``"val"``.
            numbers: by name.
            iteration: optimizer steps done.
        """
        if self._visualizer is not None:
            named = {f"{kind}/{name}": float(value) for name, value in numbers.items()}
            self._visualizer.add_scalars({**named, _AXIS: iteration}, iteration)

    def picture(self, name: str, picture: np.ndarray, iteration: int) -> None:
        """Show a picture, uint8 RGB ``[H,W,3]``."""
        if self._visualizer is not None:
            self._visualizer.add_image(name, picture, iteration)

    def close(self) -> None:
        """Write what is still held."""
        for backend in self._backends:
            if isinstance(backend, WandbVisBackend):
                backend.experiment.finish()  # mmengine calls what newer versions have no longer
            else:
                backend.close()


def _wandb(arguments: Mapping[str, Any], folder: Path, config: str) -> WandbVisBackend:
    """A run of Weights & Biases that has begun."""
    wandb = _require("wandb", "log.wandb is set")
    settings = dict(line.split(" = ", 1) for line in config.splitlines())
    backend = WandbVisBackend(
        save_dir=str(folder),
        init_kwargs={"name": folder.name, "config": settings, **arguments},
        define_metric_cfg=[{"name": "*", "step_metric": _AXIS}],
    )
    try:
        backend.experiment  # noqa: B018  (starts it)
    except (wandb.Error, TypeError, ValueError) as error:
        raise UserError(
            f"log.wandb: Weights & Biases does not start ({error}); log in with the command wandb login, or give "
            'mode="offline"'
        ) from error
    return backend


def _require(package: str, why: str) -> Any:
    """The package.

    Raises:
        UserError: it isn't installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"{why}, but the package {package} can't be imported ({error}): pip install -e '.[log]'"
        ) from error

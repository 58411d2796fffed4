"""The steps of a training, one after the other, until the last one or a signal."""

from __future__ import annotations

import time
from typing import Any

from mmengine.runner.base_loop import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from word2mask.engine.adapter import train_step
from word2mask.engine.interruption import Interrupted, Interruption
from word2mask.engine.operations import OperationMeter


class TrainLoop(BaseLoop):
    """Optimizer steps ``iter … max_iters``, each over ``accumulate`` forward passes.

    Args:
        runner: mmengine's.
        dataloader: endless, over a :class:`GlobalBatchSampler`.
        max_iters: optimizer steps.
        accumulate: forward passes per step.
        flops_interval: see :class:`word2mask.engine.operations.OperationMeter`.
    """

    max_epochs = 1
    epoch = 0

    def __init__(self, runner: Any, dataloader: DataLoader, max_iters: int, accumulate: int, flops_interval: int = 0):
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.accumulate = accumulate
        self.meter = OperationMeter(flops_interval)
        self.iter = 0
        self.samples_seen = 0

    def run(self) -> nn.Module:
        """Train to the end.

        Raises:
            Interrupted: a signal came; the state has been saved.
        """
        sampler = self.dataloader.batch_sampler
        sampler.set_start(self.samples_seen)
        ours = sampler.batch_size * self.accumulate
        device = self.runner.strategy.device
        interruption = Interruption()
        with interruption.catching():
            self.runner.call_hook("before_train")
            batches = iter(self.dataloader)
            self.runner.model.train()
            first = self.iter
            while self.iter < self.max_iters:
                start = time.perf_counter()
                step_batches = [next(batches) for _ in range(self.accumulate)]
                data_time = time.perf_counter() - start
                with self.meter.step(self.iter - first) as count:
                    step = train_step(self.runner.model, step_batches, self.runner.optim_wrapper, device, count)
                step.numbers |= {"data_time": data_time, "grad_norm": self.runner.optim_wrapper.grad_norm}
                step.totals["samples"] = ours
                self.samples_seen += ours * sampler.world_size
                self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=None, outputs=step)
                self.iter += 1
                stop = interruption.agreed(device)
                if stop and self.iter < self.max_iters:
                    raise Interrupted(stop, self.iter, self.runner.save_now(self.iter))
            self.runner.call_hook("after_train")
        return self.runner.model

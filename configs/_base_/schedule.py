"""Optimizer and shape of the schedule of Sa2VA (arXiv:2501.04001); an experiment says ``lr`` and ``max_iters``."""

from torch.optim import AdamW

optimizer = dict(type=AdamW, lr=4e-5, betas=(0.9, 0.999), weight_decay=0.05)
schedule = dict(max_iters=10000, warmup_ratio=0.05, warmup_start=1e-5, final_ratio=0.0)

"""What every test shares: one thread, no network, and skips for what this machine lacks."""

from __future__ import annotations

import os
from pathlib import Path

# Before any test imports transformers or torch.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

import signal

import pytest
import torch

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts tests in the background has them, and all that they start, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _assets() -> Path | None:
    folder = os.environ.get("WORD2MASK_ASSETS")
    return Path(folder) if folder and Path(folder).is_dir() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips tests marked ``gpu`` or ``assets`` where there is no such thing."""
    reasons = {}
    if not torch.cuda.is_available():
        reasons["gpu"] = "no CUDA device"
    if _assets() is None:
        reasons["assets"] = "WORD2MASK_ASSETS names no folder"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def assets() -> Path:
    """The folder of real pictures and clips; only for tests marked ``assets``."""
    folder = _assets()
    assert folder is not None, "mark the test with @pytest.mark.assets"
    return folder

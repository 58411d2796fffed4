"""Trains the mixed recipe once for every job of a list, in one process or as one of several: ``JOBS.json``.

Starting Python and importing everything takes longer than these trainings do, so one start serves them all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "projects"), str(TESTS)]

from recipes.mixed import MixedValidation  # noqa: E402
from word2mask.engine.build import Built  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.engine.distributed import leave_processes  # noqa: E402
from word2mask.engine.runner import train  # noqa: E402

for job in json.loads(Path(sys.argv[1]).read_text()):
    settings = check_settings(load_config(TESTS / "recipes" / "configs" / "mixed.py", job["options"]))
    if job["validates"]:
        check = dict(type=MixedValidation, model=dict(type=Built, path="model"))
        settings = replace(settings, validation=dict(run=check, interval=2))
    train(settings, job["folder"], resume=job["resume"])
leave_processes()

"""A run that is stopped: one sentence, nothing lost, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on(
    tmp_path: Path, start_service: Callable, make_sav: Callable, number: signal.Signals
) -> None:
    make_sav(tmp_path / "sav", 12)
    service = start_service()
    is_held = True

    class Held(type(service.script)):
        """Answers six questions, and lets those after them wait."""

        @property
        def delay(self) -> float:
            return 60.0 if is_held and self.counts["answers"] >= 6 else 0.0

    service.script.__class__ = Held
    command = [sys.executable, str(ROOT / "tools" / "annotate_refsav.py"), "--videos", str(tmp_path / "sav")]
    command += ["--out", str(tmp_path / "run"), "--vision-url", service.url, "--vision-model", "m"]
    process = subprocess.Popen(
        [*command, "--concurrency", "2"], stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while service.script.counts["answers"] < 6 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert told.endswith("stopped; what was answered is kept: the same command goes on from here\n")
    assert "Traceback" not in told
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["store"]
    answered = service.script.counts["answers"]
    assert 6 <= answered <= 8
    is_held = False
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ, check=True)
    assert json.loads(again.stdout.partition("\nwritten to")[0])["videos"] == 12
    # At most what was on its way was asked for twice.
    assert sum(count - 1 for count in service.script.answered.values()) <= 2

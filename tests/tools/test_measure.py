"""tools/measure.py: time, memory of the whole process tree, and a record only where the command ends well."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOLD = "import time; held = bytearray(100_000_000); held[::4096] = b'1' * len(held[::4096]); time.sleep(2.5)"


def measure(repository: Path, record: Path, *command: str) -> int:
    return subprocess.run([sys.executable, repository / "tools/measure.py", record, "--", *command]).returncode


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory of a process tree needs /proc")
def test_counts_grandchildren(repository: Path, tmp_path: Path) -> None:
    record = tmp_path / "a" / "record.json"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {HOLD!r}]))"
    assert measure(repository, record, sys.executable, "-c", parent) == 0
    measured = json.loads(record.read_text())
    assert 0.1 <= measured["peak_memory_gb"] < 0.3  # 0.1 GB held by the grandchild, and two interpreters
    assert 2.5 <= measured["seconds"] < 30


def test_no_record_of_a_failure(repository: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text("{}")
    assert measure(repository, record, sys.executable, "-c", "raise SystemExit(3)") == 3
    assert not record.exists()


def test_once_runs_the_same_command_once(repository: Path, tmp_path: Path) -> None:
    record, log = tmp_path / "record.json", tmp_path / "log"

    def once(word: str) -> None:
        command = [sys.executable, "-c", f"open({str(log)!r}, 'a').write({word!r})"]
        subprocess.run([sys.executable, repository / "tools/measure.py", "--once", record, "--", *command], check=True)

    once("a")
    once("a")
    once("b")
    assert log.read_text() == "ab"

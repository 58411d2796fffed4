"""Runs a command and writes down how long it took and how much memory it and its children held at most.

    python tools/measure.py [--once] RECORD.json -- COMMAND [ARGUMENTS …]

The record is written only where the command ends well, so that its presence says "done". The exit code is the
command's. Memory is the proportional set size: what processes share counts once. Where the system has no /proc, the
largest single process is given instead. With ``--once``, a command that RECORD says is done is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

PROC = Path("/proc")
INTERVAL_S = 1.0


def children_of(root: int) -> list[int]:
    """Process ids of ``root`` and of everything below it, from /proc."""
    parent_of = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                # The name, in parentheses, may hold spaces; after it come the state and the parent.
                parent_of[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):  # it has ended meanwhile
                continue
    found, new = [root], [root]
    while new:
        new = [pid for pid, parent in parent_of.items() if parent in new]
        found += new
    return found


def memory_of(root: int) -> int:
    """Proportional set size of a process and its children, in bytes."""
    total = 0
    for pid in children_of(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def run(command: list[str]) -> tuple[int, float, int]:
    """Runs ``command`` to its end.

    Returns:
        Its exit code, its wall time in seconds, and the peak of its memory in bytes.
    """
    started = time.monotonic()
    process = subprocess.Popen(command)
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.is_set():
            peak = max(peak, memory_of(process.pid))
            ended.wait(INTERVAL_S)

    watcher = threading.Thread(target=watch, daemon=True) if PROC.is_dir() else None
    if watcher:
        watcher.start()
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()  # the terminal has told the child as well
    ended.set()
    if watcher:
        watcher.join()
    else:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return code, time.monotonic() - started, peak


def done_before(record: Path, command: list[str]) -> float | None:
    """The seconds that this very command took, where the record tells of it."""
    try:
        there = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return there["seconds"] if there.get("command") == command else None


def main() -> int:
    """Measures the command of the command line."""
    parser = argparse.ArgumentParser(description="Runs a command; records its time and its peak memory.")
    parser.add_argument("--once", action="store_true", help="don't run a command that RECORD says is done")
    parser.add_argument("record", type=Path, help="JSON file to write when the command has ended well")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser.error("no command given; write it after --")
    if arguments.once and (seconds := done_before(arguments.record, command)) is not None:
        sys.stdout.write(f"done before, in {seconds} s\n")
        return 0
    arguments.record.unlink(missing_ok=True)
    code, seconds, peak = run(command)
    if code == 0:
        record = {
            "command": command,
            "started": round(time.time() - seconds, 1),
            "seconds": round(seconds, 1),
            "peak_memory_gb": round(peak / 1e9, 2),
        }
        arguments.record.parent.mkdir(parents=True, exist_ok=True)
        half_written = arguments.record.with_suffix(".part")
        half_written.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        os.replace(half_written, arguments.record)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())

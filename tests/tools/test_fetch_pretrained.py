"""The tool lists what can be fetched, and says in one sentence what can't."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "tools/fetch_pretrained.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_lists_the_manifest_and_names_what_it_does_not_know(repository: Path) -> None:
    listed = run(repository)
    assert listed.returncode == 0
    downloads = json.loads((repository / "pretrained/manifest.json").read_text())["downloads"]
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(downloads)
    unknown = run(repository, "SmolVLM9")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("fetch_pretrained: ") and "no part called 'SmolVLM9'" in unknown.stderr

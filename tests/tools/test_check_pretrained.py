"""The committed weights are those that pretrained/manifest.json describes, and a change is noticed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest


def check(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "tools/check_pretrained.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "small").mkdir()
    (tmp_path / "small/weights.bin").write_bytes(b"abc")
    (tmp_path / "scores.json").write_text('{"iou": 91.5}')
    path = tmp_path / "manifest.json"
    path.write_text('{"folders": {}}')
    return path


def add(repository: Path, manifest: Path) -> subprocess.CompletedProcess[str]:
    folder = manifest.parent
    return check(
        *(repository, "--manifest", manifest, "--add", folder / "small", "--what", "a test", "--config", "c.py"),
        *("--seed", 3, "--commit", "1234567", "--scores", folder / "scores.json"),
    )


def test_the_committed_manifest_holds(repository: Path) -> None:
    listed = json.loads((repository / "pretrained/manifest.json").read_text())["folders"]
    tracked = subprocess.run(["git", "ls-files", "pretrained"], cwd=repository, capture_output=True, text=True).stdout
    folders = {line.split("/")[1] for line in tracked.splitlines() if line.count("/") > 1}
    assert folders <= set(listed), f"committed, but not in the manifest: {sorted(folders - set(listed))}"
    for name in folders:
        for file, entry in listed[name]["files"].items():
            content = (repository / "pretrained" / name / file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry["sha256"], f"{name}/{file}"
        for file in (line.split("/", 2)[2] for line in tracked.splitlines() if line.startswith(f"pretrained/{name}/")):
            assert file in listed[name]["files"], f"{name}/{file} is committed, but not listed"


def test_add_then_check(repository: Path, manifest: Path) -> None:
    assert add(repository, manifest).returncode == 0
    entry = json.loads(manifest.read_text())["folders"]["small"]
    assert entry["scores"] == {"iou": 91.5} and entry["seed"] == 3 and entry["config"] == "c.py"
    # SHA-256 of "abc", FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert entry["files"] == {"weights.bin": {"bytes": 3, "sha256": expected}}
    assert check(repository, "--manifest", manifest).returncode == 0


def test_add_reads_the_record_of_the_training(repository: Path, manifest: Path) -> None:
    record = {"config": "d.py", "seed": 5, "commit": "7654321", "scores": {"j": 88.0}, "steps": 9}
    (manifest.parent / "small/training.json").write_text(json.dumps(record))
    run = check(repository, "--manifest", manifest, "--add", manifest.parent / "small", "--what", "a test")
    assert run.returncode == 0, run.stderr
    entry = json.loads(manifest.read_text())["folders"]["small"]
    assert {key: entry[key] for key in ("config", "seed", "commit", "scores")} == {
        key: record[key] for key in ("config", "seed", "commit", "scores")
    }


def test_changes_are_noticed(repository: Path, manifest: Path) -> None:
    add(repository, manifest)
    (manifest.parent / "small/weights.bin").write_bytes(b"abd")
    (manifest.parent / "small/more.bin").write_bytes(b"")
    (manifest.parent / "other").mkdir()
    run = check(repository, "--manifest", manifest)
    assert run.returncode == 1
    assert "small/weights.bin: isn't the file" in run.stderr
    assert "small/more.bin: there, but not listed" in run.stderr
    assert "other: not in manifest.json" in run.stderr


def test_missing_arguments_are_named(repository: Path, manifest: Path) -> None:
    run = check(repository, "--manifest", manifest, "--add", manifest.parent / "small")
    assert run.returncode == 2
    assert "--what, --config, --seed, --commit, --scores" in run.stderr
    assert check(repository, "--manifest", manifest.parent / "none.json").returncode == 2

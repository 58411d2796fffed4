"""Holds pretrained/manifest.json against the folders that it lists, and writes an entry for a new folder.

    python tools/check_pretrained.py                        # checks every folder that is present
    python tools/check_pretrained.py --add pretrained/NAME --what "a small SAM 2"

An entry says what made the folder: the config, the seed, the commit, the scores it reached, and the size and SHA-256
of every file; ``--add`` takes config, seed, commit and scores from the folder's training.json where the command line
doesn't say. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = ("what", "licence", "config", "seed", "commit", "scores", "files")


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """``{file name: {"bytes", "sha256"}}`` of the files below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }


def problems(manifest: dict[str, Any], pretrained: Path) -> list[str]:
    """What doesn't agree between the manifest and the folders beside it, one sentence each; empty when all is well.

    A folder that is listed and absent is no problem (it may be downloaded later); one that is there and unlisted is.
    Downloads are held against their hashes by fetch_pretrained.py.
    """
    found = []
    listed = manifest.get("folders", {})
    fetched = {entry["folder"] for entry in manifest.get("downloads", {}).values()}
    for folder in sorted(path.name for path in pretrained.iterdir() if path.is_dir()):
        if folder not in listed and folder not in fetched:
            found.append(f"{folder}: not in manifest.json; add it with --add, or remove it")
    for name, entry in listed.items():
        missing = [key for key in REQUIRED if key not in entry]
        if missing:
            found.append(f"{name}: the manifest says nothing of {', '.join(missing)}")
            continue
        if not (pretrained / name).is_dir():
            continue
        there = describe(pretrained / name)
        for file in sorted(set(there) | set(entry["files"])):
            if file not in there:
                found.append(f"{name}/{file}: listed, but not there")
            elif file not in entry["files"]:
                found.append(f"{name}/{file}: there, but not listed")
            elif there[file] != entry["files"][file]:
                found.append(f"{name}/{file}: isn't the file that the manifest describes (another size or SHA-256)")
    return found


def write(manifest: dict[str, Any], path: Path) -> None:
    """Writes the manifest under its final name only when it is whole."""
    half_written = path.with_suffix(".part")
    half_written.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(half_written, path)


def main() -> int:
    """Checks, or adds a folder."""
    parser = argparse.ArgumentParser(description="Holds pretrained/manifest.json against the folders that it lists.")
    parser.add_argument("--manifest", type=Path, default=ROOT / "pretrained/manifest.json")
    parser.add_argument("--add", type=Path, metavar="FOLDER", help="write the entry of this folder beside the manifest")
    parser.add_argument("--what", help="with --add: what the folder holds, in one clause")
    parser.add_argument("--licence", default="Apache-2.0", help="with --add")
    parser.add_argument("--config", help="with --add: the config that made it")
    parser.add_argument("--seed", type=int, help="with --add: the seed that made it")
    parser.add_argument("--commit", help="with --add: the commit that made it")
    parser.add_argument("--scores", type=Path, metavar="JSON", help="with --add: a file with the scores it reached")
    arguments = parser.parse_args()

    try:
        manifest = json.loads(arguments.manifest.read_text(encoding="utf-8"))
        if arguments.add:
            if not arguments.add.is_dir():
                parser.error(f"{arguments.add} is not a folder")
            entry = {name: getattr(arguments, name) for name in ("what", "licence", "config", "seed", "commit")}
            entry["scores"] = json.loads(arguments.scores.read_text(encoding="utf-8")) if arguments.scores else None
            record = arguments.add / "training.json"
            recorded = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
            entry = {key: recorded.get(key) if value is None else value for key, value in entry.items()}
            missing = [f"--{name}" for name, value in entry.items() if value is None]
            if missing:
                parser.error(f"--add needs {', '.join(missing)}")
            manifest["folders"][arguments.add.resolve().name] = entry | {"files": describe(arguments.add)}
            write(manifest, arguments.manifest)
        found = problems(manifest, arguments.manifest.resolve().parent)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"check_pretrained: {error}\n")
        return 2
    for problem in found:
        sys.stderr.write(problem + "\n")
    sys.stdout.write(f"{len(manifest['folders'])} folders listed, {len(found)} problems\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

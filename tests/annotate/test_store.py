"""Values by hash: whole or absent."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from word2mask.annotate.store import Store, hash_of
from word2mask.errors import UserError


def test_keys_depend_on_content_alone() -> None:
    # The text that is hashed, written out by hand.
    assert hash_of({"b": 1, "a": ["é"]}) == hashlib.sha256('{"a":["é"],"b":1}'.encode()).hexdigest()
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1}) != hash_of({"a": 2, "b": 1})


def test_what_was_put_is_found_by_another_store(tmp_path: Path) -> None:
    key = hash_of("question")
    Store(tmp_path).put(key, {"answer": "ä"})
    again = Store(tmp_path)
    assert again.get(key) == {"answer": "ä"}
    assert again.get(hash_of("other")) is None
    assert len(again) == 1


def test_a_damaged_file_counts_as_absent(tmp_path: Path) -> None:
    store, key = Store(tmp_path), hash_of("question")
    store.put(key, {"answer": 1})
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text()[:-4])
    assert store.get(key) is None
    store.put(key, {"answer": 2})
    assert store.get(key) == {"answer": 2}


def test_nothing_but_whole_files_remains(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(5):
        store.put(hash_of(number), {"number": number})
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"] * 5


def test_what_the_disk_says_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, key = Store(tmp_path), hash_of("question")
    store.put(key, {"answer": 1})
    whole = store.get(key)

    def fail(number: int) -> None:
        def replace(source: str, target: str) -> None:
            raise OSError(number, os.strerror(number), target)

        monkeypatch.setattr(os, "replace", replace)

    for number, message in (
        (errno.ENOSPC, "no room left .*, and what was answered before is kept; make room"),
        (errno.EROFS, "can't be written .*, and what was answered before is kept; see to the disk"),
    ):
        fail(number)
        with pytest.raises(UserError, match=message):
            store.put(key, {"answer": 2})
    # What was there stays, and nothing half written beside it.
    assert store.get(key) == whole and len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    other = hash_of("other")
    (tmp_path / other[:3] / f"{other}.json").mkdir(parents=True)
    with pytest.raises(UserError, match="can't be read .*; see to the disk or the rights"):
        store.get(other)

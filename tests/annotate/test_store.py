"""Values by hash: whole or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from word2mask.annotate.store import Store, hash_of


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

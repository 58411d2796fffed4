"""Videos of an evaluation set stay out of what is annotated."""

from __future__ import annotations

from pathlib import Path

import pytest

from word2mask.annotate.inputs.exclusion import leave_out, read_names
from word2mask.annotate.records import VideoReference
from word2mask.errors import UserError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("meta_expressions_valid.json", '{"videos": {"a": {"expressions": {}}, "b": {}}}'),
        ("Ref-SAV.json", '{"a": {"objects": {}}, "b": {"objects": {}}}'),
        ("list.json", '["a", "sav_000/b.mp4"]'),
        ("val.txt", "a\nb\n"),
    ],
)
def test_every_form_of_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_names(tmp_path / name) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "[1]", "expected names of videos, got"),
        ("a.txt", "\n", "expected names of videos"),
        ("a.txt", None, "can't be read"),
    ],
)
def test_what_names_nothing_is_said(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_names(tmp_path / name)


def test_names_of_videos_and_of_their_files_count() -> None:
    found = [
        VideoReference("a", "train/a.mp4", "a.json"),
        VideoReference("a_auto", "train/a.mp4", "a_auto.json"),
        VideoReference("bear", "JPEGImages/480p/bear", "bear.json"),
        VideoReference("c", "train/c.mp4", "c.json"),
    ]
    assert leave_out(found, frozenset({"a", "bear"})) == found[3:]
    assert leave_out(found, frozenset()) == found
    with pytest.raises(UserError, match="all 4 videos are to be left out"):
        leave_out(found, frozenset({"a", "bear", "c"}))

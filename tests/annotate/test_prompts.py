"""Prompts as files: versions, and what a user may change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from word2mask.annotate.answers import SCHEMAS
from word2mask.annotate.asking import ROLES
from word2mask.annotate.prompts import BUILT_IN, PLACEHOLDERS, load_prompts
from word2mask.errors import UserError


def test_every_prompt_is_there_and_asks_for_what_its_schema_has() -> None:
    prompts = load_prompts()
    assert set(prompts) == set(PLACEHOLDERS) == {path.stem for path in BUILT_IN.glob("*.md")}
    assert set(SCHEMAS) == set(ROLES) == set(prompts) - {"repair"}
    for name, schema in SCHEMAS.items():
        assert all(f'"{key}"' in prompts[name].text for key in schema["properties"]), name


def test_a_users_file_replaces_one_prompt_and_its_version(tmp_path: Path) -> None:
    (tmp_path / "scene.md").write_text("Where is it? $description\n")
    mine, ours = load_prompts(tmp_path), load_prompts()
    assert mine["scene"].fill(description="A dog.") == "Where is it? A dog."
    assert mine["scene"].version == hashlib.sha256(b"Where is it? $description").hexdigest()[:12]
    assert {name for name in ours if mine[name] != ours[name]} == {"scene"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scene", "Where is it?", r"placeholders none, expected \$description"),
        ("scene", "$description $count", r"placeholders \$count \$description, expected \$description"),
        ("scene", "$description for 5$", r"write a dollar sign itself as \$\$"),
        ("scenery", "Where?", "no prompt of this name; there are caption_masked"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / f"{name}.md").write_text(text)
    with pytest.raises(UserError, match=message):
        load_prompts(tmp_path)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder of prompts"):
        load_prompts(tmp_path / "absent")

"""The Space's program: where it looks for its model, and that it opens the page where a Space shows it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub
import pytest

from word2mask.apps.web import command


@pytest.fixture
def space(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("space_app", repository / "docs/space/app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of the pages that were opened."""
    calls: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        calls.append(arguments)
        command.parse_arguments(arguments)  # or they aren't any
        return 0

    monkeypatch.setattr(command, "main", main)
    return calls


def test_a_model_beside_it(space: ModuleType, opened: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORD2MASK_MODEL", raising=False)
    monkeypatch.setattr(space, "HERE", Path("/srv/app"))
    assert space.main() == 0
    assert opened == [["/srv/app/model", "--host", "0.0.0.0", "--port", "7860", "--device", "cpu"]]


def test_a_model_of_the_hub(
    space: ModuleType, opened: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.update(name=name, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setenv("WORD2MASK_MODEL", "somebody/a-model")
    monkeypatch.setenv("WORD2MASK_DEVICE", "cuda")
    assert space.main() == 0
    assert opened[0][0] == str(tmp_path) and opened[0][-1] == "cuda"
    assert asked["name"] == "somebody/a-model" and not any(".py" in pattern for pattern in asked["patterns"])


def test_what_is_missing_is_said(space: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WORD2MASK_MODEL", "/nowhere/model")
    assert space.main() == 2
    assert "/nowhere/model: no such model folder" in capsys.readouterr().err

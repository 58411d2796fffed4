"""The page of published results names every benchmark that there are published results of."""

from __future__ import annotations

from pathlib import Path

from word2mask.evaluation.names import benchmarks

#: On data of a user's own or of shapes world; nobody else has numbers on these.
OWN = {"grounded_caption", "image_chat", "own_pictures", "region", "video_chat"}


def test_every_benchmark_with_published_results_stands_there(repository: Path) -> None:
    page = (repository / "docs/results.md").read_text(encoding="utf-8")
    assert [name for name in benchmarks() if name not in OWN and f"`{name}`" not in page] == []


def test_tables_are_whole(repository: Path) -> None:
    """Every row has its heading's number of cells, and a model and a source in it."""
    width = 0
    for line in (repository / "docs/results.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        width = width or len(cells)
        assert len(cells) == width, line
        assert cells[0], line

"""The notebook runs from its first cell to its last in a kernel of its own, with a model that is there."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

nbclient = pytest.importorskip("nbclient", reason="nbclient isn't installed (extra dev)")
pytest.importorskip("ipykernel", reason="ipykernel isn't installed (extra dev)")

import nbformat  # noqa: E402

from word2mask.mllms.internvl import InternVL  # noqa: E402
from word2mask.models.folder import save_grounded  # noqa: E402
from word2mask.models.grounded import GroundedMLLM  # noqa: E402
from word2mask.segmenters.sam2 import SAM2Segmenter  # noqa: E402


def executed(repository: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The code cells after they ran, in order; an error in one of them is raised."""
    monkeypatch.setenv("WORD2MASK_MODEL", str(model))
    folder = repository / "docs/notebooks"
    notebook = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook, timeout=1_200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> list[Image.Image]:
    """The pictures under a cell."""
    data = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [Image.open(io.BytesIO(base64.b64decode(encoded))) for encoded in data]


def told(cell: Any) -> str:
    """The words under a cell."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def result(cell: Any) -> str:
    """What the last line of a cell gave."""
    return "".join(output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result")


def test_every_cell_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model: what it says is nothing to go by, but everything is done with it."""
    torch.manual_seed(0)
    save_grounded(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()), tmp_path / "tiny")
    cells = executed(repository, tmp_path / "tiny", monkeypatch)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    pictures = [picture.size for cell in cells for picture in shown(cell)]
    assert pictures == [(320, 400)] * 4, "the picture, its answer, what was pointed at, a frame of the video"
    assert any("→" in told(cell) for cell in cells) and any("in 16 frames" in told(cell) for cell in cells)
    assert "answer.json" in result(cells[-1])


def trained(repository: Path) -> Path | None:
    """The quickstart's model, where it was trained."""
    folder = Path(os.environ.get("WORD2MASK_MODEL", repository / "work_dirs/quickstart/hf"))
    return folder if folder.is_dir() else None


@pytest.mark.slow
def test_with_the_quickstarts_model(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded default: it names what it masks, and masks it."""
    model = trained(repository)
    if model is None:
        pytest.skip("the quickstart's model isn't there; run tools/quickstart.sh, or name one by WORD2MASK_MODEL")
    cells = executed(repository, model.resolve(), monkeypatch)
    (described,) = [cell for cell in cells if "describe this picture" in cell.source]
    lines = told(described).splitlines()
    assert len(lines) > 2 and all(": score 0." in line or ": score 1." in line for line in lines[1:])
    # Each phrase stands in the answer's words, and has pixels.
    for line in lines[1:]:
        assert line.partition(":")[0] in lines[0] and int(line.split()[-2]) > 0, line
    (conversation,) = [cell for cell in cells if "session.converse" in cell.source]
    assert all(line.partition("→")[2].strip() for line in told(conversation).splitlines())
    assert "mask_01.png" in result(cells[-1])

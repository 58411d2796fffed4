"""Every config of the repository: plain Python that imports, nodes that bind, nothing inherited dropped in silence."""

from pathlib import Path

import pytest

from word2mask.engine.config import check_settings, load_config
from word2mask.engine.config_source import check_imports, check_source

ROOT = Path(__file__).resolve().parents[1]
PARTS = sorted(ROOT.glob("configs/_base_/**/*.py"))
CONFIGS = sorted(
    [path for path in ROOT.glob("configs/**/*.py") if path not in PARTS] + [*ROOT.glob("projects/*/configs/**/*.py")]
)


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PARTS + CONFIGS, ids=name)
def test_reads_as_plain_python_and_as_a_config(path):
    assert check_source(path) + check_imports(path) == []
    assert load_config(path)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_every_node_binds(path):
    check_settings(load_config(path), name(path))


def test_parts_are_found():
    assert "configs/_base_/runtime.py" in map(name, PARTS)

"""What the published code said about the cases."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """The content of metric_reference.json."""
    return json.loads(Path(__file__).with_name("metric_reference.json").read_text(encoding="utf-8"))

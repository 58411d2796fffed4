"""The similarity of phrases by a text model, against GLaMM's code with the same small model."""

import sys
from pathlib import Path

import pytest

from word2mask.errors import UserError
from word2mask.metrics.similarity import EmbeddingSimilarity

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases
import text_encoder


def test_equal_to_glamms_code(reference, tmp_path):
    text_encoder.write(tmp_path)
    similarity = EmbeddingSimilarity.load(tmp_path)
    found = [similarity(one, other) for one, other in metric_cases.PHRASES]
    # The states are float32.
    assert found == pytest.approx(reference["glamm"]["similarities"], abs=1e-6)
    assert min(found) < 0.6 and found[1] == pytest.approx(1, abs=1e-6)
    assert similarity.description == f"cosine of the mean hidden states of {tmp_path.name}"


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match=r"no text model could be read from .*nothing-here.*give its folder"):
        EmbeddingSimilarity.load(tmp_path / "nothing-here")

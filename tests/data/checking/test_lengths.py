"""Lengths are those of the encoder itself; InternVL's tiny processor stands for the others."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from word2mask.data.checking.lengths import Length, LengthMeter
from word2mask.data.checking.records import Part, check_record
from word2mask.data.encode import Encoder
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter


@pytest.fixture(scope="module")
def processor():
    # The model adds the special tokens to its tokenizer.
    return GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()).mllm.processor


@pytest.mark.parametrize("kind", [RefCOCO, GRefCOCO, Osprey])
def test_length_is_what_training_encodes(kind, processor, tmp_path: Path) -> None:
    source = kind.fixture(tmp_path)
    encoder = Encoder(processor, None, 100_000)
    meter = pickle.loads(pickle.dumps(LengthMeter(encoder)))
    for index in range(2):
        sample = source.read(index, np.random.default_rng(index))
        example = encoder(sample)
        length = len(example.input_ids)
        assert meter(sample) == Length(length, length, len(example.seg_positions))


def test_what_the_limit_cuts(processor, tmp_path: Path) -> None:
    source = RefCOCO.fixture(tmp_path)
    part = Part("refcoco", "training", 0, source)
    sample = part.read(0)  # two questions, a mask each
    whole = LengthMeter(Encoder(processor, None, 100_000))(sample).tokens
    for overlong, severity, words in (
        ("error", "error", "training stops here"),
        ("drop_turns", "warning", "and 1 of its"),
    ):
        meter = LengthMeter(Encoder(processor, None, whole - 1, overlong))
        length = meter(sample)
        assert length.tokens == whole and 0 < length.kept < whole and length.kept_objects == 1
        check = check_record(part, 0, 0, meter)
        (one,) = check.findings
        assert (one.kind, one.severity) == ("too_long", severity) and words in one.message and check.tokens == whole
    (one,) = check_record(part, 0, 0, LengthMeter(Encoder(processor, None, 5, "drop_turns"))).findings
    assert one.severity == "error" and "not even its first answer fits" in one.message


def test_evaluation_is_not_measured(processor, tmp_path: Path) -> None:
    part = Part("refcoco:val", "evaluation", 0, RefCOCO.fixture(tmp_path, per_expression=True))
    assert check_record(part, 0, 0, LengthMeter(Encoder(processor, None, 5))).tokens is None

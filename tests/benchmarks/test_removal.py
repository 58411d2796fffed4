"""benchmarks/removal.py: PSNR by hand, and the removal beside OpenCV's inpainting on scenes whose truth is known."""

import numpy as np
import pytest


@pytest.fixture
def removal(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import removal

    return removal


def test_psnr_by_hand(removal):
    clean = np.zeros((1, 2, 2, 3), np.uint8)
    filled, where = clean + np.uint8(25), np.zeros((1, 2, 2), dtype=bool)
    where[0, 0] = True
    # 20 log10(255 / 25) = 20.17
    assert removal.psnr(filled, clean, where) == pytest.approx(20.172, abs=1e-3)
    filled[0, 1] = 255  # not counted
    assert removal.psnr(filled, clean, where) == pytest.approx(20.172, abs=1e-3)


@pytest.mark.parametrize(("kind", "seed", "margin"), [("picture", 6, 6), ("still", 2, 5), ("pan", 2, 8)])
def test_nearer_to_the_truth_than_telea(kind, seed, margin, removal):
    given = removal.case(kind, seed)
    telea, ours = (
        removal.psnr(removal.WAYS[name](given), given.clean, given.holes) for name in ("Telea (OpenCV)", "`remove`")
    )
    assert ours > telea + margin


def test_the_table(removal):
    page = removal.table({"still": {name: ([30.0, 20.0], [4.0, 6.0]) for name in removal.WAYS}})
    assert "| a video, the camera stands still | 25.0 (≥ 20.0), 5 ms |" in page

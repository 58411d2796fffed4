"""Writes jf_reference.json: J and F of made-up masks as the official DAVIS 2017 code computes them.

    git clone https://github.com/davisvideochallenge/davis2017-evaluation
    git -C davis2017-evaluation checkout ac7c43f
    PYTHONPATH=projects python tests/metrics/make_jf_reference.py davis2017-evaluation

The cases stand in test_jf.py.

Needs numpy and opencv-python; scikit-image is used if installed, else its ``disk`` is given in its own words below.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from test_jf import CASES


def _disk(radius: float) -> np.ndarray:
    """skimage.morphology.disk 0.25: all pixels with x² + y² ≤ r² on the grid of -r … r."""
    offsets = np.arange(-radius, radius + 1)
    x, y = np.meshgrid(offsets, offsets)
    return np.array((x**2 + y**2) <= radius**2, dtype=np.uint8)


def main(repository: str) -> None:
    try:
        import skimage.morphology  # noqa: F401
    except ImportError:
        package, morphology = types.ModuleType("skimage"), types.ModuleType("skimage.morphology")
        morphology.disk = _disk
        sys.modules.update({"skimage": package, "skimage.morphology": morphology})
    sys.path.insert(0, repository)
    from davis2017.metrics import db_eval_boundary, db_eval_iou

    expected = {}
    for name, case in CASES.items():
        prediction, target, void = case()
        expected[name] = {
            "j": [float(value) for value in db_eval_iou(target, prediction, void)],
            "f": [float(value) for value in db_eval_boundary(target, prediction, void)],
        }
    origin = "davisvideochallenge/davis2017-evaluation ac7c43fca936f9722837b7fbd337d284ba37004b, davis2017/metrics.py"
    path = Path(__file__).with_name("jf_reference.json")
    path.write_text(json.dumps({"origin": origin, "cases": expected}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""Runs the PyTorch port of EfficientNet-Lite on made-up weights and keeps what it gives, for
``test_efficientnet_lite_parity.py``.

    pip install efficientnet-lite-pytorch==0.1.0
    python tests/parity/make_efficientnet_lite.py

The package pads for pictures of one size; here for those of the cases, as TensorFlow's "SAME" does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import efficientnet_lite_cases as cases  # noqa: E402


def main() -> None:
    model = EfficientNet.from_name(f"efficientnet-lite{cases.SIZE}").eval()
    model.load_state_dict({name: cases.filled(name, tensor) for name, tensor in model.state_dict().items()})
    for layer in model.modules():
        if isinstance(getattr(layer, "static_padding", None), torch.nn.ZeroPad2d) and layer.stride[0] == 2:
            before, after = layer.kernel_size[0] // 2 - 1, layer.kernel_size[0] // 2
            layer.static_padding = torch.nn.ZeroPad2d((before, after, before, after))
    with torch.no_grad():
        features = model.extract_features(cases.pixels())
    names = "\n".join(name for name in model.state_dict() if not name.startswith("_fc."))
    save_file({"features": features}, FOLDER / "efficientnet_lite_reference.safetensors", metadata={"names": names})


if __name__ == "__main__":
    main()

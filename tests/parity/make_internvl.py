"""Makes ``internvl.safetensors``: what OpenGVLab's own code computes from seeded weights.

    python tests/parity/make_internvl.py CHECKOUT

CHECKOUT is a clone of github.com/OpenGVLab/InternVL, which isn't touched. It was run with transformers 4.57.6,
timm 1.0.31, einops 0.8.2 and peft 0.17.1, at the commit that the file's metadata names.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from internvl_cases import CASES, CONTEXT_ID, inputs, seeded_state  # noqa: E402


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description="Expected tensors of the InternVL family.")
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout
    sys.path.insert(0, str(checkout / "internvl_chat"))
    from internvl.model.internvl_chat import InternVLChatConfig, InternVLChatModel

    found: dict[str, torch.Tensor] = {}
    names: dict[str, dict[str, list[int]]] = {}
    for case, settings in CASES.items():
        config = InternVLChatConfig(**{key: value for key, value in settings.items() if key != "model_type"})
        config.llm_config._attn_implementation = "eager"
        model = InternVLChatModel(config, use_flash_attn=False).float().eval()
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        model.load_state_dict(seeded_state(shapes))
        model.img_context_token_id = CONTEXT_ID
        pixels, ids = inputs()
        with torch.no_grad():
            found[f"{case}.visual"] = model.extract_feature(pixels)
            answer = model(
                pixel_values=pixels,
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                position_ids=torch.arange(ids.shape[1])[None],
                image_flags=torch.ones(len(pixels), 1, dtype=torch.long),
                output_hidden_states=True,
                use_cache=False,
                return_dict=True,
            )
        found[f"{case}.hidden"] = answer.hidden_states[-1][0]
        found[f"{case}.logits"] = answer.logits[0]
        names[case] = {name: list(shape) for name, shape in shapes.items()}
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    metadata = {"made_by": "github.com/OpenGVLab/InternVL", "commit": commit, "names": json.dumps(names)}
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, HERE / "internvl.safetensors", metadata)


if __name__ == "__main__":
    main()

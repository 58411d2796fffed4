"""Runs LLaVA's own code on ``llava_cases.py`` and keeps the token ids, for ``test_llava_parity.py``.

    python tests/parity/make_llava.py CHECKOUT

CHECKOUT is a clone of https://github.com/haotian-liu/LLaVA at c121f0432da27facab705978f83c4ada465e46fd (llava_ids.json
was made with that one). Only ``conversation.py`` and ``mm_utils.py`` are imported.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
from llava_cases import CONVERSATIONS, PICTURE, llama_tokenizer  # noqa: E402


def main() -> None:
    """Writes {template: {conversation: ids}}."""
    package = types.ModuleType("llava")
    package.__path__ = [str(Path(sys.argv[1]) / "llava")]
    sys.modules["llava"] = package
    from llava.conversation import conv_llava_llama_2, conv_llava_v1, conv_vicuna_v1
    from llava.mm_utils import tokenizer_image_token

    tokenizer = llama_tokenizer()
    found: dict[str, dict[str, list[int]]] = {}
    templates = {"vicuna_v1": conv_vicuna_v1, "llava_v1": conv_llava_v1, "llava_llama_2": conv_llava_llama_2}
    for template, empty in templates.items():
        found[template] = {}
        for name, turns in CONVERSATIONS.items():
            conversation = empty.copy()
            for index, text in enumerate(turns):
                conversation.append_message(conversation.roles[index % 2], text if index else f"<image>\n{text}")
            if len(turns) % 2:
                conversation.append_message(conversation.roles[1], None)
            found[template][name] = tokenizer_image_token(conversation.get_prompt(), tokenizer, PICTURE)
    (FOLDER / "llava_ids.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

"""A web page for an exported model: drop a picture or a video, ask, point, and see masks.

    python tools/app.py MODEL

    --host 127.0.0.1 --port 7860   where to listen; 0.0.0.0 is reachable from other machines
    --share off                    on: a public address through Gradio's servers
    --device cpu                   cuda, cuda:1 …
    --key-frames 5                 frames of a video that the language model sees
    --max-frames --max-megapixels --max-megabytes --max-turns    limits on what visitors may bring

It serves until it is stopped with Ctrl-C, and needs the extra ``apps``. Exit code 2 and one sentence when something has
to be put right.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.apps.web import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())

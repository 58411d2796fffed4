"""Answer over HTTP: OpenAI's chat format with masks, segmentation, and jobs for videos.

    python tools/serve.py MODEL [--host 127.0.0.1] [--port 8000] [--device cpu] [--key-frames 5] [--name NAME]
        [--api-key-file FILE] [--max-pixels N] [--max-frames N] [--max-waiting N] [--max-batch N] …

MODEL is the folder of an exported model. Without a key (a file, or the variable WORD2MASK_API_KEY) everybody who
reaches the port can ask. --help lists every limit; docs/serve.md says how to ask. It needs the extra apps.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.apps.server.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())

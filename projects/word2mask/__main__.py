"""``python -m word2mask``: the command ``word2mask``."""

import sys

from word2mask.apps.cli.program import main

if __name__ == "__main__":
    sys.exit(main())

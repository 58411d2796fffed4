"""``torchrun`` for ``tools/dist.sh``: same command line, the exit code of the program, no stack trace of its own.

A process that stops with one sentence for the user (exit code 2) ends the whole run with that sentence and that code;
where all stop with the same one, it is said once.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from word2mask.engine.distributed import SAID


def main() -> int:
    """Start the processes and wait for them.

    Returns:
        0, the exit code of the process that failed first, or 128 + the signal that stopped them.
    """
    # Its messages repeat, at length, what the failing process has said.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="word2mask-run-") as folder:
            os.environ[SAID] = folder
            run.main()
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as stop:
        return 128 + int(stop.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What SIGTERM means to a program that serves; as processes in tests/tools/test_servers.py."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from word2mask.apps.ending import ends_when_told


def test_within_it_sigterm_is_an_end_in_order() -> None:
    before = signal.getsignal(signal.SIGTERM)
    closed = []
    with pytest.raises(SystemExit) as ended, ends_when_told():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            closed.append("files")
    assert ended.value.code == 0 and closed == ["files"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_nothing_changes() -> None:
    before, within = signal.getsignal(signal.SIGTERM), []

    def serve() -> None:
        with ends_when_told():
            within.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert within == [before]

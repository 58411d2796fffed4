"""What a process frees stays its own, unless whoever starts it has settled that."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

#: Whether it was done, and the free megabytes that glibc keeps for the process once 512 were taken and freed.
PROGRAM = """
import ctypes, sys
from word2mask.engine.heap import keep_freed_memory

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

print(keep_freed_memory(int(sys.argv[1])) if sys.argv[1] != "leave" else None)
library = ctypes.CDLL(None)
library.malloc.restype, library.mallinfo2.restype = ctypes.c_void_p, Info
for size in (1 << 29, 1 << 28):
    block = library.malloc(ctypes.c_size_t(size))
    library.free(ctypes.c_void_p(block))
print(library.mallinfo2().fordblks >> 20)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def kept(most: int | str, **variables: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(most)], env=environment | variables, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    done, megabytes = said.stdout.split()
    return done, int(megabytes)


def test_what_is_freed_stays():
    assert kept("leave")[1] < 100
    done, megabytes = kept(-1)
    assert done == "True" and megabytes >= 512


def test_what_is_over_the_limit_goes_back():
    done, megabytes = kept(100 << 20)
    assert done == "True" and megabytes < 256


@pytest.mark.parametrize("variables", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}])
def test_who_has_set_the_allocator_is_left_alone(variables):
    assert kept(-1, **variables)[0] == "False"

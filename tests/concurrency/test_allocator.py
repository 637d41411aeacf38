"""Freed arrays serve the next ones, and large ones go back to the system."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

PROGRAM = """
import json, resource, sys, threading
import numpy as np
from tileserver.concurrency.allocator import reuse_memory
if sys.argv[1] == "set":
    reuse_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
def fill(size):
    np.empty(size, np.uint8).fill(1)
fill(3_600_000)
before = faults()
for _ in range(100):
    fill(3_600_000)
again = faults() - before
before = resident_bytes()
threads = [threading.Thread(target=fill, args=(60_000_000,)) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(json.dumps({"faults": again, "kept": resident_bytes() - before}))
"""


def figures(how: str) -> dict[str, int]:
    """Return page faults of 100 arrays of a block's size, and what large arrays leave behind."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, int] = json.loads(run.stdout)
    return found


def test_the_memory_of_a_block_serves_the_next() -> None:
    # With glibc's threshold at a megabyte each array is mapped anew: 900 faults.
    assert figures("set")["faults"] < 1000


def test_large_arrays_go_back_to_the_system() -> None:
    assert figures("set")["kept"] < 20_000_000

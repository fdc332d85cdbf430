"""The memory of a process is what it wrote, not what it only read."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import jaxlib
import pytest

from benchmarks.memory import read_private_dirty

MIB = 2**20


def test_only_written_pages_count_as_memory():
    libraries = Path(jaxlib.__file__).parent.glob("*.so")
    library = max(libraries, key=lambda path: path.stat().st_size)
    before = read_private_dirty(os.getpid())
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 64 * MIB, mmap.MAP_PRIVATE, mmap.PROT_READ) as pages,
    ):
        # USS would grow by all of it, unless another process maps it.
        assert sum(pages[:: mmap.PAGESIZE]) > 0
        assert read_private_dirty(os.getpid()) - before < 16
        written = bytearray(b"y" * 64 * MIB)
        assert read_private_dirty(os.getpid()) - before > 60
        del written


def test_ended_process_raises_os_error():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(OSError):
        read_private_dirty(ended.pid)

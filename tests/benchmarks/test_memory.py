"""What counts as a process's memory: what it wrote, not what it only read."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import jaxlib
import pytest

from benchmarks.memory import read_private_dirty

MIB = 2**20


def test_what_is_written_counts_and_clean_pages_of_a_library_do_not():
    library = Path(jaxlib.__file__).parent / "xla_extension.so"
    before = read_private_dirty(os.getpid())
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 64 * MIB, mmap.MAP_PRIVATE, mmap.PROT_READ) as pages,
    ):
        # Where nobody else maps it, USS grows by all of it.
        assert sum(pages[:: mmap.PAGESIZE]) > 0
        assert read_private_dirty(os.getpid()) - before < 16
        written = bytearray(b"y" * 64 * MIB)
        assert read_private_dirty(os.getpid()) - before > 60
        del written


def test_a_process_that_has_ended_is_an_os_error():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(OSError):
        read_private_dirty(ended.pid)

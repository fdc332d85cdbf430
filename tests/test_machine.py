"""What the system tells of the machine, in a container or not."""

import pytest

from distrl.machine import read_memory

_GIB = 2**30


@pytest.mark.parametrize(
    ("limit", "available", "total"),
    [
        (None, 4 * _GIB, 8 * _GIB),
        ("max\n", 4 * _GIB, 8 * _GIB),
        (f"{_GIB}\n", _GIB, _GIB),
        (f"{5 * _GIB}", 4 * _GIB, 5 * _GIB),
        (f"{9 * _GIB}", 4 * _GIB, 8 * _GIB),
    ],
)
def test_memory_of_the_machine_or_of_the_container(tmp_path, limit, available, total):
    (tmp_path / "proc").mkdir()
    kib = _GIB // 1024
    meminfo = f"MemTotal: {8 * kib} kB\nMemAvailable:   {4 * kib} kB\n"
    (tmp_path / "proc" / "meminfo").write_text(meminfo)
    if limit is not None:
        (tmp_path / "sys" / "fs" / "cgroup").mkdir(parents=True)
        (tmp_path / "sys" / "fs" / "cgroup" / "memory.max").write_text(limit)
    assert read_memory("MemAvailable", tmp_path) == available
    assert read_memory("MemTotal", tmp_path) == total

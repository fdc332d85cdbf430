"""Memory limits and out-of-memory kills, in a container or not."""

import os

import pytest

from distrl.system.machine import (
    MemoryKills,
    count_cores,
    open_memory_file,
    read_memory,
)

_GIB = 2**30


LIMIT = "sys/fs/cgroup/memory.max"
V1 = "sys/fs/cgroup/memory/{}memory.limit_in_bytes"


@pytest.mark.parametrize(
    ("groups", "limits", "available", "total"),
    [
        (None, {}, 4, 8),
        ("0::/", {LIMIT: "max\n"}, 4, 8),
        (None, {LIMIT: f"{_GIB}\n"}, 1, 1),
        ("0::/", {LIMIT: f"{5 * _GIB}"}, 4, 5),
        ("0::/", {LIMIT: f"{9 * _GIB}"}, 4, 8),
        ("0::/job/7\n1:cpu:/x", {"sys/fs/cgroup/job/7/memory.max": f"{_GIB}"}, 1, 1),
        ("0::/job/7", {"sys/fs/cgroup/job/memory.max": f"{_GIB}"}, 1, 1),
        ("0::/job/7", {LIMIT: f"{_GIB}"}, 1, 1),
        ("4:memory:/job/7\n0::/", {V1.format("job/7/"): f"{_GIB}"}, 1, 1),
        ("4:memory:/job/7\n0::/", {V1.format("job/"): f"{_GIB}"}, 1, 1),
        # Seen from within, a container's group is the root.
        ("4:memory:/docker/1f\n0::/", {V1.format(""): f"{_GIB}"}, 1, 1),
    ],
)
def test_memory_is_limited_by_container(
    tmp_path, monkeypatch, groups, limits, available, total
):
    kib = _GIB // 1024
    sizes = {"MemTotal": 8, "MemAvailable": 4, "MemFree": 1, "Buffers": 0, "Cached": 2}
    sizes |= {"Shmem": 0, "Active": 2, "Inactive": 1}
    meminfo = "".join(f"{name}: {gib * kib} kB\n" for name, gib in sizes.items())
    files = {"proc/meminfo": meminfo, "proc/self/cgroup": groups, **limits}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr("psutil.PROCFS_PATH", str(tmp_path / "proc"))
    assert read_memory("available", tmp_path) == available * _GIB
    assert read_memory("total", tmp_path) == total * _GIB


def test_out_of_memory_kill_is_noticed_temporarily(tmp_path, monkeypatch):
    vmstat = tmp_path / "proc" / "vmstat"
    vmstat.parent.mkdir()
    vmstat.write_text("nr_free_pages 12\noom_kill 3\n")
    kills = MemoryKills(tmp_path)
    assert not kills.tick()
    vmstat.write_text("nr_free_pages 12\noom_kill 4\n")
    assert kills.tick()
    assert kills.tick()
    later = kills._noticed_at + 60
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert not kills.tick()


def test_no_kill_is_noticed_without_kernel_counter(tmp_path):
    assert not MemoryKills(tmp_path).tick()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 12\n")
    assert not MemoryKills(tmp_path).tick()


def test_real_proc_tables_are_readable():
    assert read_memory("total") > read_memory("available") > 0
    MemoryKills().tick()


@pytest.mark.parametrize("is_linux", [True, False])
def test_cores_and_memory_files_on_any_system(monkeypatch, is_linux):
    monkeypatch.setattr("distrl.system.machine.IS_LINUX", is_linux)
    assert 1 <= count_cores() <= os.cpu_count()
    descriptor = open_memory_file("numbers")
    assert os.pwrite(descriptor, b"12", 0) == os.fstat(descriptor).st_size
    os.close(descriptor)

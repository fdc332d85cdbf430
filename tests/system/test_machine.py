"""Memory limits and out-of-memory kills, in a container or not."""

import pytest

from distrl.system.machine import MemoryKills, read_memory

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
def test_memory_is_limited_by_container(tmp_path, limit, available, total):
    (tmp_path / "proc").mkdir()
    kib = _GIB // 1024
    meminfo = f"MemTotal: {8 * kib} kB\nMemAvailable:   {4 * kib} kB\n"
    (tmp_path / "proc" / "meminfo").write_text(meminfo)
    if limit is not None:
        (tmp_path / "sys" / "fs" / "cgroup").mkdir(parents=True)
        (tmp_path / "sys" / "fs" / "cgroup" / "memory.max").write_text(limit)
    assert read_memory("MemAvailable", tmp_path) == available
    assert read_memory("MemTotal", tmp_path) == total


@pytest.mark.parametrize(
    ("group", "place", "name"),
    [
        ("0::/job/7", "job/7", "memory.max"),
        ("0::/job/7", "job", "memory.max"),
        ("0::/job/7", "", "memory.max"),
        ("4:memory:/job/7\n0::/", "memory/job/7", "memory.limit_in_bytes"),
        ("4:memory:/job/7\n0::/", "memory/job", "memory.limit_in_bytes"),
        # Seen from within, a container's group is the root.
        ("4:memory:/docker/1f\n0::/", "memory", "memory.limit_in_bytes"),
    ],
)
def test_memory_limits_of_cgroup_and_parents_apply(tmp_path, group, place, name):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    meminfo = f"MemAvailable: {8 * _GIB // 1024} kB\n"
    (tmp_path / "proc" / "meminfo").write_text(meminfo)
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"{group}\n1:cpu:/x\n")
    assert read_memory("MemAvailable", tmp_path) == 8 * _GIB
    directory = tmp_path / "sys" / "fs" / "cgroup" / place
    directory.mkdir(parents=True)
    (directory / name).write_text(f"{_GIB}\n")
    assert read_memory("MemAvailable", tmp_path) == _GIB


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


@pytest.mark.parametrize("text", [None, "nr_free_pages 12\n"])
def test_no_kill_is_noticed_without_kernel_counter(tmp_path, text):
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "vmstat").write_text(text)
    assert not MemoryKills(tmp_path).tick()


def test_real_proc_tables_are_readable():
    assert read_memory("MemTotal") > 0
    MemoryKills().tick()

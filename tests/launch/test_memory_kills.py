"""Kills for memory, as the kernel counts them."""

from distrl.launch.memory_kills import MemoryKills, count_memory_kills


def write_vmstat(path, kills):
    path.write_text(f"nr_free_pages 12\noom_kill {kills}\nzone_reclaim_failed 0\n")


def test_a_new_kill_is_noticed_and_those_before_are_not(tmp_path):
    vmstat = tmp_path / "vmstat"
    write_vmstat(vmstat, 3)
    kills = MemoryKills(vmstat)
    assert not kills.was_recent()
    write_vmstat(vmstat, 4)
    assert kills.was_recent()
    assert kills.was_recent()


def test_a_kill_long_ago_is_not_recent(tmp_path, monkeypatch):
    vmstat = tmp_path / "vmstat"
    write_vmstat(vmstat, 0)
    kills = MemoryKills(vmstat)
    write_vmstat(vmstat, 1)
    kills.tick()
    later = kills._noticed_at + 60
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert not kills.was_recent()


def test_a_kernel_that_hides_it_counts_none(tmp_path):
    assert count_memory_kills(tmp_path / "missing") == 0
    (tmp_path / "vmstat").write_text("nr_free_pages 12\n")
    assert count_memory_kills(tmp_path / "vmstat") == 0


def test_the_real_counter_can_be_read():
    assert count_memory_kills() >= 0

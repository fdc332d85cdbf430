"""The end of a process in words."""

import signal

import pytest

from distrl.launch.ends import (
    MemoryKills,
    count_memory_kills,
    describe_end,
    read_log_end,
)


@pytest.mark.parametrize(
    ("status", "raised", "fault", "end", "words"),
    [
        (signal.SIGKILL, False, None, "killed", "was killed by SIGKILL"),
        (signal.SIGSEGV | 0x80, False, None, "killed", "was killed by SIGSEGV"),
        (signal.SIGRTMIN + 3, False, None, "killed", "was killed by signal 37"),
        (signal.SIGKILL, False, "hung so", "hung", "hung so"),
        (1 << 8, True, None, "failed", "raised an exception"),
        (7 << 8, False, None, "failed", "ended by itself, exit code 7, while"),
        (0, False, None, "ended", "ended by itself, exit code 0, while"),
    ],
)
def test_an_end_is_of_a_kind_and_has_words(status, raised, fault, end, words):
    kind, text = describe_end(status, raised, fault)
    assert kind == end
    assert text.startswith(words)


def test_only_a_kill_can_be_for_memory():
    _, killed = describe_end(signal.SIGKILL, False, None, True)
    assert killed == "was killed by SIGKILL (out of memory)"
    _, crashed = describe_end(signal.SIGSEGV, False, None, True)
    assert crashed == "was killed by SIGSEGV"


def test_the_end_of_a_log_is_quoted_and_one_that_is_not_there_is_said(tmp_path):
    assert "No such file" in read_log_end(str(tmp_path), "actor/0", "killed")
    log = tmp_path / "logs" / "actor" / "0.log"
    log.write_bytes(b"".join(b"line %d \xff\n" % i for i in range(100)))
    lines = read_log_end(str(tmp_path), "actor/0", "killed").splitlines()
    assert lines[0] == f"The end of {log}:"
    assert len(lines) == 16
    assert lines[-1].startswith("line 99")
    # Of a node that hung it ends with where its threads were.
    assert len(read_log_end(str(tmp_path), "actor/0", "hung").splitlines()) == 61


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

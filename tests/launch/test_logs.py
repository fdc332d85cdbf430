"""The bound on the size of logs, and reading their last lines."""

import os
import subprocess
import sys

import pytest
from clocks import Clock

from distrl.launch import logs
from distrl.launch.logs import LogBound, clip, read_last_lines

MIB = 2**20


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "logs" / "actor" / "0.log"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def notes():
    return []


@pytest.fixture
def bound(tmp_path, notes):
    return LogBound(tmp_path / "logs", 1, notes.append)


def test_both_log_files_stay_within_bound_and_keep_newest(log, bound):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(50):
        os.write(descriptor, b"%d\n" % number + bytes(MIB // 10))
        bound.apply()
        sizes = [path.stat().st_size for path in log.parent.iterdir()]
        # A check is late by what was printed since the previous one.
        assert sum(sizes) <= MIB + MIB // 10 + 3
    os.close(descriptor)
    kept = (log.parent / "0.log.1").read_bytes() + log.read_bytes()
    assert kept.endswith(b"49\n" + bytes(MIB // 10))
    assert b"48\n" in kept


def test_process_keeps_writing_to_cut_log(log, bound):
    log.write_text("before\n")
    child = (
        "import os, sys; from distrl.launch.logs import redirect_output\n"
        "redirect_output(sys.argv[1])\n"
        "os.write(1, bytes(2**20)); sys.stdin.read(1); print('after', file=sys.stderr)"
    )
    command = [sys.executable, "-c", child, str(log)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        while log.stat().st_size < MIB:
            assert process.poll() is None
        assert log.read_bytes().startswith(b"before\n")
        bound.apply()
        process.communicate(b"\n", timeout=60)
    finally:
        process.kill()
    assert log.read_bytes() == b"after\n"


def test_log_is_emptied_when_disk_is_full(log, bound, monkeypatch):
    def refuse(source, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.shutil, "copyfileobj", refuse)
    log.write_bytes(bytes(MIB))
    bound.apply()
    assert [path.name for path in log.parent.iterdir()] == ["0.log"]
    assert log.stat().st_size == 0


def test_logs_are_checked_every_second_and_cuts_noted_once(
    log, bound, notes, monkeypatch
):
    now = Clock(1000.0)
    monkeypatch.setattr(logs.time, "monotonic", now)
    log.write_bytes(bytes(MIB // 2))
    (log.parent / "0.txt").write_bytes(bytes(MIB))
    bound.tick()
    log.write_bytes(bytes(MIB))
    bound.tick()
    assert (log.stat().st_size, notes) == (MIB, [])
    for _ in range(3):
        now.now += 1
        log.write_bytes(bytes(MIB))
        bound.tick()
        assert log.stat().st_size == 0
    (note,) = notes
    for words in ("actor/0.log is long", "newest 1 MiB", "launch.log_mib"):
        assert words in note


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "\U0001f3d3" * 20_000, "\udc80" * 9000]
)
def test_long_text_is_clipped_to_its_last_bytes(text):
    clipped = clip(f"{text} the end")
    assert clipped.endswith(" the end")
    assert 19_000 < len(clipped.encode()) <= 20_000
    assert clip("Ça va\n") == "Ça va\n"


@pytest.mark.parametrize(
    ("end", "lines"),
    [(b"\none\ntwo\n", ["one", "two"]), (b"x" * 300_000, ["x" * 20_000])],
)
def test_last_lines_of_huge_file_are_read(tmp_path, end, lines):
    with (tmp_path / "log").open("w+b") as file:
        file.seek(2**40)  # Sparse: it takes no space on the disk.
        file.write(end)
        file.flush()
        assert read_last_lines(file.fileno(), 2) == lines

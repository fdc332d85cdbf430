"""Logs that are long lose what is oldest, whoever holds them open."""

import os
import subprocess
import sys

import pytest
from clocks import Clock

from distrl.launch import logs
from distrl.launch.logs import LogBound, bound_logs, clip, read_last_lines

MIB = 2**20


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "logs" / "actor" / "0.log"
    path.parent.mkdir(parents=True)
    return path


def test_a_log_within_half_of_the_bound_stays_as_it_is(tmp_path, log):
    log.write_bytes(bytes(MIB // 2))
    (log.parent / "0.error").write_bytes(bytes(MIB))
    assert bound_logs(tmp_path / "logs", 1) == []
    assert log.stat().st_size == MIB // 2
    assert bound_logs(tmp_path / "nowhere", 1) == []


def test_both_files_together_stay_within_the_bound_and_hold_the_newest(tmp_path, log):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(50):
        os.write(descriptor, b"%d\n" % number + bytes(MIB // 10))
        bound_logs(tmp_path / "logs", 1)
        sizes = [path.stat().st_size for path in log.parent.iterdir()]
        # One look is late by what was printed since the one before.
        assert sum(sizes) <= MIB + MIB // 10 + 3
    os.close(descriptor)
    kept = (log.parent / "0.log.1").read_bytes() + log.read_bytes()
    assert kept.endswith(b"49\n" + bytes(MIB // 10))
    assert b"48\n" in kept


def test_processes_that_have_it_open_go_on_in_it(tmp_path, log):
    """C code prints to the descriptor, and so does what a node starts."""
    child = (
        "import os, sys; os.write(1, bytes(2**20)); sys.stdin.read(1); print('after')"
    )
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=file
        )
    try:
        while log.stat().st_size < MIB:
            assert process.poll() is None
        assert bound_logs(tmp_path / "logs", 1) == [log]
        process.communicate(b"\n", timeout=60)
    finally:
        process.kill()
    assert log.read_bytes() == b"after\n"


def test_a_full_disk_empties_the_log_all_the_same(tmp_path, log, monkeypatch):
    def refuse(source, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.shutil, "copyfileobj", refuse)
    log.write_bytes(bytes(MIB))
    assert bound_logs(tmp_path / "logs", 1) == [log]
    assert [path.name for path in log.parent.iterdir()] == ["0.log"]
    assert log.stat().st_size == 0


def test_it_is_said_once_and_looked_at_once_a_second(tmp_path, log, monkeypatch):
    now, notes = Clock(1000.0), []
    monkeypatch.setattr(logs.time, "monotonic", now)
    bound = LogBound(tmp_path / "logs", 1, notes.append)
    bound.tick()
    log.write_bytes(bytes(MIB))
    bound.tick()
    assert notes == []
    for _ in range(3):
        now.now += 1
        log.write_bytes(bytes(MIB))
        bound.tick()
        assert log.stat().st_size == 0
    (note,) = notes
    assert "actor/0.log is long" in note
    assert "newest 1 MiB" in note
    assert "launch.log_mib" in note


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "\U0001f3d3" * 20_000, "\udc80" * 9000]
)
def test_a_long_text_is_cut_to_its_end_in_bytes(text):
    clipped = clip(f"{text} the end")
    assert clipped.endswith(" the end")
    assert 19_000 < len(clipped.encode()) <= 20_000


def test_a_short_text_is_quoted_whole():
    assert clip("Ça va\n") == "Ça va\n"


def test_the_last_lines_of_a_file_that_would_not_fit_into_memory(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.truncate(2**40)  # Sparse: it takes no room on the disk either.
        file.seek(2**40)
        file.write(b"\none\ntwo\n")
    with path.open("rb") as file:
        assert read_last_lines(file.fileno(), 2) == ["one", "two"]


def test_a_line_without_an_end_is_cut(tmp_path):
    path = tmp_path / "log"
    path.write_text("x" * 300_000)
    with path.open() as file:
        (line,) = read_last_lines(file.fileno(), 15)
    assert len(line) == 20_000


def test_output_goes_to_a_file_that_is_added_to(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("before\n")
    code = (
        "import sys; from distrl.launch.logs import redirect_output\n"
        "redirect_output(sys.argv[1])\n"
        "print('out', flush=True); print('err', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)], capture_output=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert log.read_text() == "before\nout\nerr\n"

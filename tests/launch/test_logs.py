"""Logs that are long lose what is oldest, whoever holds them open."""

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


def test_a_log_within_half_of_the_bound_stays_as_it_is(log, bound, notes):
    log.write_bytes(bytes(MIB // 2))
    (log.parent / "0.txt").write_bytes(bytes(MIB))
    bound.apply()
    assert (log.stat().st_size, notes) == (MIB // 2, [])


def test_both_files_together_stay_within_the_bound_and_hold_the_newest(log, bound):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(50):
        os.write(descriptor, b"%d\n" % number + bytes(MIB // 10))
        bound.apply()
        sizes = [path.stat().st_size for path in log.parent.iterdir()]
        # One look is late by what was printed since the one before.
        assert sum(sizes) <= MIB + MIB // 10 + 3
    os.close(descriptor)
    kept = (log.parent / "0.log.1").read_bytes() + log.read_bytes()
    assert kept.endswith(b"49\n" + bytes(MIB // 10))
    assert b"48\n" in kept


def test_processes_that_have_it_open_keep_writing_to_it(log, bound):
    child = (
        "import os, sys; os.write(1, bytes(2**20)); sys.stdin.read(1); print('after')"
    )
    command = [sys.executable, "-c", child]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file)
    try:
        while log.stat().st_size < MIB:
            assert process.poll() is None
        bound.apply()
        process.communicate(b"\n", timeout=60)
    finally:
        process.kill()
    assert log.read_bytes() == b"after\n"


def test_a_full_disk_empties_the_log_all_the_same(log, bound, monkeypatch):
    def refuse(source, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.shutil, "copyfileobj", refuse)
    log.write_bytes(bytes(MIB))
    bound.apply()
    assert [path.name for path in log.parent.iterdir()] == ["0.log"]
    assert log.stat().st_size == 0


def test_a_cut_is_reported_once_and_logs_are_checked_once_a_second(
    log, bound, notes, monkeypatch
):
    now = Clock(1000.0)
    monkeypatch.setattr(logs.time, "monotonic", now)
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
    for words in ("actor/0.log is long", "newest 1 MiB", "launch.log_mib"):
        assert words in note


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "\U0001f3d3" * 20_000, "\udc80" * 9000]
)
def test_a_long_text_is_cut_to_its_end_in_bytes(text):
    clipped = clip(f"{text} the end")
    assert clipped.endswith(" the end")
    assert 19_000 < len(clipped.encode()) <= 20_000


def test_a_short_text_is_quoted_whole():
    assert clip("Ça va\n") == "Ça va\n"


@pytest.mark.parametrize(
    ("end", "lines"),
    [(b"\none\ntwo\n", ["one", "two"]), (b"x" * 300_000, ["x" * 20_000])],
)
def test_the_last_lines_of_a_file_that_would_not_fit_into_memory(tmp_path, end, lines):
    with (tmp_path / "log").open("w+b") as file:
        file.seek(2**40)  # Sparse: it takes no room on the disk either.
        file.write(end)
        file.flush()
        assert read_last_lines(file.fileno(), 2) == lines


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

"""Training runs that are short of open files, memory or disk space."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from integration.commands import resume, train

from distrl.checkpoints.layout import find_newest_checkpoint

ENDLESS = ["--stop.evaluation_return=null", "--stop.env_steps=null"]
CGROUPS = Path("/sys/fs/cgroup/memory")
# The disk is small enough to fill; the run is copied before the disk vanishes.
SMALL_DISK = """
mount -t tmpfs -o size=16m none "$DISK" || exit 99
"$@"
code=$?
cp -a "$DISK/run" "$KEPT"
exit $code
"""


def limit_files(number):
    return ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh"]


def can_mount():
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.distributed
def test_too_few_open_files_are_refused_before_start(tmp_path):
    with train(tmp_path / "run", wrapper=limit_files(40)) as command:
        assert command.finish() == 2
        command.assert_nothing_is_left()
    assert not (tmp_path / "run").exists()
    line = command.stderr.splitlines()[-1]
    assert line.startswith("distrl: error: open files: this system allows 40 a process")
    assert "ulimit -n 67" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "files"), [("processes", 67), ("threads", 137), ("serial", 47)]
)
def test_required_number_of_open_files_suffices(tmp_path, backend, files):
    flags = [f"--launch.backend={backend}", "--checkpoint.period_learner_steps=300"]
    with train(tmp_path / "run", *flags, wrapper=limit_files(files)) as command:
        assert command.finish() == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95


@pytest.mark.parametrize(
    "backend",
    [
        "processes",
        pytest.param("serial", marks=pytest.mark.slow),
        pytest.param("threads", marks=pytest.mark.slow),
        pytest.param("launchpad", marks=pytest.mark.slow),
    ],
)
def test_log_size_is_bounded_when_environment_prints(tmp_path, backend):
    flags = ["--environment=broken_environments:talk", f"--launch.backend={backend}"]
    flags += ["--launch.log_mib=1", "--stop.env_steps=8000"]
    with train(tmp_path / "run", *ENDLESS[:1], *flags) as command:
        assert command.finish() == 0, command.stderr
    assert command.stderr.count("(launch.log_mib)") == 1
    # Two actors printed 16 MB, and the evaluator as much as it had time for.
    logs = [p for p in (tmp_path / "run" / "logs").rglob("*") if p.is_file()]
    assert any(path.name.endswith(".log.1") for path in logs)
    assert sum(path.stat().st_size for path in logs) < 4 * 2**20


@pytest.fixture
def small_memory():
    """A memory cgroup that limits what its processes add to 1 MiB."""
    group = CGROUPS / f"distrl-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no memory group can be made here")
    (group / "memory.limit_in_bytes").write_text(str(1 << 20))
    yield group
    deadline = time.monotonic() + 30
    while (group / "cgroup.procs").read_text():
        assert time.monotonic() < deadline
    group.rmdir()


@pytest.mark.distributed
@pytest.mark.slow
def test_out_of_memory_kill_is_reported(tmp_path, small_memory):
    """The replay server grows until it is killed; its next incarnation has no limit."""
    with train(tmp_path / "run", *ENDLESS, "--stop.learner_steps=10000") as command:
        command.await_line("training")
        replay = str(command.pid_of("replay/0"))
        (small_memory / "cgroup.procs").write_text(replay)
        command.await_line("restarted (1)")
        line = command.lines[-1]
        assert command.finish() == 0, command.stderr
    assert "replay/0 was killed by SIGKILL (out of memory)" in line
    assert command.result["restarts"] == {"replay/0": 1}


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no disk of its own can be mounted here")
def test_full_disk_is_reported_and_last_checkpoint_survives(tmp_path):
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    wrapper = ["env", f"DISK={disk}", f"KEPT={kept}"]
    wrapper += ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh"]
    flags = [*ENDLESS, "--checkpoint.period_seconds=1"]
    with train(disk / "run", *flags, wrapper=wrapper) as command:
        command.await_line("training")
        seen = Path(f"/proc/{command.process.pid}/root{disk}")
        saved = "run/checkpoints/00*/manifest.json"
        command.await_value(lambda: list(seen.glob(saved)), seconds=60)
        with (
            pytest.raises(OSError, match="No space left"),
            open(seen / "filler", "wb", buffering=0) as filler,
        ):
            while True:
                filler.write(bytes(4096))
        assert command.finish() == 1
        command.assert_nothing_is_left()
    last = command.stderr.splitlines()[-1]
    assert "No space left on device: " in last
    assert str(disk / "run") in last
    progress = find_newest_checkpoint(kept, pytest.fail).progress
    assert progress.learner_steps > 0
    with resume(kept, "--stop.evaluation_return=0.95") as again:
        assert again.finish() == 0, again.stderr
    assert again.result["learner_steps"] >= progress.learner_steps

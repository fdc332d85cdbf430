"""docs/recipes/train.sbatch on one machine, with stand-ins for Slurm's commands."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
# The script's `ray stop` ends every Ray that it sees, so it must see no others.
APART = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
STAND_INS = {
    # The machine of the job.
    "scontrol": "#!/bin/sh\necho 127.0.0.1\n",
    "srun": '#!/bin/sh\nexec "$@"\n',
}


def may_be_apart():
    try:
        return subprocess.run([*APART, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.distributed,
    pytest.mark.slow,
    pytest.mark.skipif(not may_be_apart(), reason="a PID namespace is not permitted"),
]


@pytest.fixture
def checkout(tmp_path):
    """A directory that looks like a checkout to the script."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def submit(checkout, *arguments):
    environment = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node1",
        "SLURM_NNODES": "1",
        "SLURM_CPUS_PER_TASK": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    script = str(ROOT / "docs" / "recipes" / "train.sbatch")
    return subprocess.Popen(
        [*APART, "--kill-child", "bash", script, *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_result(checkout):
    path = checkout / "runs" / "slurm-4711" / "result.json"
    return json.loads(path.read_text())


def test_job_stops_at_signal_and_next_job_resumes(checkout):
    job = submit(checkout)
    printed = []
    for line in job.stdout:
        printed.append(line)
        if line.endswith(" training\n"):
            break
    (script,) = psutil.Process(job.pid).children()
    script.send_signal(signal.SIGUSR1)
    printed.append(job.communicate(timeout=200)[0])
    assert job.returncode == 143, "".join(printed)
    stopped = read_result(checkout)
    assert (stopped["status"], stopped["reason"]) == ("stopped", "SIGTERM")
    checkpoints = checkout / "runs" / "slurm-4711" / "checkpoints"
    assert any(path.name.isdecimal() for path in checkpoints.iterdir())

    job = submit(checkout, "runs/slurm-4711")
    printed = job.communicate(timeout=290)[0]
    assert job.returncode == 0, printed
    solved = read_result(checkout)
    assert solved["evaluation_return"] >= 0.95
    assert solved["learner_steps"] > stopped["learner_steps"]

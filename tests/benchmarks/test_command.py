import os
import signal
import subprocess
import sys

import pytest

# A benchmark that waits for an endless run.
BENCHMARK = """
import sys
from benchmarks.command import end_on_sigterm, start_distrl

end_on_sigterm()
arguments = ["train", "configs/catch.yaml", "--stop.evaluation_return=null"]
with start_distrl([*arguments, *sys.argv[1:]]) as command:
    print(command.pid, flush=True)
    command.wait()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
def test_stopped_benchmark_leaves_no_command(tmp_path, number, code):
    flags = ["--launch.backend=serial", "--stop.env_steps=null"]
    flags += [f"--run_dir={tmp_path / 'run'}"]
    benchmark = subprocess.Popen(
        [sys.executable, "-c", BENCHMARK, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert benchmark.stdout is not None
    with benchmark:
        command = int(benchmark.stdout.readline())
        benchmark.send_signal(number)
        assert benchmark.wait(timeout=60) == code
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)

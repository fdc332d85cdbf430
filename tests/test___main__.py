"""`python -m distrl` is the command."""

import subprocess
import sys

import pytest

import distrl


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--version"], 0, f"distrl {distrl.__version__}\n", ""),
        (
            [],
            2,
            "",
            "distrl: error: name a command: train, resume, evaluate, check-env, sweep, "
            "report, doctor, list (or --help)\n",
        ),
    ],
)
def test_module_runs_command_and_returns_exit_code(arguments, code, out, err):
    done = subprocess.run(
        [sys.executable, "-m", "distrl", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)

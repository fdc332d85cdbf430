"""`python -m distrl` is the command."""

from pythons import run_python

import distrl


def test_module_runs_command_and_returns_exit_code():
    done = run_python("-m", "distrl", "--version")
    assert (done.returncode, done.stdout) == (0, f"distrl {distrl.__version__}\n")
    done = run_python("-m", "distrl", "trian")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("distrl: error: trian: ")

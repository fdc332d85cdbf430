"""The benchmark for one GPU, on a machine that has none."""

import subprocess
import sys

import pytest

from benchmarks.gpu import read_platform


@pytest.mark.skipif(read_platform() == "gpu", reason="there is a GPU")
def test_without_a_gpu_it_ends_at_once_with_one_sentence():
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("JAX computes on 'cpu' here, not on a GPU: ")
    assert answer.stderr.count("\n") == 1


def test_what_does_not_fit_into_the_budget_is_named(tmp_path):
    flags = ["--allow-cpu", "--budget", "1"]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *flags], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    for name in ("configs/catch.yaml", "mlp 64-64, prioritized, 1,000,000 items"):
        assert name in answer.stdout

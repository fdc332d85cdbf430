"""The programs that need no server, run as a user runs them."""

import re
from pathlib import Path

from pythons import run_python

ROOT = Path(__file__).parents[2]


def run(name, *flags):
    variables = {"PATH": "", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return run_python(f"programs/{name}.py", *flags, cwd=ROOT, env=variables)


def test_catch_q_learning_solves_catch():
    done = run("catch_q_learning", "--seed", "1")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    pattern = re.compile(r"episode (\d+): evaluation return (-?\d\.\d\d)")
    evaluations = [pattern.fullmatch(line).groups() for line in lines]
    assert [int(episode) for episode, _ in evaluations] == [
        100 * (i + 1) for i in range(len(evaluations))
    ]
    returns = [float(score) for _, score in evaluations]
    assert returns[-1] >= 0.95
    assert all(score < 0.95 for score in returns[:-1])
    assert last == f"solved: {returns[-1]:.2f} >= 0.95"


def test_data_parallel_replicas_stay_identical_and_loss_falls():
    done = run("data_parallel")
    assert done.returncode == 0, done.stderr
    losses = [float(x) for x in re.findall(r"dispatch \d: loss (.*)", done.stdout)]
    assert len(losses) == 8
    assert losses[-1] < 0.5 * losses[0]
    assert "4 devices: replicas identical: True" in done.stdout
    assert f"loss {losses[0]:.3f} -> {losses[-1]:.3f}: falls: True" in done.stdout


def test_catch_q_learning_is_under_100_lines():
    source = (ROOT / "programs/catch_q_learning.py").read_text()
    assert len(source.splitlines()) < 100
    assert "reverb" not in "".join(re.findall(r"^(?:from|import) .*", source, re.M))

"""The programs that launch processes, run as a user runs them."""

import json
import os
from pathlib import Path

import pytest
from integration.commands import BACKEND
from pythons import run_python

ROOT = Path(__file__).parents[2]


def run(name, *flags, cwd):
    path = os.path.relpath(ROOT / "programs" / name, cwd)
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return run_python(path, *flags, cwd=cwd, env=variables)


def read(run_dir, name):
    return json.loads((run_dir / name).read_text())


@pytest.mark.distributed
def test_catch_dqn_solves_catch_from_another_directory(tmp_path):
    # The wiring is the script's own function, which no node could import.
    done = run("catch_dqn.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (evaluation_return ")
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert read(run_dir, "result.json")["evaluation_return"] >= 0.95
    names = {node["name"] for node in read(run_dir, "program.json")["nodes"]}
    assert names == {
        *("variables", "coordinator", "replay/0", "learner"),
        *("actor/0", "actor/1", "evaluator"),
    }


@pytest.mark.parametrize(
    ("name", "flags", "used"),
    [
        # The user's flag overrides the program's own.
        (
            "custom_network.py",
            ["--network.args={hidden_size: 96}"],
            ["custom_network:make_network", "hidden_size: 96"],
        ),
        ("custom_agent.py", [], ["agent: custom_agent:make_agent"]),
        ("custom_environment.py", [], ["environment: custom_environment:Corridor"]),
    ],
)
def test_programs_with_custom_parts_are_solved(tmp_path, name, flags, used):
    run_dir = tmp_path / "run"
    done = run(name, f"--run_dir={run_dir}", *BACKEND, *flags, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    # It was solved before stop.env_steps was reached.
    assert done.stdout.startswith("done (evaluation_return ")
    assert read(run_dir, "result.json")["evaluation_return"] >= 0.95
    config = (run_dir / "config.yaml").read_text()
    assert all(words in config for words in used)


@pytest.mark.distributed
def test_launchpad_processes_find_custom_network(tmp_path):
    flags = ["--launch.backend=launchpad", "--run_dir=run", "--actor.count=1"]
    flags += ["--stop.evaluation_return=null", "--stop.learner_steps=1"]
    done = run("custom_network.py", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (learner_steps ")


@pytest.mark.distributed
def test_bad_program_flag_is_refused(tmp_path):
    done = run("catch_dqn.py", "--actor.count=0", cwd=tmp_path)
    assert done.returncode == 2
    assert "actor.count = 0" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []

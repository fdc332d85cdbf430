"""The programs that launch processes, run as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(name, *flags, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # The tests show four devices to JAX; a program is to see the machine's own.
    environment.pop("XLA_FLAGS", None)
    return subprocess.run(
        [sys.executable, os.path.relpath(ROOT / "programs" / name, cwd), *flags],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def read(run_dir, name):
    return json.loads((run_dir / name).read_text())


def test_catch_dqn_solves_catch_from_anywhere(tmp_path):
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


def test_a_flag_is_honoured_from_the_root_of_the_repository(tmp_path):
    run_dir = tmp_path / "run"
    flags = ["--actor.count=3", "--stop.evaluation_return", "null"]
    flags += ["--stop.env_steps=2000", f"--run_dir={run_dir}"]
    done = run("catch_dqn.py", *flags, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (env_steps ")
    names = [node["name"] for node in read(run_dir, "program.json")["nodes"]]
    assert names.count("actor/2") == 1


def test_a_network_of_ones_own_solves_catch(tmp_path):
    run_dir = tmp_path / "run"
    flags = [f"--run_dir={run_dir}", "--network.args={hidden_size: 96}"]
    done = run("custom_network.py", *flags, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (evaluation_return ")
    assert read(run_dir, "result.json")["evaluation_return"] >= 0.95
    config = (run_dir / "config.yaml").read_text()
    assert "custom_network:make_network" in config
    # The user's flag comes after the program's own, and counts.
    assert "hidden_size: 96" in config


def test_an_agent_of_ones_own_solves_catch(tmp_path):
    run_dir = tmp_path / "run"
    done = run("custom_agent.py", f"--run_dir={run_dir}", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    # It was solved before stop.env_steps was reached.
    assert done.stdout.startswith("done (evaluation_return ")
    assert read(run_dir, "result.json")["evaluation_return"] >= 0.95
    config = (run_dir / "config.yaml").read_text()
    assert "agent: custom_agent:make_agent" in config


def test_an_environment_of_ones_own_is_solved(tmp_path):
    run_dir = tmp_path / "run"
    done = run("custom_environment.py", f"--run_dir={run_dir}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (evaluation_return ")
    assert read(run_dir, "result.json")["evaluation_return"] >= 0.95
    config = (run_dir / "config.yaml").read_text()
    assert "environment: custom_environment:Corridor" in config


def test_a_network_of_ones_own_is_found_by_the_fresh_processes_of_launchpad(tmp_path):
    flags = ["--launch.backend=launchpad", "--run_dir=run", "--actor.count=1"]
    flags += ["--stop.evaluation_return=null", "--stop.learner_steps=1"]
    done = run("custom_network.py", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done (learner_steps ")


def test_bad_flags_of_a_program_are_told_in_one_message(tmp_path):
    done = run("catch_dqn.py", "--actor.count=0", cwd=tmp_path)
    assert done.returncode == 2
    assert "actor.count = 0" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []

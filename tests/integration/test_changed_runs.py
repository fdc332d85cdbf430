"""`distrl resume` and `evaluate` after the environment or network has changed."""

import json
from pathlib import Path

import pytest
from changing_programs import FIRST
from integration.commands import resume, train

from distrl.cli.main import main

TINY = {
    "actor.environments": 2,
    "replay.min_size": 16,
    "replay.transitions_per_item": 4,
    "learner.devices": 1,
    "learner.batch_size": 8,
    "learner.steps_per_dispatch": 2,
    "evaluation.episodes": 2,
    "evaluation.environments": 1,
    "stop.evaluation_return": "null",
    "stop.env_steps": "null",
    "stop.learner_steps": 20,
}


def read_files(run_dir):
    return {
        path.relative_to(run_dir): path.read_bytes() if path.is_file() else None
        for path in run_dir.rglob("*")
        if path.name != ".lock"
    }


def say(file, **changes):
    file.write_text(json.dumps({**FIRST, **changes}))


def refuse(run_dir, words, goal):
    """Checks that resuming is refused with a reason and changes no file."""
    before = read_files(run_dir)
    with resume(run_dir, goal) as command:
        assert command.finish() == 2, command.stderr
    last = command.stderr.splitlines()[-1]
    assert last.startswith("distrl: error: ")
    assert words in last
    assert read_files(run_dir) == before


@pytest.mark.parametrize(
    "backend",
    [
        "serial",
        pytest.param("processes", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
    ],
)
def test_changed_environment_or_network_is_refused(
    tmp_path, backend, monkeypatch, capsys
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    said, run_dir = tmp_path / "said.json", tmp_path / "run"
    say(said)
    flags = [f"--{name}={value}" for name, value in TINY.items()]
    flags += [
        f"--launch.backend={backend}",
        "--environment=changing_programs:Changing",
        f"--environment_args.file={said}",
        f"--network={{factory: 'changing_programs:network', args: {{file: {said}}}}}",
    ]
    with train(run_dir, *flags) as command:
        assert command.finish() == 0, command.stderr
    goal = f"--stop.learner_steps={command.result['learner_steps'] + 20}"
    # A refused run also keeps what a crash left behind.
    (run_dir / "checkpoints" / ".partial-000009").mkdir()

    say(said, observation={**FIRST["observation"], "map": ["float32", [3, 3], 0, 1]})
    words = "observation['map'] was float32 [2, 2], is now float32 [3, 3]"
    refuse(run_dir, words, goal)
    before = read_files(run_dir)
    assert main(["evaluate", str(run_dir)]) == 2
    assert words in capsys.readouterr().err
    assert read_files(run_dir) == before

    say(said, hidden=6)
    refuse(run_dir, "params.linear.w was float32 [5, 4], is now float32 [5, 6]", goal)
    assert main(["evaluate", str(run_dir)]) == 2
    assert "float32 [5, 6]" in capsys.readouterr().err

    wider = {**FIRST["observation"], "speed": ["int32", [1], -9, 9]}
    say(said, observation=wider)
    with resume(run_dir, goal) as command:
        assert command.finish() == 0, command.stderr
    assert "observation['speed'] was -1 to 1, is now -9 to 9" in command.stderr
    assert not (run_dir / "checkpoints" / ".partial-000009").exists()

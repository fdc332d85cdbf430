"""Training runs in environments that raise on illegal actions."""

from pathlib import Path

import pytest
from integration.commands import train
from integration.masked_environments import CELLS

from distrl.cli.main import main

FLAGS = [
    "--actor.count=1",
    "--actor.environments=4",
    "--replay.min_size=100",
    f"--stop.evaluation_return={CELLS}",
    # Play is random at first.
    "--actor.exploration.schedule=linear",
    "--actor.exploration.decay_env_steps=1000",
]


def check_solved(run_dir, name, *flags):
    flags = [f"--environment=masked_environments:{name}", *FLAGS, *flags]
    with train(run_dir, *flags) as command:
        assert command.finish(timeout=240) == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["status"] == "done"
    assert command.result["evaluation_return"] == CELLS
    assert command.result["restarts"] == {}


def test_serial_run_learns_and_evaluates_masked_actions(tmp_path, capfd, monkeypatch):
    run_dir = tmp_path / "run"
    check_solved(run_dir, "Board", "--launch.backend=serial")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    # Random actions are legal, too.
    code = main(["evaluate", str(run_dir), "--episodes=20", "--epsilon=1"])
    assert code == 0
    assert (
        "20 episodes of masked_environments:Board, epsilon 1" in capfd.readouterr().out
    )


def test_masked_actions_work_with_frame_stacks_and_environment_processes(tmp_path):
    check_solved(
        tmp_path / "run",
        "Frames",
        "--replay.frame_stack=2",
        "--actor.n_step=2",
        "--actor.environment_processes=2",
        "--evaluation.environment_processes=1",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("Native", ["--agent=r2d2", "--network.core_size=32", "--loss.burn_in=0",
                    "--replay.sequence_length=5", "--network.last_action_reward=true"]),
        ("Parts", ["--agent=rainbow", "--network.factory=mixed",
                   "--loss.v_min=0", f"--loss.v_max={CELLS}"]),
        ("Shown", ["--agent=apex", "--replay.shards=2", "--actor.count=2"]),
    ],
)  # fmt: skip
def test_masked_actions_work_with_other_agents_and_observations(tmp_path, name, flags):
    check_solved(tmp_path / "run", name, *flags)

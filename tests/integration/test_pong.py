"""Pong, some thousand frames of it, through the real program."""

import csv
from pathlib import Path

import pytest
from integration.commands import train

PONG = Path(__file__).parents[2] / "configs" / "pong.yaml"
# The preset's, but for what makes it long.
SHORT = (
    "--actor.environments=4",
    "--replay.min_size=400",
    "--replay.samples_per_insert=2",
    "--evaluation.period=16",
    "--evaluation.episodes=1",
    "--evaluation.environments=1",
    "--stop.env_steps=null",
    # No game ends below it, so that the first evaluation ends the run.
    "--stop.evaluation_return=-21",
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "environment",
    [
        "atari:Pong?max_episode_frames=600&num_threads=1",
        "envpool:Pong-v5?max_episode_steps=150&num_threads=1",
    ],
)
def test_pong_is_played_and_learned_from(tmp_path, environment):
    run_dir = tmp_path / "run"
    flags = [*SHORT, f"--environment={environment}"]
    with train(run_dir, *flags, config=PONG) as command:
        assert command.finish(timeout=800) == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    assert result["status"] == "done"
    assert result["reason"].startswith("evaluation_return")
    assert result["restarts"] == {}
    assert result["learner_steps"] >= 16
    # 4 environments, 150 steps an episode: each has played one to its end.
    assert 4 <= result["episodes"] <= result["env_steps"] / 150
    # A point takes 35 steps or so.
    assert -6 <= result["evaluation_return"] <= 6
    with open(run_dir / "metrics" / "learner.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert all(loss >= 0 for loss in losses)
    logs = "".join(path.read_text() for path in run_dir.glob("logs/**/*.log"))
    assert "Gym has been unmaintained" not in command.stderr + logs

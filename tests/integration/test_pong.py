"""Pong through the real program: 200,000 frames of whole games, and short ones."""

import pytest
from integration.commands import CATCH, read_rows, train

PONG = CATCH.with_name("pong.yaml")
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


def play(run_dir, *flags, seconds):
    """Runs the preset to its end, within `seconds` and without a restart."""
    with train(run_dir, *flags, config=PONG) as command:
        assert command.finish(timeout=seconds) == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["status"] == "done"
    assert command.result["restarts"] == {}
    return command


def read_column(run_dir, node, name):
    return [row[name] for row in read_rows(run_dir, node)]


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
    command = play(run_dir, *flags, seconds=800)
    result = command.result
    assert result["reason"].startswith("evaluation_return")
    assert result["learner_steps"] >= 16
    # 4 environments, 150 steps an episode: each has played one to its end.
    assert 4 <= result["episodes"] <= result["env_steps"] / 150
    # A point takes 35 steps or so.
    assert -6 <= result["evaluation_return"] <= 6
    assert all(float(loss) >= 0 for loss in read_column(run_dir, "learner", "loss"))
    logs = "".join(path.read_text() for path in run_dir.glob("logs/**/*.log"))
    assert "Gym has been unmaintained" not in command.stderr + logs


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("environment", ["atari:Pong", "envpool:Pong-v5"])
def test_200_000_frames_are_played_and_learned_from(tmp_path, environment):
    run_dir = tmp_path / "run"
    flags = [
        f"--environment={environment}",
        f"--stop.env_steps={200_000 // 4}",
        # A quarter of the preset's updates: they are what takes the time.
        "--replay.samples_per_insert=2",
        "--evaluation.period=500",
        "--evaluation.episodes=2",
        "--evaluation.environments=2",
    ]
    result = play(run_dir, *flags, seconds=1700).result
    assert result["reason"].startswith("env_steps")
    assert 4 * result["env_steps"] >= 200_000
    # Two samples for each transition after the first 20,000, in batches of 32; a fifth
    # less, since neither side of the rate limiter has to be at its bound in the end.
    assert result["learner_steps"] >= 0.8 * 2 * (50_000 - 20_000) / 32
    # Each environment has played; a game is at least 21 points of 35 steps or so.
    assert 16 <= result["episodes"] <= result["env_steps"] / 700
    assert -21 <= result["evaluation_return"] <= 21
    # It has hardly begun to learn: random play loses by some 20 points.
    training_return = float(read_column(run_dir, "actor/0", "training_return")[-1])
    assert -21 <= training_return <= -15
    losses = read_column(run_dir, "learner", "loss")
    assert losses
    assert all(0 <= float(loss) < 1 for loss in losses)

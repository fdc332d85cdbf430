"""A training run on Pong of 200,000 frames."""

import pytest
from integration.commands import CATCH, read_rows, train


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("environment", ["atari:Pong", "envpool:Pong-v5"])
def test_pong_runs_for_200_000_frames(tmp_path, environment):
    pytest.importorskip("ale_py" if environment == "atari:Pong" else "envpool")
    run_dir = tmp_path / "run"
    flags = [
        f"--environment={environment}",
        f"--stop.env_steps={200_000 // 4}",
        # A quarter of the preset's updates, which take most of the time.
        "--replay.samples_per_insert=2",
        "--evaluation.period=500",
        "--evaluation.episodes=2",
        "--evaluation.environments=2",
    ]
    with train(run_dir, *flags, config=CATCH.with_name("pong.yaml")) as command:
        assert command.finish(timeout=1700) == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    assert result["restarts"] == {}
    assert result["reason"].startswith("env_steps")
    assert 4 * result["env_steps"] >= 200_000
    # Two samples for each transition after the first 20,000, in batches of 32; a fifth
    # less, since the rate limiter may end between its bounds.
    assert result["learner_steps"] >= 0.8 * 2 * (50_000 - 20_000) / 32
    # Each environment has played; a game is at least 21 points of 35 steps or so.
    assert 16 <= result["episodes"] <= result["env_steps"] / 700
    assert -21 <= result["evaluation_return"] <= 21
    # It has hardly begun to learn: random play loses by about 20 points.
    # Its first rows are written before the first game ends, and have no return.
    assert -21 <= float(read_rows(run_dir, "actor/0")[-1]["training_return"]) <= -15
    losses = [float(row["loss"]) for row in read_rows(run_dir, "learner")]
    assert losses
    assert all(0 <= loss < 1 for loss in losses)
    logs = "".join(path.read_text() for path in run_dir.glob("logs/**/*.log"))
    assert "Gym has been unmaintained" not in command.stderr + logs

"""What the README promises of learning, seed by seed; minutes, so marked slow."""

import pytest
from integration.commands import CATCH, train

CARTPOLE = CATCH.with_name("cartpole.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_catch_is_solved_within_25_000_env_steps(tmp_path, seed):
    with train(tmp_path / "run", f"--seed={seed}") as command:
        assert command.finish() == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95
    assert command.result["env_steps"] <= 25_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cartpole_is_solved_within_150_000_env_steps(tmp_path, seed):
    with train(tmp_path / "run", f"--seed={seed}", config=CARTPOLE) as command:
        assert command.finish(timeout=280) == 0, command.stderr
    assert command.result["evaluation_return"] >= 475
    assert command.result["env_steps"] <= 150_000

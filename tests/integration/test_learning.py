"""What the pages promise of learning, seed by seed; an hour, so marked slow."""

import pytest
from integration.commands import CATCH, train

from distrl.agents import list_agents

pytestmark = pytest.mark.slow
CARTPOLE = CATCH.with_name("cartpole.yaml")
CARTPOLE_SERIAL = CATCH.with_name("cartpole_serial.yaml")
MEMORY = CATCH.with_name("memory.yaml")
# Not those that hyperparameters were chosen on.
SEEDS = [10, 11, 12]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_catch_is_solved_within_25_000_env_steps(tmp_path, seed):
    with train(tmp_path / "run", f"--seed={seed}") as command:
        assert command.finish() == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95
    assert command.result["env_steps"] <= 25_000


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", list(list_agents()))
def test_every_agent_solves_catch(tmp_path, agent, seed):
    flags = [f"--seed={seed}", f"--agent={agent}"]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=280) == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95


@pytest.mark.timeout(900)  # iqn may take 200 s of two cores, and a busy machine more.
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", list(list_agents()))
def test_every_agent_balances_cartpole(tmp_path, agent, seed):
    flags = [f"--seed={seed}", f"--agent={agent}"]
    with train(tmp_path / "run", *flags, config=CARTPOLE) as command:
        assert command.finish(timeout=880) == 0, command.stderr
    assert command.result["evaluation_return"] >= 475
    assert command.result["env_steps"] <= 200_000


@pytest.mark.parametrize("seed", SEEDS)
def test_cartpole_is_balanced_in_the_serial_back_end(tmp_path, seed):
    flags = ["--seed", str(seed)]
    with train(tmp_path / "run", *flags, config=CARTPOLE_SERIAL) as command:
        assert command.finish(timeout=280) == 0, command.stderr
    assert command.result["evaluation_return"] >= 475


@pytest.mark.parametrize("seed", SEEDS)
def test_a_memory_of_ten_steps_is_learned(tmp_path, seed):
    with train(tmp_path / "run", f"--seed={seed}", config=MEMORY) as command:
        assert command.finish(timeout=280) == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_memory_it_stays_at_chance(tmp_path, seed):
    flags = [f"--seed={seed}", "--agent=dqn"]
    with train(tmp_path / "run", *flags, config=MEMORY) as command:
        assert command.finish(timeout=280) == 0, command.stderr
    # The mean of 100 returns of 1 or -1; 0.4 is four standard deviations.
    assert abs(command.result["evaluation_return"]) <= 0.4

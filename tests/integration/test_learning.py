"""Learning results that the documentation promises, seed by seed; takes an hour."""

import pytest
from integration.commands import CATCH, train

from distrl.agents import list_agents

pytestmark = pytest.mark.slow
AGENTS = list(list_agents())
CARTPOLE = CATCH.with_name("cartpole.yaml")
CARTPOLE_SERIAL = CATCH.with_name("cartpole_serial.yaml")
MEMORY = CATCH.with_name("memory.yaml")
# Hyperparameters were chosen on other seeds.
SEEDS = [10, 11, 12]


def run(run_dir, config, *flags, timeout=280):
    with train(run_dir, *flags, config=config) as command:
        assert command.finish(timeout=timeout) == 0, command.stderr
    return command.result


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_catch_is_solved_within_25_000_env_steps(tmp_path, seed):
    result = run(tmp_path / "run", CATCH, f"--seed={seed}")
    assert result["evaluation_return"] >= 0.95
    assert result["env_steps"] <= 25_000


@pytest.mark.timeout(900)  # iqn may take 200 s of two cores, and a busy machine more.
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("config", "goal", "most"), [(CATCH, 0.95, 60_000), (CARTPOLE, 475, 200_000)]
)
def test_every_agent_solves_catch_and_cartpole(
    tmp_path, config, goal, most, agent, seed
):
    flags = [f"--seed={seed}", f"--agent={agent}"]
    result = run(tmp_path / "run", config, *flags, timeout=880)
    assert result["evaluation_return"] >= goal
    assert result["env_steps"] <= most


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("config", "goal"), [(CARTPOLE_SERIAL, 475), (MEMORY, 0.9)])
def test_serial_cartpole_and_memory_are_solved(tmp_path, config, goal, seed):
    result = run(tmp_path / "run", config, f"--seed={seed}")
    assert result["evaluation_return"] >= goal


@pytest.mark.parametrize("seed", SEEDS)
def test_dqn_stays_at_chance_on_memory(tmp_path, seed):
    result = run(tmp_path / "run", MEMORY, f"--seed={seed}", "--agent=dqn")
    # The mean of 100 returns of 1 or -1; 0.4 is four standard deviations.
    assert abs(result["evaluation_return"]) <= 0.4

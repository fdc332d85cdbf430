import jax
import numpy as np
import pytest
import scipy.stats

from distrl.actor.exploration import make_exploration_schedule, make_explore
from distrl.config.schema import ActorConfig, Config, ExplorationConfig


def _config(count=1, environments=3, **exploration):
    return Config(
        actor=ActorConfig(
            count=count,
            environments=environments,
            exploration=ExplorationConfig(**exploration),
        )
    )


LINEAR = {
    "schedule": "linear",
    "initial_epsilon": 1.0,
    "epsilon": 0.2,
    "decay_env_steps": 100,
}
APEX = {"schedule": "apex"}


@pytest.mark.parametrize(
    ("fields", "actor", "env_steps", "expected"),
    [
        ({"schedule": "fixed", "epsilon": 0.0}, 0, 10**9, [0.0, 0.0]),
        ({"schedule": "fixed", "epsilon": 0.05}, 0, 0, [0.05, 0.05]),
        # 1 - 0.8 * steps / 100, and 0.2 from step 100 on.
        (LINEAR, 0, 0, [1.0, 1.0]),
        (LINEAR, 0, 25, [0.8, 0.8]),
        (LINEAR, 0, 999, [0.2, 0.2]),
        ({**LINEAR, "decay_env_steps": 0}, 0, 0, [0.2, 0.2]),
        ({**LINEAR, "initial_epsilon": 0.0}, 0, 50, [0.1, 0.1]),
        # Over the 4 environments of both actors: exponents 1, 2, 3, 4.
        ({**APEX, "apex_base": 0.5, "apex_alpha": 3.0}, 0, 0, [0.5, 0.25]),
        ({**APEX, "apex_base": 0.5, "apex_alpha": 3.0}, 1, 7, [0.125, 0.0625]),
        # As in the paper, the last one is the base to the power of eight.
        (APEX, 1, 0, [0.4 ** (1 + 14 / 3), 0.4**8]),
        ({"schedule": "boltzmann", "temperature": 0.25}, 0, 10**6, [0.25, 0.25]),
    ],
)
def test_schedule_gives_exploration_per_environment(fields, actor, env_steps, expected):
    config = _config(count=2, environments=2, **fields)
    value = make_exploration_schedule(config, actor)(env_steps)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_apex_with_one_environment_gives_the_base():
    config = _config(count=1, environments=1, **APEX)
    value = make_exploration_schedule(config, 0)(0)
    np.testing.assert_allclose(value, [0.4], rtol=1e-6)


Q = np.array([1.0, 2.0, 2.0, 0.0], np.float32)


def _count_actions(schedule, exploration, draws=8192):
    """Returns how often each action is taken when the values are Q."""
    explore = jax.jit(make_explore(_config(schedule=schedule)))
    q, explorations = np.tile(Q, (draws, 1)), np.full(draws, exploration, np.float32)
    return np.bincount(explore(jax.random.PRNGKey(0), q, explorations), minlength=4)


def _is_likely(counts, weights):
    """Returns whether counts fit the weights, with a p-value above 1e-6."""
    weights = np.array(weights, np.float64)
    expected = weights / weights.sum() * counts.sum()
    return scipy.stats.chisquare(counts, expected).pvalue > 1e-6


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_boltzmann_draws_by_softmax_of_q_over_temperature(temperature):
    counts = _count_actions("boltzmann", temperature)
    assert _is_likely(counts, np.exp(Q / temperature))
    # The test can fail: it detects twice the temperature.
    assert not _is_likely(counts, np.exp(Q / (2 * temperature)))


@pytest.mark.parametrize("schedule", ["fixed", "linear", "apex"])
def test_other_schedules_are_epsilon_greedy(schedule):
    # A quarter of 0.4 falls on each action, the rest on the two best.
    counts = _count_actions(schedule, 0.4)
    assert _is_likely(counts, [0.1, 0.4, 0.4, 0.1])
    assert not _is_likely(counts, [0.08, 0.42, 0.42, 0.08])


@pytest.mark.parametrize("schedule", ["fixed", "boltzmann"])
def test_zero_exploration_picks_evenly_among_best_actions(schedule):
    counts = _count_actions(schedule, 0.0)
    assert counts[0] == counts[3] == 0
    assert _is_likely(counts[1:3], [0.5, 0.5])

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


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 1.0])
def test_fixed_is_the_same_at_every_step(epsilon):
    schedule = make_exploration_schedule(_config(schedule="fixed", epsilon=epsilon), 0)
    for env_steps in (0, 10**9):
        value = schedule(env_steps)
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.full(3, epsilon, np.float32))


def test_linear_follows_the_steps_of_the_run():
    config = _config(
        schedule="linear", initial_epsilon=1.0, epsilon=0.2, decay_env_steps=100
    )
    schedule = make_exploration_schedule(config, 0)
    # 1 - 0.8 * steps / 100, and 0.2 from step 100 on.
    for env_steps, expected in [(0, 1.0), (25, 0.8), (50, 0.6), (100, 0.2), (999, 0.2)]:
        value = schedule(env_steps)
        assert value.shape == (3,) and value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_linear_over_no_steps_is_at_its_end():
    config = _config(schedule="linear", epsilon=0.1, decay_env_steps=0)
    np.testing.assert_allclose(make_exploration_schedule(config, 0)(0), 0.1)


def test_linear_may_rise():
    config = _config(
        schedule="linear", initial_epsilon=0.0, epsilon=1.0, decay_env_steps=10
    )
    np.testing.assert_allclose(make_exploration_schedule(config, 0)(5), 0.5)


def test_apex_counts_environments_over_all_actors():
    # N = 4: exponents 1, 1 + 3/3, 1 + 6/3, 1 + 9/3.
    config = _config(
        count=2, environments=2, schedule="apex", apex_base=0.5, apex_alpha=3.0
    )
    np.testing.assert_allclose(make_exploration_schedule(config, 0)(0), [0.5, 0.25])
    np.testing.assert_allclose(make_exploration_schedule(config, 1)(7), [0.125, 0.0625])
    assert make_exploration_schedule(config, 1)(0).dtype == np.float32


def test_apex_of_the_paper_ends_at_base_to_the_eight():
    config = _config(count=1, environments=5, schedule="apex")
    value = make_exploration_schedule(config, 0)(0)
    np.testing.assert_allclose(value[[0, -1]], [0.4, 0.4**8], rtol=1e-6)


def test_apex_with_one_environment_is_the_base():
    config = _config(count=1, environments=1, schedule="apex")
    np.testing.assert_allclose(
        make_exploration_schedule(config, 0)(0), [0.4], rtol=1e-6
    )


def test_constant_schedules_cannot_be_overwritten():
    value = make_exploration_schedule(_config(schedule="apex"), 0)(0)
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1.0


def test_boltzmann_takes_the_temperature_and_the_others_an_epsilon():
    config = _config(schedule="boltzmann", temperature=0.25, epsilon=0.7)
    value = make_exploration_schedule(config, 0)(10**6)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, np.full(3, 0.25, np.float32))


Q = np.array([1.0, 2.0, 2.0, 0.0], np.float32)


def _count_actions(schedule, exploration, draws=8192):
    """How often each action is taken where the values are Q."""
    explore = jax.jit(make_explore(_config(schedule=schedule)))
    q, explorations = np.tile(Q, (draws, 1)), np.full(draws, exploration, np.float32)
    return np.bincount(explore(jax.random.PRNGKey(0), q, explorations), minlength=4)


def _is_likely(counts, weights):
    """Whether less likely counts come more than once in a million samples."""
    weights = np.array(weights, np.float64)
    expected = weights / weights.sum() * counts.sum()
    return scipy.stats.chisquare(counts, expected).pvalue > 1e-6


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_boltzmann_draws_in_proportion_to_exp_of_q_over_the_temperature(temperature):
    counts = _count_actions("boltzmann", temperature)
    assert _is_likely(counts, np.exp(Q / temperature))
    # The test can fail: twice the temperature would be found out.
    assert not _is_likely(counts, np.exp(Q / (2 * temperature)))


@pytest.mark.parametrize("schedule", ["fixed", "linear", "apex"])
def test_the_others_are_epsilon_greedy(schedule):
    # A quarter of 0.4 falls on each action, the rest on the two best.
    counts = _count_actions(schedule, 0.4)
    assert _is_likely(counts, [0.1, 0.4, 0.4, 0.1])
    assert not _is_likely(counts, [0.08, 0.42, 0.42, 0.08])


@pytest.mark.parametrize("schedule", ["fixed", "boltzmann"])
def test_nothing_to_explore_is_greedy_and_takes_one_of_the_best(schedule):
    counts = _count_actions(schedule, 0.0)
    assert counts[0] == counts[3] == 0
    assert _is_likely(counts[1:3], [0.5, 0.5])

import numpy as np
import pytest

from distrl.actor.exploration import make_amount
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
    amount_at = make_amount(_config(schedule="fixed", epsilon=epsilon), 0)
    for env_steps in (0, 10**9):
        value = amount_at(env_steps)
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.full(3, epsilon, np.float32))


def test_linear_follows_the_steps_of_the_run():
    config = _config(
        schedule="linear", initial_epsilon=1.0, epsilon=0.2, decay_env_steps=100
    )
    amount_at = make_amount(config, 0)
    # 1 - 0.8 * steps / 100, and 0.2 from step 100 on.
    for env_steps, expected in [(0, 1.0), (25, 0.8), (50, 0.6), (100, 0.2), (999, 0.2)]:
        value = amount_at(env_steps)
        assert value.shape == (3,) and value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_linear_over_no_steps_is_at_its_end():
    config = _config(schedule="linear", epsilon=0.1, decay_env_steps=0)
    np.testing.assert_allclose(make_amount(config, 0)(0), 0.1)


def test_linear_may_rise():
    config = _config(
        schedule="linear", initial_epsilon=0.0, epsilon=1.0, decay_env_steps=10
    )
    np.testing.assert_allclose(make_amount(config, 0)(5), 0.5)


def test_apex_counts_environments_over_all_actors():
    # N = 4: exponents 1, 1 + 3/3, 1 + 6/3, 1 + 9/3.
    config = _config(
        count=2, environments=2, schedule="apex", apex_base=0.5, apex_alpha=3.0
    )
    np.testing.assert_allclose(make_amount(config, 0)(0), [0.5, 0.25])
    np.testing.assert_allclose(make_amount(config, 1)(7), [0.125, 0.0625])
    assert make_amount(config, 1)(0).dtype == np.float32


def test_apex_of_the_paper_ends_at_base_to_the_eight():
    config = _config(count=1, environments=5, schedule="apex")
    value = make_amount(config, 0)(0)
    np.testing.assert_allclose(value[[0, -1]], [0.4, 0.4**8], rtol=1e-6)


def test_apex_with_one_environment_is_the_base():
    config = _config(count=1, environments=1, schedule="apex")
    np.testing.assert_allclose(make_amount(config, 0)(0), [0.4], rtol=1e-6)


def test_constant_schedules_cannot_be_overwritten():
    value = make_amount(_config(schedule="apex"), 0)(0)
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1.0
